"""Bringing the index up to date with the folder: only files that are new or changed are read, and a run that was cut
short goes on.
"""

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.pacs.archive import index
from app.pacs.archive.files import PARTIAL_PREFIX, FileStamp
from app.pacs.archive.reading import NotRead, ReadInstance, read_instance
from app.pacs.archive.workers import Workers
from app.pacs.origin import OriginInvalidError, OriginTimeoutError

# Files read between two commits, and by one call of a worker.
_BATCH_FILES = 64
_CALL_FILES = 16

Progress = Callable[[int, int], None]
_Looked = tuple[FileStamp, ReadInstance | NotRead]


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run found. ``read`` counts the files that were new or changed, the others what is in the whole folder."""

    read: int
    instances: int
    refused: int
    other_files: int


def files_below(folder: Path) -> Iterator[FileStamp]:
    """Every regular file below the folder; symbolic links are not followed, so that nothing outside is served."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.startswith(PARTIAL_PREFIX):
                continue
            path = Path(parent, name)
            try:
                status = path.lstat()
            except OSError:
                continue  # gone since it was listed
            if stat.S_ISREG(status.st_mode):
                yield FileStamp(str(path.relative_to(folder)), status.st_mtime_ns, status.st_size)


def read_some(folder: Path, names: list[str]) -> list[ReadInstance | NotRead]:
    """In a worker: what is in some files of the folder."""
    return [read_instance(folder / name) for name in names]


async def bring_up_to_date(
    folder: Path, index_path: Path, workers: Workers, progress: Progress | None = None
) -> IndexReport:
    """Index what is new or changed, forget what is gone. ``progress`` gets (files done, files to do).

    Raises OSError when the folder cannot be listed and sqlite3.Error when the index cannot be written.
    """
    await asyncio.to_thread(index.open_index, index_path)
    stamps = await asyncio.to_thread(lambda: list(files_below(folder)))
    known = await asyncio.to_thread(index.known_stamps, index_path)
    present = {stamp.path for stamp in stamps}
    gone = [path for path in known if path not in present]
    if gone:
        await asyncio.to_thread(index.forget, index_path, gone)
    fresh = [stamp for stamp in stamps if known.get(stamp.path) != (stamp.mtime_ns, stamp.size)]
    for start in range(0, len(fresh), _BATCH_FILES):
        batch = fresh[start : start + _BATCH_FILES]
        calls = [batch[at : at + _CALL_FILES] for at in range(0, len(batch), _CALL_FILES)]
        await asyncio.to_thread(index.store, index_path, await _read_batch(folder, calls, workers))
        if progress is not None:
            progress(min(start + _BATCH_FILES, len(fresh)), len(fresh))
    instances, refused, others = await asyncio.to_thread(index.counts, index_path)
    return IndexReport(len(fresh), instances, refused, others)


async def _read_batch(folder: Path, calls: list[list[FileStamp]], workers: Workers) -> list[_Looked]:
    """Read several calls' files side by side; where a worker did not survive, one by one, to find the file at fault."""
    found = await asyncio.gather(*(_read(folder, call, workers) for call in calls))
    looked: list[_Looked] = []
    for call, pairs in zip(calls, found, strict=True):
        if pairs is not None:
            looked.extend(pairs)
            continue
        for stamp in call:
            alone = await _read(folder, [stamp], workers)
            looked.extend(alone or [(stamp, NotRead("reading the file ended its reader", dicom=True))])
    return looked


async def _read(folder: Path, stamps: list[FileStamp], workers: Workers) -> list[_Looked] | None:
    try:
        found = await workers.run(read_some, folder, [stamp.path for stamp in stamps])
    except (OriginInvalidError, OriginTimeoutError):
        return None
    return list(zip(stamps, found, strict=True))
