"""P12 and P13 with resolutions: as an archive that holds only what is permitted, resolved odd studies included.

Whose a study is, is told here once more, from the files and from what was said, apart from the code.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.consent.terms import Action
from app.core.identifiers import StudyUid, Subject
from app.gateway.ports import GatewayLimits
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.workers import Workers
from app.pacs.origin import Origin
from tests.gateway.memory_origin import MemoryOrigin, Stored
from tests.gateway.people import stored
from tests.gateway.test_noninterference import (
    SUBJECTS,
    Case,
    Consented,
    cases,
    memory,
    targets,
    told,
    visible,
)
from tests.gateway.world import READ, REGISTRAR, Reply, World
from tests.support.dicom_files import OddFile, write_odd_files

# Nobody is enrolled under these.
NAMES = [Subject("X-1", ""), Subject("p-1 ", "A"), Subject("P-1", "C")]
NOBODY = [Subject("", ""), Subject("", "A")]
_ODD = [*SUBJECTS[:3], *NAMES, *NOBODY]
CASES = 10_000 if settings().max_examples > 1_000 else 40


@dataclass(frozen=True)
class Said:
    """What was said: names that are enrolled patients', and studies, as they are, that are."""

    aliases: Mapping[Subject, Subject]
    studies: Mapping[str, Subject]


def owner_of(study: str, files: Sequence[Stored], said: Said) -> Subject | None:
    """Whose the study is."""
    found = {file.subject for file in files if file.study == study}
    if len(found) == 1 and found <= set(SUBJECTS):
        return next(iter(found))
    if study in said.studies:
        return said.studies[study]
    meant = {one if one in SUBJECTS else said.aliases.get(one) for one in found}
    return next(iter(meant)) if len(meant) == 1 else None


@st.composite
def odd_cases(draw: st.DrawFn) -> tuple[Case, Said, list[Stored]]:
    """A case with odd studies among the others, what was said of them, and all files."""
    case = draw(cases())
    files = [*case.files, *case.hidden]
    studies = [f"1.2.{number}" for number in range(20, 20 + draw(st.integers(1, 5)))]
    for study in studies:
        date = draw(st.sampled_from(["", "20240101", "20250101", "2025.01.02", "20991231"]))
        held = draw(st.lists(st.sampled_from(_ODD), min_size=1, max_size=3))
        files += [
            stored(subject, study, draw(st.integers(1, 2)), number, date=date, canary=f"odd{study}-{number}")
            for number, subject in enumerate(held, 1)
        ]
    named = sorted({consent.subject for consent in case.consents}, key=str) or SUBJECTS[:1]
    whom = st.sampled_from([*named, *named, *SUBJECTS])
    aliases = {name: draw(whom) for name in NAMES if draw(st.booleans())}
    ruled = {study: draw(whom) for study in studies if draw(st.booleans())}
    said = Said(aliases, ruled)
    shown: list[Stored] = []
    hidden: list[Stored] = []
    for file in files:
        owner = owner_of(file.study, files, said)
        is_shown = owner is not None and visible(case.consents, replace(file, subject=owner))
        (shown if is_shown else hidden).append(file)
    asked = draw(st.lists(targets(files), min_size=1, max_size=6))
    return replace(case, files=shown, hidden=hidden, targets=["/studies", *asked]), said, files


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resolved-worlds")


async def answers(
    empty: Path, folder: Path, origin: Origin, case: Case, said: Said, files: Sequence[Stored]
) -> list[Reply]:
    """What a gateway over this archive answers. What was said was said of all files."""
    await asyncio.to_thread(folder.mkdir)
    world = World(empty, folder, origin, GatewayLimits(denial_step_s=0, counted_patients=case.counted_patients))
    try:
        patients = {}
        for subject in SUBJECTS:
            patients[subject] = patient = await world.enrol(subject)
            for consent in case.consents:
                if consent.subject == subject:
                    named = map(StudyUid, consent.studies or ())
                    world.grant(patient, consent.actions, *named, effect=consent.effect)
        for name, subject in said.aliases.items():
            await world.alias(name, patients[subject])
        for study, subject in said.studies.items():
            accepted = (await MemoryOrigin(list(files)).subjects_of(StudyUid(study))).accepted
            assert accepted is not None
            assert accepted.fingerprint is not None
            await world.desk.resolutions.study(
                StudyUid(study), accepted.fingerprint, patients[subject].key, "looked at", REGISTRAR
            )
        token = await world.token()
        return [await world.ask(target, token) for target in case.targets]
    finally:
        world.close()
        shutil.rmtree(folder)


