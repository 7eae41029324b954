"""The whole gateway before a real Orthanc, a simulated dcm4chee and the embedded archive, with every odd identity and
sample file.

Patients are enrolled and consent over HTTP. What is permitted works with a stock client and is what the archive holds;
of everything else, every URL gives the one 404, and nobody receives an instance of a patient who did not consent.
"""

import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from random import Random
from typing import Any

import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from app.core.identifiers import Subject
from tests.support.chain import Deployed
from tests.support.dcm4chee import TOKEN, running_dcm4chee
from tests.support.dicom_files import read_quietly, write_odd_files
from tests.support.differential import (
    PUBLIC_URL,
    EnrolledPerson,
    Held,
    Reply,
    RunningGateway,
    Zygote,
    archive_settings,
    at_once,
    held_in,
    orthanc_settings,
    running_gateway,
    served_once,
    subjects_by_study,
)
from tests.support.needs import corpus_folder
from tests.support.orthanc import OrthancServer, running_orthanc

DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
JSON = "application/dicom+json"
PICTURE = "image/jpeg"
ABSENT = "/dicom-web/studies/2.25.404404"
_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}
_PIECE = 48

# Of the odd files: who consents (to physician1), who is enrolled and does not. The rest nobody knows.
CONSENTING = {
    *(Subject("MRN-1", ""), Subject("MRN-1001", "HOSP_A"), Subject("MRN,1012", ""), Subject("MRN-10*", "")),
    *(Subject("患者-7", ""), Subject("MRN/10/13", ""), Subject("A&B=C#D+E;F", ""), Subject("MRN-1015", "")),
    # Their studies are shared or mixed: consent does not help.
    *(Subject("MRN-1010", ""), Subject("MRN-1011", ""), Subject("MRN-3000", ""), Subject("MRN-3001", "")),
    *(Subject("MRN-4000", "HOSP_A"), Subject("MRN-4000", "HOSP_B")),
}
SILENT = {Subject("mrn-1001", "HOSP_A"), Subject("-7", ""), Subject("病人-7", ""), Subject("MRN-1016", "")}
PARTLY = Subject("MRN-2000", "HOSP_A")  # consents to one of two studies
_SAMPLED = 6  # of the sample files' other patients


@dataclass(frozen=True, slots=True)
class Stage:
    """A gateway over an archive, its patients enrolled and physician1 let in by some of them."""

    gateway: RunningGateway
    orthanc: OrthancServer | None
    files: list[Held]
    people: dict[Subject, EnrolledPerson]
    permitted: list[Held]
    token: str
    mixes_patients: bool  # whether the archive takes a second patient's files into a study

    @property
    def forbidden(self) -> list[Held]:
        allowed = {file.study for file in self.permitted}
        return [file for file in self.files if file.study not in allowed]

    @property
    def client(self) -> DICOMwebClient:
        return DICOMwebClient(f"{self.gateway.url}/dicom-web", headers={"Authorization": f"Bearer {self.token}"})

    def ask(self, target: str, accept: str) -> Reply:
        return self.gateway.ask(f"/dicom-web{target}", self.token, accept)


def _permitted(files: list[Held], consenting: set[Subject], whole: set[Subject], one_study: str) -> list[Held]:
    """The tests' own verdict: every file of the study is of one patient, and he consented to it."""
    owners = subjects_by_study(files)
    return [
        file
        for file in served_once(files)
        if len(owners[file.study]) == 1
        and file.subject in consenting
        and (file.subject in whole or file.study == one_study)
    ]


