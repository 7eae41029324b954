"""P11 over an archive in small pieces with pictures as they are: no unexpected 5xx and not a byte of another patient,
whose files carry a canary each. On raw sockets: tests/gateway/mutations.
"""

from collections.abc import Callable
from random import Random

import pytest

from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import MemoryOrigin
from tests.gateway.people import A1, A2, ANNA, B1, BERT, C1, CARL, MIXED, N1, archive
from tests.gateway.world import World, ask

STUDIES = [A1, A2, B1, C1, N1, MIXED]
PIECES = [
    b"/", b"//", b"..", b"%2e%2e", b"%2F", b"%00", b"%0A", b"%ff", b";x", b"?", b"&", b"=", b",", b"*", b"\\", b"#",
    b"series", b"instances", b"studies", b"metadata", b"rendered", b"frames/1", b"bulk/7fe00010", b"limit=1",
    b"offset=9",
    b"includefield=all", b"PatientID=BERT-2", b"PatientID=*", b"StudyInstanceUID=", b"00100020=", b"fuzzymatching=true",
    b"accept=application/json", b"0", b"1", b"9" * 70, b"\xc3\xa4", b"\xd9\xa1", b"-1", b"1e9", b" ",
]  # fmt: skip
HEADERS = [
    (b"accept", b"*/*"),
    (b"accept", b"application/dicom+json"),
    (b"accept", b'multipart/related; type="application/octet-stream"; transfer-syntax=*'),
    (b"accept", b"image/jpeg;q=0.5, image/*;q=0"),
    (b"accept", b"\xff" * 40),
    (b"accept", b'multipart/related; type="'),
    (b"range", b"bytes=0-1"),
    (b"x-forwarded-for", b"127.0.0.1"),
    (b"if-none-match", b"*"),
    (b"authorization", b"Bearer x"),
]


def targets() -> list[bytes]:
    found = [b"/studies", b"/series", b"/instances"]
    for study in STUDIES:
        instance = f"/studies/{study}/series/{study}.1/instances/{study}.1.1"
        kinds = ["", "/metadata", "/frames/1", "/rendered", "/bulk/7fe00010"]
        found += [(instance + kind).encode() for kind in kinds]
        found += [f"/studies/{study}{end}".encode() for end in ("", "/series", "/metadata", "/instances?limit=2")]
        found.append(f"/studies?StudyInstanceUID={study}&includefield=all".encode())
    return found


def mutated(rng: Random, target: bytes, others: list[bytes]) -> bytes:
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(target) + 1)
        other = rng.choice(others)
        target = rng.choice(
            [
                target[:at] + rng.choice(PIECES) + target[at:],
                target[:at] + bytes([rng.randrange(33, 127)]) + target[at + 1 :],
                target[:at] + target[at + rng.randint(1, 6) :],
                target[:at] + other[rng.randrange(len(other)) :],
                target.replace(str(rng.choice(STUDIES)).encode(), str(rng.choice(STUDIES)).encode(), 1),
            ]
        )
    return target


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    """Anna consents, nobody else does."""
    world = await make_world(archive())
    world.grant(await world.enrol(ANNA))
    for subject in (BERT, CARL):
        await world.enrol(subject)
    return world


def foreign_canaries(world: World) -> list[bytes]:
    assert isinstance(world.origin, MemoryOrigin)
    return sorted({one.canary.encode() for one in world.origin.stored if one.subject != ANNA} - {b""})


async def test_p11_mutated_targets_and_headers(world: World, rng: Random, run_size: Callable[[int, int], int]) -> None:
    token = (await world.token()).encode()
    others, foreign = targets(), foreign_canaries(world)
    assert len(foreign) == 4
    statuses: dict[int, int] = {}
    for _ in range(run_size(3_000, 1_000_000)):
        target = mutated(rng, rng.choice(others), others)
        headers = rng.sample(HEADERS, rng.randint(0, 2))
        if rng.random() < 0.9:
            headers.append((b"authorization", b"Bearer " + token))
        method = rng.choice(["GET", "GET", "GET", "HEAD", "POST", "OPTIONS"])
        reply = await ask(world.dicomweb, target.decode("latin-1"), headers, method=method)
        assert reply.complete, target
        assert reply.status < 500, target
        assert not any(canary in reply.body for canary in foreign), target
        statuses[reply.status] = statuses.get(reply.status, 0) + 1
    assert {200, 400, 401, 404, 405, 406} <= set(statuses)
