"""Storing in the folder: written aside, made durable, then put in its place and into the index, or not at all.

A file's name is made of its UIDs, which hold digits and dots only.
"""

import asyncio
import os
import sqlite3
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from app.core.dicom.part10 import MAX_LOOKED_AT_BYTES, Part10Scanner
from app.core.dicom.part10_encoding import Part10InvalidError
from app.core.dicom.storing import FailureReason, InstanceName, Refused, Result, Stored
from app.core.identifiers import Subject
from app.pacs.archive import index
from app.pacs.archive.files import PARTIAL_PREFIX, FileStamp
from app.pacs.archive.reading import NotRead, ReadInstance, read_instance
from app.pacs.archive.workers import Workers
from app.pacs.origin import InstanceContent, OriginInvalidError, OriginTimeoutError, OriginUnavailableError

_BELOW = "stored"
# What a gateway left behind that was killed while it wrote.
_FORGOTTEN_S = 86_400


class FolderStore:
    """Puts instances into the archive's folder. ``indexing``: who holds it changes the index."""

    def __init__(self, folder: Path, index_path: Path, workers: Workers, indexing: asyncio.Lock) -> None:
        self._folder = folder
        self._index = index_path
        self._workers = workers
        self._indexing = indexing

    async def store(self, name: InstanceName, content: InstanceContent) -> Result:
        """See Origin."""
        partial: Path | None = None
        try:
            partial = await self._written(content)
            return await self._filed(name, partial)
        except OSError:  # read-only, full, or gone
            return Refused(name, FailureReason.OUT_OF_RESOURCES)
        finally:
            if partial is not None:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)

    async def _written(self, content: InstanceContent) -> Path:
        """A file beside the others, on the disk."""
        file, path = await asyncio.to_thread(self._begun)
        try:
            with file:
                async for piece in content.pieces():
                    await asyncio.to_thread(file.write, piece)
                await asyncio.to_thread(_synced, file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _begun(self) -> tuple[BinaryIO, Path]:
        descriptor, path = tempfile.mkstemp(prefix=PARTIAL_PREFIX, dir=self._folder)  # mode 0600
        return os.fdopen(descriptor, "wb"), Path(path)

    async def _filed(self, name: InstanceName, partial: Path) -> Result:
        try:
            found, told = await self._workers.run(_read_twice, partial)
        except (OriginInvalidError, OriginTimeoutError):  # it ended its reader
            return Refused(name, FailureReason.NOT_UNDERSTOOD)
        if isinstance(found, NotRead) or (found.study, found.series, found.instance) != _uids(name):
            return Refused(name, FailureReason.NOT_UNDERSTOOD)
        if told != found.identity.subject:
            return Refused(name, FailureReason.NOT_UNDERSTOOD)
        async with self._indexing:
            try:
                return await asyncio.to_thread(self._placed, name, partial, found)
            except sqlite3.Error as error:
                kind = type(error).__name__
                raise OriginUnavailableError(f"the archive's index cannot be written ({kind})") from None

    def _placed(self, name: InstanceName, partial: Path, found: ReadInstance) -> Result:
        """In its place and in the index. What is there already keeps its place, and no two patients share a study."""
        if index.identities_in(self._index, name.study).keys() - {found.identity}:
            return Refused(name, FailureReason.NOT_AUTHORIZED)
        relative = Path(_BELOW, name.study, name.series, f"{name.instance}.dcm")
        target = self._folder / relative
        if target.exists() or index.instances_of(self._index, *_uids(name)):
            return Refused(name, FailureReason.DUPLICATE)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial.rename(target)
        try:
            for folder in (target.parent, *list(target.parents)[1:4]):
                _synced_folder(folder)
            status = target.stat()
            stamp = FileStamp(str(relative), status.st_mtime_ns, status.st_size)
            index.store(self._index, [(stamp, found)])
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return Stored(name)


def remove_forgotten(folder: Path) -> None:
    """Take away what was being written when a gateway was killed, a day ago or more. Raises OSError."""
    for path in folder.glob(f"{PARTIAL_PREFIX}*"):
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime < time.time() - _FORGOTTEN_S:
                path.unlink()


def _read_twice(path: Path) -> tuple[ReadInstance | NotRead, Subject | None]:
    """In a worker: what the index would keep of the file, and whose it is as the gateway reads it (None: nobody's).

    The record and the consent are of the patient whom the gateway read; the index must not know it as another's.
    """
    scanner = Part10Scanner()
    try:
        with path.open("rb") as file:
            told = scanner.feed(file.read(MAX_LOOKED_AT_BYTES)) or scanner.close()
    except Part10InvalidError:
        return read_instance(path), None
    return read_instance(path), told.subject


def _uids(name: InstanceName) -> tuple[str, str, str]:
    return name.study, name.series, name.instance


def _synced(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _synced_folder(folder: Path) -> None:
    """So that the file's name is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