@pytest.fixture(
    scope="module",
    params=[
        "odd-archive",
        "odd-dcm4chee",
        pytest.param("odd-orthanc", marks=pytest.mark.orthanc),
        pytest.param("corpus-archive", marks=pytest.mark.corpus),
        pytest.param("corpus-orthanc", marks=[pytest.mark.corpus, pytest.mark.orthanc]),
    ],
)
def stage(
    request: pytest.FixtureRequest,
    zygote: Zygote,
    deployed: Deployed,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
) -> Iterator[Stage]:
    collection, kind = request.param.split("-")
    base = tmp_path_factory.mktemp(request.param)
    folder = base / "files"
    if collection == "corpus":
        found = corpus_folder()
        assert found is not None
        folder = found
    else:
        write_odd_files(folder)
    files = held_in(folder)
    with ExitStack() as stack:
        orthanc = None
        if kind == "orthanc":
            orthanc = stack.enter_context(running_orthanc(base / "orthanc"))
            taken = {result.path for result in orthanc.upload(file.path for file in files) if result.orthanc_id}
            files = [file for file in files if file.path in taken]
        pacs = orthanc_settings(orthanc) if orthanc else archive_settings(folder)
        if kind == "dcm4chee":
            dcm4chee = stack.enter_context(running_dcm4chee())
            held = set(dcm4chee.store([file.path for file in files]))
            files = [file for file in files if file.path in held]
            token_file = base / "token"
            token_file.write_text(f"{TOKEN}\n")
            pacs = {"CONSENTRY_PACS_URL": dcm4chee.url, "CONSENTRY_PACS_TOKEN_FILE": str(token_file)}
        gateway = stack.enter_context(running_gateway(zygote, deployed, base / "gateway", pacs))
        yield _peopled(gateway, orthanc, files, Random(f"{seed} {collection}"), mixes_patients=kind != "dcm4chee")


