"""The origin servers over the same files: an archive of a folder, and an Orthanc and a simulated dcm4chee that the same
files were stored in.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio

from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.workers import Workers
from app.pacs.credentials import basic_authorization, bearer_authorization
from app.pacs.http_client import HttpOrigin
from app.pacs.origin import Origin
from app.pacs.remote import RemoteOrigin
from tests.support.dcm4chee import TOKEN, running_dcm4chee
from tests.support.dicom_files import copy_wheel_files, write_odd_files
from tests.support.differential import Held, held_in, served_once
from tests.support.needs import corpus_folder
from tests.support.orthanc import OrthancServer, running_orthanc

_CORPUS = pytest.param("corpus", marks=pytest.mark.corpus)
_ADAPTERS = ["archive", "dcm4chee", pytest.param("orthanc", marks=pytest.mark.orthanc)]


@dataclass(frozen=True, slots=True)
class Collection:
    """A folder of DICOM files. ``files`` are those that name their study, series and instance."""

    name: str
    folder: Path
    files: tuple[Held, ...]

    @property
    def served(self) -> tuple[Held, ...]:
        """Without the files whose UIDs an earlier one has: archives keep the first."""
        return tuple(served_once(self.files))


@dataclass(frozen=True, slots=True)
class Served:
    """An origin server and what it ought to hold."""

    origin: Origin
    collection: Collection
    name: str


def _collection(name: str, folder: Path) -> Collection:
    return Collection(name, folder, tuple(held_in(folder)))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("wheel")
    copy_wheel_files(folder / "wheel")
    write_odd_files(folder / "odd")
    return _collection("wheel", folder)


@pytest.fixture(scope="session", params=["wheel", _CORPUS])
def collection(request: pytest.FixtureRequest) -> Collection:
    if request.param == "corpus":
        found = corpus_folder()
        assert found is not None
        return _collection("corpus", found)
    made: Collection = request.getfixturevalue("wheel")
    return made


# Kept for the whole session: pytest would end and start a parametrised fixture again for each file of tests.


@pytest.fixture(scope="session")
def orthancs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Collection], tuple[OrthancServer, Collection]]]:
    with ExitStack() as stack:

        @cache
        def start(collection: Collection) -> tuple[OrthancServer, Collection]:
            server = stack.enter_context(running_orthanc(tmp_path_factory.mktemp("orthanc")))
            results = server.upload(file.path for file in collection.files)
            taken = {result.path for result in results if result.orthanc_id}
            files = tuple(file for file in collection.files if file.path in taken)
            return server, Collection(collection.name, collection.folder, files)

        yield start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def archives() -> AsyncIterator[dict[str, ArchiveOrigin]]:
    started: dict[str, ArchiveOrigin] = {}
    yield started
    for origin in started.values():
        await origin.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def archive_origin(
    collection: Collection, archives: dict[str, ArchiveOrigin], tmp_path_factory: pytest.TempPathFactory
) -> Served:
    if collection.name not in archives:
        index = tmp_path_factory.mktemp("index") / "archive.sqlite"
        archives[collection.name] = ArchiveOrigin(collection.folder, index, Workers(2))
        await archives[collection.name].reindex()
    return Served(archives[collection.name], collection, "archive")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def orthanc_origin(
    collection: Collection, orthancs: Callable[[Collection], tuple[OrthancServer, Collection]]
) -> AsyncIterator[Served]:
    server, taken = orthancs(collection)
    origin = RemoteOrigin(HttpOrigin(server.dicom_web_url, basic_authorization(server.user, server.password)))
    yield Served(origin, taken, "orthanc")
    await origin.aclose()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dcm4chee_origin(collection: Collection) -> AsyncIterator[Served]:
    with running_dcm4chee() as archive:
        taken = set(archive.store([file.path for file in collection.files]))
        files = tuple(file for file in collection.files if file.path in taken)
        origin = RemoteOrigin(HttpOrigin(archive.url, bearer_authorization(TOKEN)))
        yield Served(origin, Collection(collection.name, collection.folder, files), "dcm4chee")
        await origin.aclose()


@pytest.fixture(scope="session", params=_ADAPTERS)
def served(request: pytest.FixtureRequest, collection: Collection) -> Served:
    """Each adapter in turn: the conformance suite asks both the same."""
    found: Served = request.getfixturevalue(f"{request.param}_origin")
    return found
