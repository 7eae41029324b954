"""A client that sends bytes as they are, and reads answers by the letter of RFC 9112."""

import asyncio
import re
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [\x20-\x7e]*")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\x20-\x7e\t]*)")


class MalformedAnswerError(Exception):
    """What came back is no HTTP/1.1 response."""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. ``whole``: its end was proven, not only reached."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool

    def values(self, name: bytes) -> list[bytes]:
        return [value for field, value in self.fields if field == name]

    def value(self, name: bytes) -> bytes | None:
        found = self.values(name)
        return found[0] if found else None


def read_answers(received: bytes, methods: list[bytes]) -> list[Response]:
    """The answers in what was received, ``methods`` being those of the requests in turn. Raises MalformedAnswerError.

    The last may be cut short; what stands before it may not. Where a method is not known, an answer whose head is
    followed by another answer's is one to HEAD.
    """
    answers: list[Response] = []
    while received:
        method = methods[len(answers)] if len(answers) < len(methods) else None
        head, separator, rest = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(lines[0])
        if not separator:
            if not b"HTTP/1.1 ".startswith(received[:9]) and status is None and len(lines) > 1:
                raise MalformedAnswerError(lines[0][:80])
            break
        if status is None:
            raise MalformedAnswerError(lines[0][:80])
        fields = tuple(_field(line) for line in lines[1:])
        code = int(status[1])
        if code == 100:
            received = rest
            continue
        body, received, whole = _body(code, method, dict(fields), rest)
        answers.append(Response(code, fields, body, whole))
        if not whole:
            break
    return answers


def _field(line: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise MalformedAnswerError(line[:80])
    return found[1].lower(), found[2]


def _body(status: int, method: bytes | None, fields: dict[bytes, bytes], rest: bytes) -> tuple[bytes, bytes, bool]:
    if method == b"HEAD" or status in (204, 304) or (method is None and _is_of_head(fields, rest)):
        return b"", rest, True
    if fields.get(b"transfer-encoding") == b"chunked":
        return _chunks(rest)
    length = int(fields.get(b"content-length", b"-1"))
    if length < 0:
        raise MalformedAnswerError(b"no length")
    return rest[:length], rest[length:], len(rest) >= length


def _is_of_head(fields: dict[bytes, bytes], rest: bytes) -> bool:
    return rest.startswith(b"HTTP/1.1 ") or not (rest or fields.keys() & {b"content-length", b"transfer-encoding"})


def _chunks(rest: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        line, separator, after = rest.partition(b"\r\n")
        if not separator:
            return body, b"", False
        size = int(line, 16)
        if len(after) < size + 2:
            return body + after[:size], b"", False
        if after[size : size + 2] != b"\r\n":
            raise MalformedAnswerError(b"a chunk without its end")
        if size == 0:
            return body, after[2:], True
        body, rest = body + after[:size], after[size + 2 :]


async def exchange(port: int, pieces: list[bytes], methods: list[bytes], *, patience_s: float) -> bytes:
    """Send the pieces one by one; read until the server closes, all is answered, or nothing came for so long."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()
    try:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0)
            writer.write(piece)
        while True:
            data = await asyncio.wait_for(reader.read(65536), patience_s)
            if not data:
                break
            received += data
            if methods and _all_answered(bytes(received), methods):
                break
    except (ConnectionError, TimeoutError):
        pass  # what was received by then is judged; that an answer is missing, its caller sees
    finally:
        writer.transport.abort()
    return bytes(received)


def _all_answered(received: bytes, methods: list[bytes]) -> bool:
    try:
        answers = read_answers(received, methods)
    except MalformedAnswerError:
        return True
    return len(answers) >= len(methods) and answers[-1].whole
