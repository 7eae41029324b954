"""P12 and P13 with real servers: a gateway over an archive that holds everything answers as one over an archive that
holds only what is permitted, and as before when studies are added that the caller may not see. Some of what is
permitted are odd studies that somebody at the desk resolved.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import quote

import pydicom
import pytest

from app.core.identifiers import Subject
from tests.support.chain import Deployed
from tests.support.dicom_files import OddFile, read_quietly, write_odd_files
from tests.support.differential import (
    EnrolledPerson,
    Held,
    RunningGateway,
    Zygote,
    archive_settings,
    at_once,
    held_in,
    orthanc_settings,
    running_gateway,
    subjects_by_study,
)
from tests.support.needs import corpus_folder
from tests.support.orthanc import OrthancServer, running_orthanc

JSON = "application/dicom+json"
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
# Consent of these says something in every run; chance picks others.
ALWAYS = {Subject("患者-7", ""), Subject("Müller-7", ""), Subject("MRN,1012", ""), Subject("MRN-2000", "HOSP_A")}
# What the desk says of odd identities: names that are somebody's, and studies by the case that is in them.
HERS, SILENT = Subject("MRN-2000", "HOSP_A"), Subject("MRN-1", "")
ALIASES = {Subject("mrn-1001", "HOSP_A"): HERS, Subject("MRN-1001", "HOSP_A"): SILENT}
RESOLVED = {"missing": HERS, "several": HERS, "mixed-series-1": HERS, "mixed-issuers-1": HERS, "blank": SILENT}
_CORPUS_FOLDERS = ("synthetic-identity", "dicom2nifti", "pydicom-wheel")
_PEOPLE = 12

_FIELDS = (
    *("all", "00100021", "PatientBirthDate", "NumberOfPatientRelatedStudies", "00201202", "00201204"),
    *(
        "StudyDescription",
        "SeriesDescription",
        "InstitutionName",
        "ModalitiesInStudy",
        "PatientComments",
        "SOPClassesInStudy",
    ),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two gateways: over everything, and over nothing but what is permitted. ``add`` puts files into the second."""

    everything: RunningGateway
    permitted: RunningGateway
    files: list[Held]
    visible: list[Held]
    tokens: tuple[str, str]
    add: Callable[[Sequence[Held]], None]


def _several_character_sets(folder: Path, template: Path) -> None:
    """A study that makes Orthanc 1.10 refuse every search that touches it, unless asked without (0008,0005)."""
    dataset = pydicom.dcmread(template)
    dataset.SpecificCharacterSet = ["ISO 2022 IR 6", "ISO 2022 IR 87"]
    dataset.PatientID = "KANJI-7"
    dataset.PatientName = "Yamada^Tarou=山田^太郎"
    for number, keyword in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), 1):
        setattr(dataset, keyword, f"2.25.77120.9.{number}")
    dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID("2.25.77120.9.3")
    dataset.save_as(folder / "99-kanji.dcm", enforce_file_format=True)


def _more_letters(files: Sequence[OddFile]) -> None:
    """Text that Latin-1 lacks where no identity is."""
    for file in files:
        dataset = pydicom.dcmread(file.path)
        dataset.SeriesDescription = dataset.StudyDescription = f"膝 {file.case}"
        dataset.PatientComments = dataset.InstitutionName = "Łódź"
        dataset.save_as(file.path, enforce_file_format=True)


def _collected(base: Path, collection: str) -> Path:
    folder = base / "everything"
    odd = write_odd_files(folder)
    _several_character_sets(folder, odd[0].path)
    _more_letters(odd)
    if collection == "corpus":
        found = corpus_folder()
        assert found is not None
        for name in _CORPUS_FOLDERS:
            shutil.copytree(found / name, folder / name)
    return folder


