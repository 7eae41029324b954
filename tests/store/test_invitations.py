"""Invitations, the same on both databases."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.core.identifiers import Address, Signer, UnixTime
from app.store.engine import ConflictError, Database
from app.store.invitations import LASTS_S, Invitations
from app.store.passkeys import Passkey, Passkeys

NOW = UnixTime(1_000)
DESK = Address(b"d" * 20)
HASH = b"h" * 32
PHONE = Passkey(b"phone", Signer(b"\x01" * 84), b"h" * 32, "my phone", 0)


class _Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def invitations(database: Database, clock: _Clock) -> Invitations:
    return Invitations(database, clock=clock)


async def test_a_code_lets_one_passkey_be_made_and_says_whose(database: Database, invitations: Invitations) -> None:
    made = await invitations.invite(HASH, "Dr. New", DESK)
    assert (made.created_at, made.expires_at, made.signer) == (NOW, NOW + LASTS_S, None)
    assert await invitations.is_open(HASH)
    assert not await invitations.is_open(b"x" * 32)
    assert await invitations.accept(HASH, PHONE)
    assert await Passkeys(database).find(b"phone") == PHONE
    assert await invitations.all() == [replace(made, signer=PHONE.signer, used_at=NOW)]
    assert not await invitations.is_open(HASH)
    other = replace(PHONE, credential_id=b"other", signer=Signer(b"\x02" * 84))
    assert not await invitations.accept(HASH, other)
    assert await Passkeys(database).find(b"other") is None


async def test_of_two_at_once_on_two_gateways_one_has_it(
    url: str, opened: Callable[[str], Database], clock: _Clock
) -> None:
    here, there = (Invitations(opened(url), clock=clock) for _ in range(2))
    await here.invite(HASH, "Dr. New", DESK)
    passkeys = [replace(PHONE, credential_id=bytes([n]), signer=Signer(bytes([n]) * 84)) for n in range(1, 7)]
    won = await asyncio.gather(*(one.accept(HASH, key) for one, key in zip((here, there) * 3, passkeys, strict=True)))
    assert sorted(won) == [False] * 5 + [True]
    (left,) = await there.all()
    assert left.signer == passkeys[won.index(True)].signer


async def test_a_passkey_that_is_known_uses_nothing_up(database: Database, invitations: Invitations) -> None:
    await Passkeys(database).add(PHONE, b"m" * 20, NOW)
    await invitations.invite(HASH, "Dr. New", DESK)
    with pytest.raises(ConflictError):
        await invitations.accept(HASH, PHONE)
    assert await invitations.is_open(HASH)


async def test_it_ends_with_its_time_and_when_it_is_withdrawn(invitations: Invitations, clock: _Clock) -> None:
    first = await invitations.invite(HASH, "Dr. New", DESK)
    clock.now = NOW + LASTS_S - 1
    assert await invitations.is_open(HASH)
    clock.now = NOW + LASTS_S
    assert not await invitations.is_open(HASH)
    assert not await invitations.accept(HASH, PHONE)
    second = await invitations.invite(b"i" * 32, "Dr. Other", DESK)
    assert [one.name for one in await invitations.all()] == ["Dr. Other", "Dr. New"]
    assert await invitations.withdraw(second.invitation_id)
    assert not await invitations.withdraw(second.invitation_id)
    assert not await invitations.is_open(b"i" * 32)
    assert [one.invitation_id for one in await invitations.all()] == [first.invitation_id]
