"""The embedded archive alone: what a folder can do to it, and what it must never do."""

import io
import os
import shutil
import sqlite3
import stat
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import pytest_asyncio
from PIL import Image
from pydicom.data import get_testdata_file

from app.core.dicom.dicomweb import Level, Representation, Search
from app.core.identifiers import StudyUid, Subject
from app.pacs.archive import reading
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.archive.pixels import _cut
from app.pacs.archive.reading import NotRead, ReadInstance, read_instance
from app.pacs.archive.rendering import FORMATS
from app.pacs.archive.streams import CHUNK_BYTES
from app.pacs.archive.workers import Workers
from app.pacs.origin import OriginInvalidError, OriginUnavailableError
from tests.pacs.asking import AS_STORED, BULK, FRAMES_AS_STORED, FRAMES_DECODED, body_of, fetched, parts_of, retrieval
from tests.support.dicom_files import OddFile, write_odd_files

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def workers() -> AsyncIterator[Workers]:
    pool = Workers(1)
    yield pool
    await pool.aclose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    return made


@pytest.fixture
def archive(folder: Path, tmp_path: Path, workers: Workers) -> ArchiveOrigin:
    return ArchiveOrigin(folder, tmp_path / "state" / "archive.sqlite", workers)


def _sample(name: str = "CT_small.dcm") -> bytes:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    return Path(path).read_bytes()


def _implicit_file(dataset: bytes, syntax: bytes = b"1.2.840.10008.1.2\x00") -> bytes:
    """A file whose data set is these bytes."""
    meta = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(syntax)) + syntax
    length = b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(meta))
    return bytes(128) + b"DICM" + length + meta + dataset


def _element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


_UIDS = _element(0x00080018, b"1.3\x00") + _element(0x0020000D, b"1.1\x00") + _element(0x0020000E, b"1.2\x00")


def _nested(depth: int) -> bytes:
    begin = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    end = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return begin * depth + end * depth


async def test_a_bad_file_never_stops_the_index(archive, folder, tmp_path):
    good = _sample()
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "good").write_bytes(good)
    (folder / "empty").write_bytes(b"")
    (folder / "text.txt").write_text("not DICOM")
    (folder / "prefix-only").write_bytes(bytes(128) + b"DICM")
    (folder / "no-uids").write_bytes(_implicit_file(_element(0x00100020, b"SECRET")))
    (folder / "deep").write_bytes(_implicit_file(_nested(400) + _UIDS))
    (folder / "past-the-end").write_bytes(_implicit_file(struct.pack("<HHI", 0x0010, 0x0020, 0xFFFFFFF0) + b"SECRET"))
    (folder / "noise").write_bytes(bytes(128) + b"DICM" + bytes(range(256)) * 8)
    for number, cut in enumerate(range(133, 900, 37)):
        (folder / f"cut-{number:02}").write_bytes(good[:cut])
    outside = tmp_path / "outside"
    outside.write_bytes(good)
    (folder / "link").symlink_to(outside)
    (folder / os.fsdecode(b"name-\xff\xfe")).write_bytes(good)

    steps: list[tuple[int, int]] = []
    report = await archive.reindex(lambda done, todo: steps.append((done, todo)))

    assert steps[-1] == (report.read, report.read)
    refused = await archive.refused()
    assert report.refused == len(refused)
    assert {"no-uids", "deep", "past-the-end", "prefix-only"} <= {one.path for one in refused}
    assert not any("SECRET" in one.reason for one in refused)
    rows = await archive.search(Search(Level.INSTANCE))
    assert len(rows) == 1
    assert report.instances >= 2  # the good one, and its twin with a name that is no text


async def test_the_depth_of_nesting_is_bounded(tmp_path):
    for depth, kind in ((40, ReadInstance), (65, NotRead), (1000, NotRead)):
        path = tmp_path / str(depth)
        path.write_bytes(_implicit_file(_nested(depth) + _UIDS))
        assert isinstance(read_instance(path), kind), depth


