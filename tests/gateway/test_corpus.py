"""Every sample file, on both archives: served whole to whom its patient let in, and nothing to anyone else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
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
from tests.support.dicom_files import read_quietly
from tests.support.orthanc import running_orthanc

pytestmark = pytest.mark.corpus

STORED = ("Accept", 'multipart/related; type="application/dicom"; transfer-syntax=*')


@dataclass(frozen=True)
class Sample:
    path: Path
    study: str
    series: str
    instance: str
    subject: Subject


@dataclass(frozen=True)
class Filled:
    origin: Origin
    samples: list[Sample]


def read_samples(corpus: Path) -> list[Sample]:
    """Those that name their study, series and instance, the first of each name."""
    found: dict[tuple[str, str, str], Sample] = {}
    for path in sorted(path for path in corpus.rglob("*") if path.is_file() and path.suffix != ".tsv"):
        dataset = read_quietly(path)
        uids = [str(dataset.get(name) or "") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
        if not all(uids) or "DirectoryRecordSequence" in dataset:
            continue
        patient_id, issuer = dataset.get("PatientID", ""), dataset.get("IssuerOfPatientID", "")
        one_id = patient_id.strip() if isinstance(patient_id, str) else ""
        subject = Subject(one_id, str(issuer or "").strip() if one_id else "")
        found.setdefault((uids[0], uids[1], uids[2]), Sample(path, uids[0], uids[1], uids[2], subject))
    return list(found.values())


@pytest.fixture(params=["archive", pytest.param("orthanc", marks=pytest.mark.orthanc)])
async def filled(request: pytest.FixtureRequest, corpus: Path, tmp_path: Path) -> AsyncIterator[Filled]:
    samples = await asyncio.to_thread(read_samples, corpus)
    origin: Any
    if request.param == "archive":
        origin = ArchiveOrigin(corpus, tmp_path / "index.sqlite", Workers(2))
        await origin.reindex()
        yield Filled(origin, samples)
        await origin.aclose()
        return
    with running_orthanc(tmp_path / "orthanc") as server:
        uploaded = await asyncio.to_thread(server.upload, [sample.path for sample in samples])
        taken = {result.path for result in uploaded if result.orthanc_id}
        origin = RemoteOrigin(HttpOrigin(server.dicom_web_url, basic_authorization(server.user, server.password)))
        yield Filled(origin, [sample for sample in samples if sample.path in taken])
        await origin.aclose()


async def test_every_sample_goes_to_whom_its_patient_let_in(make_world: MakeWorld, filled: Filled, rng: Random) -> None:
    world = await make_world(filled.origin)
    owners: dict[str, set[Subject]] = {}
    for sample in filled.samples:
        owners.setdefault(sample.study, set()).add(sample.subject)
    named = sorted({sample.subject for sample in filled.samples if sample.subject.patient_id}, key=str)
    allowed = set(rng.sample(named, len(named) // 2))
    for subject in named:
        patient = await world.enrol(subject)
        if subject in allowed:
            world.grant(patient)
    token = await world.token()
    missing = await world.ask("/studies/1.2.404.404/metadata", token)
    seen: Counter[int] = Counter()
    for sample in filled.samples:
        path = f"/studies/{sample.study}/series/{sample.series}/instances/{sample.instance}"
        permitted = owners[sample.study] <= allowed and len(owners[sample.study]) == 1
        for kind, headers in (("", [STORED]), ("/metadata", []), ("/rendered", [])):
            reply = await world.ask(path + kind, token, *headers)
            seen[reply.status] += 1
            if not permitted:
                assert (reply.status, reply.headers, reply.body) == (404, missing.headers, missing.body), sample
            elif kind != "/rendered":  # not every object has a picture, nor is every picture readable
                assert (reply.status, reply.complete) == (200, True), sample
            elif reply.status == 200:
                assert reply.complete
            else:
                assert reply.status in {404, 406, 502}
    assert seen[200] > 20
    assert seen[404] > 20
    rows = (await world.ask("/studies", token)).json()
    expected = {study for study, subjects in owners.items() if subjects <= allowed and len(subjects) == 1}
    assert {row["0020000D"]["Value"][0] for row in rows} == expected
