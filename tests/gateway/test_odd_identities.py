"""Both archives, with every odd identity in them: nobody receives an instance of a patient who did not consent."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.core.identifiers import Subject
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.workers import Workers
from app.pacs.credentials import basic_authorization
from app.pacs.http_client import HttpOrigin
from app.pacs.origin import Origin
from app.pacs.remote import RemoteOrigin
from tests.gateway.conftest import MakeWorld
from tests.gateway.world import Reply, World
from tests.support.dicom_files import OddFile, write_odd_files
from tests.support.orthanc import OrthancServer, running_orthanc

OCTETS = ("Accept", 'multipart/related; type="application/octet-stream"; transfer-syntax=*')
DICOM = ("Accept", 'multipart/related; type="application/dicom"; transfer-syntax=*')


@dataclass(frozen=True)
class Odd:
    folder: Path
    files: list[OddFile]


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Odd:
    folder = tmp_path_factory.mktemp("odd")
    return Odd(folder, write_odd_files(folder))


@pytest.fixture(scope="session")
def odd_orthanc(odd: Odd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        assert all(result.orthanc_id for result in server.upload(file.path for file in odd.files))
        yield server


@pytest.fixture(params=["archive", pytest.param("orthanc", marks=pytest.mark.orthanc)])
async def origin(request: pytest.FixtureRequest, odd: Odd, tmp_path: Path) -> AsyncIterator[Origin]:
    opened: Any
    if request.param == "archive":
        opened = ArchiveOrigin(odd.folder, tmp_path / "index.sqlite", Workers(1))
        await opened.reindex()
    else:
        server: OrthancServer = request.getfixturevalue("odd_orthanc")
        opened = RemoteOrigin(HttpOrigin(server.dicom_web_url, basic_authorization(server.user, server.password)))
    yield opened
    await opened.aclose()


def owners(files: list[OddFile]) -> dict[str, set[Subject]]:
    found: dict[str, set[Subject]] = {}
    for file in files:
        found.setdefault(file.study, set()).add(file.subject)
    return found


async def consenting(world: World, files: list[OddFile], rng: Random) -> set[Subject]:
    """Enrol everyone who has an identity; half of them consent."""
    named = sorted({file.subject for file in files if file.subject.patient_id}, key=str)
    allowed = set(rng.sample(named, len(named) // 2))
    for subject in named:
        patient = await world.enrol(subject)
        if subject in allowed:
            world.grant(patient)
    return allowed


def requests_for(file: OddFile) -> list[tuple[str, tuple[str, str]]]:
    study = f"/studies/{file.study}"
    series = f"{study}/series/{file.series}"
    instance = f"{series}/instances/{file.instance}"
    json = ("Accept", "application/dicom+json")
    return [
        (study, DICOM),
        (f"{study}/metadata", json),
        (f"{study}/series", json),
        (series, DICOM),
        (f"{series}/metadata", json),
        (f"{series}/instances", json),
        (instance, DICOM),
        (f"{instance}/metadata", json),
        (f"{instance}/frames/1", OCTETS),
        (f"{instance}/rendered", ("Accept", "image/jpeg")),
    ]


def assert_no_foreign_canary(reply: Reply, files: list[OddFile], allowed: set[Subject], whose: str) -> None:
    for other in files:
        if other.subject not in allowed:
            assert other.canary not in reply.body, (whose, other.case)


async def test_nobody_gets_what_was_not_consented_to(
    make_world: MakeWorld, origin: Origin, odd: Odd, rng: Random
) -> None:
    world = await make_world(origin)
    files, whose = odd.files, owners(odd.files)
    allowed = await consenting(world, files, rng)
    token = await world.token()
    missing = await world.ask("/studies/1.2.404.404/metadata", token)
    opened = 0
    for file in files:
        permitted = whose[file.study] <= allowed and len(whose[file.study]) == 1
        for target, accept in requests_for(file):
            reply = await world.ask(target, token, accept)
            assert_no_foreign_canary(reply, files, allowed, file.case)
            if not permitted:
                assert (reply.status, reply.body, reply.headers) == (404, missing.body, missing.headers), file.case
            else:
                assert (reply.status, reply.complete) == (200, True), (file.case, target)
                assert len(reply.record_ids) == 1
        if permitted:
            opened += 1
            reply = await world.ask(requests_for(file)[6][0], token, DICOM)
            assert file.canary in reply.body
    assert opened > 5
    assert world.alarms == []


async def test_searches_list_just_the_permitted(make_world: MakeWorld, origin: Origin, odd: Odd, rng: Random) -> None:
    world = await make_world(origin)
    files, whose = odd.files, owners(odd.files)
    allowed = await consenting(world, files, rng)
    token = await world.token()
    permitted = {study for study, subjects in whose.items() if subjects <= allowed and len(subjects) == 1}
    every = ",".join(sorted(whose))
    for target in (
        "/studies",
        "/series",
        "/instances",
        "/studies?includefield=all",
        "/instances?includefield=all",
        f"/studies?StudyInstanceUID={every}",
        "/studies?PatientID=*",
        "/studies?PatientName=*",
        "/studies?StudyDate=20240101-",
    ):
        reply = await world.ask(target, token)
        assert reply.status == 200
        found = [row["0020000D"]["Value"][0] for row in reply.json()]
        assert set(found) == permitted, target
        assert_no_foreign_canary(reply, files, allowed, target)
    for file in files:
        if not file.subject.patient_id or file.subject.patient_id != file.subject.patient_id.strip("*?"):
            continue
        reply = await world.ask("/studies?PatientID=" + quoted(file.subject.patient_id), token)
        found = [row["0020000D"]["Value"][0] for row in reply.json()]
        same_id = {study for study in permitted if next(iter(whose[study])).patient_id == file.subject.patient_id}
        assert set(found) == same_id, file.case


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())
