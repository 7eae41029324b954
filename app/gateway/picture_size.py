"""The size that WADO-URI asks for, in the pixels of the one image it asks about: WADO-RS knows no other measure.

Asked only once the caller was let in, and answered from the instance's own metadata.
"""

from dataclasses import replace

from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.identities import Accepted
from app.core.dicom.uri_viewport import UriViewport
from app.core.http.problem import ProblemError, problem
from app.gateway.metadata import Metadata
from app.pacs.origin import DicomJson, Origin

_ROWS, _COLUMNS = "00280010", "00280011"
_MOST = 0xFFFF


async def in_pixels(
    asked: Retrieve, viewport: UriViewport, accepted: Accepted, origin: Origin, metadata: Metadata
) -> Retrieve:
    """``asked`` with a viewport in its query. Raises ProblemError not-acceptable for what is no image, not-found for
    what is not there, and what the archive and its metadata raise.
    """
    about = Retrieve(Representation.METADATA, asked.study, asked.series, asked.instance)
    opened = await origin.retrieve(about, "application/dicom+json")
    try:
        if opened.status != 200:
            raise ProblemError(problem("not-found" if opened.status == 404 else "upstream-invalid"))
        async for dataset in metadata.datasets(about, accepted, opened.body):
            rows, columns = _count(dataset, _ROWS), _count(dataset, _COLUMNS)
            if rows and columns:
                return replace(asked, query=(*asked.query, ("viewport", viewport.of_image(rows, columns))))
    finally:
        await opened.body.aclose()
    raise ProblemError(problem("not-acceptable"))


def _count(dataset: DicomJson, tag: str) -> int:
    """The one number of the element, 0 where there is none, or none that a US may be (PS3.5 §6.2)."""
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    number = values[0] if isinstance(values, list) and len(values) == 1 and type(values[0]) is int else 0
    return number if 0 < number <= _MOST else 0
