"""What is asked of an archive: targets rebuilt from parsed resources, in characters that every archive reads the same
way.
"""

import random
import string

import pytest

from app.core.dicom.dicomweb import Level, Matching, Representation, Search
from app.core.dicom.matching import matches
from app.core.identifiers import SeriesUid, StudyUid
from app.pacs.targets import retrieve_target, search_target, sendable
from tests.pacs.asking import retrieval

IDENTITY = "includefield=00100020&includefield=00100021&includefield=00080005"


def _key(tag: str, value: str) -> Matching:
    return Matching((tag,), value)


@pytest.mark.parametrize(
    ("tag", "value", "sent"),
    [
        ("00100020", "MRN-1", "MRN-1"),
        ("00100020", " MRN-1 ", "MRN-1"),
        ("00100020", "MRN,1012", "MRN?1012"),
        ("00100020", "MRN 1013", "MRN?1013"),
        ("00100020", "MRN/10/13", "MRN/10/13"),
        ("00100020", "MRN%2F10", "MRN?2F10"),
        ("00100020", "A&B=C#D+E", "A?B?C?D?E"),
        ("00100020", "患者-1014", "*-1014"),
        ("00100020", "Müller", "M*ller"),
        ("00100020", "患者", None),
        ("00100020", "***", None),
        ("00100020", "", None),
        ("00100010", "Novak^Petr", "Novak?Petr"),
        ("00080020", "20240101-20240301", "20240101-20240301"),
        ("00080020", "-20240301", "-20240301"),
        ("00080020", "2024", None),
        ("00080061", "CT", "CT"),
        ("00080061", "CT,MR", None),
        ("0020000D", "1.2.3", "1.2.3"),
        ("0020000D", "1.2.3\\1.2.4", "1.2.3,1.2.4"),
        ("0020000D", "1.2.*", None),
        ("00100021", "HOSP", None),
        ("00280010", "512", None),
    ],
)
def test_a_value_is_sent_in_characters_that_mean_the_same_everywhere(tag, value, sent):
    assert sendable(_key(tag, value)) == sent


def test_what_is_sent_for_an_id_matches_at_least_that_id(rng: random.Random, run_size):
    """The archive's wildcards over the id as Orthanc indexes it: without what is not ASCII, in one case of letters."""
    letters = string.ascii_letters + string.digits + "-_.,/%&=#+;'\" ^*?äß患者"
    for _ in range(run_size(2_000, 200_000)):
        patient_id = "".join(rng.choices(letters, k=rng.randint(1, 12))).strip()
        sent = sendable(_key("00100020", patient_id))
        if sent is not None:
            indexed = "".join(c for c in patient_id if c.isascii()).upper().strip()
            row = {"00100020": {"vr": "LO", "Value": [indexed]}}
            assert matches((_key("00100020", sent.upper()),), row), patient_id
            assert not set(sent) & set(" %&=#+;,")


def test_a_search_names_the_identity_and_the_character_set():
    assert search_target(Search(Level.STUDY), 200, 0) == f"/studies?{IDENTITY}&limit=200".encode()
    assert b"00080005" not in search_target(Search(Level.STUDY), 1, 0, character_set=False)


def test_a_search_below_a_series_names_its_place_and_its_page():
    search = Search(Level.INSTANCE, study=StudyUid("1.2"), series=SeriesUid("1.3"), include_all=True)
    expected = f"/studies/1.2/series/1.3/instances?{IDENTITY}&includefield=all&limit=5&offset=10"
    assert search_target(search, 5, 10) == expected.encode()


def test_what_is_matched_on_is_asked_for_too():
    keys = (_key("00081030", "*knee*"), Matching(("00400275", "00400009"), "X"), _key("00100020", "A"))
    target = search_target(Search(Level.STUDY, matching=keys, include=(("00081030",),)), None, 0)
    assert target == f"/studies?{IDENTITY}&includefield=00081030&includefield=00400275&00100020=A".encode()


def test_fuzzy_names_are_left_to_the_gateway():
    search = Search(Level.STUDY, matching=(_key("00100010", "novak"),), fuzzy=True)
    assert b"novak" not in search_target(search, None, 0)


@pytest.mark.parametrize(
    ("representation", "more", "suffix"),
    [
        (Representation.DICOM, {}, ""),
        (Representation.METADATA, {}, "/metadata"),
        (Representation.FRAMES, {"frames": (3, 1)}, "/frames/3,1"),
        (Representation.RENDERED, {"query": (("viewport", "10,20"),)}, "/rendered?viewport=10,20"),
        (Representation.RENDERED_FRAMES, {"frames": (2,)}, "/frames/2/rendered"),
        (Representation.BULKDATA, {"bulk_path": ("00880200", "1", "7FE00010")}, "/bulk/00880200/1/7fe00010"),
    ],
)
def test_a_retrieval_is_rebuilt_from_its_parts(representation, more, suffix):
    target = retrieve_target(retrieval(representation, "1.2", "1.3", "1.4", **more))
    assert target == f"/studies/1.2/series/1.3/instances/1.4{suffix}".encode()


@pytest.mark.parametrize(("name", "value"), [("viewport", "1 2"), ("viewport", "1&a=b"), ("a=b", "1"), ("window", "")])
def test_a_rendering_value_that_would_change_the_query_is_not_sent(name, value):
    with pytest.raises(ValueError, match="cannot be sent"):
        retrieve_target(retrieval(Representation.RENDERED, "1.2", query=((name, value),)))