@pytest.mark.soak
@given(made=odd_cases())
@settings(max_examples=CASES)
async def test_p12_p13_with_resolutions(
    empty_database: Path, folders: Path, made: tuple[Case, Said, list[Stored]]
) -> None:
    case, said, files = made
    only = await answers(empty_database, folders / "a", memory(case.files, case), case, said, files)
    half = len(case.hidden) // 2
    everything = memory([*case.hidden[:half], *case.files, *case.hidden[half:]], case)
    whole = await answers(empty_database, folders / "b", everything, case, said, files)
    assert [told(reply) for reply in whole] == [told(reply) for reply in only]
    for reply in whole:
        assert reply.complete
        assert not any(file.canary.encode() + b"." in reply.body for file in case.hidden)
    if whole[0].status == 200:
        found = {row["0020000D"]["Value"][0] for row in whole[0].json()}
        assert found == {file.study for file in files if _may_find(case.consents, file, files, said)}


def _may_find(consents: Sequence[Consented], file: Stored, files: Sequence[Stored], said: Said) -> bool:
    owner = owner_of(file.study, files, said)
    searching = [
        replace(consent, actions=consent.actions & Action.SEARCH) for consent in consents if consent.subject == owner
    ]
    return owner is not None and visible(searching, replace(file, subject=owner))


# The same on the embedded archive, with identities as files can have them.


def _link(files: Sequence[OddFile], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        shutil.copy(file.path, folder / file.path.name)


def _questions(rng: Random, files: Sequence[OddFile]) -> list[str]:
    asked = ["/studies", "/series", "/instances", "/studies?includefield=all", "/studies?includefield=00201200"]
    asked += [f"/{level}?limit=2&offset={offset}" for level in ("studies", "series") for offset in range(0, 14, 2)]
    asked += ["/studies?PatientID=*", "/studies?PatientID=MRN-3001", "/studies?PatientName=*", "/studies?PatientID="]
    asked += ["/studies?StudyDate=20240601-", "/series?Modality=OT"]
    for file in [*files[:6], *rng.sample(files[6:], 6)]:
        study = f"/studies/{file.study}"
        instance = f"{study}/series/{file.series}/instances/{file.instance}"
        asked += [f"{study}/series", f"{study}/instances?limit=1", f"/studies?StudyInstanceUID={file.study}", study]
        asked += [f"{study}/series/{file.series}/metadata", instance, f"{instance}/frames/1", f"{study}/rendered"]
    return asked


@pytest.mark.parametrize("counted_patients", [200, 0])
async def test_p12_on_the_embedded_archive_with_resolutions(
    empty_database: Path, tmp_path: Path, rng: Random, counted_patients: int
) -> None:
    files = write_odd_files(tmp_path / "everything")
    by_case = {file.case: file for file in files}
    anna, other = Subject("MRN-1001", "HOSP_A"), Subject("MRN-2000", "HOSP_A")
    ruled = {"missing": anna, "several": anna, "mixed-series-1": anna, "blank": other, "shared-study-1": other}
    aliases = {Subject("mrn-1001", "HOSP_A"): anna, Subject("MRN-4000", "HOSP_A"): anna}
    aliases[Subject("MRN-4000", "HOSP_B")] = anna
    hers = {by_case[case].study for case, whose in ruled.items() if whose == anna}
    hers |= {by_case[case].study for case in ("issuer-a", "case", "mixed-issuers-1")}
    permitted = [file for file in files if file.study in hers]
    assert len(permitted) == 9
    _link(permitted, tmp_path / "permitted")
    asked = _questions(rng, sorted(files, key=lambda file: file.study not in hers))
    replies = []
    whole = ArchiveOrigin(tmp_path / "everything", tmp_path / "whole.sqlite", Workers(1))
    await whole.reindex()
    only = ArchiveOrigin(tmp_path / "permitted", tmp_path / "only.sqlite", Workers(1))
    await only.reindex()
    for number, origin in enumerate((whole, only)):
        world_folder = tmp_path / f"world-{number}"
        world_folder.mkdir()
        limits = GatewayLimits(denial_step_s=0, counted_patients=counted_patients)
        world = World(empty_database, world_folder, origin, limits)
        patients = {subject: await world.enrol(subject) for subject in (anna, other)}
        world.grant(patients[anna], READ)
        for name, subject in aliases.items():
            await world.alias(name, patients[subject])
        for case, subject in ruled.items():
            study = StudyUid(by_case[case].study)
            accepted = (await whole.subjects_of(study)).accepted
            assert accepted is not None
            assert accepted.fingerprint is not None
            await world.desk.resolutions.study(study, accepted.fingerprint, patients[subject].key, "seen", REGISTRAR)
        token = await world.token()
        replies.append([await world.ask(target, token) for target in asked])
        assert world.alarms == []
        world.close()
    await whole.aclose()
    await only.aclose()
    for target, one, two in zip(asked, *replies, strict=True):
        assert told(one) == told(two), target
    assert {row["0020000D"]["Value"][0] for row in replies[0][0].json()} == hers
    hidden = [file for file in files if file.study not in hers]
    assert all(file.canary not in reply.body for file in hidden for reply in replies[0])
    served = b"".join(reply.body for reply in replies[0])
    assert sum(file.canary in served for file in permitted) >= 6
