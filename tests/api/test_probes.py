"""Readiness asks the archive and the nodes no more often than it must, and believes no good answer for long."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.api.health import Probes
from app.pacs.origin import OriginRefusedError, OriginUnavailableError


class Surroundings:
    """An archive and nodes that answer or not, and a clock that stands where it is put."""

    def __init__(self) -> None:
        self.now, self.asked, self.there, self.refuses = 100, 0, True, False
        self.place = SimpleNamespace(chain_id=1)
        self.origin = self.nodes = self

    def clock(self) -> int:
        return self.now

    async def check(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.refuses:
            raise OriginRefusedError("no")
        if not self.there:
            raise OriginUnavailableError("gone")

    async def check_chain(self, _chain_id: int) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


@pytest.fixture
def probes(around: Surroundings) -> Probes:
    return Probes(cast("Any", around))


async def test_a_good_answer_counts_for_two_seconds(around: Surroundings, probes: Probes) -> None:
    assert await probes.results() == ("ok", "ok")
    around.there, around.now = False, 101
    assert await probes.results() == ("ok", "ok")
    around.now = 102
    assert await probes.results() == ("unavailable", "ok")
    assert around.asked == 2


async def test_refused_credentials_are_told_from_an_archive_that_is_away(around: Surroundings, probes: Probes) -> None:
    around.refuses = True
    assert await probes.results() == ("credentials-refused", "ok")


async def test_a_bad_answer_counts_for_nobody_else(around: Surroundings, probes: Probes) -> None:
    around.there = False
    assert await probes.results() == ("unavailable", "ok")
    around.there = True
    assert await probes.results() == ("ok", "ok")


async def test_many_who_ask_at_once_share_one_question(around: Surroundings, probes: Probes) -> None:
    found = await asyncio.gather(*(probes.results() for _ in range(50)))
    assert set(found) == {("ok", "ok")}
    assert around.asked == 1
