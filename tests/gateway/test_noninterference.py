"""P12 and P13: what the caller may not see changes nothing, whatever is consented to and whatever is asked."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.consent.terms import Action, Effect
from app.core.dicom.dicomweb import Level
from app.core.identifiers import StudyUid, Subject
from app.gateway.ports import GatewayLimits
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.workers import Workers
from app.pacs.date_windows import Pace
from app.pacs.origin import ListingTraits, Origin
from app.pacs.remote_listing import REMOTE_LISTING
from tests.gateway.memory_origin import MemoryOrigin, Stored
from tests.gateway.people import stored
from tests.gateway.world import READ, Reply, World
from tests.support.dicom_files import OddFile, write_odd_files

SUBJECTS = [Subject(patient_id, issuer) for patient_id in ("P-1", "p-1", "P-*") for issuer in ("", "A", "B")]


@dataclass(frozen=True)
class Consented:
    """Which studies of which subject the caller may search, or retrieve; None: all of the subject's."""

    subject: Subject
    actions: Action
    studies: frozenset[str] | None
    effect: Effect = Effect.PERMIT


@dataclass(frozen=True)
class Case:
    """``listing`` and ``counted_patients`` decide how the archive is asked: patient by patient, or in order."""

    files: list[Stored]
    hidden: list[Stored]
    consents: list[Consented]
    targets: list[str]
    listing: ListingTraits = REMOTE_LISTING
    counted_patients: int = 200
    knows_dates: bool = False


def visible(consents: Sequence[Consented], file: Stored) -> bool:
    """Whether anything may be done with the file: by a permit, and by no deny."""
    permitted = denied = Action(0)
    for consent in consents:
        if consent.subject == file.subject and (consent.studies is None or file.study in consent.studies):
            if consent.effect is Effect.PERMIT:
                permitted |= consent.actions | (Action.VIEW if Action.RETRIEVE in consent.actions else Action(0))
            else:
                denied |= consent.actions | (Action.RETRIEVE if Action.VIEW in consent.actions else Action(0))
    return bool(permitted & ~denied)


# All that a search can be asked in: no patient by patient, no whole archive, both.
LISTINGS = [
    replace(REMOTE_LISTING, questions=0),
    replace(REMOTE_LISTING, rows_at_once=1, patients_at_once=100),
    REMOTE_LISTING,
]


