"""The query grammar: what stock clients send, and every row "Query" of the answers to bad input."""

import json
from typing import Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from hypothesis import given
from hypothesis import strategies as st

from app.core.dicom.attributes import ATTRIBUTES
from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.dicom.dicomweb_grammar import parse
from app.core.dicom.qido import MAX_LIMIT
from app.core.http.problem import Problem
from app.core.http.query_string import parameters
from app.core.identifiers import SeriesUid, StudyUid

PATIENT, NAME, STUDY, DATE, MODALITIES = ("00100020",), ("00100010",), ("0020000D",), ("00080020",), ("00080061",)


def _key(path: tuple[str, ...], value: str) -> Matching:
    return Matching(path, value)


SEARCHES: Final = [
    ("", {}),
    ("PatientID=123", {"matching": (_key(PATIENT, "123"),)}),
    ("00100020=123", {"matching": (_key(PATIENT, "123"),)}),
    ("0020000d=1.2", {"matching": (_key(STUDY, "1.2"),)}),
    ("PatientName=M%C3%BCller*", {"matching": (_key(NAME, "Müller*"),)}),
    ("PatientName=Doe+John", {"matching": (_key(NAME, "Doe John"),)}),
    ("PatientID=a%2Bb%2Fc%25%2C%26", {"matching": (_key(PATIENT, "a+b/c%,&"),)}),
    ("PatientID=", {"matching": (_key(PATIENT, ""),)}),
    ("StudyDate=20200101-20201231", {"matching": (_key(DATE, "20200101-20201231"),)}),
    ("StudyDate=-20201231", {"matching": (_key(DATE, "-20201231"),)}),
    ("StudyTime=10-", {"matching": (_key(("00080030",), "10-"),)}),
    ("StudyInstanceUID=1.2,1.3", {"matching": (_key(STUDY, "1.2,1.3"),)}),
    ("StudyInstanceUID=1.2%2C1.3", {"matching": (_key(STUDY, "1.2,1.3"),)}),
    ("StudyInstanceUID=1.2%5C1.3", {"matching": (_key(STUDY, "1.2,1.3"),)}),
    # OHIF and dicomweb-client: both say "any of these"
    ("ModalitiesInStudy=CT%2CMR", {"matching": (_key(MODALITIES, "CT,MR"),)}),
    ("ModalitiesInStudy=CT&ModalitiesInStudy=MR", {"matching": (_key(MODALITIES, "CT,MR"),)}),
    ("OtherPatientIDsSequence.00100020=1", {"matching": (_key(("00101002", "00100020"), "1"),)}),
    ("00101002.PatientID=1", {"matching": (_key(("00101002", "00100020"), "1"),)}),
    ("RequestAttributesSequence=", None),
    ("includefield=00081030%2C00080060", {"include": (("00081030",), ("00080060",))}),
    ("includefield=StudyDescription&includefield=00081030", {"include": (("00081030",),)}),
    ("includefield=all", {"include_all": True}),
    ("includefield=RequestAttributesSequence.00400009", {"include": (("00400275", "00400009"),)}),
    ("limit=0&offset=7", {"limit": 0, "offset": 7}),
    ("limit=101&offset=0&fuzzymatching=false", {"limit": 101}),
    ("limit=0000000000000005", {"limit": 5}),
    (f"limit={MAX_LIMIT}", {"limit": MAX_LIMIT}),
    (f"limit={MAX_LIMIT + 1}", {"limit": MAX_LIMIT, "limit_capped": True}),
    ("limit=" + "9" * 5000, {"limit": MAX_LIMIT, "limit_capped": True}),
    ("fuzzymatching=true", {"fuzzy": True, "unsupported": ("fuzzymatching",)}),
    ("emptyvaluematching=true&multiplevaluematching=false", {}),
    ("multiplevaluematching=true", {"unsupported": ("multiplevaluematching",)}),
    # PS3.18 §8.3.4.5: two quotation marks say "without a value", wherever the switch stands; else they are text
    ("StudyID=%22%22&emptyvaluematching=true", {"matching": (Matching(("00200010",), '""', empty=True),)}),
    ("emptyvaluematching=true&StudyDate=%22%22", {"matching": (Matching(DATE, '""', empty=True),)}),
    ("StudyID=%22%22&emptyvaluematching=false", {"matching": (_key(("00200010",), '""'),)}),
    ("accept=application/json&charset=utf-8", {"accept": "application/json"}),
    ("&limit=1&", {"limit": 1}),
]


@pytest.mark.parametrize(("raw", "fields"), SEARCHES)
def test_a_query_of_the_standard_is_read(raw: str, fields: dict[str, Any] | None) -> None:
    found = parse("GET", b"/studies", raw.encode())
    if fields is None:  # a series attribute: not at the study level
        assert isinstance(found, Problem)
        found = parse("GET", b"/series", raw.encode())
        assert found == Search(Level.SERIES, matching=(_key(("00400275",), ""),))
    else:
        assert found == Search(Level.STUDY, **fields)


