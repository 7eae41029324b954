"""Storing: what every origin server does alike, and what each does in trouble."""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydicom import dcmread, dcmwrite

from app.core.dicom.dicomweb import Level, Matching, Representation, Search
from app.core.dicom.storing import FailureReason, InstanceName, Refused, Result, Stored
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid
from app.pacs.archive.files import PARTIAL_PREFIX
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.workers import Workers
from app.pacs.credentials import basic_authorization
from app.pacs.http_client import HttpLimits, HttpOrigin
from app.pacs.origin import (
    Origin,
    OriginInvalidError,
    OriginRefusedError,
    OriginTimeoutError,
    OriginUnavailableError,
)
from app.pacs.remote import RemoteOrigin
from tests.pacs.asking import AS_STORED, fetched, parts_of, retrieval
from tests.pacs.breaking_server import Exchange, breaking_server
from tests.support.dicom_files import OddFile, write_odd_files
from tests.support.orthanc import running_orthanc

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass
class Content:
    """A file in memory, given in pieces; ``error`` is raised where the end should be."""

    data: bytes
    piece_bytes: int = 64 * 1024
    error: Exception | None = None
    given: int = 0

    @property
    def length(self) -> int:
        return len(self.data)

    async def pieces(self) -> AsyncGenerator[bytes]:
        self.given += 1
        for at in range(0, len(self.data), self.piece_bytes):
            await asyncio.sleep(0)
            yield self.data[at : at + self.piece_bytes]
        if self.error is not None:
            raise self.error


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OddFile]:
    return {file.case: file for file in write_odd_files(tmp_path_factory.mktemp("sent"))}


def name_of(file: OddFile) -> InstanceName:
    return InstanceName(
        "1.2.840.10008.5.1.4.1.1.2", StudyUid(file.study), SeriesUid(file.series), InstanceUid(file.instance)
    )


async def stored(origin: Origin, file: OddFile, data: bytes | None = None) -> Result:
    return await origin.store(name_of(file), Content(file.path.read_bytes() if data is None else data))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def empty_archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ArchiveOrigin]:
    folder = tmp_path_factory.mktemp("folder")
    origin = ArchiveOrigin(folder, tmp_path_factory.mktemp("index") / "archive.sqlite", Workers(1))
    await origin.reindex()
    yield origin
    await origin.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def empty_orthanc(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RemoteOrigin]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        origin = RemoteOrigin(HttpOrigin(server.dicom_web_url, basic_authorization(server.user, server.password)))
        yield origin
        await origin.aclose()


@pytest.fixture(params=["archive", pytest.param("orthanc", marks=pytest.mark.orthanc)])
def origin(request: pytest.FixtureRequest) -> Origin:
    """Each adapter in turn, holding what the tests before have stored."""
    found: Origin = request.getfixturevalue(f"empty_{request.param}")
    return found


async def test_what_was_stored_is_there_as_it_was_sent(origin: Origin, odd: dict[str, OddFile]) -> None:
    for case in ("plain", "two-studies-1", "unicode", "percent"):
        file = odd[case]
        assert await stored(origin, file) == Stored(name_of(file))
        assert (await origin.subjects_of(StudyUid(file.study))).subjects == {file.subject}
        status, kind, body = await fetched(
            origin, retrieval(Representation.DICOM, file.study, file.series, file.instance), AS_STORED
        )
        assert status == 200
        assert [content for _, content in parts_of(kind, body)] == [file.path.read_bytes()]
        keys = (Matching(("00080018",), file.instance),)
        rows = await origin.search(Search(Level.INSTANCE, matching=keys))
        assert file.instance in {row["00080018"]["Value"][0] for row in rows}


async def test_a_large_file_is_stored_piece_by_piece(origin: Origin, odd: dict[str, OddFile]) -> None:
    dataset = dcmread(odd["issuer-a"].path)
    dataset.Rows = dataset.Columns = 1500
    dataset.PixelData = bytes(1500 * 1500 * 2)
    buffer = BytesIO()
    dcmwrite(buffer, dataset)
    assert isinstance(await stored(origin, odd["issuer-a"], buffer.getvalue()), Stored)