def _stored(server: OrthancServer | None, folder: Path, files: Sequence[Held]) -> list[Held]:
    """Puts the files into an Orthanc, or into the folder of an archive; those that were taken."""
    if server is not None:
        taken = {result.path for result in server.upload(file.path for file in files) if result.orthanc_id}
        return [file for file in files if file.path in taken]
    for file in files:
        shutil.copy(file.path, folder / f"{file.path.parent.name}-{file.path.name}")
    return list(files)


def _resolved(files: Sequence[Held]) -> dict[str, Subject]:
    """Whose the studies of RESOLVED are."""
    cases = {file.path.stem.partition("-")[2]: file.study for file in files if file.path.parent.name == "everything"}
    return {cases[case]: whose for case, whose in RESOLVED.items()}


def _whose(file: Held, owners: set[Subject], resolved: dict[str, Subject]) -> Subject | None:
    """Whose the file's study is; ``owners``: whom its files name."""
    if file.study in resolved:
        return resolved[file.study]
    meant = {ALIASES.get(subject, subject) for subject in owners}
    return next(iter(meant)) if len(meant) == 1 else None


def _resolve(gateway: RunningGateway, people: Mapping[Subject, EnrolledPerson], resolved: dict[str, Subject]) -> None:
    """Say it at the desk, of what the gateway has found."""
    desk = gateway.signed_in("registrar")
    desk.post("/api/identities/scan")
    desk.until("/api/identities/scan", lambda scan: scan["state"] == "finished", 120)
    for alias, whose in ALIASES.items():
        said = {"kind": "alias", "patient_id": alias.patient_id, "issuer": alias.issuer, "reason": "one person"}
        desk.post("/api/identities/resolutions", said | {"patient_key": people[whose].key})
    found = {one["study"]: one for one in desk.get("/api/identities", state="all", limit=200)["studies"]}
    for study, whose in resolved.items():
        said = {"kind": "study", "study": study, "fingerprint": found[study]["fingerprint"], "reason": "looked at"}
        desk.post("/api/identities/resolutions", said | {"patient_key": people[whose].key})


@pytest.fixture(
    scope="module",
    params=["archive", pytest.param("orthanc", marks=pytest.mark.orthanc)],
)
def pair(
    request: pytest.FixtureRequest,
    zygote: Zygote,
    deployed: Deployed,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
) -> Iterator[Pair]:
    kind, base, rng = request.param, tmp_path_factory.mktemp(request.param), Random(seed)
    files = held_in(_collected(base, "corpus" if corpus_folder() else "odd"))
    folder = base / "permitted"
    folder.mkdir()
    with ExitStack() as stack:
        servers: list[OrthancServer | None] = [None, None]
        if kind == "orthanc":
            servers = [stack.enter_context(running_orthanc(base / f"orthanc-{n}")) for n in range(2)]
            files = _stored(servers[0], base, files)
        resolved = _resolved(files)
        owners = subjects_by_study(files)
        named = sorted({file.subject for file in files if file.subject.patient_id} - ALIASES.keys() - {SILENT}, key=str)
        consenting = sorted(ALWAYS | set(rng.sample(named, _PEOPLE - len(ALWAYS))), key=str)
        visible = [file for file in files if _whose(file, owners[file.study], resolved) in consenting]
        assert 5 < len(visible) < 3 * len(files) // 4
        assert {file.study for file in visible} >= {study for study, whose in resolved.items() if whose == HERS}
        assert _stored(servers[1], folder, visible) == visible
        gateways = []
        for server, where, name in zip(servers, (base / "everything", folder), ("a", "b"), strict=True):
            pacs = orthanc_settings(server) if server else archive_settings(where)
            pacs = pacs | {"CONSENTRY_IDENTITY_SCAN_RATE": "1000"}
            gateways.append(stack.enter_context(running_gateway(zygote, deployed, base / name, pacs)))
        silent = [SILENT, *rng.sample([subject for subject in named if subject not in consenting], 3)]
        people = gateways[0].enrolled([*consenting, *silent])
        at_once(consenting, lambda subject: gateways[0].granted(people[subject], "physician1"))
        _resolve(gateways[0], people, resolved)
        theirs = {_whose(file, owners[file.study], resolved) for file in visible}
        known = [subject for subject in consenting if subject in theirs]
        people = gateways[1].enrolled([*known, SILENT])
        at_once(known, lambda subject: gateways[1].granted(people[subject], "physician1"))
        _resolve(gateways[1], people, {study: whose for study, whose in resolved.items() if whose != SILENT})
        tokens = gateways[0].signed_in("physician1").token, gateways[1].signed_in("physician1").token

        def add(some: Sequence[Held]) -> None:
            assert _stored(servers[1], folder, some) == some
            if kind == "archive":
                gateways[1].restart()  # sooner than it would look again by itself

        yield Pair(gateways[0], gateways[1], files, visible, (tokens[0], tokens[1]), add)


