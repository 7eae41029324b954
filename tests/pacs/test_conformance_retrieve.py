"""What the gateway makes of what an archive gives, the same over each: the embedded archive and a real PACS."""

import gzip
import io
import json
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydicom.encaps import generate_frames

from tests.gateway.world import PUBLIC_URL, Reply, World, make_empty_database
from tests.pacs.conftest import Served
from tests.support.dicom_files import read_quietly
from tests.support.differential import Held

pytestmark = pytest.mark.asyncio(loop_scope="session")

_KINDS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF", "image/jp2": "JPEG2000"}
_DICOM = ("Accept", "application/dicom; transfer-syntax=*")


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_empty_database(tmp_path_factory.mktemp("empty"))


@dataclass
class Gateway:
    world: World
    served: Served
    token: str

    async def ask(self, path: str, *headers: tuple[str, str], method: str = "GET") -> Reply:
        """An answer in which nothing of the archive shows."""
        reply = await self.world.ask(path, self.token, *headers, method=method)
        head = b"\n".join(name + b": " + value for name, value in reply.headers)
        for trace in (b"127.0.0.1", b"localhost", b"Orthanc/", b"server:"):
            assert trace not in head
        if not reply.body.startswith(b"\x1f\x8b"):
            assert b"127.0.0.1:" not in reply.body
        return reply

    async def admits(self, file: Held) -> str:
        """The path of the file's instance, which may be had from now on."""
        if self.world.patients.by_subject(file.subject) is None:
            self.world.grant(await self.world.enrol(file.subject))
        return path_of(file)


def path_of(file: Held) -> str:
    return f"/studies/{file.study}/series/{file.series}/instances/{file.instance}"


