"""One node, asked over raw JSON-RPC 2.0 on HTTP.

Every call has one deadline for all of it (so that a node which sends a byte a second is cut off) and a bound on the
answer's size. No text made here holds the node's address, which may carry a key: a node goes by its label.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Self

import aiohttp

from app.chain.quantities import MalformedAnswerError, fields, items

log = logging.getLogger(__name__)

_READ_BYTES = 1 << 16
_REASON_CHARACTERS = 300


class RpcError(Exception):
    """A node could not be asked, or did not give a usable answer."""


class NodeUnavailableError(RpcError):
    """No answer: the connection failed, the deadline passed, or the answer was too large or not JSON-RPC."""


class NodeRefusedError(RpcError):
    """The node answered with an error object.

    ``reason`` is the node's own text (bounded) for matching only: it may repeat what was sent and is not part of this
    error's text. ``data`` holds a revert's return data where the node gives it.
    """

    def __init__(self, label: str, code: int, reason: str, data: bytes | None) -> None:
        super().__init__(f"{label} refused the call with code {code}")
        self.label = label
        self.code = code
        self.reason = reason[:_REASON_CHARACTERS]
        self.data = data

    @property
    def reverted(self) -> bool:
        """True when the contract refused, and not the node. Code 3 is geth's and anvil's; others tell a revert by its
        data or its text.
        """
        return self.code == 3 or self.data is not None or "revert" in self.reason.lower()


@dataclass(frozen=True, slots=True)
class Call:
    """One method with its parameters, as JSON values."""

    method: str
    params: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a single request may cost: seconds for the whole of it, bytes of its answer, requests at a time."""

    deadline_s: float = 10.0
    answer_bytes: int = 32 << 20
    connections: int = 8


@dataclass(slots=True)
class Node:
    """A JSON-RPC endpoint with pooled connections. Use it from one event loop and close it."""

    url: str = field(repr=False)
    label: str = "the node"
    limits: Limits = Limits()
    _session: aiohttp.ClientSession | None = field(default=None, init=False, repr=False)
    _ids: "count[int]" = field(default_factory=count, init=False, repr=False)
    _failing: bool = field(default=False, init=False, repr=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Drops the pooled connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def note(self, failure: str | None) -> None:
        """Logs when the node begins to fail and when it answers again, not every time in between."""
        if failure is not None and not self._failing:
            log.warning("%s fails: %s", self.label, failure)
        if failure is None and self._failing:
            log.warning("%s answers again", self.label)
        self._failing = failure is not None

    async def call(self, method: str, *params: object, deadline_s: float | None = None) -> object:
        """The result of one method.

        Raises NodeUnavailableError, or NodeRefusedError when the node answers with an error.
        """
        identity = next(self._ids)
        answer = await self._exchange(_request(identity, Call(method, params)), deadline_s)
        return self._result(answer, identity)

    async def batch(self, calls: Sequence[Call], *, deadline_s: float | None = None) -> list[object | NodeRefusedError]:
        """The results of several calls made in one request, in their order; an error object becomes a value.

        Raises NodeUnavailableError when the answer does not hold exactly one answer for each call.
        """
        if not calls:
            return []
        first = next(self._ids)
        identities = [first, *(next(self._ids) for _ in calls[1:])]
        body = [_request(identity, call) for identity, call in zip(identities, calls, strict=True)]
        answer = await self._exchange(body, deadline_s)
        if isinstance(answer, dict):  # one error object for the whole batch
            self._result(answer, None)
        try:
            by_identity = _told_apart(answer, identities)
        except MalformedAnswerError as error:
            raise NodeUnavailableError(f"{self.label}: {error}") from None
        results: list[object | NodeRefusedError] = []
        for identity in identities:
            try:
                results.append(self._result(by_identity[identity], identity))
            except NodeRefusedError as error:
                results.append(error)
        return results

    def _result(self, answer: object, identity: int | None) -> object:
        try:
            result, error = _opened(answer, identity)
        except MalformedAnswerError as malformed:
            raise NodeUnavailableError(f"{self.label}: {malformed}") from None
        if error is not None:
            raise self._refusal(error)
        return result

    def _refusal(self, error: Mapping[str, object]) -> NodeRefusedError:
        code = error.get("code")
        reason = error.get("message")
        raw = error.get("data")
        revert: bytes | None = None
        if isinstance(raw, str) and raw.startswith("0x"):
            try:
                revert = bytes.fromhex(raw[2:])
            except ValueError:
                revert = None
        return NodeRefusedError(
            self.label,
            code if isinstance(code, int) else 0,
            reason if isinstance(reason, str) else "",
            revert,
        )

    async def _exchange(self, body: object, deadline_s: float | None) -> object:
        payload = json.dumps(body, separators=(",", ":")).encode()
        try:
            async with asyncio.timeout(self.limits.deadline_s if deadline_s is None else deadline_s):
                try:
                    raw = await self._post(payload)
                except (aiohttp.ServerDisconnectedError, ConnectionResetError):
                    # A pooled connection that the node had closed. Every method used here may be asked twice.
                    raw = await self._post(payload)
        except TimeoutError:
            raise NodeUnavailableError(f"{self.label} did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The library's texts hold the address: only the kind of failure goes on.
            raise NodeUnavailableError(f"{self.label} cannot be asked ({type(error).__name__})") from None
        try:
            parsed: object = json.loads(raw)
        except (ValueError, RecursionError):
            raise NodeUnavailableError(f"{self.label} did not answer with JSON") from None
        return parsed

    async def _post(self, payload: bytes) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.limits.connections, keepalive_timeout=15),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                headers={"Content-Type": "application/json", "Accept-Encoding": "identity"},
            )
        async with self._session.post(self.url, data=payload, allow_redirects=False) as answer:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise NodeUnavailableError(f"{self.label} answered in an encoding that was not asked for")
            received = bytearray()
            async for chunk in answer.content.iter_chunked(_READ_BYTES):
                received += chunk
                if len(received) > self.limits.answer_bytes:
                    raise NodeUnavailableError(f"{self.label} answered with more than it may")
            # Some nodes put the error object of a refused call under a status other than 200.
            if answer.status != 200 and not received.startswith((b"{", b"[")):
                raise NodeUnavailableError(f"{self.label} answered with status {answer.status}")
            return bytes(received)


def _request(identity: int, call: Call) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identity, "method": call.method, "params": list(call.params)}


def _opened(answer: object, identity: int | None) -> tuple[object, Mapping[str, object] | None]:
    """The result, or the error object, of one answer to the call of that identity."""
    body = fields(answer, "the answer")
    if body.get("jsonrpc") != "2.0":
        raise MalformedAnswerError("the answer is not JSON-RPC 2.0")
    if identity is not None and body.get("id") != identity:
        raise MalformedAnswerError("the answer is to another call")
    error = body.get("error")
    if error is not None:
        return None, fields(error, "the error")
    if "result" not in body:
        raise MalformedAnswerError("the answer has no result")
    return body["result"], None


def _told_apart(answer: object, identities: Sequence[int]) -> dict[int, object]:
    """The answers of a batch by the call that each is to: exactly one for each call."""
    found: dict[int, object] = {}
    for one in items(answer, "the batch's answer"):
        identity = fields(one, "an answer").get("id")
        if isinstance(identity, bool) or not isinstance(identity, int) or identity in found:
            raise MalformedAnswerError("an answer in the batch cannot be told from another")
        found[identity] = one
    if found.keys() != set(identities):
        raise MalformedAnswerError("the batch's answer lacks an answer or holds one too many")
    return found
