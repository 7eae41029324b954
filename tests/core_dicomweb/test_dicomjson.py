"""What a data set says of itself, what a search shows of it, and where its links point."""

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.dicom.attributes import ATTRIBUTES, PATIENT_COUNTS, Presence
from app.core.dicom.dicomjson import (
    MAX_DEPTH,
    DatasetInvalidError,
    check_uids,
    each_dataset,
    identity,
    project,
    read_datasets,
    rewrite_links,
    with_patient_counts,
)
from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.dicom.dicomweb_grammar import parse
from app.core.dicom.links import mapped_link, path_of
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid, Subject

PUBLIC: Final = "https://gateway.test/dicom-web"
PACS: Final = "http://pacs.internal:8042/dicom-web"
STUDY, SERIES, INSTANCE = StudyUid("1.2"), SeriesUid("1.2.3"), InstanceUid("1.2.3.4")


def _text(value: Any, vr: str = "LO") -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


def _uids() -> dict[str, Any]:
    return {"0020000D": _text(STUDY, "UI"), "0020000E": _text(SERIES, "UI"), "00080018": _text(INSTANCE, "UI")}


IDENTITIES: Final[list[tuple[dict[str, Any], Subject]]] = [
    ({}, Subject("", "")),
    ({"00100020": _text("MRN1")}, Subject("MRN1", "")),
    ({"00100020": _text("MRN1"), "00100021": _text("HOSP")}, Subject("MRN1", "HOSP")),
    ({"00100020": _text("mrn1 \0"), "00100021": _text("HOSP ")}, Subject("mrn1", "HOSP")),
    ({"00100020": _text(" a  b ")}, Subject("a  b", "")),
    ({"00100020": _text("患者-1,2*?/%\u00a0")}, Subject("患者-1,2*?/%\u00a0", "")),
    ({"00100020": {"vr": "LO"}}, Subject("", "")),
    ({"00100020": {"vr": "LO", "Value": []}}, Subject("", "")),
    ({"00100020": {"vr": "LO", "Value": [None]}}, Subject("", "")),
    ({"00100020": _text("   ")}, Subject("", "")),
    ({"00100020": {"vr": "LO", "Value": ["A", "B"]}}, Subject("", "")),
    ({"00100020": {"vr": "LO", "Value": ["A", None]}}, Subject("", "")),
    ({"00100020": _text("A\\B")}, Subject("", "")),
    ({"00100020": _text(7)}, Subject("", "")),
    ({"00100020": {"vr": "LO", "Value": "MRN1"}}, Subject("", "")),
    ({"00100020": "MRN1"}, Subject("", "")),
    # An issuer of two values does not say whose number this is
    ({"00100020": _text("MRN1"), "00100021": {"vr": "LO", "Value": ["A", "B"]}}, Subject("", "")),
]


@pytest.mark.parametrize(("dataset", "subject"), IDENTITIES)
def test_only_one_plain_patient_id_names_a_patient(dataset: dict[str, Any], subject: Subject) -> None:
    assert identity(dataset) == subject


def test_a_data_set_must_name_what_was_asked_for() -> None:
    check_uids(_uids(), STUDY)
    check_uids(_uids(), STUDY, SERIES, INSTANCE)
    for wrong in (StudyUid("1.2.0"), StudyUid("1.20"), StudyUid("01.2"), StudyUid("")):
        with pytest.raises(DatasetInvalidError):
            check_uids(_uids(), wrong)
    with pytest.raises(DatasetInvalidError):
        check_uids(_uids(), STUDY, SeriesUid("1.2"))
    with pytest.raises(DatasetInvalidError):
        check_uids(_uids() | {"00080018": {"vr": "UI", "Value": ["1.2.3.4", "1.2.3.4"]}}, STUDY, SERIES, INSTANCE)
    with pytest.raises(DatasetInvalidError):
        check_uids({}, STUDY)


READ: Final = [
    (b"", []),
    (b"[]", []),
    (b"{}", [{}]),
    (b'[{"a":1},{}]', [{"a": 1}, {}]),
    (b'{"a":[0.5,-1.5e-3,1e308]}', [{"a": [0.5, -0.0015, 1e308]}]),
]


@pytest.mark.parametrize(("body", "datasets"), READ)
def test_an_answer_is_a_list_of_data_sets(body: bytes, datasets: list[Any]) -> None:
    assert read_datasets(body) == datasets
    assert list(each_dataset(body)) == datasets


