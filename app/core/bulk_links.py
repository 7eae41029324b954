"""The bulk data of an instance, as its metadata names it."""

from collections.abc import Iterator
from typing import Any

from app.core.attributes import INSTANCE_UID, SERIES_UID
from app.core.dicomjson import MAX_DEPTH, DatasetInvalidError, DicomJson
from app.core.dicomweb import Representation, Retrieve
from app.core.links import linked, path_of


def bulk_data_of(dataset: DicomJson, asked: Retrieve) -> list[Retrieve]:
    """Every value that the data set has a BulkDataURI for, at any depth, in the order of the data set, each once.

    ``asked`` is the retrieval of metadata that the data set came with. A link that names nothing of ours is passed
    over, as it is dropped from the metadata. Raises DatasetInvalidError for one that leads to another instance.
    """
    found: dict[Retrieve, None] = {}
    base = path_of(asked)
    for uri in _links(dataset, 0):
        target = linked(uri, base)
        if target is None or target.representation is not Representation.BULKDATA:
            continue
        if (target.study, target.series, target.instance) != (
            asked.study,
            _uid(dataset, SERIES_UID),
            _uid(dataset, INSTANCE_UID),
        ):
            raise DatasetInvalidError("bulk data of another instance")
        found[target] = None
    return list(found)


def _links(dataset: DicomJson, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise DatasetInvalidError("sequences nested too deep")
    for element in dataset.values():
        if not isinstance(element, dict):
            raise DatasetInvalidError("not an element")
        uri, values = element.get("BulkDataURI"), element.get("Value")
        if isinstance(uri, str):
            yield uri
        elif element.get("vr") == "SQ" and isinstance(values, list):
            for item in values:
                if isinstance(item, dict):
                    yield from _links(item, depth + 1)


def _uid(dataset: DicomJson, tag: str) -> Any:  # noqa: ANN401 - compared with a UID, whatever it is
    values = dataset.get(tag, {}).get("Value") or [None]
    return values[0]
