"""Passkeys and their challenges, the same on both databases."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from alembic import command
from sqlalchemy import text
from sqlmodel import select

from app.core.identifiers import Signer, UnixTime
from app.store.engine import ConflictError, Database
from app.store.migrate import configuration
from app.store.passkey_challenges import LIFETIME_S, PasskeyChallenges
from app.store.passkeys import MOST_BY_ONE, Passkey, Passkeys
from app.store.tables import PasskeyChallengeRow

NOW = UnixTime(1_000)
MAKER, OTHER = b"m" * 20, b"o" * 20
PHONE = Passkey(b"phone", Signer(b"\x01" * 84), b"h" * 32, "my phone", 0)


async def test_a_passkey_is_found_by_its_id_and_by_its_signer(database: Database) -> None:
    passkeys = Passkeys(database)
    await passkeys.add(PHONE, MAKER, NOW)
    assert await passkeys.find(b"phone") == PHONE
    assert await passkeys.of_signer(PHONE.signer) == PHONE
    assert await passkeys.find(b"other") is None
    assert await passkeys.of_signer(Signer(b"\x02" * 84)) is None


async def test_neither_id_nor_signer_twice(database: Database) -> None:
    passkeys = Passkeys(database)
    await passkeys.add(PHONE, MAKER, NOW)
    for same in (replace(PHONE, credential_id=b"other"), replace(PHONE, signer=Signer(b"\x02" * 84))):
        with pytest.raises(ConflictError):
            await passkeys.add(same, OTHER, NOW)


async def test_one_maker_makes_only_so_many(database: Database) -> None:
    passkeys = Passkeys(database)

    async def add(number: int, maker: bytes) -> None:
        name = number.to_bytes(2)
        await passkeys.add(replace(PHONE, credential_id=name, signer=Signer(name * 42)), maker, NOW)

    for number in range(MOST_BY_ONE):
        await add(number, MAKER)
    with pytest.raises(ConflictError):
        await add(MOST_BY_ONE, MAKER)
    await add(MOST_BY_ONE, OTHER)


@pytest.mark.parametrize(
    ("kept", "shown", "good"),
    [
        (0, 0, True),
        (0, 1, True),
        (5, 6, True),
        (5, 5, False),
        (5, 4, False),
        (5, 0, False),
        (2**32 - 2, 2**32 - 1, True),
    ],
)
async def test_a_count_rises_or_stays_nothing(database: Database, kept: int, shown: int, *, good: bool) -> None:
    passkeys = Passkeys(database)
    await passkeys.add(replace(PHONE, sign_count=kept), MAKER, NOW)
    assert await passkeys.used(b"phone", shown, NOW) is good
    found = await passkeys.find(b"phone")
    assert found is not None
    assert found.sign_count == (shown if good else kept)
    assert not await passkeys.used(b"other", 1, NOW)


async def test_a_challenge_is_taken_once_whoever_asks(url: str, opened: Callable[[str], Database]) -> None:
    here, there = PasskeyChallenges(opened(url)), PasskeyChallenges(opened(url))
    challenge = await here.for_signing_in(NOW)
    taken = await asyncio.gather(*(one.take(challenge, b"", NOW) for one in (here, there, here, there)))
    assert sum(one is not None for one in taken) == 1
    assert await there.take(challenge, b"", NOW) is None


async def test_a_challenge_is_for_whom_it_was_made_and_in_its_time(database: Database) -> None:
    challenges = PasskeyChallenges(database)
    made = await challenges.for_making(MAKER, NOW)
    assert len(made.challenge) == len(made.user_handle) == 32
    for maker in (OTHER, b""):
        assert await challenges.take(made.challenge, maker, NOW) is None
    assert await challenges.take(made.challenge, MAKER, UnixTime(NOW + LIFETIME_S + 1)) is None
    assert await challenges.take(made.challenge, MAKER, UnixTime(NOW + LIFETIME_S)) == made
    assert await challenges.take(bytes(32), MAKER, NOW) is None


async def test_old_challenges_are_forgotten(database: Database) -> None:
    challenges = PasskeyChallenges(database)
    await challenges.for_signing_in(NOW)
    await challenges.for_signing_in(UnixTime(NOW + LIFETIME_S + 1))
    kept = database.read(lambda transaction: transaction.exec(select(PasskeyChallengeRow.issued_at)).all())
    assert list(kept) == [NOW + LIFETIME_S + 1]


def test_who_was_signed_in_before_signs_with_their_wallet(empty_url: str, opened: Callable[[str], Database]) -> None:
    """A session of the release before learns its signer."""
    database = opened(empty_url)
    with database.engine.execution_options(consentry_writes=True).begin() as connection:
        config = configuration(connection)
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO session (token_hash, actor, purpose, created_at, expires_at) "
                "VALUES (:token, :actor, 0, 1, 2)"
            ),
            {"token": b"t" * 32, "actor": b"a" * 20},
        )
        command.upgrade(config, "0003")
        assert bytes(connection.execute(text("SELECT signer FROM session")).scalar_one()) == b"a" * 20