async def test_what_is_no_dicom_file_is_refused(origin: Origin, odd: dict[str, OddFile]) -> None:
    result = await stored(origin, odd["markup"], b"<html>" + bytes(400))
    assert isinstance(result, Refused)
    assert (await origin.subjects_of(StudyUid(odd["markup"].study))).subjects == frozenset()


async def test_a_file_that_cannot_be_read_back_is_not_stored(origin: Origin, odd: dict[str, OddFile]) -> None:
    file = odd["space"]
    content = Content(file.path.read_bytes(), 1000, OSError("gone"))
    content.data = content.data[:3000]
    assert await origin.store(name_of(file), content) == Refused(name_of(file), FailureReason.OUT_OF_RESOURCES)
    assert (await origin.subjects_of(StudyUid(file.study))).subjects == frozenset()


# The folder


@pytest_asyncio.fixture(loop_scope="session")
async def folder_of(tmp_path: Path) -> AsyncIterator[Callable[[], ArchiveOrigin]]:
    made: list[ArchiveOrigin] = []

    def make() -> ArchiveOrigin:
        made.append(ArchiveOrigin(tmp_path / "folder", tmp_path / "index.sqlite", Workers(1)))
        return made[-1]

    (tmp_path / "folder").mkdir()
    yield make
    for one in made:
        await one.aclose()


