"""What PS3.18 has and this gateway has not: refused with the right code, so that it looks like no empty answer."""

import pytest

from app.core.dicom.dicomweb import Retrieve, Search
from app.core.dicom.dicomweb_grammar import parse
from app.core.dicom.negotiation import negotiate
from app.core.http.problem import Problem

_STUDY = "/studies/1.2"
_INSTANCE = f"{_STUDY}/series/1.3/instances/1.4"


@pytest.mark.parametrize(
    "path",
    [
        *("/workitems", "/workitems/1.2", "/workitems/1.2/state", "/workitems/1.2/cancelrequest"),
        *("/workitems/1.2/subscribers/AET", "/workitems/1.2.840.10008.5.1.4.34.5/subscribers/AET/suspend"),
        *("/color-palettes", "/defined-procedure-protocols", "/hanging-protocols/1.2", "/implant-templates"),
        *("/inventories", "/protocol-approvals", "/commitment-requests/1.2", "/subscribers/AET"),
        *("/modality-scheduled-procedure-steps", "/modality-performed-procedure-steps/1.2", "/patients", "/metadata"),
        *(f"{_INSTANCE}/history", f"{_INSTANCE}/frames", f"{_INSTANCE}/series", "/studies/1.2/patients"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_other_services_and_resources_are_not_found(path: str, method: str) -> None:
    found = parse(method, path.encode(), b"")
    assert isinstance(found, Problem)
    assert found.name == "not-found"


@pytest.mark.parametrize("path", ["/studies", _STUDY, f"{_STUDY}/series/1.3", _INSTANCE, f"{_INSTANCE}/frames/1"])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "TRACE"])
def test_nothing_is_deleted_or_replaced(path: str, method: str) -> None:
    found = parse(method, path.encode(), b"")
    assert isinstance(found, Problem)
    assert found.name == "method-not-allowed"
    assert "GET" in dict(found.headers)["Allow"]


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (_STUDY, "application/zip"),
        (_STUDY, "application/zip; transfer-syntax=*"),
        (f"{_STUDY}/metadata", "text/csv"),
        ("/studies", "text/csv"),
        (f"{_INSTANCE}/rendered", "text/html"),
        (f"{_INSTANCE}/rendered", "application/pdf"),
        (f"{_INSTANCE}/rendered", "video/mp4"),
        (f"{_INSTANCE}/thumbnail", "image/webp"),
    ],
)
def test_other_media_types_are_not_acceptable(path: str, accept: str) -> None:
    asked = parse("GET", path.encode(), b"")
    assert isinstance(asked, Retrieve | Search)
    chosen = negotiate(asked, [accept.encode()])
    assert isinstance(chosen, Problem)
    assert chosen.name == "not-acceptable"


def test_a_presentation_state_is_asked_for_as_an_instance_alone() -> None:
    """PS3.18 §10.4.1.1.3: rendering "by" one is what a rendered presentation state would be; there is no parameter."""
    asked = parse("GET", f"{_INSTANCE}/rendered".encode(), b"presentationUID=1.2&presentationSeriesUID=1.3")
    assert isinstance(asked, Retrieve)
    assert asked.query == ()