@st.composite
def targets(draw: st.DrawFn, files: Sequence[Stored]) -> str:
    """Something a client may ask, of studies that are there or not."""
    file = draw(st.sampled_from(files)) if files else stored(SUBJECTS[0], "1.2.404")
    study = f"/studies/{file.study}"
    series = f"{study}/series/{file.series}"
    instance = f"{series}/instances/{file.instance}"
    frame, picture = f"{instance}/frames/1", f"{instance}/rendered"
    retrievals = [study, f"{study}/metadata", f"{series}/metadata", instance, frame, picture]
    below = [f"{study}/series", f"{study}/instances", f"{series}/instances"]
    path = draw(st.sampled_from(["/studies", "/series", "/instances", *below, *retrievals]))
    if path in retrievals:
        return path
    keys = st.sampled_from(
        [
            f"PatientID={file.subject.patient_id}",
            f"00100020={file.subject.patient_id}&IssuerOfPatientID={file.subject.issuer or 'A'}",
            "PatientID=P-?",
            "PatientID=*",
            "PatientID=",
            "PatientName=Name*",
            "PatientName=name%5ECANARY1",
            f"StudyDate={file.date or '20200101'}-",
            f"StudyDate={file.date or '20200101'}",
            "StudyDate=-20241231",
            "StudyDate=20240101-20240630&StudyTime=10-12",
            "emptyvaluematching=true&StudyDate=%22%22",
            "emptyvaluematching=true&IssuerOfPatientID=%22%22",
            f"StudyInstanceUID={file.study}",
            f"StudyInstanceUID={file.study},1.2.404",
            f"0020000d=1.2.404%5C{file.study}",
            "ModalitiesInStudy=OT",
            "ModalitiesInStudy=CT%2CO?",
            "ModalitiesInStudy=CT&ModalitiesInStudy=MR",
            "OtherPatientIDsSequence.PatientID=nobody",
            "fuzzymatching=true&PatientName=Name*",
            "multiplevaluematching=true",
        ]
    )
    pages = st.sampled_from(
        ["limit=1", "limit=2&offset=1", "offset=1", "limit=0", "limit=100&offset=7", "limit=99999", "limit=3&offset=3"]
    )
    counts = "includefield=00201200,00201202,00201204"
    shown = st.sampled_from(
        [
            "includefield=all",
            counts,
            "includefield=StudyDescription",
            "includefield=00081030%2CModalitiesInStudy&includefield=00201208",
            "includefield=ReferencedStudySequence.00081155",
        ]
    )
    parts = [draw(one) for one in (keys, pages, shown) if draw(st.booleans())]
    return f"{path}?{'&'.join(parts)}" if parts else path


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """An archive, consents to part of it, and questions. No study is of two patients."""
    files: list[Stored] = []
    for number in range(draw(st.integers(0, 8))):
        subject = draw(st.sampled_from(SUBJECTS))
        date = draw(st.sampled_from(["", "20240101", "20250101", "20250102", "2025.01.02", "20991231", "18000101"]))
        files.extend(
            stored(subject, f"1.2.{number}", series, instance, date=date, canary=f"canary{number}")
            for series in range(1, draw(st.integers(1, 2)) + 1)
            for instance in range(1, draw(st.integers(1, 2)) + 1)
        )
    consents = [
        Consented(
            subject,
            draw(st.sampled_from([READ, READ, Action.SEARCH, Action.RETRIEVE])),
            draw(st.none() | st.frozensets(st.sampled_from([f"1.2.{n}" for n in range(8)]), min_size=1, max_size=3)),
            draw(st.sampled_from([Effect.PERMIT, Effect.PERMIT, Effect.PERMIT, Effect.DENY])),
        )
        for subject in draw(st.lists(st.sampled_from(SUBJECTS), max_size=5))
    ]
    named = {consent.subject for consent in consents}
    covered = [file for file in files if file.subject in named]
    hidden = [file for file in covered if not visible(consents, file)] + [f for f in files if f.subject not in named]
    shown = [file for file in covered if visible(consents, file)]
    return Case(
        shown,
        hidden,
        consents,
        draw(st.lists(targets(files), min_size=1, max_size=6)),
        draw(st.sampled_from(LISTINGS)),
        draw(st.sampled_from([0, 2, 200])),
        draw(st.booleans()),
    )


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


async def answers(empty: Path, folder: Path, origin: Origin, case: Case) -> list[Reply]:
    """What a gateway over this archive answers."""
    await asyncio.to_thread(folder.mkdir)
    world = World(empty, folder, origin, GatewayLimits(denial_step_s=0, counted_patients=case.counted_patients))
    try:
        for subject in SUBJECTS:
            patient = await world.enrol(subject)
            for consent in case.consents:
                if consent.subject == subject:
                    named = map(StudyUid, consent.studies or ())
                    world.grant(patient, consent.actions, *named, effect=consent.effect)
        token = await world.token()
        return [await world.ask(target, token) for target in case.targets]
    finally:
        world.close()
        shutil.rmtree(folder)


def told(reply: Reply) -> tuple[int, str | None, bytes, int]:
    """What of a reply must not change: all but the random parts."""
    content_type = str(reply.header("content-type"))
    boundary = content_type.partition("boundary=")[2]
    body = reply.body.replace(boundary.encode(), b"BOUNDARY") if boundary else reply.body
    return reply.status, reply.header("warning"), body, len(reply.record_ids)


def memory(files: Sequence[Stored], case: Case) -> MemoryOrigin:
    """An archive whose listing in order is in as many pieces as it can be."""
    pace = Pace(aim_rows=1, most_rows=2)
    return MemoryOrigin(list(files), listing=case.listing, pace=pace, knows_dates=case.knows_dates)


