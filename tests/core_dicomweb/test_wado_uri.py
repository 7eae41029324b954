"""WADO-URI: what each query asks for, and how each bad one is refused (PS3.18 §9)."""

import random
from collections.abc import Callable
from typing import Final

import pytest

from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.dicomweb_grammar import parse
from app.core.dicom.negotiation import negotiate
from app.core.dicom.uri_viewport import EVERYTHING, Region, UriViewport
from app.core.dicom.wado_uri import UriRequest, parse_uri
from app.core.http.problem import Problem
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid

NAMED: Final = "requestType=WADO&studyUID=1.2&seriesUID=1.2.3&objectUID=1.2.3.4"
PATH: Final = "/studies/1.2/series/1.2.3/instances/1.2.3.4"
BROWSER: Final = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"
LITTLE: Final = "1.2.840.10008.1.2.1"
IN_LITTLE: Final = f"application/dicom;transfer-syntax={LITTLE}"
FILE: Final = "&contentType=application/dicom"


def asked(more: str, *accept: str, method: str = "GET", named: str = NAMED) -> UriRequest | Problem:
    return parse_uri(method, f"{named}{more}".encode("latin-1"), [one.encode() for one in accept])


def read(more: str, *accept: str) -> UriRequest:
    found = asked(more, *accept)
    assert isinstance(found, UriRequest)
    return found


