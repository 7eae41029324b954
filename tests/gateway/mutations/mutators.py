"""What attackers and broken clients do to a request: by its grammar, or to its bytes. Chance comes from one seed."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.gateway.mutations.payloads import BYTES, HEADERS, METHODS, QUERIES, SEGMENTS
from tests.gateway.mutations.people import STUDIES
from tests.gateway.mutations.requests import Header, Request

# Something else that might be asked, each time another
Other = Callable[[], Request]
Mutator = Callable[[Random, Request, Other], Request]


def _segment(rng: Random, request: Request, other: Other) -> Request:
    parts = request.path.split(b"/")
    at = rng.randrange(1, len(parts) + 1)
    new = rng.choice(SEGMENTS)
    how = rng.randrange(4)
    if how == 0:
        parts[at:at] = [new]
    elif how == 1:
        parts[at : at + 1] = [new]
    elif how == 2:
        parts = parts[:at] + other().path.split(b"/")[at:]
    else:
        parts[at - 1] = parts[at - 1] + new
    return replace(request, path=b"/".join(parts))


def _path_byte(rng: Random, request: Request, other: Other) -> Request:
    del other
    path = request.path
    at = rng.randrange(1, len(path)) if len(path) > 1 else 0
    byte = path[at : at + 1]
    new = rng.choice([b"%%%02x" % (byte or b"/")[0], bytes([rng.randrange(33, 127)]), b"", byte.swapcase(), byte * 2])
    return replace(request, path=path[:at] + new.replace(b"?", b"%3f").replace(b"#", b"") + path[at + 1 :])


def _swap_uid(rng: Random, request: Request, other: Other) -> Request:
    """Somebody else's study, series, instance or PatientID at one of the places where this one's stands."""
    del other
    mine, theirs = rng.sample(sorted(STUDIES), 2)
    own, foreign = STUDIES[mine], STUDIES[theirs]
    pairs = [
        (own.study.encode(), foreign.study.encode()),
        (own.subject.patient_id.encode(), foreign.subject.patient_id.encode()),
    ]
    pairs += [(str(a).encode(), str(b).encode()) for a, b in zip(own.instances[0], foreign.instances[0], strict=True)]
    old, new = rng.choice(pairs)
    whole = request.target
    places = [at for at in range(len(whole)) if whole.startswith(old, at)]
    if places:
        at = rng.choice(places)
        whole = whole[:at] + new + whole[at + len(old) :]
    path, mark, query = whole.partition(b"?")
    return replace(request, path=path, query=query if mark else None)


def _query(rng: Random, request: Request, other: Other) -> Request:
    pairs = [] if request.query is None else request.query.split(b"&")
    new = rng.choice(QUERIES)
    how = rng.randrange(6)
    if how == 0 or not pairs:
        pairs.insert(rng.randrange(len(pairs) + 1), new)
    elif how == 1:
        pairs.append(rng.choice(pairs))
    elif how == 2:
        pairs[rng.randrange(len(pairs))] = new
    elif how == 3:
        at = rng.randrange(len(pairs))
        pairs[at] = pairs[at].swapcase()
    elif how == 4:
        pairs += (other().query or b"").split(b"&")
    else:
        at = rng.randrange(len(pairs))
        name, _, value = pairs[at].partition(b"=")
        pairs[at] = name + b"=" + b"".join(b"%%%02X" % byte for byte in value[:200])
    return replace(request, query=b"&".join(pairs))


def _header(rng: Random, request: Request, other: Other) -> Request:
    del other
    new = rng.choice(HEADERS)
    kept = tuple(one for one in request.headers if rng.random() < 0.5 or one[0] != new[0])
    return replace(request, headers=(*kept, new))


def _method(rng: Random, request: Request, other: Other) -> Request:
    del other
    return replace(request, method=rng.choice(METHODS))


def _cookie_or_token(rng: Random, request: Request, other: Other) -> Request:
    token = other().token or b"A" * 43
    new: Header = rng.choice(
        [
            (b"Cookie", b"__Host-consentry=" + token),
            (b"cookie", b"x=1; __Host-consentry=" + token + b"; __Host-consentry=" + token),
            (b"Authorization", b"Bearer " + token),
            (b"authorization", b"bearer  " + token),
            (b"Authorization", token),
        ]
    )
    return replace(request, headers=(*request.headers, new), token=request.token if rng.random() < 0.5 else None)


_MUTATORS: tuple[Mutator, ...] = (
    _segment, _segment, _path_byte, _swap_uid, _swap_uid, _swap_uid, _query, _query, _header, _header, _method,
    _cookie_or_token,
)  # fmt: skip


def mutated(rng: Random, request: Request, other: Other) -> Request:
    """One to four changes that leave an HTTP message an HTTP message."""
    for _ in range(rng.choice((1, 1, 2, 2, 3, 4))):
        request = rng.choice(_MUTATORS)(rng, request, other)
    # A space would end the target and a raw byte past ASCII is no target: the bytes' own mutator makes those.
    return replace(request, path=b"/" + request.path.lstrip(b"/") if request.path[:1] != b"/" else request.path)


def battered(rng: Random, message: bytes) -> bytes:
    """The bytes of a message, changed anywhere."""
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        at = rng.randrange(len(message) + 1)
        how = rng.randrange(5)
        if how == 0:
            message = message[:at] + rng.choice(BYTES) + message[at:]
        elif how == 1:
            message = message[:at] + bytes([rng.randrange(256)]) + message[at + 1 :]
        elif how == 2:
            message = message[:at] + message[at + rng.randint(1, 8) :]
        elif how == 3:
            message = message[:at] + message[rng.randrange(len(message) + 1) :]
        else:
            line = message.split(b"\r\n")
            line.insert(rng.randrange(len(line)), rng.choice(line))
            message = b"\r\n".join(line)
    return message


def framed(rng: Random, request: Request, hidden: bytes) -> tuple[bytes, bool]:
    """The request with a body that two parsers could see end in different places; ``hidden`` is a request in it.

    And whether the message has one meaning only: whatever has not is to be refused, and what follows it never read.
    """
    whole = replace(request, body=b"").written()
    head = whole[:-2]
    chunked = b"%x\r\n" % len(hidden) + hidden + b"\r\n0\r\n\r\n"
    length, te = b"Content-Length: %d\r\n", b"Transfer-Encoding: chunked\r\n"
    plain = [
        head + te + b"\r\n" + chunked,
        head + te + b"\r\n" + b"0\r\n\r\n" + hidden,
        head + length % len(hidden) + b"\r\n" + hidden,
        head + b"\r\n" + hidden,
    ]
    if rng.random() < 0.2:
        return rng.choice(plain), True
    return rng.choice(
        [
            head + length % len(hidden) + te + b"\r\n" + hidden,
            head + te + length % 4 + b"\r\n" + b"0\r\n\r\n" + hidden,
            head + b"Transfer-Encoding : chunked\r\n\r\n" + chunked,
            head + b"Transfer-Encoding: xchunked\r\n\r\n" + chunked,
            head + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + chunked,
            head + b"Transfer-Encoding: chunked\r\n Transfer-Encoding: identity\r\n\r\n" + chunked,
            head + te + te + b"\r\n" + chunked,
            head + te + b"\r\n" + b"%x;x=\n\r\n" % len(hidden) + hidden + b"\r\n0\r\n\r\n",
            head + te + b"\r\n" + b"0%x\r\n" % len(hidden) + hidden + b"\r\n0\r\nX: y\r\n\r\n",
            head + te + b"\r\n" + b"fffffffffffffff1\r\n" + hidden,
            head + length % 0 + length % len(hidden) + b"\r\n" + hidden,
            head + length % len(hidden) + length % len(hidden) + b"\r\n" + hidden,
            head + b"Content-Length: +%d\r\n\r\n" % len(hidden) + hidden,
            head + b"Content-Length: 0x%x\r\n\r\n" % len(hidden) + hidden,
            head + b"Content-Length: %d, %d\r\n\r\n" % (len(hidden), len(hidden)) + hidden,
            head + b"Content-Length:\r\n %d\r\n\r\n" % len(hidden) + hidden,
            head + b"\n" + hidden,
            head.replace(b"\r\n", b"\n") + b"\n" + hidden,
            head + b"X-A: b\r\n c\r\n\r\n" + hidden,
            head + b"Host: b.example\r\n\r\n" + hidden,
            head.replace(b"Host: gateway.example\r\n", b"") + b"\r\n" + hidden,
            head.replace(b"HTTP/1.1", b"HTTP/1.0") + te + b"\r\n" + chunked,
            head.replace(b" /", b" http://evil.example/", 1) + b"\r\n" + hidden,
            head + b"X: " + b"y" * 17_000 + b"\r\n\r\n" + hidden,
            head + b"".join(b"X-%d: y\r\n" % n for n in range(120)) + b"\r\n" + hidden,
            b"\r\n" + head + b"\r\n" + hidden,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + whole,
        ]
    ), False