@pytest.fixture
def gateway(served: Served, empty_database: Path, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    worlds: list[World] = []

    async def make() -> Gateway:
        world = World(empty_database, tmp_path, served.origin)
        worlds.append(world)
        return Gateway(world, served, await world.token())

    yield make
    for world in worlds:
        world.close()


def parts_of(reply: Reply) -> list[tuple[dict[str, str], bytes]]:
    content_type = reply.header("content-type") or ""
    found = re.fullmatch(r'multipart/related; type="[^"]+"; boundary=(\S+)', content_type)
    assert found is not None, content_type
    first, *parts, last = (b"\r\n" + reply.body).split(b"\r\n--" + found[1].encode())
    assert (first, last) == (b"", b"--\r\n")
    read = []
    for part in parts:
        head, _, content = part.partition(b"\r\n\r\n")
        lines = (line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
        read.append(({name.lower(): value for name, value in lines}, content))
    return read


def _alone(served: Served) -> list[Held]:
    """Those of studies of one patient, each with its own instance UID there."""
    owners = defaultdict(set)
    copies: Counter[tuple[str, str, str]] = Counter()
    for file in served.collection.files:
        owners[file.study].add(file.subject)
        copies[file.study, file.series, file.instance] += 1
    return [
        file
        for file in served.collection.served
        if len(owners[file.study]) == 1
        and file.subject.patient_id
        and copies[file.study, file.series, file.instance] == 1
    ]


def _plain(served: Served) -> list[Held]:
    """Grey images of one frame in explicit little-endian: what everything here can show."""
    found = []
    for file in _alone(served):
        dataset = read_quietly(file.path)
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        if syntax == "1.2.840.10008.1.2.1" and dataset.get("BitsAllocated") == 16 and "PixelData" in dataset:
            found.append(file)
    return [file for file in found if read_quietly(file.path).get("NumberOfFrames", 1) == 1]


def _many_frames(served: Served) -> tuple[Held, list[bytes]]:
    """A file of several frames, and each of them as it is stored."""
    for file in _alone(served):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = read_quietly(file.path)
            count = dataset.get("NumberOfFrames")
            if not isinstance(count, int) or not 2 <= count <= 64 or "PixelData" not in dataset:
                continue
            if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
                return file, list(generate_frames(dataset.PixelData, number_of_frames=count))
            size = len(dataset.PixelData) // count
            if dataset.BitsAllocated >= 8 and dataset.file_meta.TransferSyntaxUID.is_little_endian:
                return file, [dataset.PixelData[at * size : (at + 1) * size] for at in range(count)]
    raise AssertionError("no file of several frames")


async def test_a_thumbnail_at_every_level_fits_the_size_asked_for(gateway: Any, served: Served) -> None:
    asking = await gateway()
    for file in _plain(served)[:4]:
        path = await asking.admits(file)
        study, series = f"/studies/{file.study}", f"/studies/{file.study}/series/{file.series}"
        for resource in (study, series, path, f"{path}/frames/1"):
            for query, limit in (("", (128, 128)), ("?viewport=40,30", (40, 30))):
                reply = await asking.ask(f"{resource}/thumbnail{query}")
                assert (reply.status, reply.header("content-type")) == (200, "image/jpeg"), resource
                size = Image.open(io.BytesIO(reply.body)).size
                assert size[0] <= limit[0], resource
                assert size[1] <= limit[1], resource
                dataset = read_quietly(file.path)
                # To make a small picture larger is left to the archive
                fills = max(size[0] / limit[0], size[1] / limit[1]) > 0.9
                assert fills or size == (dataset.Columns, dataset.Rows)


async def test_the_same_instance_stands_for_a_series_everywhere(gateway: Any, served: Served) -> None:
    """The middle one in the order of UIDs, of those with pixels: the tests work it out from the files."""
    asking = await gateway()
    alone = _alone(served)
    by_study = defaultdict(list)
    for file in alone:
        if read_quietly(file.path).get("Rows"):
            by_study[file.study].append(file)
    plain = {file.study for file in _plain(served)}
    chosen = sorted((study for study in by_study if study in plain), key=lambda study: -len(by_study[study]))[:4]
    for study in chosen:
        files = sorted(by_study[study], key=lambda file: (file.series, file.instance))
        middle = files[len(files) // 2]
        path = await asking.admits(middle)
        of_study = await asking.ask(f"/studies/{study}/rendered", ("Accept", "image/png"))
        of_instance = await asking.ask(f"{path}/rendered", ("Accept", "image/png"))
        assert (of_study.status, of_study.body) == (of_instance.status, of_instance.body)


async def test_all_the_pictures_of_a_study_come_in_one_envelope(gateway: Any, served: Served) -> None:
    asking = await gateway()
    files = _plain(served)
    by_study = defaultdict(list)
    for file in files:
        by_study[file.study].append(file)
    study, shown = max(by_study.items(), key=lambda item: len(item[1]))
    await asking.admits(shown[0])
    reply = await asking.ask(f"/studies/{study}/rendered", ("Accept", "multipart/related; type=image/png"))
    assert (reply.status, reply.complete) == (200, True)
    pictures = {head["content-location"]: content for head, content in parts_of(reply)}
    assert {f"{PUBLIC_URL}{path_of(file)}/rendered" for file in shown} <= set(pictures)
    for content in pictures.values():
        assert Image.open(io.BytesIO(content)).format == "PNG"


@pytest.mark.parametrize("media_type", sorted(_KINDS))
async def test_a_picture_is_what_it_says_or_not_acceptable(gateway: Any, served: Served, media_type: str) -> None:
    asking = await gateway()
    path = await asking.admits(_plain(served)[0])
    reply = await asking.ask(f"{path}/rendered", ("Accept", media_type))
    if reply.status == 406 and served.name != "archive" and media_type in ("image/gif", "image/jp2"):
        return
    assert (reply.status, reply.header("content-type")) == (200, media_type)
    assert Image.open(io.BytesIO(reply.body)).format == _KINDS[media_type]
    reply = await asking.ask(f"{path}/rendered", ("Accept", "image/gif;q=0.9, image/png;q=0.1"))
    assert reply.status == 200


async def test_what_has_no_pixels_has_no_picture(gateway: Any, served: Served) -> None:
    asking = await gateway()
    without = [file for file in _alone(served) if not read_quietly(file.path).get("Rows")]
    for file in without[:3]:
        path = await asking.admits(file)
        for kind in ("/rendered", "/thumbnail"):
            assert (await asking.ask(path + kind)).status in (406, 404)
        assert (await asking.ask(f"{path}/pixeldata")).status == 404
    assert without


async def test_frames_come_in_any_order(gateway: Any, served: Served) -> None:
    asking = await gateway()
    file, frames = _many_frames(served)
    path, count = await asking.admits(file), len(frames)
    if served.name == "dcm4chee":  # the simulated one decodes whatever it is asked for
        frames = [parts_of(await asking.ask(f"{path}/frames/{number}"))[0][1] for number in range(1, count + 1)]
        assert len(set(frames)) > 1
    for order in ([1], [2], [count, 1], [2, 1], list(range(count, 0, -1))):
        reply = await asking.ask(f"{path}/frames/{','.join(map(str, order))}")
        assert [head["content-location"] for head, _ in parts_of(reply)] == [
            f"{PUBLIC_URL}{path}/frames/{number}" for number in order
        ]
        assert [content for _, content in parts_of(reply)] == [frames[number - 1] for number in order]
    bare = await asking.ask(f"{path}/frames/2", ("Accept", "application/octet-stream; transfer-syntax=*"))
    assert (bare.status, bare.body) == (200, frames[1])
    for past in (f"{count + 1}", f"1,{count + 1}"):
        assert (await asking.ask(f"{path}/frames/{past}")).status == 404


async def test_pixel_data_is_every_frame(gateway: Any, served: Served) -> None:
    asking = await gateway()
    file, frames = _many_frames(served)
    path = await asking.admits(file)
    expected = [(f"{PUBLIC_URL}{path}/frames/{number}", frame) for number, frame in enumerate(frames, 1)]
    for resource in (path, f"/studies/{file.study}/series/{file.series}", f"/studies/{file.study}"):
        reply = await asking.ask(f"{resource}/pixeldata")
        assert (reply.status, reply.complete) == (200, True)
        parts = [(head["content-location"], content) for head, content in parts_of(reply)]
        own = [part for part in parts if part[0].startswith(f"{PUBLIC_URL}{path}/")]
        assert [location for location, _ in own] == [location for location, _ in expected]
        assert own == expected or served.name == "dcm4chee"


async def test_bulk_data_are_what_the_metadata_left_out(gateway: Any, served: Served) -> None:
    asking = await gateway()
    for file in _plain(served)[:3]:
        path = await asking.admits(file)
        metadata = (await asking.ask(f"{path}/metadata")).body.decode()
        named = re.findall(r'"BulkDataURI":"([^"]+)"', metadata)
        assert named
        assert all(link.startswith(f"{PUBLIC_URL}{path}/bulk") for link in named)
        reply = await asking.ask(f"{path}/bulkdata")
        values = {head["content-location"]: content for head, content in parts_of(reply)}
        assert set(values) == set(named)
        for link in named:
            (one,) = parts_of(await asking.ask(link.removeprefix(PUBLIC_URL)))
            assert one[1] == values[link]
        assert values[f"{PUBLIC_URL}{path}/bulk/7fe00010"] == read_quietly(file.path).PixelData


async def test_links_at_every_level_are_ours_alone(gateway: Any, served: Served) -> None:
    asking = await gateway()
    for file in _alone(served)[:25]:
        await asking.admits(file)
        for path in (f"/studies/{file.study}/metadata", f"/studies/{file.study}/series"):
            reply = await asking.ask(path)
            assert reply.status == 200, path
            links = re.findall(rb'"(?:BulkDataURI":"|00081190":\{"vr":"UR","Value":\[")([^"]*)', reply.body)
            assert all(link.startswith(PUBLIC_URL.encode() + b"/studies/") for link in links)


async def test_a_bare_file_can_be_had_in_ranges(gateway: Any, served: Served) -> None:
    asking = await gateway()
    for file in _plain(served)[:3]:
        path, stored = await asking.admits(file), file.path.read_bytes()
        reply = await asking.ask(path, _DICOM)
        assert (reply.status, reply.body) == (200, stored)
        if served.name == "dcm4chee":  # its parts do not say how long they are
            assert reply.header("accept-ranges") == "none"
            continue
        assert reply.header("accept-ranges") == "bytes"
        part = await asking.ask(path, _DICOM, ("Range", "bytes=100-199"))
        assert (part.status, part.body) == (206, stored[100:200])
        assert part.header("content-range") == f"bytes 100-199/{len(stored)}"
        tag = reply.header("etag")
        assert (tag is not None) == (served.name == "archive")
        if tag is not None:
            rest = await asking.ask(path, _DICOM, ("Range", "bytes=200-"), ("If-Range", tag))
            assert (rest.status, rest.body) == (206, stored[200:])
        head = await asking.ask(path, _DICOM, method="HEAD")
        assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(stored)))


async def test_metadata_come_compressed(gateway: Any, served: Served) -> None:
    asking = await gateway()
    file = _plain(served)[0]
    path = await asking.admits(file)
    plain = await asking.ask(f"{path}/metadata")
    coded = await asking.ask(f"{path}/metadata", ("Accept-Encoding", "gzip"))
    assert coded.header("content-encoding") == "gzip"
    assert json.loads(gzip.decompress(coded.body)) == json.loads(plain.body)