def _value_of(rng: Random, file: Held) -> str:
    """A matching key with a value that some file has, or nearly."""
    dataset = read_quietly(file.path)
    patient_id, name = file.subject.patient_id or "nobody", str(dataset.get("PatientName", ""))
    date = str(dataset.get("StudyDate", "") or "20240101")
    choices = [
        ("PatientID", patient_id),
        ("PatientID", f"*{patient_id[-2:]}"),
        ("PatientID", f"?{patient_id[1:]}"),
        ("PatientName", f"{name[:3]}*"),
        ("PatientName", "*"),
        ("StudyDate", date),
        ("StudyDate", f"-{date}"),
        ("StudyDate", f"{date}-"),
        ("AccessionNumber", str(dataset.get("AccessionNumber", "")) or "1"),
        ("StudyInstanceUID", file.study),
        ("ModalitiesInStudy", str(dataset.get("Modality", "CT"))),
        ("ModalitiesInStudy", "CT,MR"),
        ("00080061", "?R"),
        ("IssuerOfPatientID", file.subject.issuer or "HOSP_A"),
        ("0020000d", f"2.25.404,{file.study}"),
        ("StudyDate", f"{date[:4]}0101-{date[:4]}1231"),
        ("PatientID", ""),
        ("PatientName", f"*{name[1:2].swapcase()}*"),
        ("StudyID", str(dataset.get("StudyID", "") or "1")),
        ("StudyDescription", f"*{str(dataset.get('StudyDescription', ''))[-3:]}"),
        ("PatientBirthDate", "19000101-"),
        ("PatientSex", str(dataset.get("PatientSex", "") or "O")),
        ("ReferringPhysicianName", "*"),
        ("OtherPatientIDsSequence.PatientID", "1*"),
    ]
    keyword, value = rng.choice([(keyword, value) for keyword, value in choices if "\\" not in value])
    return f"{keyword}={quote(value, safe='*?')}"


def _more_of(rng: Random, file: Held) -> str:
    """Of the query language what needs two parameters, or a switch."""
    date = str(read_quietly(file.path).get("StudyDate", "") or "20240101")
    return rng.choice(
        [
            f"StudyDate={date}-{date}&StudyTime=0000-235959",
            f"StudyDate=-{date}&StudyTime=-12",
            "emptyvaluematching=true&AccessionNumber=%22%22",
            "emptyvaluematching=true&00080020=%22%22",
            "emptyvaluematching=true&PatientBirthDate=%22%22",
            "ModalitiesInStudy=CT&ModalitiesInStudy=MR",
            "fuzzymatching=true&PatientName=*a*",
            "multiplevaluematching=true",
            f"PatientName=*&PatientID={quote(file.subject.patient_id or 'nobody', safe='')}",
            f"StudyInstanceUID=2.25.404%5C{file.study}",
        ]
    )