# The rows "Query" of PROMISES, and their neighbours.
BAD_QUERIES: Final = [
    ("PatientID=1&PatientID=1", "ambiguous-parameter"),
    ("PatientID=1&PatientID=2", "ambiguous-parameter"),
    ("StudyInstanceUID=1.2&StudyInstanceUID=1.3", "ambiguous-parameter"),
    ("limit=1&limit=1", "ambiguous-parameter"),
    ("offset=1&offset=2", "ambiguous-parameter"),
    ("fuzzymatching=true&fuzzymatching=true", "ambiguous-parameter"),
    ("accept=a/b&accept=a/b", "ambiguous-parameter"),
    ("PatientID=1&00100020=1", "ambiguous-parameter"),
    ("PatientID=1&%50atientID=2", "ambiguous-parameter"),
    ("0020000D=1.2&0020000d=1.2", "ambiguous-parameter"),
    ("ModalitiesInStudy=CT&00080061=MR", "ambiguous-parameter"),
    ("OtherPatientIDsSequence.00100020=1&00101002.PatientID=1", "ambiguous-parameter"),
    ("patientid=1", "ambiguous-parameter"),
    ("PATIENTID=1", "ambiguous-parameter"),
    ("Limit=1", "ambiguous-parameter"),
    ("IncludeField=all", "ambiguous-parameter"),
    ("includefield=studydescription", "ambiguous-parameter"),
    ("NoSuchAttribute=1", "unsupported-parameter"),
    ("includefield=NoSuchAttribute", "unsupported-parameter"),
    ("includefield=", "unsupported-parameter"),
    ("00080007=1", "unsupported-parameter"),
    ("0010002=1", "unsupported-parameter"),
    ("(0010,0020)=1", "unsupported-parameter"),
    ("0x00100020=1", "unsupported-parameter"),
    ("٠٠١٠٠٠٢٠=1", "invalid-parameter"),
    ("%D9%A0%D9%A0100020=1", "unsupported-parameter"),
    ("00091001=1", "unsupported-parameter"),
    ("00090010=ACME&00091001=1", "unsupported-parameter"),
    ("includefield=00091001", "unsupported-parameter"),
    ("includefield=50010005", "unsupported-parameter"),  # an odd group among the repeating ones of curves
    ("00100000=1", "unsupported-parameter"),
    ("PatientID.00100020=1", "unsupported-parameter"),
    ("OtherPatientIDsSequence.=1", "unsupported-parameter"),
    (".".join(["OtherPatientIDsSequence"] * 9) + "=1", "unsupported-parameter"),
    # Not of this level, not searchable, or telling of what the caller may not see
    ("Modality=CT", "unsupported-parameter"),
    ("SOPInstanceUID=1.2", "unsupported-parameter"),
    ("RetrieveURL=x", "unsupported-parameter"),
    ("NumberOfPatientRelatedStudies=3", "unsupported-parameter"),
    ("PixelData=x", "unsupported-parameter"),
    ("limit=-1", "invalid-parameter"),
    ("limit=1e9", "invalid-parameter"),
    ("limit=", "invalid-parameter"),
    ("limit=%2B1", "invalid-parameter"),
    ("limit=+1", "invalid-parameter"),
    ("limit=1.0", "invalid-parameter"),
    ("limit=%D9%A1", "invalid-parameter"),
    ("offset=-1", "invalid-parameter"),
    ("offset=x", "invalid-parameter"),
    ("offset=1000000000", "invalid-parameter"),
    ("fuzzymatching=yes", "invalid-parameter"),
    ("fuzzymatching=", "invalid-parameter"),
    ("StudyInstanceUID=1.2*", "invalid-parameter"),
    ("StudyInstanceUID=*", "invalid-parameter"),
    ("StudyInstanceUID=1.2,", "invalid-parameter"),
    ("StudyInstanceUID=" + "1" * 65, "invalid-parameter"),
    ("StudyInstanceUID=" + ",".join(["1.2"] * 5000), "invalid-parameter"),
    ("ModalitiesInStudy=CT,", "invalid-parameter"),
    ("StudyDate=2020", "invalid-parameter"),
    ("StudyDate=2020*", "invalid-parameter"),
    ("StudyDate=-", "invalid-parameter"),
    ("StudyTime=25", "invalid-parameter"),
    ("PatientSize=tall", "invalid-parameter"),
    ("PatientName=a%3Db%3Dc%3Dd", "invalid-parameter"),
    ("RequestAttributesSequence=x", "unsupported-parameter"),
    ("OtherPatientIDsSequence=x", "invalid-parameter"),
    ("PatientID=" + "a" * 1025, "invalid-parameter"),
    ("PatientID", "invalid-parameter"),
    ("=1", "invalid-parameter"),
    ("PatientID=%", "invalid-parameter"),
    ("PatientID=%4", "invalid-parameter"),
    ("PatientID=%g0", "invalid-parameter"),
    ("PatientID=%ff", "invalid-parameter"),
    ("PatientID=%C0%AF", "invalid-parameter"),  # an overlong slash
    ("PatientID=%ED%A0%80", "invalid-parameter"),  # a surrogate
    ("PatientID=%00", "invalid-parameter"),
    ("PatientID=a%0Ab", "invalid-parameter"),
    ("PatientID=%C2%85", "invalid-parameter"),
    ("PatientID=ü", "invalid-parameter"),
    ("PatientID=a b", "invalid-parameter"),
]


