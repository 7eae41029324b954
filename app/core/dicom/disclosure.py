"""Which action of a consent each representation takes (docs/adr/0015).

What shows a picture is a view. Whatever holds the file, a value of it or the text of its attributes is a retrieval:
metadata too, since all that a structured report says stands in its attributes.
"""

from collections.abc import Mapping
from typing import Final

from app.core.consent.terms import Action
from app.core.dicom.dicomweb import Representation

ACTION_OF: Final[Mapping[Representation, Action]] = {
    Representation.RENDERED: Action.VIEW,
    Representation.RENDERED_FRAMES: Action.VIEW,
    Representation.THUMBNAIL: Action.VIEW,
    Representation.THUMBNAIL_FRAMES: Action.VIEW,
    Representation.DICOM: Action.RETRIEVE,
    Representation.METADATA: Action.RETRIEVE,
    Representation.FRAMES: Action.RETRIEVE,
    Representation.PIXELDATA: Action.RETRIEVE,
    Representation.BULKDATA: Action.RETRIEVE,
    Representation.ALL_BULKDATA: Action.RETRIEVE,
}