def question(rng: Random, files: Sequence[Held]) -> tuple[str, str]:
    """Something to ask: a target below /dicom-web, and what to accept."""
    file, other = rng.choice(files), rng.choice(files)
    study = f"/studies/{file.study}"
    series = f"{study}/series/{file.series}"
    instance = f"{series}/instances/{file.instance}"
    if rng.random() < 0.3:
        retrievals = [(study, DICOM), (f"{study}/metadata", JSON), (f"{series}/metadata", JSON), (series, DICOM)]
        retrievals += [(instance, DICOM), (f"{instance}/frames/1", OCTETS), (f"{instance}/rendered", "image/png")]
        return rng.choice([*retrievals, (f"{study}/series/{other.series}/metadata", JSON)])
    below = [f"{study}/series", f"{study}/instances", f"{series}/instances"]
    target = rng.choice(["/studies", "/studies", "/series", "/instances", *below])
    keys = []
    if rng.random() < 0.6:
        keys.append(_value_of(rng, file) if rng.random() < 0.7 else _more_of(rng, file))
    if rng.random() < 0.2:
        several = [file.study, other.study, "2.25.77120.9.1", *(one.study for one in rng.sample(files, 3))]
        keys = ["StudyInstanceUID=" + ",".join(sorted(set(several)))]
    keys += [f"includefield={name}" for name in rng.sample(_FIELDS, rng.randrange(3))]
    if rng.random() < 0.5:
        keys += [f"limit={rng.randrange(6)}", f"offset={rng.randrange(8)}"]
    return target + ("?" + "&".join(keys) if keys else ""), JSON


@pytest.mark.soak
def test_p12_as_an_archive_that_holds_only_the_permitted(
    pair: Pair, rng: Random, run_size: Callable[[int, int], int]
) -> None:
    questions = [question(rng, pair.files) for _ in range(run_size(150, 10_000))]

    def both(asked: tuple[str, str]) -> bool:
        target, accept = asked
        a = pair.everything.ask(f"/dicom-web{target}", pair.tokens[0], accept)
        b = pair.permitted.ask(f"/dicom-web{target}", pair.tokens[1], accept)
        assert a.told() == b.told(), asked
        return a.status == 200 and a.body != b"[]"

    answered = at_once(questions, both)
    assert sum(answered) > len(answered) // 5, "most answers are empty: the test shows little"


def test_p12_pages_together_are_the_whole(pair: Pair, rng: Random) -> None:
    for target in ("/studies", "/series", "/instances", "/studies?PatientName=*", "/instances?includefield=all"):
        whole = pair.everything.ask(f"/dicom-web{target}", pair.tokens[0], JSON).json()
        assert len(whole) > 3
        size = rng.randrange(1, 5)
        paged: list[object] = []
        joint = "&" if "?" in target else "?"
        while page := pair.everything.ask(
            f"/dicom-web{target}{joint}limit={size}&offset={len(paged)}", pair.tokens[0], JSON
        ).json():
            assert len(page) == min(size, len(whole) - len(paged))
            paged += page
        assert paged == whole, target


@pytest.mark.soak
def test_p13_studies_that_are_added_and_hidden_change_no_byte(
    pair: Pair, rng: Random, run_size: Callable[[int, int], int]
) -> None:
    """Last in this file: afterwards the second archive holds everything too."""
    questions = sorted({question(rng, pair.files) for _ in range(run_size(120, 10_000))})

    def ask(asked: tuple[str, str]) -> tuple[object, ...]:
        return pair.permitted.ask(f"/dicom-web{asked[0]}", pair.tokens[1], asked[1]).told()

    before = at_once(questions, ask)
    seen = {file.path for file in pair.visible}
    hidden = [file for file in pair.files if file.path not in seen]
    rng.shuffle(hidden)
    half = len(hidden) // 2
    for some in (hidden[:half], hidden[half:]):
        pair.add(some)
        for asked, earlier, now in zip(questions, before, at_once(questions, ask), strict=True):
            assert now == earlier, asked