@pytest.mark.parametrize(
    "body",
    [
        *[b"[{}", b"[{},", b"[{},]", b"[,{}]", b"[{}{}]", b"[{}]]", b"[{}] 7", b"[{},7]", b" [", b"{}{}"],
        *[b"[", b"7", b"[7]", b'"x"', b"[NaN]", b"[Infinity]", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"null"],
        # Numbers that no reader of ours would get back
        *[b'[{"00281050":{"vr":"DS","Value":[%s]}}]' % number for number in (b"1e400", b"-1e400", b"1" * 4301)],
    ],
)
def test_an_answer_that_is_not_json_data_sets_is_invalid(body: bytes) -> None:
    with pytest.raises(DatasetInvalidError):
        read_datasets(body)
    with pytest.raises(DatasetInvalidError):
        list(each_dataset(body))


@given(st.lists(st.sampled_from([b"[", b"]", b"{}", b'{"a":[1]}', b",", b" ", b"\n", b"7", b"null", b'"']), max_size=8))
def test_one_after_the_other_is_the_same_as_in_one_go(pieces: list[bytes]) -> None:
    def read(reader: Callable[[bytes], Iterable[dict[str, Any]]]) -> list[dict[str, Any]] | None:
        try:
            return list(reader(b"".join(pieces)))
        except DatasetInvalidError:
            return None

    assert read(each_dataset) == read(read_datasets)


def test_one_is_there_before_the_next_has_been_read() -> None:
    datasets = each_dataset(b'[{"a":1},{"b":2},x]')
    assert [next(datasets), next(datasets)] == [{"a": 1}, {"b": 2}]
    with pytest.raises(DatasetInvalidError):
        next(datasets)


# --- Projection ---


def _full() -> dict[str, Any]:
    """A data set with a value in every attribute of the tables, out of order, and what no search shows."""
    rows = {
        tag: {"vr": one.vr, "Value": [{} if one.vr == "SQ" else "7"]}
        for tag, one in sorted(ATTRIBUTES.items(), reverse=True)
    }
    return (
        rows
        | _uids()
        | {
            "00091001": _text("private"),
            "7FE00010": {"vr": "OW", "BulkDataURI": f"{PACS}/studies/1.2/series/1.2.3/instances/1.2.3.4/bulk/7fe00010"},
            "00280034": _text("1\\1", "IS"),
            "nonsense": _text("x"),
            "00081010": "not an element",
        }
    )


def _tags(level: Level, *presences: Presence) -> set[str]:
    return {tag for tag, one in ATTRIBUTES.items() if one.level is level and one.presence in presences}


OF_STUDY = _tags(Level.STUDY, Presence.REQUIRED, Presence.KNOWN)
OF_SERIES = _tags(Level.SERIES, Presence.REQUIRED, Presence.KNOWN)
OF_INSTANCE = _tags(Level.INSTANCE, Presence.REQUIRED, Presence.KNOWN)
EVERYWHERE = {"00080056", "00080201", "00081190"}

PROJECTED: Final = [
    (Search(Level.STUDY), OF_STUDY),
    (Search(Level.SERIES, STUDY), OF_SERIES | EVERYWHERE | {"0020000D"}),
    (Search(Level.SERIES), OF_SERIES | OF_STUDY),
    (Search(Level.INSTANCE, STUDY, SERIES), OF_INSTANCE | EVERYWHERE | {"0020000D", "0020000E"}),
    (Search(Level.INSTANCE, STUDY), OF_INSTANCE | OF_SERIES | EVERYWHERE | {"0020000D"}),
    (Search(Level.INSTANCE), OF_INSTANCE | OF_SERIES | OF_STUDY),
    # What is asked for comes too, at its level or below
    (Search(Level.STUDY, include=(("00081030",), ("00101002", "00100020"))), OF_STUDY | {"00081030", "00101002"}),
    (Search(Level.STUDY, include=(("00080060",), ("00280034",), ("7FE00010",))), OF_STUDY),
    (Search(Level.STUDY, include=(("00201200",),)), OF_STUDY),
    (Search(Level.STUDY, matching=(Matching(("00081030",), "x"),)), OF_STUDY | {"00081030"}),
    (Search(Level.SERIES, STUDY, include=(("00100010",),)), OF_SERIES | EVERYWHERE | {"0020000D", "00100010"}),
    (
        Search(Level.INSTANCE, STUDY, SERIES, include=(("00280034",), ("7FE00010",))),
        OF_INSTANCE | EVERYWHERE | {"0020000D", "0020000E", "00280034"},
    ),
    (
        Search(Level.STUDY, include_all=True),
        {tag for tag, one in ATTRIBUTES.items() if one.level is Level.STUDY} - PATIENT_COUNTS,
    ),
    (Search(Level.INSTANCE, include_all=True), (set(ATTRIBUTES) - PATIENT_COUNTS - {"00081010"}) | {"00280034"}),
]