@pytest.mark.parametrize(("raw", "name"), BAD_QUERIES)
def test_a_bad_query_is_refused_by_name(raw: str, name: str) -> None:
    refusal = parse("GET", b"/studies", raw.encode())
    assert isinstance(refusal, Problem)
    assert (refusal.name, refusal.status) == (name, 400)


def test_a_limit_is_capped_at_the_callers_own_bound() -> None:
    assert parse("GET", b"/studies", b"limit=11", max_limit=10) == Search(Level.STUDY, limit=10, limit_capped=True)


@pytest.mark.parametrize("attribute", ATTRIBUTES.values(), ids=lambda attribute: attribute.keyword)
def test_an_attribute_matches_at_its_level_and_below_and_may_always_be_included(attribute: Any) -> None:
    paths = {Level.STUDY: b"/studies", Level.SERIES: b"/series", Level.INSTANCE: b"/instances"}
    for level, path in paths.items():
        found = parse("GET", path, f"{attribute.keyword}=".encode())
        assert isinstance(found, Search) == (attribute.matchable and attribute.level <= level)
        assert parse("GET", path, f"includefield={attribute.keyword}".encode()) == Search(
            level, include=((attribute.tag,),)
        )


@given(pairs=st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=6), plus=st.booleans())
def test_parameters_read_what_stock_encoders_write(pairs: list[tuple[str, str]], *, plus: bool) -> None:
    encode = quote_plus if plus else quote
    printable = [(name, value) for name, value in pairs if all(map(_allowed, name + value))]
    raw = "&".join(f"{encode(name, safe='')}={encode(value, safe='')}" for name, value in printable)
    assert list(parameters(raw.encode())) == printable
    assert printable == parse_qsl(raw, keep_blank_values=True, strict_parsing=bool(raw))


def _allowed(character: str) -> bool:
    return not (ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 or 0xD800 <= ord(character) < 0xE000)


@given(st.text(alphabet="PatientIDStudylimof=&%+,.0129abcAF*?-\\", max_size=60) | st.binary(max_size=30).map(repr))
def test_any_query_gives_a_search_or_a_refusal(raw: str) -> None:
    found = parse("GET", b"/instances", raw.encode())
    if isinstance(found, Problem):
        assert found.status == 400
    else:
        assert isinstance(found, Search)


class _Recorder(requests.adapters.BaseAdapter):
    """Answers every request with an empty list and keeps its URL."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def send(self, request: requests.PreparedRequest, *_args: Any, **_kwargs: Any) -> requests.Response:
        self.urls.append(request.url or "")
        response = requests.Response()
        response.status_code, response._content, response.request = 200, json.dumps([]).encode(), request
        return response

    def close(self) -> None:
        """Nothing is open."""


CLIENT_SEARCHES: Final = [
    ({"PatientID": "a b+c/d%"}, (_key(PATIENT, "a b+c/d%"),)),
    ({"ModalitiesInStudy": ["CT", "MR"]}, (_key(MODALITIES, "CT,MR"),)),
    ({"StudyDate": "20200101-", "PatientName": "Müller^*"}, (_key(NAME, "Müller^*"), _key(DATE, "20200101-"))),
]


@pytest.mark.parametrize(("filters", "matching"), CLIENT_SEARCHES)
def test_what_dicomweb_client_sends_is_read_as_it_was_meant(
    filters: dict[str, Any], matching: tuple[Matching, ...]
) -> None:
    session, recorder = requests.Session(), _Recorder()
    session.mount("http://", recorder)
    client = DICOMwebClient("http://gateway.test/dicom-web", session=session)
    client.search_for_studies(
        fields=["StudyDescription", "00080090"], limit=5, search_filters=filters, fuzzymatching=True
    )
    client.search_for_series("1.2", search_filters={"Modality": "CT"})
    client.search_for_instances("1.2", "1.3", offset=3)
    found = []
    for url in recorder.urls:
        split = urlsplit(url)
        found.append(parse("GET", split.path.removeprefix("/dicom-web").encode(), split.query.encode()))
    studies, series, instances = found
    assert isinstance(studies, Search)
    assert set(studies.include) == {("00081030",), ("00080090",)}
    assert (studies.matching, studies.limit, studies.fuzzy) == (matching, 5, True)
    assert series == Search(Level.SERIES, StudyUid("1.2"), matching=(_key(("00080060",), "CT"),))
    assert instances == Search(Level.INSTANCE, StudyUid("1.2"), SeriesUid("1.3"), offset=3)
