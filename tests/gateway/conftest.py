"""Worlds for the gateway's tests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from app.gateway.ports import GatewayLimits
from app.pacs.origin import Origin
from tests.gateway.world import World, make_empty_database

MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_empty_database(tmp_path_factory.mktemp("empty"))


@pytest.fixture
async def make_world(tmp_path: Path, empty_database: Path) -> AsyncIterator[MakeWorld]:
    """Makes worlds over archives, and closes them."""
    made: list[World] = []

    async def make(origin: Origin, limits: GatewayLimits | None = None) -> World:
        folder = tmp_path / f"world-{len(made)}"
        folder.mkdir()
        made.append(World(empty_database, folder, origin, limits))
        return made[-1]

    yield make
    for world in made:
        world.close()
