"""The walk through the archive that looks for odd identities, and what keeps gateways up with each other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.core.identifiers import Address, PatientKey, StudyUid, Subject
from app.core.oddities import Oddity
from app.loops.odd_identities import IdentityScan, Noticed, ScanPace, keep
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.workers import Workers
from app.pacs.origin import OriginInvalidError, OriginUnavailableError, StudySubjects
from app.store.engine import Database, open_database
from app.store.identity_desk import IdentityDesk
from app.store.identity_scans import Scan, ScanState
from app.store.leadership import Leadership
from app.store.patients import Patients
from tests.gateway.memory_origin import MemoryOrigin
from tests.gateway.people import ANNA, BERT, stored
from tests.support.dicom_files import write_odd_files
from tests.support.stores import opened_sqlite

DESK = Address(b"\x0a" * 20)
PAUSE_S = 0.2
NOBODY = Subject("", "")


@dataclass
class Gateway:
    """A gateway's walk; ``slept`` is what it waited, without waiting."""

    desk: IdentityDesk
    patients: Patients
    scan: IdentityScan
    slept: list[float] = field(default_factory=list)
    waits: asyncio.Event | None = None


class Archive(MemoryOrigin):
    """An archive that breaks off, or does not know, as told."""

    breaks_at: StudyUid | None = None
    unclear: StudyUid | None = None

    async def subjects_of(self, study: StudyUid) -> StudySubjects:
        if study == self.breaks_at:
            self.breaks_at = None
            raise OriginUnavailableError("away")
        if study == self.unclear:
            raise OriginInvalidError("nonsense")
        return await super().subjects_of(study)


Made = Callable[..., Gateway]


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    database = opened_sqlite(tmp_path / "store.db")
    gateways: list[Gateway] = []
    databases: list[Database] = [database]

    def make(origin: object, batch: int = 3) -> Gateway:
        own = open_database(f"sqlite:///{tmp_path / 'store.db'}")
        databases.append(own)
        patients = Patients(own)
        patients.load()
        desk = IdentityDesk(own, patients)
        slept: list[float] = []

        async def sleep(pause_s: float) -> None:
            slept.append(pause_s)
            if pause_s == 30.0 and gateway.waits is not None:
                gateway.waits.set()
                await asyncio.sleep(60)
            await asyncio.sleep(0)

        pace = ScanPace(PAUSE_S, batch)
        scan = IdentityScan(origin, desk, Leadership(own, "identities"), pace, sleep)  # type: ignore[arg-type]
        gateway = Gateway(desk, patients, scan, slept)
        gateways.append(gateway)
        return gateway

    yield make
    for gateway in gateways:
        gateway.patients.close()
    for one in databases:
        one.close()


async def until(tasks: list["asyncio.Task[None]"], satisfied: Callable[[], Awaitable[bool]]) -> None:
    """Let the loops run until then, then end them."""
    try:
        async with asyncio.timeout(60):
            while not await satisfied():
                assert not any(task.done() for task in tasks)
                await asyncio.sleep(0.01)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_ended(*gateways: Gateway) -> Scan:
    """The walk to its end."""
    scans = gateways[0].desk.scans

    async def has_ended() -> bool:
        last = await scans.last()
        return last is not None and last.state is ScanState.FINISHED

    await until([asyncio.create_task(gateway.scan.run()) for gateway in gateways], has_ended)
    last = await scans.last()
    assert last is not None
    return last


def archive() -> Archive:
    files = [stored(ANNA, f"1.2.{n}") for n in range(10, 14)]
    files += [stored(ANNA, "1.2.20"), stored(BERT, "1.2.20", 2), stored(NOBODY, "1.2.21"), stored(NOBODY, "1.2.21", 2)]
    files += [stored(Subject("anna-1", "HOSP-A"), "1.2.22", n) for n in (1, 2, 3)]
    files += [stored(Subject("ANNA-1", ""), "1.2.23"), stored(Subject("NOBODY-ELSE", ""), "1.2.24")]
    return Archive(files)


async def enrolled(gateway: Gateway) -> None:
    await gateway.patients.enrol(ANNA, PatientKey(b"1" * 32), b"s" * 32)


async def test_a_walk_finds_what_is_odd_at_its_pace(made: Made) -> None:
    gateway = made(archive())
    await enrolled(gateway)
    await gateway.desk.scans.start(DESK)
    last = await until_ended(gateway)
    assert (last.done, last.total, last.found, last.skipped, last.trouble) == (9, 9, 4, 0, "")
    found = {one.study: (one.oddity, one.instances) for one in await gateway.desk.studies.page("", 100)}
    assert found == {
        "1.2.20": (Oddity.SEVERAL_PATIENTS, 2),
        "1.2.21": (Oddity.MISSING, 2),
        "1.2.22": (Oddity.DIFFERS_BY_SPELLING, 3),
        "1.2.23": (Oddity.DIFFERS_BY_ISSUER, 1),
    }
    assert gateway.desk.unresolved == 4
    assert gateway.slept.count(PAUSE_S) == 9  # between any two questions


async def test_nobody_walks_unasked(made: Made) -> None:
    origin = archive()
    gateway = made(origin)

    async def has_looked() -> bool:
        return len(gateway.slept) > 5

    await until([asyncio.create_task(gateway.scan.run())], has_looked)
    assert origin.calls == []
    assert set(gateway.slept) == {2.0}


