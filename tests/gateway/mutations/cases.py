"""What is sent over one connection: case ``number`` of a seed is the same each time, whatever ran before it."""

from dataclasses import dataclass
from random import Random

from tests.gateway.mutations.mutators import battered, framed, mutated
from tests.gateway.mutations.people import STUDIES, House
from tests.gateway.mutations.requests import SEEDS, Request, seed_request

_CODES = sorted(STUDIES)


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes in ``pieces``, and what is known of them.

    ``requests``: those that it is made of; ``changed``: the places of those that are not as a viewer would send them.
    ``sure``: each of the messages
    is one request to every reader, and gets one answer, unless an answer before it closes the connection. ``refused``:
    the first message must be, and nothing after it may be read.
    """

    number: int
    pieces: list[bytes]
    requests: list[Request]
    changed: frozenset[int]
    sure: bool
    refused: bool = False

    @property
    def methods(self) -> list[bytes]:
        """As far as they are known."""
        return [request.method for request in self.requests] if self.sure else []

    @property
    def sent(self) -> bytes:
        return b"".join(self.pieces)


def make_case(house: House, seed: int, number: int) -> Case:
    """The case of that number."""
    rng = Random(f"{seed} {number}")
    kind = rng.random()
    if kind < 0.7:
        return _several(house, rng, number)
    first, after, one_meaning = _clean(house, rng), _clean(house, rng), True
    if kind < 0.85:
        message = battered(rng, first.written())
    else:
        message, one_meaning = framed(rng, first, _clean(house, rng).written())
    pieces = _cut(rng, message + after.written(last=True))
    return Case(number, pieces, [first, after], frozenset({0}), sure=False, refused=not one_meaning)


def _several(house: House, rng: Random, number: int) -> Case:
    """Up to four well-formed requests of both callers, one after the other, some of them mutated."""
    count = rng.choice((1, 1, 1, 2, 3, 4))
    sent: list[Request] = []
    changed: set[int] = set()
    for place in range(count):
        request = _clean(house, rng)
        if rng.random() < 0.8:
            sent.append(mutated(rng, request, lambda: _clean(house, rng)))
            changed.add(place)
        else:
            sent.append(request)
    messages = [request.written(last=n == count - 1) for n, request in enumerate(sent)]
    return Case(number, _cut(rng, b"".join(messages)), sent, frozenset(changed), sure=True)


def _clean(house: House, rng: Random) -> Request:
    study = STUDIES[rng.choice(_CODES)]
    token = rng.choice([house.physician.token] * 6 + [house.stranger.token] * 3 + [None])
    return seed_request(rng.randrange(SEEDS), study, rng).by(token)


def _cut(rng: Random, message: bytes) -> list[bytes]:
    if rng.random() < 0.7 or len(message) < 2:
        return [message]
    at = rng.randrange(1, len(message))
    return [message[:at], message[at:]]