@pytest.mark.parametrize(("search", "tags"), PROJECTED)
def test_an_answer_carries_exactly_what_the_standard_says(search: Search, tags: set[str]) -> None:
    projected = project(search, _full())
    assert set(projected) == tags
    assert list(projected) == sorted(projected)


def test_required_attributes_without_a_value_are_there_empty_and_known_ones_are_left_out() -> None:
    bare = {"0020000D": _text(STUDY, "UI"), "00080061": {"vr": "CS"}, "00100020": _text("A"), "00081030": {"vr": "LO"}}
    projected = project(Search(Level.STUDY, include=(("00081030",), ("00080061",))), bare)
    assert projected["00100010"] == {"vr": "PN"}
    assert projected["00201208"] == {"vr": "IS"}
    assert projected["00081030"] == {"vr": "LO"}
    assert "00080061" not in projected  # an empty ModalitiesInStudy breaks a stock viewer's whole list
    assert "00080056" not in projected


def test_a_row_links_to_itself_whatever_the_archive_says() -> None:
    dataset = _full() | {"00081190": _text("http://elsewhere/studies/9.9", "UR")}
    links = [
        rewrite_links(project(search, dataset), PUBLIC)["00081190"]["Value"]
        for search in (Search(Level.STUDY), Search(Level.SERIES, STUDY), Search(Level.INSTANCE))
    ]
    assert links == [
        [f"{PUBLIC}/studies/1.2"],
        [f"{PUBLIC}/studies/1.2/series/1.2.3"],
        [f"{PUBLIC}/studies/1.2/series/1.2.3/instances/1.2.3.4"],
    ]


@pytest.mark.parametrize("uid", ["", "x", "1.2/metadata", "1.2/../..", "1.2/series/1", "\ud800", "ü"])
def test_a_row_whose_uid_fits_no_path_has_no_link(uid: str) -> None:
    assert "00081190" not in project(Search(Level.STUDY), {"0020000D": _text(uid, "UI")})


def test_a_patients_counts_are_those_that_the_caller_may_see() -> None:
    counted = with_patient_counts({"00200010": _text("S"), "7FE00010": {"vr": "OW"}}, 2, 5, 70)
    assert [counted[tag]["Value"] for tag in ("00201200", "00201202", "00201204")] == [[2], [5], [70]]
    assert list(counted) == sorted(counted)


# --- Links ---

_TARGET: Final = "/studies/1.2/series/1.2.3/instances/1.2.3.4"
MAPPED: Final = [
    (f"{PACS}/studies/1.2", "/studies/1.2"),
    (f"{PACS}{_TARGET}", _TARGET),
    (f"{PACS}{_TARGET}/bulk/7FE00010", f"{_TARGET}/bulk/7fe00010"),
    (f"{PACS}{_TARGET}/bulk/00081140/1/00081155", f"{_TARGET}/bulk/00081140/1/00081155"),
    (f"{PACS}{_TARGET}/frames/2,1", f"{_TARGET}/frames/2,1"),
    (f"{PACS}{_TARGET}/frames/1/rendered", f"{_TARGET}/frames/1/rendered"),
    (f"{PACS}/studies/1.2/metadata", "/studies/1.2/metadata"),
    (f"{PACS}{_TARGET}/bulkdata/7FE00010", f"{_TARGET}/bulkdata/7fe00010"),
    (f"{PACS}{_TARGET}/bulkdata/00400275/1/00420011", f"{_TARGET}/bulkdata/00400275/1/00420011"),
    (f"{PACS}{_TARGET}/thumbnail", f"{_TARGET}/thumbnail"),
    (f"http://elsewhere.example{_TARGET}", _TARGET),
    (f"{PACS}/studies/1.2/rendered", "/studies/1.2/rendered"),
    ("//user:secret@pacs/stores/studies/x/studies/1.2", "/studies/1.2"),
    ("/studies/1.2", "/studies/1.2"),
]