async def test_a_deflate_bomb_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "READ_LIMIT_BYTES", 1024 * 1024)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    value = b"\x09\x00\x01\x10OB\x00\x00" + struct.pack("<I", 8 * 1024 * 1024) + bytes(8 * 1024 * 1024)
    path = tmp_path / "bomb"
    path.write_bytes(_implicit_file(deflater.compress(value) + deflater.flush(), b"1.2.840.10008.1.2.1.99"))
    assert path.stat().st_size < 20_000
    assert read_instance(path) == NotRead("the file would take too much memory", dicom=True)


async def test_a_huge_value_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "READ_LIMIT_BYTES", 1024 * 1024)
    path = tmp_path / "huge"
    path.write_bytes(_implicit_file(_UIDS + _element(0x00420011, bytes(2 * 1024 * 1024))))
    assert read_instance(path) == NotRead("the file would take too much memory", dicom=True)


async def test_only_what_is_new_or_changed_is_read(archive, folder):
    write_odd_files(folder)
    first = await archive.reindex()
    assert (first.read, first.refused) == (first.instances, 0)
    assert (await archive.reindex()).read == 0
    changed, gone = sorted(folder.iterdir())[:2]
    os.utime(changed, ns=(1, 1))
    gone.unlink()
    again = await archive.reindex()
    assert (again.read, again.instances) == (1, first.instances - 1)


async def test_an_index_that_was_cut_short_goes_on(archive, folder):
    for number in range(70):
        (folder / f"{number:03}").write_bytes(_sample("MR_small.dcm"))

    class StoppedError(Exception):
        pass

    def stop(done: int, todo: int) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        await archive.reindex(stop)
    assert (await archive.reindex()).read == 70 - 64


async def test_an_index_of_another_version_is_made_anew(archive, folder, tmp_path):
    write_odd_files(folder)
    report = await archive.reindex()
    path = tmp_path / "state" / "archive.sqlite"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    assert (await archive.reindex()).read == report.instances


async def test_a_folder_that_is_not_there_is_unavailable(tmp_path, workers):
    archive = ArchiveOrigin(tmp_path / "nowhere", tmp_path / "state.sqlite", workers)
    with pytest.raises(OriginUnavailableError):
        await archive.check()
    await archive.reindex()
    with pytest.raises(OriginUnavailableError):
        await archive.check()