def files_in(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


async def test_a_file_of_the_folder_is_ours_alone_and_is_found_again(
    folder_of: Callable[[], ArchiveOrigin], tmp_path: Path, odd: dict[str, OddFile]
) -> None:
    file, archive = odd["plain"], folder_of()
    await archive.reindex()
    assert isinstance(await stored(archive, file), Stored)
    place = f"stored/{file.study}/{file.series}/{file.instance}.dcm"
    assert files_in(tmp_path / "folder") == {place: 0o600}
    report = await archive.reindex()
    assert (report.read, report.instances) == (0, 1)  # the index had it, and just so
    (tmp_path / "index.sqlite").unlink()
    again = folder_of()
    assert (await again.reindex()).instances == 1


async def test_the_folder_takes_no_second_patient_and_replaces_nothing(
    folder_of: Callable[[], ArchiveOrigin], tmp_path: Path, odd: dict[str, OddFile]
) -> None:
    archive = folder_of()
    await archive.reindex()
    assert isinstance(await stored(archive, odd["shared-study-1"]), Stored)
    before = files_in(tmp_path / "folder")
    of_another = name_of(odd["shared-study-2"])
    assert await stored(archive, odd["shared-study-2"]) == Refused(of_another, FailureReason.NOT_AUTHORIZED)
    again = name_of(odd["shared-study-1"])
    assert await stored(archive, odd["shared-study-1"]) == Refused(again, FailureReason.DUPLICATE)
    wrong = await archive.store(name_of(odd["plain"]), Content(odd["comma"].path.read_bytes()))
    assert wrong == Refused(name_of(odd["plain"]), FailureReason.NOT_UNDERSTOOD)
    assert files_in(tmp_path / "folder") == before


@pytest.mark.parametrize("missing", ["mkstemp", "fsync", "rename"])
async def test_a_folder_that_cannot_be_written_is_out_of_resources(
    folder_of: Callable[[], ArchiveOrigin],
    tmp_path: Path,
    odd: dict[str, OddFile],
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
) -> None:
    archive = folder_of()
    await archive.reindex()

    def fails(*_arguments: Any, **_named: Any) -> Any:
        raise OSError(30, "read-only")

    where = {"mkstemp": "tempfile.mkstemp", "fsync": "os.fsync", "rename": "pathlib.Path.rename"}[missing]
    with monkeypatch.context() as broken:
        broken.setattr(where, fails)
        result = await stored(archive, odd["plain"])
    assert result == Refused(name_of(odd["plain"]), FailureReason.OUT_OF_RESOURCES)
    assert files_in(tmp_path / "folder") == {}
    assert isinstance(await stored(archive, odd["plain"]), Stored)


async def test_an_index_that_cannot_be_written_leaves_nothing_in_the_folder(
    folder_of: Callable[[], ArchiveOrigin], tmp_path: Path, odd: dict[str, OddFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = folder_of()  # whose index nobody has made
    with pytest.raises(OriginUnavailableError):
        await stored(archive, odd["plain"])
    assert files_in(tmp_path / "folder") == {}
    await archive.reindex()

    def fails(*_arguments: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("app.pacs.archive.index.store", fails)
    with pytest.raises(OriginUnavailableError):
        await stored(archive, odd["plain"])
    assert files_in(tmp_path / "folder") == {}


async def test_what_a_killed_gateway_left_behind_is_not_of_the_archive(
    folder_of: Callable[[], ArchiveOrigin], tmp_path: Path, odd: dict[str, OddFile]
) -> None:
    old, young = (tmp_path / "folder" / f"{PARTIAL_PREFIX}{name}" for name in ("old", "young"))
    for path in (old, young):
        path.write_bytes(odd["plain"].path.read_bytes())
    os.utime(old, (1, 1))
    assert (await folder_of().reindex()).instances == 0
    assert files_in(tmp_path / "folder").keys() == {young.name}


# A PACS


def _answer(status: bytes, body: object = None, *, raw: bytes | None = None) -> bytes:
    content = json.dumps(body).encode() if raw is None else raw
    return (
        b"HTTP/1.1 %b\r\nContent-Type: application/dicom+json\r\nContent-Length: %d\r\n\r\n"
        % (
            status,
            len(content),
        )
        + content
    )


def _item(instance: str, **more: int) -> dict[str, Any]:
    tags = {"warning": "00081196", "failure": "00081197"}
    numbers = {tags[name]: {"vr": "US", "Value": [value]} for name, value in more.items()}
    link = {"00081190": {"vr": "UR", "Value": ["http://pacs.internal/studies/1"]}}
    return {"00081155": {"vr": "UI", "Value": [instance]}, **link, **numbers}


def _said(tag: str, *items: dict[str, Any]) -> dict[str, Any]:
    return {tag: {"vr": "SQ", "Value": list(items)}}


UID = "1.2.3.4"
NAME = InstanceName("1.2", StudyUid("1.2.3"), SeriesUid("1.2.3.1"), InstanceUid(UID))
STORED, FAILED = "00081199", "00081198"
ANSWERS: dict[str, tuple[bytes, Any]] = {
    "stored": (_answer(b"200 OK", _said(STORED, _item(UID))), Stored(NAME)),
    "stored, in a list": (_answer(b"200 OK", [_said(STORED, _item(UID))]), Stored(NAME)),
    "with a warning": (_answer(b"202 Accepted", _said(STORED, _item(UID, warning=0xB007))), Stored(NAME, 0xB007)),
    "with a warning of its own": (_answer(b"202 Accepted", _said(STORED, _item(UID, warning=77))), Stored(NAME)),
    "not stored": (_answer(b"409 Conflict", _said(FAILED, _item(UID, failure=0x0110))), FailureReason.PROCESSING),
    "full": (_answer(b"409 Conflict", _said(FAILED, _item(UID, failure=0xA7FF))), FailureReason.OUT_OF_RESOURCES),
    "of another class": (_answer(b"409 C", _said(FAILED, _item(UID, failure=0xA912))), FailureReason.OTHER_CLASS),
    "an unknown class": (_answer(b"409 C", _said(FAILED, _item(UID, failure=0x0122))), FailureReason.UNKNOWN_CLASS),
    "an unknown syntax": (_answer(b"409 C", _said(FAILED, _item(UID, failure=0xC122))), FailureReason.UNKNOWN_SYNTAX),
    "not understood": (_answer(b"409 C", _said(FAILED, _item(UID, failure=0xC345))), FailureReason.NOT_UNDERSTOOD),
    "a reason of its own": (_answer(b"200 OK", _said(FAILED, _item(UID, failure=5))), FailureReason.PROCESSING),
    "no reason": (_answer(b"200 OK", _said(FAILED, _item(UID))), FailureReason.PROCESSING),
    "too large": (_answer(b"413 Too Large", raw=b"no"), FailureReason.OUT_OF_RESOURCES),
    "no more room": (_answer(b"400 Bad", raw=b"no"), FailureReason.PROCESSING),
    "about another": (_answer(b"200 OK", _said(STORED, _item("1.2.3.5"))), OriginInvalidError),
    "stored, says a conflict": (_answer(b"409 C", _said(STORED, _item(UID))), OriginInvalidError),
    "nothing said": (_answer(b"200 OK", {}), OriginInvalidError),
    "no body": (_answer(b"200 OK", raw=b""), OriginInvalidError),
    "not JSON": (_answer(b"200 OK", raw=b"<xml/>"), OriginInvalidError),
    "odd JSON": (_answer(b"200 OK", raw=b'{"00081199":{"Value":[7,{"00081155":7},{"00081155":{"Value":7}}]}}'),
                 OriginInvalidError),
    "too long": (_answer(b"200 OK", raw=b" " * 1_100_000), OriginInvalidError),
    "elsewhere": (_answer(b"302 Found", raw=b""), OriginInvalidError),
    "credentials": (_answer(b"401 Unauthorized", raw=b""), OriginRefusedError),
    "broken": (_answer(b"500 Broken", raw=b"no"), OriginUnavailableError),
    "busy": (_answer(b"503 Busy", raw=b"no"), OriginUnavailableError),
    "gone": (b"", OriginUnavailableError),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
async def test_what_a_pacs_says_and_what_it_means(case: str) -> None:
    answer, expected = ANSWERS[case]
    got = bytearray()

    async def script(exchange: Exchange) -> None:
        head = await exchange.request()
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        got.extend(head + await exchange.body(length))
        await exchange.send(answer)

    file = b"DICM" * 50_000
    async with breaking_server(script) as server:
        origin = RemoteOrigin(HttpOrigin(server.url))
        content = Content(file)
        if isinstance(expected, type):
            with pytest.raises(expected):
                await origin.store(NAME, content)
        else:
            result = await origin.store(NAME, content)
            assert result == (Refused(NAME, expected) if isinstance(expected, FailureReason) else expected)
        await origin.aclose()
    head, _, body = bytes(got).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /dicom-web/studies/1.2.3 HTTP/1.1\r\n")
    assert b"\r\nAccept: application/dicom+json\r\n" in head
    boundary = head.split(b"boundary=")[1].split(b"\r\n")[0]
    part_head, _, rest = body.partition(b"\r\n\r\n")
    assert part_head == b"--" + boundary + b"\r\nContent-Type: application/dicom"
    assert rest == file + b"\r\n--" + boundary + b"--\r\n"


async def test_a_pacs_that_answers_before_it_has_heard_all_is_not_sent_the_rest() -> None:
    """Nor is the connection, on which the rest would follow, used again."""

    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await exchange.send(_answer(b"413 Too Large", raw=b"no"))
        await asyncio.sleep(0.3)

    async with breaking_server(script) as server:
        origin = RemoteOrigin(HttpOrigin(server.url))
        content = Content(bytes(50_000_000))
        for number in (1, 2):
            assert await origin.store(NAME, content) == Refused(NAME, FailureReason.OUT_OF_RESOURCES)
            await asyncio.sleep(0.01)
            assert len(server.exchanges) == number
            assert not origin._client._idle
        await origin.aclose()


async def test_a_pacs_that_hears_nothing_more_is_given_up() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.request()
        await asyncio.sleep(30)

    async with breaking_server(script) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), HttpLimits(first_byte_s=0.3, silence_s=0.3))
        with pytest.raises(OriginTimeoutError):
            await origin.store(NAME, Content(bytes(50_000_000)))
        await origin.aclose()


async def test_a_connection_that_was_closed_meanwhile_costs_one_more_try() -> None:
    good = _answer(b"200 OK", _said(STORED, _item(UID)))

    async def script(exchange: Exchange) -> None:
        head = await exchange.request()
        await exchange.body(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        await exchange.send(good)
        if exchange.number == 0:
            await exchange.request()
            exchange.reset()

    async with breaking_server(script) as server:
        origin = RemoteOrigin(HttpOrigin(server.url))
        first, second = Content(b"x" * 1000), Content(b"y" * 1000)
        assert await origin.store(NAME, first) == Stored(NAME)
        assert await origin.store(NAME, second) == Stored(NAME)
        assert (first.given, second.given, len(server.exchanges)) == (1, 2, 2)
        await origin.aclose()
