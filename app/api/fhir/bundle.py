"""A page of resources as a FHIR R4 Bundle, with the link to the next."""

import json
import uuid
from collections.abc import Sequence
from urllib.parse import urlencode

from fastapi import Response

from app.api.fhir.values import MEDIA_TYPE, Json

# Any fixed one: an entry's address is made of its resource's own id.
_NAMESPACE = uuid.UUID("0b1f3a54-7a0f-4d0c-8a43-5c6f1f0d9a11")


def bundle(resources: Sequence[Json], base: str, asked: dict[str, str], next_cursor: int | None = None) -> Response:
    """The answer. ``base``: the address that was asked, without its query; ``asked``: the query that asks it again."""
    links = [{"relation": "self", "url": f"{base}?{urlencode(asked)}"}]
    if next_cursor is not None:
        links.append({"relation": "next", "url": f"{base}?{urlencode({**asked, 'cursor': str(next_cursor)})}"})
    document = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": links,
        "entry": [
            {
                "fullUrl": f"urn:uuid:{uuid.uuid5(_NAMESPACE, one['resourceType'] + one['id'])}",
                "resource": one,
                "search": {"mode": "match"},
            }
            for one in resources
        ],
    }
    if not resources:
        del document["entry"]  # FHIR has no empty arrays
    return Response(json.dumps(document, ensure_ascii=False), media_type=MEDIA_TYPE)
