"""Every error answer of Consentry is made here (RFC 9457, ``application/problem+json``).

An answer names the kind of problem and nothing of the input: no value is echoed, and a denial looks like absence.
"""

import json
from dataclasses import dataclass, replace

MEDIA_TYPE = "application/problem+json"
_URN = "urn:consentry:problem:"

# name → (HTTP status, title). docs/PROBLEMS.md explains each; a test holds the two together.
KINDS: dict[str, tuple[int, str]] = {
    "invalid-uid": (400, "The path holds something that is not a DICOM UID"),
    "invalid-frames": (400, "The frame list is not valid"),
    "invalid-parameter": (400, "A query parameter has a value that is not valid"),
    "ambiguous-parameter": (400, "A query parameter is given twice or cannot be told apart"),
    "unsupported-parameter": (400, "A query parameter names an attribute that is not supported"),
    "invalid-framing": (400, "The HTTP message is not well formed"),
    "ambiguous-credentials": (400, "More than one Authorization was given"),
    "invalid-multipart": (400, "The body is not the multipart body that its Content-Type names"),
    "invalid-json": (400, "The body is not valid JSON"),
    "siwe-malformed": (400, "The sign-in message is not well formed"),
    "unauthenticated": (401, "Sign in first"),
    "siwe-mismatch": (401, "The sign-in message is meant for another place"),
    "siwe-expired": (401, "The sign-in message is used or out of its time"),
    "passkey-expired": (401, "The passkey's challenge is used or out of its time"),
    "passkey-unknown": (401, "This passkey is not known here"),
    "bad-signature": (401, "The signature does not verify"),
    "forbidden": (403, "This needs a role or capacity that the caller does not hold"),
    "insufficient-scope": (403, "The token was not issued for this"),
    "not-found": (404, "Nothing here"),
    "method-not-allowed": (405, "This method is not served here"),
    "not-acceptable": (406, "No representation satisfies the Accept header"),
    "nonce-conflict": (409, "This was used before"),
    "conflict": (409, "This does not fit the present state"),
    "payload-too-large": (413, "The body is too large"),
    "search-too-broad": (413, "The search is too broad: name a patient, studies or a range of dates"),
    "unsupported-media-type": (415, "The body's media type is not served here"),
    "range-not-satisfiable": (416, "The range cannot be satisfied"),
    "invalid-request": (422, "The body does not fit what is expected"),
    "invalid-typed-data": (422, "The typed data is not exactly what was issued"),
    "transaction-refused": (422, "The contract would refuse this"),
    "emergency-quota": (429, "No further emergency may be opened today"),
    "too-many-requests": (429, "Too many requests"),
    "headers-too-large": (431, "The request's headers are too large"),
    "internal": (500, "Something went wrong here"),
    "upstream-invalid": (502, "The archive's answer was not valid"),
    "upstream-unavailable": (502, "The archive does not answer"),
    "chain-unavailable": (503, "The chain's state is not known well enough to decide"),
    "log-unavailable": (503, "The access log cannot be written"),
    "report-unavailable": (503, "The document could not be made now"),
    "upstream-timeout": (504, "The archive did not answer in time"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer. ``headers`` are added to the answer (``Allow``, ``WWW-Authenticate``, ``Retry-After`` …)."""

    name: str
    status: int
    title: str
    headers: tuple[tuple[str, str], ...] = ()

    def with_header(self, name: str, value: str) -> "Problem":
        """The same problem with one more header."""
        return replace(self, headers=(*self.headers, (name, value)))

    def body(self) -> bytes:
        """The JSON document, the same bytes for the same kind of problem."""
        return json.dumps(
            {"type": _URN + self.name, "title": self.title, "status": self.status}, separators=(",", ":")
        ).encode()


class ProblemError(Exception):
    """Carries a Problem up to the one place that answers it. Its text is the problem's name and nothing else."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.name)
        self.problem = problem


def problem(name: str) -> Problem:
    """The problem of that name. Raises KeyError for a name that KINDS does not list."""
    status, title = KINDS[name]
    headers: tuple[tuple[str, str], ...] = ()
    if status == 401:  # RFC 9110 §11.6.1: a 401 names the scheme
        headers = (("WWW-Authenticate", 'Bearer realm="consentry"'),)
    elif name == "insufficient-scope":  # RFC 6750 §3.1
        headers = (("WWW-Authenticate", 'Bearer realm="consentry", error="insufficient_scope"'),)
    return Problem(name, status, title, headers)