@pytest.mark.parametrize(("link", "path"), MAPPED)
def test_a_link_is_rebuilt_from_what_it_names(link: str, path: str) -> None:
    assert mapped_link(link, PUBLIC) == PUBLIC + path
    target = parse("GET", path.encode(), b"")
    assert path_of(target) == path  # type: ignore[arg-type]


UNMAPPED: Final = [
    "",
    "http://pacs/instances/1-2/file",
    "file:///etc/passwd",
    f"{PACS}/studies",
    f"{PACS}/studies/",
    f"{PACS}/studies/1.2/series",
    f"{PACS}/studies/1.2?token=secret",
    f"{PACS}/studies/1.2#x",
    f"{PACS}/studies/1.2/../../system",
    f"{PACS}/studies/1.2%2F",
    f"{PACS}/studies/ü",
    f"{PACS}/studies/{{StudyInstanceUID}}",
    f"{PACS}{_TARGET}/bulkdata/7fe00010?offset=0&length=9",
    "instances/1.2.3.4/bulk/7fe00010",
    "//pacs.internal",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("link", UNMAPPED)
def test_a_link_that_names_nothing_of_ours_is_dropped(link: str) -> None:
    assert mapped_link(link, PUBLIC) is None
    rewritten = rewrite_links({"00081190": _text(link, "UR"), "7FE00010": {"vr": "OW", "BulkDataURI": link}}, PUBLIC)
    assert rewritten == {"7FE00010": {"vr": "OW"}}


# (the retrieval that the link came with, the link, what it names)
RELATIVE: Final = [
    (f"{_TARGET}/metadata", "bulk/7fe00010", f"{_TARGET}/bulk/7fe00010"),
    (f"{_TARGET}/metadata", "./bulkdata/7fe00010", f"{_TARGET}/bulkdata/7fe00010"),
    ("/studies/1.2/metadata", f"..{_TARGET}/bulk/7fe00010", f"{_TARGET}/bulk/7fe00010"),
    ("/studies/1.2/series/1.2.3/metadata", "instances/1.2.3.4/bulk/7fe00010", f"{_TARGET}/bulk/7fe00010"),
    ("/studies/1.2/series/1.2.3/metadata", "../../../1.9", "/studies/1.9"),
    (f"{_TARGET}/metadata", "../../../../../../../../system", None),
    (f"{_TARGET}/metadata", "bulk/7fe00010?x=1", None),
    (f"{_TARGET}/metadata", "%2e%2e/system", None),
    (f"{_TARGET}/metadata", "pacs.internal", None),
    (f"{_TARGET}/metadata", "x:bulk/7fe00010", None),
]


@pytest.mark.parametrize(("base", "link", "path"), RELATIVE)
def test_a_relative_link_starts_from_what_it_came_with(base: str, link: str, path: str | None) -> None:
    expected = None if path is None else PUBLIC + path
    assert mapped_link(link, PUBLIC, base) == expected
    private = {"00091001": {"vr": "UN", "BulkDataURI": link}}
    nested = rewrite_links({"00091010": {"vr": "SQ", "Value": [private]}}, PUBLIC, base)["00091010"]["Value"][0]
    assert nested == {"00091001": {"vr": "UN"} | ({} if expected is None else {"BulkDataURI": expected})}


def test_a_retrieve_uri_is_a_link_too() -> None:
    dataset = {"0040E010": {"vr": "UR", "Value": [f"{PACS}{_TARGET}"]}}
    assert rewrite_links(dataset, PUBLIC) == {"0040E010": {"vr": "UR", "Value": [PUBLIC + _TARGET]}}
    assert rewrite_links({"0040E010": {"vr": "UR", "Value": [f"{PACS}/wado?x=1"]}}, PUBLIC) == {}


def test_links_are_rewritten_at_every_depth_and_the_rest_is_untouched() -> None:
    bulk = {"vr": "OB", "BulkDataURI": f"{PACS}{_TARGET}/bulk/00420011", "Extra": PACS}
    inner = {"00081190": {"vr": "UR", "Value": [f"{PACS}/studies/1.2", 7, "http://x/y"]}, "00420011": bulk}
    dataset = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J", "Phonetic": None}]},
        "00280010": {"vr": "US", "Value": [512]},
        "00281201": {"vr": "OW", "InlineBinary": "AAAA"},
        "00081110": {"vr": "SQ"},
        "00081115": {"vr": "SQ", "Value": [{"00081199": {"vr": "SQ", "Value": [inner, None]}}]},
    }
    rewritten = rewrite_links(dataset, PUBLIC)
    assert "pacs.internal" not in json.dumps(rewritten)
    assert rewritten["00081115"]["Value"][0]["00081199"]["Value"] == [
        {
            "00081190": {"vr": "UR", "Value": [f"{PUBLIC}/studies/1.2"]},
            "00420011": {"vr": "OB", "BulkDataURI": f"{PUBLIC}{_TARGET}/bulk/00420011"},
        },
        {},
    ]
    assert {tag: rewritten[tag] for tag in list(dataset)[:4]} == {tag: dataset[tag] for tag in list(dataset)[:4]}