async def _first(archive: ArchiveOrigin, folder: Path, data: bytes) -> tuple[str, str, str]:
    (folder / "only.dcm").write_bytes(data)
    await archive.reindex()
    (row,) = await archive.search(Search(Level.INSTANCE))
    study, series, instance = (row[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    return study, series, instance


@pytest.mark.parametrize(
    ("representation", "accept", "more"),
    [
        (Representation.DICOM, AS_STORED, {}),
        (Representation.FRAMES, FRAMES_AS_STORED, {"frames": (1,)}),
        (Representation.FRAMES, 'multipart/related; type="image/jp2"; transfer-syntax=*', {"frames": (1,)}),
        (Representation.RENDERED, "image/png", {}),
        (Representation.BULKDATA, BULK, {"bulk_path": ("7fe00010",)}),
    ],
)
async def test_a_file_that_changed_is_not_served(archive, folder, representation, accept, more):
    """The decision was about the file that was indexed; this one could be another patient's."""
    chain = await _first(archive, folder, _sample())
    target = retrieval(representation, *chain, **more)
    assert (await fetched(archive, target, accept))[0] == 200
    (folder / "only.dcm").write_bytes(_sample("MR_small.dcm"))
    with pytest.raises((OriginInvalidError, OriginUnavailableError)):
        await fetched(archive, target, accept)
    (folder / "only.dcm").unlink()
    with pytest.raises((OriginInvalidError, OriginUnavailableError)):
        await fetched(archive, target, accept)


async def test_of_two_files_with_the_same_uids_the_first_is_served_and_both_count(archive, folder):
    for name, patient_id in (("1", "FIRST"), ("2", "SECOND")):
        dataset = pydicom.dcmread(io.BytesIO(_sample()))
        dataset.PatientID = patient_id
        dataset.save_as(folder / name)
    await archive.reindex()
    (row,) = await archive.search(Search(Level.INSTANCE))
    study = StudyUid(row["0020000D"]["Value"][0])
    _, _, body = await fetched(archive, retrieval(Representation.DICOM, study), AS_STORED)
    assert b"FIRST" in body
    assert b"SECOND" not in body
    subjects = (await archive.subjects_of(study)).subjects
    assert subjects == {Subject("FIRST", ""), Subject("SECOND", "")}


async def test_the_rows_of_a_study_of_several_patients_are_listed_one_by_one(archive, folder):
    """They stand at one place in the order of searches, and no piece of a listing that ends between them loses one."""
    named = ["FIRST", "SECOND", None, ["A", "B"]]
    for number, patient_id in enumerate(named):
        dataset = pydicom.dcmread(io.BytesIO(_sample()))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"1.2.3.{number}")
        dataset.PatientID = patient_id
        dataset.save_as(folder / str(number))
    await archive.reindex()
    listed = (await archive.in_order(Search(Level.STUDY), None, None, 10)).listed
    assert len({one.rank for one in listed}) == 1
    assert sorted(one.subject.patient_id for one in listed) == ["", "", "FIRST", "SECOND"]
    assert not any(one.sole for one in listed)
    found, after = [], None
    while (names := await archive.names_in_order(Search(Level.STUDY), after, 1)) is not None:
        found += names.listed
        after = names.after
    assert found == [(one.study, one.subject, one.sole) for one in listed]


async def test_a_canary_is_in_its_own_instance_only(archive, folder):
    files = write_odd_files(folder)
    await archive.reindex()

    async def everything(file: OddFile) -> bytes:
        chain = (file.study, file.series, file.instance)
        bodies = []
        for representation, accept, frames in (
            (Representation.DICOM, AS_STORED, ()),
            (Representation.METADATA, "application/dicom+json", ()),
            (Representation.FRAMES, FRAMES_AS_STORED, (1,)),
        ):
            status, _, body = await fetched(archive, retrieval(representation, *chain, frames=frames), accept)
            assert status == 200
            bodies.append(body)
        assert all(file.canary in body for body in bodies)
        return b"".join(bodies)

    for file in files:
        received = await everything(file)
        assert not [other.case for other in files if other is not file and other.canary in received]


async def test_a_large_file_is_read_in_pieces(archive, folder):
    size = 5 * 1024 * 1024
    dataset = pydicom.dcmread(io.BytesIO(_sample()))
    dataset.Rows, dataset.Columns = 1024, size // 2048
    dataset.PixelData = bytes(size)
    output = io.BytesIO()
    dataset.save_as(output)
    chain = await _first(archive, folder, output.getvalue())
    answer = await archive.retrieve(retrieval(Representation.DICOM, *chain), AS_STORED)
    sizes = []
    while data := await answer.body.read():
        sizes.append(len(data))
    assert max(sizes) <= CHUNK_BYTES
    assert sum(sizes) == answer.content_length
    await answer.body.aclose()


def _open_files() -> int:
    """How many descriptors are open, 0 where the system does not say."""
    descriptors = Path("/proc/self/fd")
    return len(list(descriptors.iterdir())) if descriptors.exists() else 0


async def test_a_body_let_go_early_closes_its_file(archive, folder):
    chain = await _first(archive, folder, _sample())
    before = _open_files()
    for _ in range(20):
        answer = await archive.retrieve(retrieval(Representation.DICOM, *chain), AS_STORED)
        await answer.body.read()
        await answer.body.read()
        await answer.body.aclose()
        await answer.body.aclose()
        assert await answer.body.read() == b""
    assert _open_files() <= before + 2


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("MR_small_RLE.dcm", "image/dicom-rle"),
        ("MR_small_jpeg_ls_lossless.dcm", "image/jls"),
        ("MR_small_jp2klossless.dcm", "image/jp2"),
        ("MR_small_bigendian.dcm", "application/octet-stream"),
        ("MR_small_implicit.dcm", "application/octet-stream"),
    ],
)
async def test_every_encoding_of_one_image_decodes_to_the_same_pixels(archive, folder, name, media_type):
    plain = pydicom.dcmread(io.BytesIO(_sample("MR_small.dcm"))).PixelData
    chain = await _first(archive, folder, _sample(name))
    target = retrieval(Representation.FRAMES, *chain, frames=(1,))
    _, content_type, body = await fetched(archive, target, FRAMES_AS_STORED)
    assert parts_of(content_type, body)[0][0].startswith(media_type)
    _, content_type, body = await fetched(archive, target, FRAMES_DECODED)
    assert parts_of(content_type, body)[0][1] == plain


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
    ],
)
async def test_without_a_transfer_syntax_an_instance_comes_in_explicit_little_endian(archive, folder, name):
    plain = pydicom.dcmread(io.BytesIO(_sample("MR_small.dcm")))
    chain = await _first(archive, folder, _sample(name))
    target = retrieval(Representation.DICOM, *chain)
    _, content_type, body = await fetched(archive, target, 'multipart/related; type="application/dicom"')
    ((label, data),) = parts_of(content_type, body)
    found = pydicom.dcmread(io.BytesIO(data))
    assert (label, found.file_meta.TransferSyntaxUID) == ("application/dicom", "1.2.840.10008.1.2.1")
    assert (found.SOPInstanceUID, found.PixelData) == (chain[2], plain.PixelData)
    assert found.file_meta.MediaStorageSOPInstanceUID == chain[2]


