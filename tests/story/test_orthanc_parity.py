"""Orthanc's public DICOMweb tests, asked of a bare Orthanc, and through the gateway by one whom all patients let in."""

import http.client
import io
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
import pytest_asyncio
from PIL import Image

from app.core.identifiers import Subject
from app.pacs.credentials import basic_authorization
from app.pacs.http_client import HttpOrigin
from app.pacs.remote import RemoteOrigin
from tests.gateway.world import PUBLIC_URL, Reply, World, make_empty_database
from tests.story.orthanc_requests import FILES, REQUESTS, Asked
from tests.support.dicom_files import read_quietly
from tests.support.orthanc import OrthancServer, running_orthanc

pytestmark = [pytest.mark.orthanc, pytest.mark.asyncio(loop_scope="module")]

_FOLDER = Path(pydicom.__file__).parent / "data"
# What a search adds of itself, or the gateway counts or links anew.
_OURS = {"00081190", "00080005", "00080056", "00080054", "00201200", "00201202", "00201204"}


@dataclass(frozen=True, slots=True)
class Named:
    """A file, as a row of the table names it."""

    study: str
    series: str
    instance: str

    @property
    def s(self) -> str:
        return f"/studies/{self.study}"

    @property
    def e(self) -> str:
        return f"{self.s}/series/{self.series}"

    @property
    def i(self) -> str:
        return f"{self.e}/instances/{self.instance}"

    @property
    def uri(self) -> str:
        return f"studyUID={self.study}&seriesUID={self.series}&objectUID={self.instance}"


@dataclass(frozen=True, slots=True)
class Bare:
    status: int
    content_type: str
    body: bytes
    allow: str


@dataclass(frozen=True, slots=True)
class Side:
    """Both doors to the same files."""

    orthanc: OrthancServer
    world: World
    token: str
    names: dict[str, Named]

    def bare(self, asked: Asked, target: str) -> Bare:
        path = target if target.startswith("/wado") else f"/dicom-web{target}"
        credentials = b64encode(f"{self.orthanc.user}:{self.orthanc.password}".encode()).decode()
        with closing(http.client.HTTPConnection(self.orthanc.host, self.orthanc.port, timeout=60)) as connection:
            connection.putrequest(asked.method, path, skip_accept_encoding=True)
            for name, value in (("Authorization", f"Basic {credentials}"), *self._headers(asked)):
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
        return Bare(answer.status, answer.headers["Content-Type"] or "", body, answer.headers["Allow"] or "")

    async def through(self, asked: Asked, target: str) -> Reply:
        return await self.world.ask(target, self.token, *self._headers(asked), method=asked.method)

    @staticmethod
    def _headers(asked: Asked) -> list[tuple[str, str]]:
        return [*asked.headers, *([] if asked.accept is None else [("Accept", asked.accept)])]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancServer]:
    with running_orthanc(tmp_path_factory.mktemp("parity")) as server:
        assert server.request("PUT", "/tools/default-encoding", b"Utf8")[0] == 200  # as the public tests do
        assert all(result.orthanc_id for result in server.upload(_FOLDER / name for name in FILES.values()))
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def side(orthanc: OrthancServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Side]:
    folder = tmp_path_factory.mktemp("gateway")
    world_folder = folder / "world"
    world_folder.mkdir()
    origin = RemoteOrigin(HttpOrigin(orthanc.dicom_web_url, basic_authorization(orthanc.user, orthanc.password)))
    world = World(make_empty_database(folder), world_folder, origin)
    names, subjects = {}, set()
    for name, path in FILES.items():
        dataset = read_quietly(_FOLDER / path)
        names[name] = Named(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)
        subjects.add(Subject(dataset.PatientID.strip(), str(dataset.get("IssuerOfPatientID", "") or "").strip()))
    for subject in sorted(subjects, key=str):
        world.grant(await world.enrol(subject))
    yield Side(orthanc, world, await world.token(), names)
    await origin.aclose()
    world.close()


def _name(asked: Asked) -> str:
    return f"{asked.test}-{asked.method} {asked.target} {asked.accept}"


@pytest.mark.parametrize("asked", REQUESTS, ids=map(_name, REQUESTS))
async def test_whatever_passes_on_the_bare_orthanc_passes_here(side: Side, asked: Asked) -> None:
    target = asked.target.format(**side.names)
    bare, reply = side.bare(asked, target), await side.through(asked, target)
    if asked.here is not None:
        assert asked.why
        assert reply.status == asked.here, (bare.status, reply)
    elif bare.status < 300:
        assert reply.status == 200, (bare, reply.problem)
        assert reply.complete
        _same(side, bare, reply)
    else:
        assert 400 <= reply.status < 500, (bare, reply.status)
        if bare.status == 405:
            assert {*bare.allow.replace(" ", "").split(",")} <= {*(reply.header("allow") or "").split(", ")}


def _same(side: Side, bare: Bare, reply: Reply) -> None:
    kind = bare.content_type.partition(";")[0].strip()
    said = reply.header("content-type") or ""
    if kind in ("application/dicom+json", "application/json"):
        assert said.startswith(("application/dicom+json", "application/json"))
        _same_datasets(json.loads(bare.body), reply.json())
    elif kind.startswith("image/"):
        theirs, ours = Image.open(io.BytesIO(bare.body)), Image.open(io.BytesIO(reply.body))
        assert (ours.format, ours.size, ours.mode) == (theirs.format, theirs.size, theirs.mode)
    elif kind == "multipart/related" and said.startswith("multipart/related"):
        theirs_parts, ours_parts = _parts(bare.content_type, bare.body), _parts(said, reply.body)
        if "dicom+xml" in said:
            assert len(ours_parts) == len(theirs_parts)
            assert all(b"<NativeDicomModel" in part for part in ours_parts), ours_parts[0][:200]
        else:
            assert ours_parts == theirs_parts
    else:
        assert reply.body == bare.body
    assert side.orthanc.dicom_web_url.encode() not in reply.body
    assert f"{side.orthanc.port}".encode() not in b"".join(value for _, value in reply.headers)


def _same_datasets(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    """The same data sets, whatever their order; ours has every attribute that theirs has and the standard asks for."""

    def key(dataset: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(dataset.get(tag, {}).get("Value", "")) for tag in ("0020000D", "0020000E", "00080018"))

    assert len(ours) == len(theirs)
    if len(ours) == 1 and key(ours[0]) != key(theirs[0]):
        return  # a page of one: each has an order of its own
    for there, here in zip(sorted(theirs, key=key), sorted(ours, key=key), strict=True):
        assert key(here) == key(there)
        for tag, element in there.items():
            if tag in here and tag not in _OURS and "BulkDataURI" not in element and element.get("vr") != "SQ":
                assert here[tag] == element, tag
            if "BulkDataURI" in element:
                assert here[tag]["BulkDataURI"].startswith(PUBLIC_URL)


def _parts(content_type: str, body: bytes) -> list[bytes]:
    found = re.search(r'boundary="?([^";]+)', content_type)
    assert found is not None
    pieces = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())[1:-1]
    return [piece.partition(b"\r\n\r\n")[2] for piece in pieces]


async def test_the_table_has_every_kind_of_difference_only_with_its_reason() -> None:
    assert len(REQUESTS) > 100
    assert all(asked.why for asked in REQUESTS if asked.here is not None)
    assert sum(asked.here is not None for asked in REQUESTS) < len(REQUESTS) / 8
