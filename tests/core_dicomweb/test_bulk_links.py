"""The values that metadata leave out, found at every depth; and which action of a consent each representation takes."""

from typing import Any, Final

import pytest

from app.core.consent.terms import Action
from app.core.dicom.bulk_links import bulk_data_of
from app.core.dicom.dicomjson import MAX_DEPTH, DatasetInvalidError
from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.disclosure import ACTION_OF
from app.core.identifiers import StudyUid

ASKED: Final = Retrieve(Representation.METADATA, StudyUid("1.2"))
HERE: Final = "http://pacs.internal/rs/studies/1.2/series/1.3/instances/1.4"


def _dataset(**elements: Any) -> dict[str, Any]:
    return {
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "0020000E": {"vr": "UI", "Value": ["1.3"]},
        "00080018": {"vr": "UI", "Value": ["1.4"]},
        **{tag.lstrip("x"): element for tag, element in elements.items()},
    }


def _bulk(uri: object) -> dict[str, Any]:
    return {"vr": "OB", "BulkDataURI": uri}


def _paths(dataset: dict[str, Any]) -> list[tuple[str, ...]]:
    found = bulk_data_of(dataset, ASKED)
    assert all((one.study, one.series, one.instance) == ("1.2", "1.3", "1.4") for one in found)
    return [one.bulk_path for one in found]


def test_bulk_data_is_found_at_every_depth_in_order_and_once() -> None:
    inner = {"00420011": _bulk(f"{HERE}/bulk/00400275/1/00420011")}
    dataset = _dataset(
        x00400275={"vr": "SQ", "Value": [inner, None, {}]},
        x00420011=_bulk(f"{HERE}/bulkdata/00420011"),
        x7FE00010=_bulk(f"{HERE}/bulk/7fe00010"),
        x7FE00011=_bulk(f"{HERE}/bulk/7FE00010"),
        x00091010={"vr": "SQ"},
    )
    assert _paths(dataset) == [("00400275", "1", "00420011"), ("00420011",), ("7fe00010",)]


@pytest.mark.parametrize("uri", [None, 7, "", "http://pacs/files/9", f"{HERE}/frames/1", f"{HERE}/bulk/x", HERE])
def test_a_link_of_another_form_is_found_by_its_place(uri: object) -> None:
    nested = {"vr": "SQ", "Value": [{}, {"00420011": _bulk(uri)}]}
    assert _paths(_dataset(x00400275=nested, x7FE00010=_bulk(uri))) == [("00400275", "2", "00420011"), ("7fe00010",)]


def test_a_link_is_passed_over_in_a_data_set_that_does_not_say_which_it_is() -> None:
    for uri in ("http://pacs/files/9", HERE):
        assert bulk_data_of({"7FE00010": _bulk(uri)}, ASKED) == []


def test_a_relative_link_starts_from_the_metadata() -> None:
    assert _paths(_dataset(x7FE00010=_bulk("series/1.3/instances/1.4/bulk/7fe00010"))) == [("7fe00010",)]


@pytest.mark.parametrize(
    "uri",
    [
        "http://pacs/studies/1.9/series/1.3/instances/1.4/bulk/7fe00010",
        "http://pacs/studies/1.2/series/1.9/instances/1.4/bulk/7fe00010",
        "http://pacs/studies/1.2/series/1.3/instances/1.9/bulk/7fe00010",
    ],
)
def test_a_link_to_another_instance_is_an_error(uri: str) -> None:
    with pytest.raises(DatasetInvalidError):
        bulk_data_of(_dataset(x7FE00010=_bulk(uri)), ASKED)


def test_what_is_no_data_set_is_an_error() -> None:
    with pytest.raises(DatasetInvalidError):
        bulk_data_of(_dataset(x7FE00010="text"), ASKED)
    deep: dict[str, Any] = {"7FE00010": _bulk(f"{HERE}/bulk/7fe00010")}
    for _ in range(MAX_DEPTH + 1):
        deep = {"00400275": {"vr": "SQ", "Value": [deep]}}
    with pytest.raises(DatasetInvalidError):
        bulk_data_of(_dataset() | deep, ASKED)
    with pytest.raises(DatasetInvalidError):
        bulk_data_of({"7FE00010": _bulk(f"{HERE}/bulk/7fe00010")}, ASKED)


VIEWED: Final = {"RENDERED", "RENDERED_FRAMES", "THUMBNAIL", "THUMBNAIL_FRAMES"}


def test_every_representation_takes_one_action_and_only_pictures_take_view() -> None:
    assert set(ACTION_OF) == set(Representation)
    assert {one.name for one in Representation if ACTION_OF[one] is Action.VIEW} == VIEWED
    assert {ACTION_OF[one] for one in Representation} == {Action.VIEW, Action.RETRIEVE}