async def test_what_nothing_here_decodes_comes_as_it_is_stored_and_says_so(archive, folder):
    data = _sample("SC_rgb_jpeg_gdcm.dcm")  # lossless JPEG
    chain = await _first(archive, folder, data)
    target = retrieval(Representation.DICOM, *chain)
    _, content_type, body = await fetched(archive, target, 'multipart/related; type="application/dicom"')
    assert parts_of(content_type, body) == [("application/dicom; transfer-syntax=1.2.840.10008.1.2.4.70", data)]


async def test_what_cannot_be_had_in_the_form_asked_for_is_not_acceptable(archive, folder):
    chain = await _first(archive, folder, _sample())
    for representation, accept, more in (
        (Representation.DICOM, 'multipart/related; type="image/png"', {}),
        (Representation.DICOM, 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.5', {}),
        (Representation.METADATA, 'multipart/related; type="application/dicom+xml"', {}),
        (Representation.METADATA, "text/html", {}),
        (Representation.FRAMES, 'multipart/related; type="image/jp2"', {"frames": (1,)}),
        (Representation.RENDERED, "video/mp4", {}),
        (Representation.RENDERED_FRAMES, "image/png", {"frames": (1, 1)}),
        (Representation.BULKDATA, "image/png", {"bulk_path": ("7fe00010",)}),
    ):
        assert (await fetched(archive, retrieval(representation, *chain, **more), accept))[0] == 406, accept


async def test_text_is_not_served_as_bulk_data(archive, folder):
    """Any tag has a path; only what the metadata left out has bulk data."""
    chain = await _first(archive, folder, _sample())
    target = retrieval(Representation.BULKDATA, *chain, bulk_path=("00100010",))
    assert (await fetched(archive, target, BULK))[0] == 404


async def test_a_window_maps_values_as_the_standard_says(archive, folder):
    """PS3.3 §C.11.2.1.2.1, on a ramp of stored values that are Hounsfield units minus the intercept."""
    dataset = pydicom.dcmread(io.BytesIO(_sample()))
    dataset.Rows, dataset.Columns, dataset.PixelRepresentation = 1, 256, 1
    dataset.RescaleIntercept, dataset.RescaleSlope = -100, 1
    ramp = np.arange(256, dtype="<i2")
    dataset.PixelData = ramp.tobytes()
    output = io.BytesIO()
    dataset.save_as(output)
    chain = await _first(archive, folder, output.getvalue())
    target = retrieval(Representation.RENDERED, *chain, query=(("window", "50,101,linear"),))
    _, _, body = await fetched(archive, target, "image/png")
    shown = np.asarray(Image.open(io.BytesIO(body)))[0]
    values = ramp.astype(float) - 100
    expected = np.clip((values - 49.5) / 100 + 0.5, 0, 1) * 255
    assert np.abs(shown - expected).max() <= 0.5


async def test_a_viewport_cuts_and_scales(archive, folder):
    chain = await _first(archive, folder, _sample())
    for viewport, size in (("64,64", (64, 64)), ("64,32", (32, 32)), ("50,50,0,0,100,50", (50, 25))):
        target = retrieval(Representation.RENDERED, *chain, query=(("viewport", viewport),))
        status, _, body = await fetched(archive, target, "image/jpeg")
        assert (status, Image.open(io.BytesIO(body)).size) == (200, size)


@pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm"])
async def test_a_picture_in_each_format(archive, folder, name):
    target = retrieval(Representation.RENDERED, *await _first(archive, folder, _sample(name)))
    for media_type, kind in FORMATS.items():
        status, content_type, body = await fetched(archive, target, media_type)
        assert (status, content_type, Image.open(io.BytesIO(body)).format) == (200, media_type, kind)


async def test_a_thumbnail_and_what_is_put_together_are_not_asked_of_an_archive(archive, folder):
    chain = await _first(archive, folder, _sample())
    for representation in (Representation.THUMBNAIL, Representation.PIXELDATA, Representation.ALL_BULKDATA):
        with pytest.raises(ValueError, match="not asked"):
            await archive.retrieve(retrieval(representation, *chain), "image/png")


async def test_the_validator_changes_with_the_file_and_with_what_is_made_of_it(archive, folder):
    chain = await _first(archive, folder, _sample())

    async def validators() -> list[str | None]:
        found = []
        for representation, accept, more in (
            (Representation.DICOM, AS_STORED, {}),
            (Representation.FRAMES, FRAMES_AS_STORED, {"frames": (1,)}),
            (Representation.BULKDATA, BULK, {"bulk_path": ("7fe00010",)}),
        ):
            answer = await archive.retrieve(retrieval(representation, *chain, **more), accept)
            await answer.body.aclose()
            found.append(answer.validator)
        return found

    before = await validators()
    assert before == await validators()
    assert len({*before, None}) == 4
    file = folder / "only.dcm"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
    await archive.reindex()
    assert not set(before) & set(await validators())


async def test_a_worker_that_dies_takes_nothing_with_it():
    pool = Workers(1)
    with pytest.raises(OriginInvalidError):
        await pool.run(os._exit, 3)
    assert await pool.run(len, b"four") == 4
    await pool.aclose()


async def test_single_bit_frames_begin_on_a_byte():
    bits = np.array([1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 1, 1], dtype=np.uint8)
    packed = np.packbits(bits, bitorder="little").tobytes()
    for frame in range(3):
        cut = np.unpackbits(np.frombuffer(_cut(packed, frame * 5, 5), np.uint8), bitorder="little")
        assert list(cut[:5]) == list(bits[frame * 5 : frame * 5 + 5])
        assert not cut[5:].any()
    with pytest.raises(ValueError, match="shorter"):
        _cut(packed, 12, 5)


async def test_a_copy_of_the_folder_gives_the_same_answers(archive, folder, tmp_path, workers):
    write_odd_files(folder)
    await archive.reindex()
    shutil.copytree(folder, tmp_path / "copy")
    twin = ArchiveOrigin(tmp_path / "copy", tmp_path / "twin.sqlite", workers)
    await twin.reindex()
    for level in Level:
        assert await archive.search(Search(level)) == await twin.search(Search(level))
    answer = await twin.retrieve(retrieval(Representation.METADATA, write_odd_files(folder)[0].study), "*/*")
    assert len(await body_of(answer)) > 100