# (what is added to the query, Accept, what WADO-RS would have been asked: path, query, Accept)
SAME_AS: Final = [
    ("", None, "/rendered", "", "image/jpeg"),
    ("", "*/*", "/rendered", "", "image/jpeg"),
    ("", BROWSER, "/rendered", "", "image/jpeg"),
    ("", "image/png", "/rendered", "", "image/png"),
    ("", "image/png;q=0.5, image/jpeg;q=0.4", "/rendered", "", "image/png"),
    ("", "image/jpeg;q=0, image/*", "/rendered", "", "image/png"),
    ("", "image/*;q=0, */*", "", "", "application/dicom"),
    ("", "image/*;q=0, image/gif, */*;q=0.1", "/rendered", "", "image/gif"),
    # What Java's own client says where nobody told it otherwise
    ("", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "/rendered", "", "image/gif, image/jpeg, image/png"),
    ("", "application/dicom", "", "", "application/dicom"),
    ("&contentType=image/jpeg", "image/png", "/rendered", "", "image/jpeg"),
    ("&contentType=image%2Fpng", None, "/rendered", "", "image/png"),
    ("&contentType=image/gif", None, "/rendered", "", "image/gif"),
    ("&contentType=text/html,image/png", None, "/rendered", "", "image/png"),
    ("&contentType=image/png%3Bq%3D0.1,image/jpeg", None, "/rendered", "", "image/jpeg"),
    ("&contentType=", "application/dicom", "/rendered", "", "image/jpeg"),
    ("&contentType=application/dicom", None, "", "", "application/dicom"),
    ("&contentType=application/dicom", "image/jpeg", "", "", "application/dicom"),
    (f"&contentType=application%2Fdicom&transferSyntax={LITTLE}", None, "", "", IN_LITTLE),
    ("&contentType=application/dicom&transferSyntax=*", None, "", "", "application/dicom;transfer-syntax=*"),
    (f"&contentType=application/dicom%3Btransfer-syntax%3D{LITTLE}", None, "", "", IN_LITTLE),
    ("&transferSyntax=" + LITTLE, None, "/rendered", "", "image/jpeg"),
    # Of a file no picture's parameter means anything (§8.3)
    (f"{FILE}&frameNumber=2&rows=5&windowCenter=1&windowWidth=2", None, "", "", "application/dicom"),
    ("&frameNumber=3", None, "/frames/3/rendered", "", "image/jpeg"),
    ("&imageQuality=70", None, "/rendered", "quality=70", "image/jpeg"),
    ("&windowCenter=40&windowWidth=400", None, "/rendered", "window=40,400,linear", "image/jpeg"),
    ("&windowWidth=1.5e2&windowCenter=-1E1", None, "/rendered", "window=-10,150,linear", "image/jpeg"),
    ("&windowCenter=%2B40.50&windowWidth=1", None, "/rendered", "window=40.50,1,linear", "image/jpeg"),
    ("&windowCenter=.5&windowWidth=2.", None, "/rendered", "window=0.5,2,linear", "image/jpeg"),
    ("&annotation=patient,technique", None, "/rendered", "annotation=patient,technique", "image/jpeg"),
    ("&imageAnnotation=technique", None, "/rendered", "annotation=technique", "image/jpeg"),
    ("&anonymize=no", None, "/rendered", "", "image/jpeg"),
    ("&charset=UTF-8", None, "/rendered", "", "image/jpeg"),
    ("&made-up=1&Weasis=x", None, "/rendered", "", "image/jpeg"),
    ("&rows=", None, None, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("more", "accept", "suffix", "query", "as_accepted"), SAME_AS)
def test_it_asks_for_what_wado_rs_names_by_a_path(
    more: str, accept: str | None, suffix: str | None, query: str, as_accepted: str
) -> None:
    found = asked(more, *([accept] if accept is not None else []))
    if suffix is None:
        assert isinstance(found, Problem)
        return
    assert isinstance(found, UriRequest)
    named = parse("GET", f"{PATH}{suffix}".encode(), query.encode())
    assert isinstance(named, Retrieve)
    mine = found.asked
    assert (mine.representation, mine.study, mine.series, mine.instance) == (
        named.representation,
        named.study,
        named.series,
        named.instance,
    )
    assert (mine.frames, mine.query) == (named.frames, named.query)
    assert found.chosen == negotiate(named, [as_accepted.encode()])
    assert not found.chosen.multipart
    assert found.viewport is None


def test_a_picture_that_cannot_be_had_may_be_had_in_another_form_but_never_as_a_file() -> None:
    either = read("&contentType=image/png,application/dicom,image/jpeg")
    assert [either.chosen.media_type, *(one.media_type for one in either.chosen.others)] == ["image/png", "image/jpeg"]
    file = read("&contentType=application/dicom,image/jpeg")
    assert file.asked.representation is Representation.DICOM
    assert file.chosen.media_type == "application/dicom"
    assert all(one.media_type == "application/dicom" for one in file.chosen.others)


SIZES: Final = [
    ("&rows=10", UriViewport(10, None, EVERYTHING)),
    ("&columns=99999", UriViewport(None, 99_999, EVERYTHING)),
    ("&rows=512&columns=256", UriViewport(512, 256, EVERYTHING)),
    ("&region=0,0,1,1", None),
    ("&region=0.0%2C.25,0.5,1e0", UriViewport(None, None, (0.0, 0.25, 0.5, 1.0))),
    ("&region=0.1,0.2,0.3,0.4&rows=7", UriViewport(7, None, (0.1, 0.2, 0.3, 0.4))),
]


@pytest.mark.parametrize(("more", "viewport"), SIZES)
def test_the_size_and_the_part_are_kept_until_the_image_is_known(more: str, viewport: UriViewport | None) -> None:
    assert read(more).viewport == viewport
    assert read(more + "&contentType=application/dicom").viewport is None


# (rows and columns asked for, region, rows and columns of the image, the viewport of WADO-RS: width, height, region)
VIEWPORTS: Final = [
    (None, None, EVERYTHING, 512, 256, "256,512"),
    (256, None, EVERYTHING, 512, 256, "128,256"),
    (None, 512, EVERYTHING, 512, 256, "512,1024"),
    (100, 100, EVERYTHING, 512, 256, "50,100"),
    (1, 1, EVERYTHING, 512, 256, "1,1"),
    (None, None, (0.5, 0.5, 1.0, 1.0), 512, 256, "128,256,128,256,128,256"),
    (10, None, (0.5, 0.5, 1.0, 1.0), 512, 256, "5,10,128,256,128,256"),
    (None, None, (0.0, 0.0, 0.0001, 0.0001), 512, 256, "1,1,0,0,1,1"),
    (None, None, (0.9999, 0.9999, 1.0, 1.0), 512, 256, "1,1,255,511,1,1"),
    (None, None, (0.0, 0.0, 0.9999, 1.0), 512, 256, "256,512"),
    (None, None, (0.2, 0.2, 0.4, 0.4), 1, 1, "1,1"),
    # A strip of one pixel's width, made as wide as may be, would be as high as no picture is
    (None, 99_999, (0.0, 0.0, 0.001, 1.0), 1000, 1000, "100,99999,0,0,1,1000"),
    (99_999, None, (0.0, 0.0, 1.0, 0.001), 1000, 1000, "99999,100,0,0,1000,1"),
    (99_999, 99_999, EVERYTHING, 65_535, 65_535, "99999,99999"),
]


@pytest.mark.parametrize(("rows", "columns", "region", "of_rows", "of_columns", "expected"), VIEWPORTS)
def test_the_viewport_is_in_the_images_own_pixels(
    rows: int | None, columns: int | None, region: Region, of_rows: int, of_columns: int, expected: str
) -> None:  # fmt: skip
    viewport = UriViewport(rows, columns, region).of_image(of_rows, of_columns)
    assert viewport == expected
    sent = parse("GET", f"{PATH}/rendered".encode(), f"viewport={viewport}".encode())
    assert isinstance(sent, Retrieve), "WADO-RS takes it"


def test_every_viewport_lies_within_its_image_and_its_bounds(
    rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    for _ in range(run_size(2_000, 200_000)):
        rows, columns = rng.randrange(1, 5000), rng.randrange(1, 5000)
        most_rows, most_columns = rng.choice([None, rng.randrange(1, 600)]), rng.choice([None, rng.randrange(1, 600)])
        left, right = sorted(rng.sample(range(10_001), 2))
        top, bottom = sorted(rng.sample(range(10_001), 2))
        region = (left / 10_000, top / 10_000, right / 10_000, bottom / 10_000)
        numbers = [int(one) for one in UriViewport(most_rows, most_columns, region).of_image(rows, columns).split(",")]
        width, height, x, y, w, h = [*numbers, 0, 0, columns, rows][:6] if len(numbers) == 2 else numbers
        assert width >= 1
        assert height >= 1
        assert width <= (most_columns or width)
        assert height <= (most_rows or height)
        assert 0 <= x < x + w <= columns
        assert 0 <= y < y + h <= rows
        if len(numbers) == 2:
            assert abs(left / 10_000 * columns) <= 0.5


# (the query, what is said of it)
REFUSED: Final = [
    ("", "invalid-parameter"),
    ("studyUID=1.2&seriesUID=1.2.3&objectUID=1.2.3.4", "invalid-parameter"),
    (NAMED.replace("=WADO", "="), "invalid-parameter"),
    (NAMED.replace("=WADO", "=wado"), "invalid-parameter"),
    (NAMED.replace("=WADO", "=UPS"), "invalid-parameter"),
    ("requestType=WADO&objectUID=1.2.3.4", "invalid-parameter"),
    (NAMED.replace("&seriesUID=1.2.3", ""), "invalid-parameter"),
    (NAMED.replace("&studyUID=1.2", ""), "invalid-parameter"),
    (NAMED.replace("&objectUID=1.2.3.4", ""), "invalid-parameter"),
    (NAMED.replace("studyUID=1.2", "studyUID="), "invalid-uid"),
    (NAMED.replace("studyUID=1.2", "studyUID=*"), "invalid-uid"),
    (NAMED.replace("studyUID=1.2", "studyUID=1..2"), "invalid-uid"),
    (NAMED.replace("studyUID=1.2", "studyUID=1.2%00"), "invalid-parameter"),
    (NAMED.replace("studyUID=1.2", "studyUID=1.2%2F..%2F3"), "invalid-uid"),
    (NAMED.replace("studyUID=1.2", "studyUID=1.2%5C1.3"), "invalid-uid"),
    (NAMED.replace("studyUID=1.2", "studyUID=1.2,1.3"), "invalid-uid"),
    (NAMED.replace("studyUID=1.2", "studyUID=" + "1" * 65), "invalid-uid"),
    (NAMED.replace("studyUID=1.2", "studyUID=%D9%A1.%D9%A2"), "invalid-uid"),
    (NAMED.replace("seriesUID=1.2.3", "seriesUID=1.2.3 "), "invalid-parameter"),
    (NAMED.replace("seriesUID=1.2.3", "seriesUID=1.2.3%20"), "invalid-uid"),
    (NAMED.replace("objectUID=1.2.3.4", "objectUID=1.2.3.4.a"), "invalid-uid"),
    (NAMED + "&", None),
    (NAMED + "&&", None),
    (NAMED + "&x", "invalid-parameter"),
    (NAMED + "&=x", "invalid-parameter"),
    (NAMED + "&x=%", "invalid-parameter"),
    (NAMED + "&x=%ff", "invalid-parameter"),
    (NAMED + "&x=1&x=1", "ambiguous-parameter"),
    (NAMED + "&StudyUID=1.2", "ambiguous-parameter"),
    (NAMED.replace("studyUID", "StudyUID"), "ambiguous-parameter"),
    (NAMED + "&contenttype=image/png", "ambiguous-parameter"),
    (NAMED + "&Anonymize=yes", "ambiguous-parameter"),
    (NAMED + "&annotation=patient&imageAnnotation=patient", "ambiguous-parameter"),
    (NAMED + "&contentType=application/dicom%3Btransfer-syntax%3D1.2&transferSyntax=1.3", "ambiguous-parameter"),
    (NAMED + "&contentType=application/dicom%3Btransfer-syntax%3D1.2&transferSyntax=1.2", None),
    # What is not done, and nobody would notice
    (NAMED + "&anonymize=yes", "unsupported-parameter"),
    (NAMED + "&anonymize=", "unsupported-parameter"),
    (NAMED + "&anonymize=1", "unsupported-parameter"),
    (NAMED + "&anonymize=yes&contentType=application/dicom", "unsupported-parameter"),
    (NAMED + "&presentationUID=1.2&presentationSeriesUID=1.3", "unsupported-parameter"),
    (NAMED + "&presentationSeriesUID=1.3", "unsupported-parameter"),
    (NAMED + "&presentationUID=1.3&contentType=application/dicom", "unsupported-parameter"),
    *(
        (f"{NAMED}&{name}={value}", "invalid-parameter")
        for name, values in {
            "frameNumber": ["0", "-1", "01", "1,2", "1.0", "", "a", "%2B1", "1" * 10],
            "rows": ["0", "-1", "01", "1.5", "", "a", "100000", "1e3"],
            "columns": ["0", "-1", "01", "1.5", "", "a", "100000"],
            "imageQuality": ["0", "101", "-1", "", "a", "50.5"],
            "annotation": ["", "name", "patient,,technique", "Patient"],
            "windowCenter": ["40"],
            "windowWidth": ["40"],
            "windowCenter=40&windowWidth": ["0", "0.99", "-400", "", "a", "NaN", "1e", "inf", "1" * 17, "1e20", "1_0"],
            "windowWidth=40&windowCenter": ["", "a", "--1", "0x10", "1e99", "%2B%2B1", "1 2", "4,5", "Infinity"],
            "region": ["", "0,0,1", "0,0,1,1,1", "0,0,1.1,1", "-0.1,0,1,1", "0.5,0,0.5,1", "0.6,0,0.5,1", "0,1,1,1"],
            "rows=1&region": ["a,0,1,1", "0,0,1,"],
            "region=0,0,0,0&rows": ["1"],
            "transferSyntax": ["", "a", "1..2", "1.2,1.3", "1.2%20", "**"],
        }.items()
        for value in values
        if " " not in value
    ),
    (NAMED + "&contentType=application/dicom&frameNumber=0", "invalid-parameter"),
    (NAMED + "&contentType=application/dicom&transferSyntax=" + "1" * 65, "not-acceptable"),
    *(
        (f"{NAMED}&contentType={media_type}", "not-acceptable")
        for media_type in ["text/html", "text/*", "application/pdf", "video/mpeg", "image/svg%2Bxml", "image",
                           "image/png;q=2", "application/dicom%2Bjson", "multipart/related", "image/jpeg;q=0"]
    ),
]  # fmt: skip


@pytest.mark.parametrize(("query", "name"), REFUSED)
def test_what_is_wrong_is_refused(query: str, name: str | None) -> None:
    found = parse_uri("GET", query.encode("latin-1"), [])
    assert (found.name if isinstance(found, Problem) else None) == name


@pytest.mark.parametrize(
    "name",
    [
        *["requestType", "studyUID", "seriesUID", "objectUID", "contentType", "charset", "anonymize", "annotation"],
        *["imageAnnotation", "imageQuality", "rows", "columns", "region", "windowCenter", "windowWidth", "frameNumber"],
        *["presentationUID", "presentationSeriesUID", "transferSyntax"],
    ],
)
def test_no_parameter_is_given_twice_nor_in_another_case(name: str) -> None:
    valid = {"requestType": "WADO", "region": "0,0,1,1", "annotation": "patient", "imageAnnotation": "patient"}
    value = valid.get(name, "1")
    for query in (
        f"{NAMED}&{name}={value}&{name}={value}",
        f"{NAMED}&{name.lower()}={value}",
        f"{NAMED}&{name.upper()}={value}",
    ):
        if query.endswith(f"&{name}={value}") and query.count(f"{name}=") == 1:
            continue  # a name that is all in lower case
        found = parse_uri("GET", query.encode(), [])
        assert isinstance(found, Problem)
        assert found.name == "ambiguous-parameter", query


@pytest.mark.parametrize("accept", ["text/html", "multipart/related; type=image/jpeg", "image/jpeg;q=0", "*;q=.2"])
def test_an_accept_that_nothing_satisfies_is_406(accept: str) -> None:
    found = asked("", accept)
    assert isinstance(found, Problem)
    assert found.name == "not-acceptable"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "get"])