# Of the profile's, which are 20,000 at release size.
CASES = 10_000 if settings().max_examples > 1_000 else 25


@pytest.mark.soak
@given(case=cases())
@settings(max_examples=CASES)
async def test_p13_hidden_studies_change_no_byte(empty_database: Path, folders: Path, case: Case) -> None:
    without = await answers(empty_database, folders / "a", memory(case.files, case), case)
    # Hidden ones first and last, so that a wrong order shows.
    half = len(case.hidden) // 2
    everything = memory([*case.hidden[:half], *case.files, *case.hidden[half:]], case)
    with_hidden = await answers(empty_database, folders / "b", everything, case)
    assert [told(reply) for reply in with_hidden] == [told(reply) for reply in without]
    for reply in with_hidden:
        assert reply.complete
        assert not any(file.canary.encode() + b"." in reply.body for file in case.hidden)


@pytest.mark.soak
@given(case=cases())
@settings(max_examples=CASES // 2)
async def test_p12_how_the_archive_is_asked_changes_no_byte(empty_database: Path, folders: Path, case: Case) -> None:
    """Patient by patient and through the whole archive, with nothing counted."""
    searches = [target for target in case.targets if not target.startswith(("/series", "/instances"))]
    case = replace(case, targets=searches)
    files = [*case.hidden, *case.files]
    replies = []
    for name, listing in (("a", LISTINGS[0]), ("b", replace(REMOTE_LISTING, whole=frozenset[Level]()))):
        listed = replace(case, listing=listing, counted_patients=0)
        replies.append(await answers(empty_database, folders / name, memory(files, listed), listed))
    assert [told(reply) for reply in replies[0]] == [told(reply) for reply in replies[1]]


# P12 on the embedded archive: the same over two real archives, one of which holds only what is permitted.


def _link(files: Sequence[OddFile], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        shutil.copy(file.path, folder / file.path.name)


async def _archive(folder: Path, index: Path) -> ArchiveOrigin:
    origin = ArchiveOrigin(folder, index, Workers(1))
    await origin.reindex()
    return origin


def _questions(rng: Random, files: Sequence[OddFile]) -> list[str]:
    asked = ["/studies", "/series", "/instances", "/studies?includefield=all", "/studies?includefield=00201200"]
    asked += [f"/studies?limit=3&offset={offset}" for offset in range(0, 12, 3)]
    for file in rng.sample(files, 4):
        study = f"/studies/{file.study}"
        asked += [f"{study}/series", f"{study}/instances?limit=1", f"/studies?StudyInstanceUID={file.study}", study]
        asked += [f"{study}/series/{file.series}/metadata", f"{study}/series/{file.series}/instances/{file.instance}"]
    return asked


async def test_p12_as_an_archive_that_holds_only_the_permitted(
    empty_database: Path, tmp_path: Path, rng: Random
) -> None:
    files = write_odd_files(tmp_path / "odd")
    subjects_of: dict[str, set[Subject]] = {}
    for file in files:
        subjects_of.setdefault(file.study, set()).add(file.subject)
    named = sorted({file.subject for file in files if file.subject.patient_id}, key=str)
    allowed = set(rng.sample(named, len(named) // 2))
    permitted = [file for file in files if subjects_of[file.study] <= allowed and len(subjects_of[file.study]) == 1]
    assert 3 < len(permitted) < len(files)
    _link(permitted, tmp_path / "permitted")
    asked = _questions(rng, files)
    replies = []
    for name in ("odd", "permitted"):
        origin = await _archive(tmp_path / name, tmp_path / f"{name}.sqlite")
        world_folder = tmp_path / f"{name}-world"
        world_folder.mkdir()
        world = World(empty_database, world_folder, origin)
        for subject in named:
            patient = await world.enrol(subject)
            if subject in allowed:
                world.grant(patient)
        token = await world.token()
        replies.append([await world.ask(target, token) for target in asked])
        world.close()
        await origin.aclose()
    assert [told(reply) for reply in replies[0]] == [told(reply) for reply in replies[1]]
    assert len(replies[0][0].json()) == len({file.study for file in permitted})