async def test_a_walk_goes_on_where_it_was_and_tells_its_trouble(made: Made) -> None:
    origin = archive()
    origin.breaks_at, origin.unclear = StudyUid("1.2.21"), StudyUid("1.2.12")
    gateway = made(origin)
    await enrolled(gateway)
    await gateway.desk.scans.start(DESK)
    waits = asyncio.Event()
    gateway.waits = waits
    task = asyncio.create_task(gateway.scan.run())
    async with asyncio.timeout(60):
        await waits.wait()
    task.cancel()  # killed while it waits
    await asyncio.gather(task, return_exceptions=True)
    going = await gateway.desk.scans.last()
    assert going is not None
    assert (going.state, going.done, going.trouble) == (ScanState.RUNNING, 3, "the archive does not answer")
    origin.calls.clear()
    another = made(origin)
    last = await until_ended(another)
    assert (last.done, last.found, last.skipped, last.trouble) == (9, 4, 1, "")
    assert "walk " not in origin.calls  # not from the beginning
    assert "subjects 1.2.10" not in origin.calls


async def test_one_gateway_walks(made: Made) -> None:
    origin = archive()
    one, two = made(origin), made(origin)
    await enrolled(one)
    await one.desk.scans.start(DESK)
    last = await until_ended(one, two)
    assert last.done == 9
    assert len([call for call in origin.calls if call.startswith("subjects")]) == 9
    assert 0 in (one.slept.count(PAUSE_S), two.slept.count(PAUSE_S))


async def test_what_is_put_right_or_gone_is_forgotten(made: Made) -> None:
    origin = archive()
    gateway = made(origin)
    await enrolled(gateway)
    await gateway.desk.scans.start(DESK)
    await until_ended(gateway)
    origin.stored = [one for one in origin.stored if one.study != "1.2.21" and one.subject != BERT]
    await asyncio.sleep(1.1)  # times are whole seconds
    gateway = made(origin)
    await gateway.desk.scans.start(DESK)
    last = await until_ended(gateway)
    assert last.found == 2
    assert [one.study for one in await gateway.desk.studies.page("", 100)] == ["1.2.22", "1.2.23"]


async def test_a_study_that_the_walk_leaves_out_is_looked_at_again(made: Made) -> None:
    """An archive that changes while it is walked through may not list one."""
    origin = archive()
    gateway = made(origin)
    await gateway.desk.scans.start(DESK)
    await until_ended(gateway)
    assert len(await gateway.desk.studies.page("", 100)) == 2
    await asyncio.sleep(1.1)

    class Forgetful(Archive):
        async def walk(self, place: str, rows: int) -> object:  # type: ignore[override]
            whole = await super().walk(place, rows)
            return type(whole)([study for study in whole.studies if study != "1.2.20"], whole.place)

    other = made(Forgetful(origin.stored))
    await other.desk.scans.start(DESK)
    await until_ended(other)
    assert [one.study for one in await other.desk.studies.page("", 100)] == ["1.2.20", "1.2.21"]


async def test_the_embedded_archive_is_walked_by_its_index(made: Made, tmp_path: Path) -> None:
    files = write_odd_files(tmp_path / "odd")
    origin = ArchiveOrigin(tmp_path / "odd", tmp_path / "index.sqlite", Workers(1))
    await origin.reindex()
    gateway = made(origin, batch=4)
    await gateway.patients.enrol(Subject("MRN-1001", "HOSP_A"), PatientKey(b"1" * 32), b"s" * 32)
    await gateway.desk.scans.start(DESK)
    last = await until_ended(gateway)
    await origin.aclose()
    assert last.done == last.total == len({file.study for file in files})
    cases = {file.study: file.case for file in files}
    found = {cases[one.study]: one.oddity for one in await gateway.desk.studies.page("", 100)}
    assert found == {
        "issuer-b": Oddity.DIFFERS_BY_ISSUER,
        "case": Oddity.DIFFERS_BY_SPELLING,
        "missing": Oddity.MISSING,
        "empty": Oddity.BLANK,
        "blank": Oddity.BLANK,
        "several": Oddity.MULTI_VALUED,
        "shared-study-2": Oddity.SEVERAL_PATIENTS,
        "mixed-series-3": Oddity.SEVERAL_PATIENTS,
        "mixed-issuers-2": Oddity.SEVERAL_PATIENTS,
    }
    several = await gateway.desk.studies.page("", 100, Oddity.MULTI_VALUED)
    assert several[0].identities[0].identity.patient_ids == ("MRN-1", "MRN-2")


async def test_what_comes_by_is_written_down_and_what_others_said_counts(made: Made) -> None:
    origin = archive()
    one, two = made(origin), made(origin)
    await enrolled(one)
    await two.patients.refresh()
    noticed = Noticed()
    for study in ("1.2.20", "1.2.21", "1.2.10", "1.2.404"):
        answer = await origin.subjects_of(StudyUid(study))
        if answer.odd is not None or not answer.subjects:
            noticed.met(StudyUid(study), answer)
    task = asyncio.create_task(keep(two.desk, noticed, interval_s=0.01))
    await one.desk.resolutions.alias(Subject("anna-1", "HOSP-A"), PatientKey(b"1" * 32), "one person", DESK)

    async def has_heard() -> bool:
        return two.desk.unresolved == 2 and bool(two.desk.resolutions.rulings.aliases)

    await until([task], has_heard)
    assert [one.study for one in await two.desk.studies.page("", 100)] == ["1.2.20", "1.2.21"]
    assert noticed.take() == []


def test_what_comes_by_is_bounded() -> None:
    noticed = Noticed()
    answer = StudySubjects(frozenset({ANNA, BERT}))
    for number in range(1_500):
        noticed.met(StudyUid(f"1.2.{number}"), answer)
    assert len(noticed.take()) == 1_000