def test_other_methods_are_not_served(method: str) -> None:
    found = asked("", method=method)
    assert isinstance(found, Problem)
    assert (found.name, found.headers) == ("method-not-allowed", (("Allow", "GET, HEAD, OPTIONS"),))


@pytest.mark.soak
def test_whatever_comes_names_one_instance_or_a_problem(
    rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    """Mutated queries: nothing raises, and what is asked for is always what the query says, in the grammar of paths."""
    pieces = [
        *NAMED.encode().split(b"&"),
        b"contentType=image/png",
        b"frameNumber=2",
        b"region=0,0,.5,1",
        b"rows=9",
        b"anonymize=yes",
    ]
    served = 0
    for _ in range(run_size(3_000, 1_000_000)):
        named = pieces[:4] if rng.random() < 0.8 else rng.sample(pieces, 4)
        query = bytearray(b"&".join([*named, *rng.sample(pieces[4:], rng.randrange(3))]))
        for _ in range(rng.randrange(3)):
            at = rng.randrange(len(query))
            query[at : at + rng.randrange(2)] = rng.choice(
                [b"%", b"&", b"=", b"%2e", b"\x00", b"\xff", b"1", b".", b"+", b"%zz", b","]
            )
        found = parse_uri("GET", bytes(query), [])
        if isinstance(found, Problem):
            assert found.status in {400, 406}
            continue
        served += 1
        one = found.asked
        assert one.study, one.series
        assert f"studyUID={one.study}".encode() in bytes(query).replace(b"%2e", b".")
        assert f"seriesUID={one.series}".encode() in bytes(query).replace(b"%2e", b".")
        assert f"objectUID={one.instance}".encode() in bytes(query).replace(b"%2e", b".")
        assert all(set(uid) <= set("0123456789.") for uid in (one.study, one.series or "", one.instance or ""))
    assert served > 100


def test_leading_zeros_are_compared_as_written() -> None:
    found = asked("", named=NAMED.replace("1.2.3.4", "1.02.3.4"))
    assert isinstance(found, UriRequest)
    assert (found.asked.study, found.asked.series) == (StudyUid("1.2"), SeriesUid("1.2.3"))
    assert found.asked.instance == InstanceUid("1.02.3.4")