def _peopled(
    gateway: RunningGateway, orthanc: OrthancServer | None, files: list[Held], rng: Random, *, mixes_patients: bool
) -> Stage:
    named = sorted({file.subject for file in files if file.subject.patient_id}, key=str)
    odd = {subject for subject in named if subject in CONSENTING | SILENT | {PARTLY}}
    others = rng.sample([subject for subject in named if subject not in odd], min(_SAMPLED, len(named) - len(odd)))
    consenting = sorted((odd - SILENT) | set(others[: _SAMPLED // 2]), key=str)
    people = gateway.enrolled([*consenting, *sorted((odd & SILENT) | set(others[_SAMPLED // 2 :]), key=str)])
    one_study = next((file.study for file in files if file.subject == PARTLY), "")

    def consent(subject: Subject) -> None:
        scope: Any = {"studies": [one_study]} if subject == PARTLY else "all"
        gateway.granted(people[subject], "physician1", scope=scope)

    at_once(consenting, consent)
    token = gateway.signed_in("physician1").token
    permitted = _permitted(files, set(consenting), set(consenting) - {PARTLY}, one_study)
    assert len({file.subject for file in permitted}) > 3, "next to nothing is permitted: the test shows nothing"
    return Stage(gateway, orthanc, files, people, permitted, token, mixes_patients)


def _paths(file: Held) -> tuple[str, str, str]:
    study = f"/studies/{file.study}"
    series = f"{study}/series/{file.series}"
    return study, series, f"{series}/instances/{file.instance}"


def _value(dataset: dict[str, Any], tag: str) -> str:
    return str(dataset[tag]["Value"][0])


def _chain(dataset: dict[str, Any]) -> tuple[str, str, str]:
    return _value(dataset, "0020000D"), _value(dataset, "0020000E"), _value(dataset, "00080018")


def _owner(dataset: dict[str, Any]) -> Subject:
    issuer = dataset.get("00100021", {}).get("Value", [""])[0]
    return Subject(_value(dataset, "00100020").strip(), (issuer or "").strip())


# --- What is permitted works, and is what the archive holds ----------------------------------------------------------


def test_searches_list_the_permitted_and_nothing_else(stage: Stage) -> None:
    client, files = stage.client, stage.permitted
    by_study = {file.study: file.subject for file in files}
    studies = client.search_for_studies(fields=["IssuerOfPatientID"])
    assert Counter(_value(row, "0020000D") for row in studies) == Counter(list(by_study))
    assert all(_owner(row) == by_study[_value(row, "0020000D")] for row in studies)
    assert client.search_for_studies(fields=["IssuerOfPatientID"], limit=2, get_remaining=True) == studies
    series = client.search_for_series()
    assert {(_value(row, "0020000D"), _value(row, "0020000E")) for row in series} == {file.chain[:2] for file in files}
    instances = client.search_for_instances()
    assert Counter(map(_chain, instances)) == Counter(file.chain for file in files)
    for study, subject in by_study.items():
        below = [file for file in files if file.study == study]
        assert {_value(row, "0020000E") for row in client.search_for_series(study)} == {one.series for one in below}
        assert {_value(row, "00080018") for row in client.search_for_instances(study)} == {
            one.instance for one in below
        }
        (row,) = client.search_for_studies(search_filters={"StudyInstanceUID": study}, fields=["00100021"])
        assert _owner(row) == subject
        assert int(_value(row, "00201208")) == len(below)
        for one in {file.series for file in below}:
            found = client.search_for_instances(study, one)
            assert {_value(row, "00080018") for row in found} == {f.instance for f in below if f.series == one}


def test_a_search_for_a_patient_id_finds_that_patient(stage: Stage) -> None:
    """Ids with commas, wildcards, slashes and what Latin-1 lacks, in the query as a stock client writes it."""
    for subject in sorted({file.subject for file in stage.permitted}, key=str):
        rows = stage.client.search_for_studies(
            search_filters={"PatientID": subject.patient_id}, fields=["IssuerOfPatientID"]
        )
        own = {file.study for file in stage.permitted if file.subject == subject}
        assert own <= {_value(row, "0020000D") for row in rows}, subject
        if not set("*?") & set(subject.patient_id):
            assert {_owner(row).patient_id for row in rows} == {subject.patient_id}


def _parts(reply: Reply) -> list[bytes]:
    """What stands in each part."""
    boundary = re.search(r'boundary="?([^";]+)', reply.header("content-type"))
    assert boundary is not None
    delimiter = b"\r\n--" + boundary[1].encode()
    opening, *parts, end = (b"\r\n" + reply.body).split(delimiter)
    assert (opening, end.rstrip()) == (b"", b"--")
    return [part.partition(b"\r\n\r\n")[2] for part in parts]


def _stored(stage: Stage, file: Held) -> bytes:
    """The file as the archive keeps it: for Orthanc by its own REST interface, past DICOMweb."""
    if stage.orthanc is None:
        return file.path.read_bytes()
    asked = {"Level": "Instance", "Query": {"SOPInstanceUID": file.instance, "StudyInstanceUID": file.study}}
    status, found = stage.orthanc.request("POST", "/tools/find", json.dumps(asked).encode())
    assert status == 200
    (identifier,) = json.loads(found)
    status, body = stage.orthanc.request("GET", f"/instances/{identifier}/file")
    assert status == 200
    return body


def test_dicom_comes_as_it_is_stored_at_every_level(stage: Stage) -> None:
    stored = dict(zip(stage.permitted, at_once(stage.permitted, lambda file: _stored(stage, file)), strict=True))

    def check(file: Held) -> None:
        study, series, instance = _paths(file)
        for target, belongs in (
            (study, lambda one: one.study == file.study),
            (series, lambda one: one.chain[:2] == file.chain[:2]),
            (instance, lambda one: one == file),
        ):
            reply = stage.ask(target, DICOM)
            assert (reply.status, len(reply.record_ids)) == (200, 1), target
            parts = _parts(reply)
            assert Counter(parts) == Counter(stored[one] for one in stored if belongs(one)), target

    at_once(stage.permitted, check)


def test_a_stock_client_reads_datasets_and_metadata_at_every_level(stage: Stage, rng: Random) -> None:
    owners = {file.instance: file.subject for file in stage.permitted}
    for file in _one_of_each(stage.permitted, rng):
        client = stage.client
        study = [one for one in stage.permitted if one.study == file.study]
        series = [one for one in study if one.series == file.series]
        fetched: list[tuple[list[Dataset], list[Held]]] = [
            (client.retrieve_study(file.study), study),
            (client.retrieve_series(file.study, file.series), series),
            ([client.retrieve_instance(*file.chain)], [file]),
        ]
        for datasets, expected in fetched:
            assert {dataset.SOPInstanceUID for dataset in datasets} == {one.instance for one in expected}
            assert all(str(dataset.PatientID).strip() == file.subject.patient_id for dataset in datasets)
        described = [
            (client.retrieve_study_metadata(file.study), study),
            (client.retrieve_series_metadata(file.study, file.series), series),
            ([client.retrieve_instance_metadata(*file.chain)], [file]),
        ]
        for rows, expected in described:
            assert Counter(map(_chain, rows)) == Counter(one.chain for one in expected)
            assert all(_owner(row) == owners[_value(row, "00080018")] for row in rows)


def _one_of_each(files: list[Held], rng: Random) -> list[Held]:
    """One file of each patient."""
    subjects = sorted({file.subject for file in files}, key=str)
    return [rng.choice([file for file in files if file.subject == subject]) for subject in subjects]


def test_metadata_says_what_the_archive_says(stage: Stage, rng: Random) -> None:
    for file in _one_of_each(stage.permitted, rng):
        said = stage.client.retrieve_instance_metadata(*file.chain)
        if stage.orthanc is not None:
            target = f"/dicom-web{_paths(file)[2]}/metadata"
            status, body = stage.orthanc.request("GET", target, accept=JSON)
            assert status == 200
            here = body.decode().replace(stage.orthanc.dicom_web_url, f"{PUBLIC_URL}/dicom-web")
            expected = json.loads(here)[0]
            for dataset in (said, expected):
                dataset.pop("00081190", None)
            assert said == expected
        else:
            kept = read_quietly(file.path)
            for tag in ("00280010", "00280011", "00080060", "00080020", "00080016", "00200013"):
                element: Any = kept.get(int(tag, 16))
                own = [] if element is None or element.value in (None, "") else [str(element.value)]
                assert [str(value) for value in said.get(tag, {}).get("Value", [])] == own, tag


def _links(dataset: dict[str, Any]) -> Iterator[str]:
    for element in dataset.values():
        if "BulkDataURI" in element:
            yield element["BulkDataURI"]
        if element.get("vr") == "SQ":
            for item in element.get("Value", []):
                yield from _links(item or {})


def test_bulk_data_is_behind_its_links(stage: Stage, rng: Random) -> None:
    """Each BulkDataURI of the metadata leads to us and to the very bytes."""
    followed = 0
    for file in _one_of_each(stage.permitted, rng):
        for link in list(_links(stage.client.retrieve_instance_metadata(*file.chain)))[:6]:
            assert link.startswith(f"{PUBLIC_URL}/dicom-web{_paths(file)[2]}/"), "a link past the gateway"
            target = link.removeprefix(f"{PUBLIC_URL}/dicom-web")
            parts = stage.client.retrieve_bulkdata(f"{stage.gateway.url}/dicom-web{target}")
            followed += 1
            if stage.orthanc is not None:
                status, body = stage.orthanc.request("GET", f"/dicom-web{target}", accept=OCTETS)
                assert status == 200
                assert b"".join(parts) in body
            else:
                value = _at(read_quietly(file.path), target.partition("/bulk/")[2].split("/"))
                assert value is None or b"".join(parts) == value
    assert followed > 3


def _at(dataset: Dataset, path: list[str]) -> bytes | None:
    """The element's own bytes; None where it is encapsulated, whose frames another test compares."""
    *steps, tag = path
    for sequence, number in zip(steps[::2], steps[1::2], strict=True):
        dataset = dataset[int(sequence, 16)].value[int(number) - 1]
    element = dataset[int(tag, 16)]
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if element.is_undefined_length or (syntax is not None and str(syntax) not in _NATIVE):
        return None
    return bytes(element.value)


def _frame(dataset: Dataset) -> bytes | None:
    """The first frame as it stands in the file; None where that is not a matter of slicing."""
    if "PixelData" not in dataset:
        return None
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        return get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames", 1)))
    if str(syntax) not in _NATIVE or dataset.BitsAllocated % 8 or dataset.PhotometricInterpretation == "YBR_FULL_422":
        return None
    size = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated // 8
    return bytes(dataset.PixelData[:size])


def test_frames_and_pictures_are_those_of_the_image(stage: Stage, rng: Random) -> None:
    frames = pictures = 0
    for file in _one_of_each(stage.permitted, rng):
        dataset = read_quietly(file.path)
        first = _frame(dataset)
        if first is None:
            continue
        (got,) = stage.client.retrieve_instance_frames(
            *file.chain, [1], media_types=(("application/octet-stream", "*"),)
        )
        assert got.rstrip(b"\0") == first.rstrip(b"\0"), file.path.name
        frames += 1
        for render in ("rendered", "frames/1/rendered"):
            reply = stage.ask(f"{_paths(file)[2]}/{render}", PICTURE)
            if reply.status == 406:
                continue
            assert (reply.status, len(reply.record_ids)) == (200, 1), (file.path.name, render)
            with Image.open(io.BytesIO(reply.body)) as picture:
                assert picture.size == (dataset.Columns, dataset.Rows)
            pictures += 1
        past = stage.ask(f"{_paths(file)[2]}/frames/{int(dataset.get('NumberOfFrames') or 1) + 1}", OCTETS)
        assert past.status == 404
    assert frames > 3
    assert pictures > 3


# --- WADO-URI --------------------------------------------------------------------------------------------------------


def _by_query(file: Held, more: str = "") -> str:
    return f"/wado?requestType=WADO&studyUID={file.study}&seriesUID={file.series}&objectUID={file.instance}{more}"


def test_wado_uri_is_another_door_to_the_same_room(stage: Stage, rng: Random) -> None:
    """The same bytes by query as by path, and whatever the bare PACS gives by query, the gateway gives too."""
    shown = 0
    for file in _one_of_each(stage.permitted, rng):
        instance = _paths(file)[2]
        for more, target, accept in (
            ("", f"{instance}/rendered", PICTURE),
            ("&contentType=image/png", f"{instance}/rendered", "image/png"),
            ("&contentType=application/dicom&transferSyntax=*", instance, "application/dicom; transfer-syntax=*"),
        ):
            by_query = stage.gateway.ask(_by_query(file, more), stage.token, "*/*")
            by_path = stage.ask(target, accept)
            assert (by_query.status, by_query.body) == (by_path.status, by_path.body), more
            if by_query.status == 200:
                assert by_query.header("content-type") == by_path.header("content-type")
                assert len(by_query.record_ids) == 1
            if stage.orthanc is not None:
                status, _body = stage.orthanc.request("GET", _by_query(file, more))
                assert status != 200 or by_query.status == 200, (status, by_query.status, more)
        as_stored = stage.gateway.ask(
            _by_query(file, "&contentType=application/dicom&transferSyntax=*"), stage.token, "*/*"
        )
        assert as_stored.body == _stored(stage, file)
        small = stage.gateway.ask(_by_query(file, "&rows=20&columns=16&contentType=image/png"), stage.token, "*/*")
        if small.status == 200:
            shown += 1
            width, height = Image.open(io.BytesIO(small.body)).size
            assert width == 16 or height == 20
            assert (width <= 16, height <= 20) == (True, True)
    assert shown


def test_wado_uri_shows_nothing_that_wado_rs_hides(stage: Stage, rng: Random) -> None:
    nothing = stage.gateway.ask(f"{ABSENT}/metadata", stage.token, JSON)
    assert nothing.status == 404
    for file in rng.sample(stage.forbidden, min(8, len(stage.forbidden))):
        for more in ("", "&contentType=application/dicom", "&rows=9"):
            reply = stage.gateway.ask(_by_query(file, more), stage.token, "*/*")
            assert (reply.status, reply.body) == (404, nothing.body)
    # Orthanc needs no more than the object's UID: a name that opens any door
    file = stage.permitted[0]
    reply = stage.gateway.ask(f"/wado?requestType=WADO&objectUID={file.instance}", stage.token, "*/*")
    assert (reply.status, reply.json()["type"]) == (400, "urn:consentry:problem:invalid-parameter")


# --- What is not permitted does not exist ----------------------------------------------------------------------------


def _pieces(stage: Stage) -> dict[bytes, str]:
    """Bytes that only files of forbidden studies hold: their canaries, and a piece of their pixels or of their end."""
    allowed = b"".join(file.path.read_bytes() for file in stage.permitted)
    found = {}
    for file in stage.forbidden:
        whole = file.path.read_bytes()
        for at in (len(whole) // 2, len(whole) * 3 // 4, len(whole) - _PIECE):
            piece = whole[at : at + _PIECE]
            if len(set(piece)) >= 12 and piece not in allowed:
                found[piece] = file.path.name
                break
    for identifier in {file.instance for file in stage.forbidden}:
        # A permitted report or segmentation may name instances that it refers to.
        if identifier.encode() not in allowed:
            found[identifier.encode()] = identifier
    return found


def test_no_answer_holds_a_byte_of_somebody_else(stage: Stage) -> None:
    """Everything that physician1 can get at all, searched for what belongs to those who did not let him in."""
    pieces = _pieces(stage)
    assert len(pieces) > len(stage.forbidden) // 2
    allowed = {file.chain: file.subject for file in stage.permitted}
    targets = [("/studies?includefield=all", JSON), ("/series?includefield=all", JSON), ("/instances", JSON)]
    targets += [("/instances?includefield=all", JSON), ("/studies?PatientID=*", JSON), ("/studies?PatientName=*", JSON)]
    for study in sorted({file.study for file in stage.permitted}):
        targets += [(f"/studies/{study}", DICOM), (f"/studies/{study}/metadata", JSON)]
        targets += [(f"/studies/{study}/instances?includefield=all", JSON)]

    def ask(target: tuple[str, str]) -> None:
        reply = stage.ask(*target)
        assert reply.status == 200, target
        leaked = [name for piece, name in pieces.items() if piece in reply.body]
        assert not leaked, (target, leaked)
        if target[1] == JSON:
            for row in reply.json():
                assert any(chain[0] == _value(row, "0020000D") for chain in allowed)
            return
        for part in _parts(reply):
            dataset = _read(part)
            chain = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
            assert str(dataset.get("PatientID", "")).strip() == allowed[chain].patient_id

    at_once(targets, ask)


def _read(part: bytes) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(part))


def _every_url(file: Held) -> list[tuple[str, str]]:
    study, series, instance = _paths(file)
    urls = []
    for level in (study, series, instance):
        urls += [(level, DICOM), (f"{level}/metadata", JSON), (f"{level}/rendered", PICTURE)]
    urls += [(f"{study}/series", JSON), (f"{study}/instances", JSON), (f"{series}/instances", JSON)]
    urls += [(f"{instance}/frames/1", OCTETS), (f"{instance}/frames/1/rendered", PICTURE)]
    return [*urls, (f"{instance}/bulk/7fe00010", OCTETS), (f"{instance}/bulk/00420011", OCTETS)]


def test_whatever_is_not_permitted_is_the_same_404(stage: Stage, rng: Random) -> None:
    """Every URL of every study, series and instance, and mixtures of a permitted study with what is below another."""
    own = rng.choice(stage.permitted)
    urls: dict[tuple[str, str], None] = {}
    for file in stage.forbidden:
        urls |= dict.fromkeys(_every_url(file))
        within = f"/studies/{own.study}/series/{file.series}"
        urls |= dict.fromkeys([(within, DICOM), (f"{within}/instances/{file.instance}/metadata", JSON)])
        own_series = f"{_paths(own)[1]}/instances/{file.instance}"
        urls |= dict.fromkeys([(own_series, DICOM), (f"{own_series}/frames/1", OCTETS)])
    held = {file.chain for file in stage.permitted}
    assert not any((own.study, file.series, file.instance) in held for file in stage.forbidden)
    absent = stage.gateway.ask(f"{ABSENT}/metadata", stage.token, JSON)
    assert (absent.status, absent.record_ids) == (404, [])

    def ask(url: tuple[str, str]) -> None:
        reply = stage.ask(*url)
        assert reply.told() == absent.told(), url
        assert reply.record_ids == [], url

    at_once(list(urls), ask)


def test_no_search_finds_what_is_not_permitted(stage: Stage) -> None:
    empty = stage.gateway.ask("/dicom-web/studies?StudyInstanceUID=2.25.404404", stage.token, JSON)
    assert (empty.status, empty.json()) == (200, [])
    targets = set()
    for file in stage.forbidden:
        targets |= {f"/{level}?StudyInstanceUID={file.study}" for level in ("studies", "series", "instances")}
        targets |= {f"/series?SeriesInstanceUID={file.series}", f"/instances?SOPInstanceUID={file.instance}"}

    def ask(target: str) -> None:
        assert stage.ask(target, JSON).told() == empty.told(), target

    at_once(sorted(targets), ask)
    every = ",".join(sorted({file.study for file in stage.files})[:200])
    rows = stage.ask(f"/studies?StudyInstanceUID={every}", JSON).json()
    assert {_value(row, "0020000D") for row in rows} == {f.study for f in stage.permitted if f.study in every}


def test_another_physician_sees_nothing_at_all(stage: Stage) -> None:
    token = stage.gateway.signed_in("physician2").token
    absent = stage.gateway.ask(f"{ABSENT}/metadata", token, JSON)
    for study in sorted({file.study for file in stage.files}):
        reply = stage.gateway.ask(f"/dicom-web/studies/{study}/metadata", token, JSON)
        assert (reply.status, reply.told()) == (404, absent.told())
    for level in ("studies", "series", "instances"):
        assert stage.gateway.ask(f"/dicom-web/{level}", token, JSON).json() == []


# --- Each odd identity has its answer --------------------------------------------------------------------------------


def test_nobodys_and_mixed_studies_are_hidden_from_their_own_patients_too(stage: Stage) -> None:
    """Missing, blank and multi-valued PatientIDs, a study of two patients, patients mixed in a series: 404 for all."""
    owners = subjects_by_study(stage.files)
    hidden = {study for study, subjects in owners.items() if len(subjects) > 1 or subjects == {Subject("", "")}}
    assert len(hidden) >= 4
    concerned = {subject for study in hidden for subject in owners[study]} & stage.people.keys()
    assert len(concerned) >= 2 or not stage.mixes_patients, "no patient of a mixed study is enrolled"
    for subject in sorted(concerned, key=str):
        person = stage.people[subject]
        absent = stage.gateway.ask(f"{ABSENT}/metadata", person.client.token, JSON)
        assert absent.status == 404
        urls = {url for file in stage.files if file.study in hidden for url in _every_url(file)[:5]}
        asked = [(f"/dicom-web{target}", person.client.token, accept) for target, accept in sorted(urls)]
        for reply in at_once(asked, lambda one: stage.gateway.ask(*one)):
            assert reply.told() == absent.told()
        rows = stage.gateway.ask("/dicom-web/studies", person.client.token, JSON).json()
        assert {_value(row, "0020000D") for row in rows}.isdisjoint(hidden)


def test_a_patient_sees_her_own_and_no_namesakes(stage: Stage) -> None:
    owners = subjects_by_study(stage.files)
    for subject, person in stage.people.items():
        signed_in = stage.gateway.ask("/dicom-web/studies?includefield=00100021", person.client.token, JSON)
        rows = signed_in.json()
        own = {study for study, subjects in owners.items() if subjects == {subject}}
        assert {_value(row, "0020000D") for row in rows} == own, subject
        assert all(_owner(row) == subject for row in rows)


@pytest.mark.parametrize("patient_id", ["", "   ", "MRN-1\\MRN-2", "MRN-1\x00"])
def test_nobody_can_be_enrolled_under_an_id_that_is_nobodys(stage: Stage, patient_id: str) -> None:
    registrar = stage.gateway.signed_in("registrar")
    with pytest.raises(Exception, match="422 invalid-request"):
        registrar.post("/api/enrolments", {"patient_id": patient_id})
