"""What no answer may do, whatever was asked (P11)."""

import gzip
import json
import re
import zlib
from dataclasses import dataclass, field

from app.core.http.problem import KINDS, MEDIA_TYPE, problem
from app.core.identifiers import AccessRecordId
from app.core.record import AccessRecord
from tests.gateway.mutations.canaries import Found, found_in
from tests.gateway.mutations.people import BY_NUMBER, STUDIES, Caller, House
from tests.gateway.mutations.requests import Request
from tests.gateway.mutations.wire import MalformedAnswerError, Response, read_answers

_STATUSES = frozenset({200, 204, 206, 304, 400, 401, 403, 404, 405, 406, 409, 413, 415, 416, 431})
_FIELDS = frozenset(
    b"""
    accept-ranges access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-expose-headers access-control-max-age access-record-id allow
    cache-control connection content-disposition content-encoding content-length content-location
    content-range content-type cross-origin-resource-policy date etag expires link transfer-encoding vary
    warning www-authenticate x-content-type-options
    """.split()
)
_IMAGES = (b"image/jpeg", b"image/png", b"image/gif", b"image/jp2")


@dataclass(slots=True)
class Judge:
    """Judges what came back on one connection. ``statuses`` counts what was seen."""

    house: House
    records: dict[AccessRecordId, AccessRecord] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)

    def judge(self, sent: bytes, received: bytes, methods: list[bytes]) -> list[Response]:
        """The answers. Raises AssertionError."""
        self.take_records()
        callers = [caller for caller in self.house.callers if caller.token in sent]
        for caller in self.house.callers:
            assert caller.token not in received, "a token came back"
        self._none_of_others(received, callers)
        try:
            answers = read_answers(received, methods)
        except (MalformedAnswerError, ValueError) as error:
            raise AssertionError(f"not an HTTP response: {error}") from None
        for answer in answers:
            self._one(answer, sent, callers)
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        return answers

    def credentials(self, request: Request, answer: Response) -> None:
        """Of two no one is taken. Raises AssertionError."""
        given = sum(name.lower() == b"authorization" for name, _ in request.headers) + (request.token is not None)
        if given > 1 and request.method != b"OPTIONS":
            assert answer.status >= 400, "one of two credentials was taken"

    def take_records(self) -> None:
        journal = self.house.world.journal
        taken = list(journal.entries)
        del journal.entries[: len(taken)]
        journal.outcomes.clear()
        for entry in taken:
            self.records[entry.record.record_id] = entry.record
        while len(self.records) > 50_000:
            del self.records[next(iter(self.records))]

    def _one(self, answer: Response, sent: bytes, callers: list[Caller]) -> None:
        assert answer.status in _STATUSES, f"status {answer.status}"
        # To store takes a role, and says so; of images, nobody is told that they are forbidden.
        assert answer.status != 403 or b"POST " in sent, "forbidden, so it is there"
        unknown = {name for name, _ in answer.fields} - _FIELDS
        assert not unknown, f"fields {unknown}"
        for name in (b"content-type", b"content-length", b"access-record-id", b"transfer-encoding"):
            assert len(answer.values(name)) < 2, f"{name!r} twice"
        if answer.status >= 400:
            _is_a_problem(answer)
            return
        assert callers or not answer.body or answer.value(b"access-record-id") is None, "disclosed to nobody"
        if answer.status in (200, 206) and answer.body:
            self._recorded(answer, callers)

    def _recorded(self, answer: Response, callers: list[Caller]) -> None:
        body = _decoded(answer)
        disclosed = self._none_of_others(body, callers)
        image = (answer.value(b"content-type") or b"").startswith(_IMAGES)
        named = (answer.value(b"access-record-id") or b"").split(b",")
        if not disclosed and not image and named == [b""]:
            return
        assert named != [b""], "disclosed without a record"
        records = [self.records.get(AccessRecordId(bytes.fromhex(one.decode()))) for one in named]
        if None in records:
            self.take_records()
            records = [self.records.get(AccessRecordId(bytes.fromhex(one.decode()))) for one in named]
        patients = set()
        for record in records:
            assert record is not None, "a record that was not written"
            assert record.actor in {caller.actor for caller in callers}, "recorded as somebody else's"
            patients.add(self.house.patients[record.patient])
        owners = {STUDIES[one.code].subject for one in disclosed if one.code in STUDIES}
        assert owners <= patients, f"disclosed {owners}, recorded {patients}"

    def _none_of_others(self, received: bytes, callers: list[Caller]) -> list[Found]:
        found = list(found_in(received, BY_NUMBER))
        for one in found:
            assert any(caller.allowed(one) for caller in callers), f"canary of {one.code} ({one.kind.name})"
        return found


def _decoded(answer: Response) -> bytes:
    coding = answer.value(b"content-encoding")
    if coding is None:
        return answer.body
    assert coding == b"gzip", coding
    if not answer.whole:
        return zlib.decompressobj(wbits=31).decompress(answer.body)
    return gzip.decompress(answer.body)


def _is_a_problem(answer: Response) -> None:
    """Nothing of the input is in it, for it is byte for byte what every such problem is."""
    assert answer.value(b"content-type") == MEDIA_TYPE.encode(), "an error that is no problem document"
    if not answer.body:
        return  # to HEAD
    name = json.loads(answer.body)["type"].removeprefix("urn:consentry:problem:")
    assert name in KINDS, "an unknown problem"
    assert answer.body == problem(name).body(), "a problem that says more"
    assert problem(name).status == answer.status, "a problem under another status"


_VARYING = re.compile(rb"(?i)boundary=[^\s;]+")


def said(answer: Response) -> tuple[int, bytes | None, bytes]:
    """What is the same each time the same is asked: a boundary is not."""
    content_type = answer.value(b"content-type")
    body = answer.body
    found = re.search(rb"boundary=\"?([^\s;\"]+)", content_type or b"")
    if found:
        body = body.replace(found[1], b"boundary")
    return answer.status, content_type and _VARYING.sub(b"boundary", content_type), body
