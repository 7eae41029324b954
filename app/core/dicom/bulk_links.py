"""The bulk data of an instance, as its metadata names it."""

from collections.abc import Iterator

from app.core.dicom.attributes import INSTANCE_UID, SERIES_UID
from app.core.dicom.dicomjson import DatasetInvalidError, DicomJson, rewrite_links
from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.links import linked, path_of


def bulk_data_of(dataset: DicomJson, asked: Retrieve) -> list[Retrieve]:
    """Every value that the metadata have a BulkDataURI for, at any depth, in the order of the data set, each once.

    ``dataset`` is the archive's, ``asked`` the retrieval of metadata that it came with. Raises DatasetInvalidError for
    a link that leads to another instance, and as rewrite_links does.
    """
    found: dict[Retrieve, None] = {}
    for path in _links(rewrite_links(dataset, "", path_of(asked))):
        target = linked(path)
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


def _links(dataset: DicomJson) -> Iterator[str]:
    """Of a data set that rewrite_links found to be in order."""
    for element in dataset.values():
        if "BulkDataURI" in element:
            yield element["BulkDataURI"]
        elif element["vr"] == "SQ":
            for item in element.get("Value", ()):
                yield from _links(item)


def _uid(dataset: DicomJson, tag: str) -> object:
    """Whatever stands there, to be compared with a UID."""
    return (dataset.get(tag, {}).get("Value") or [None])[0]