@pytest.mark.parametrize(
    "link",
    [
        f"{PACS}{_TARGET}",  # dcm4chee's for pixel data
        f"{PACS}{_TARGET}/bulkdata/00400275/0/00420011",  # items from 0
        f"{PACS}/bulk/9f86d081?offset=8&length=16",
        "../blobs/9f86d081",
        "urn:oid:1.2.3",
        7,
    ],
)
def test_a_link_of_another_form_becomes_the_elements_place_in_its_instance(link: object) -> None:
    bulk = {"vr": "OB", "BulkDataURI": link}
    item = {"00420011": bulk, "00400275": {"vr": "SQ", "Value": [{"0040A30A": bulk}]}}
    uids = zip(("0020000D", "0020000E", "00080018"), ("1.2", "1.2.3", "1.2.3.4"), strict=True)
    dataset = {tag: _text(uid, "UI") for tag, uid in uids}
    dataset |= {"7FE00010": bulk, "00400275": {"vr": "SQ", "Value": [None, item]}}
    rewritten = rewrite_links(dataset, PUBLIC)
    inner = rewritten["00400275"]["Value"][1]
    links = [one["BulkDataURI"] for one in (rewritten["7FE00010"], inner["00420011"])]
    links.append(inner["00400275"]["Value"][0]["0040A30A"]["BulkDataURI"])
    own = f"{PUBLIC}{_TARGET}/bulk"
    assert links == [f"{own}/7fe00010", f"{own}/00400275/2/00420011", f"{own}/00400275/2/00400275/1/0040a30a"]
    assert rewrite_links(rewritten, PUBLIC) == rewritten


def _nested(depth: int) -> dict[str, Any]:
    dataset: dict[str, Any] = {"00080005": _text("ISO_IR 192", "CS")}
    for _ in range(depth):
        dataset = {"00081115": {"vr": "SQ", "Value": [dataset]}}
    return dataset


def test_sequences_nest_to_a_bound() -> None:
    assert rewrite_links(_nested(MAX_DEPTH), PUBLIC) == _nested(MAX_DEPTH)
    with pytest.raises(DatasetInvalidError):
        rewrite_links(_nested(MAX_DEPTH + 1), PUBLIC)


MALFORMED: Final[list[dict[str, Any]]] = [
    {"0008005": _text("x")},
    {"0008005g": _text("x")},
    {"PatientID": _text("x")},
    {"00080005": "x"},
    {"00080005": {}},
    {"00080005": {"vr": 7}},
    {"00080005": {"vr": "LO", "Value": "x"}},
    {"00080005": {"vr": "LO", "Value": [["x"]]}},
    {"00080005": {"vr": "PN", "Value": [{"Alphabetic": ["x"]}]}},
    {"00080005": {"vr": "LO", "value": ["x"]}},
    {"00080005": {"vr": "OB", "InlineBinary": 7}},
    {"00080005": {"BulkDataURI": "x"}},
    {"00080005": {"vr": "SQ", "Value": {}}},
    {"00080005": {"vr": "SQ", "Value": ["x"]}},
]


@pytest.mark.parametrize("dataset", MALFORMED)
def test_what_is_no_dicom_json_is_invalid(dataset: dict[str, Any]) -> None:
    with pytest.raises(DatasetInvalidError):
        rewrite_links(dataset, PUBLIC)


_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["vr", "Value", "BulkDataURI", "00081115", "00100020", "0020000D", "x"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["00081115", "00100020", "0020000D", "00081190", "7FE00010"]), _JSON))
def test_any_data_set_is_handled_or_invalid(dataset: dict[str, Any]) -> None:
    assert isinstance(identity(dataset), Subject)
    assert isinstance(project(Search(Level.INSTANCE), dataset), dict)
    try:
        rewritten = rewrite_links(dataset, PUBLIC)
    except DatasetInvalidError:
        return
    assert rewrite_links(rewritten, PUBLIC) == rewritten
