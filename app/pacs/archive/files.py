"""Files of the archive, opened only if they are still what was indexed."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.pacs.origin import OriginInvalidError, OriginUnavailableError

# A file of the folder that is being written, and not of the archive yet.
PARTIAL_PREFIX = ".storing-"


@dataclass(frozen=True, slots=True)
class FileStamp:
    """A file as the folder shows it. ``path`` is relative to the folder."""

    path: str
    mtime_ns: int
    size: int


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """Where a file is, and what it looked like when it was indexed."""

    path: Path
    stamp: FileStamp


def descriptor_of(indexed: IndexedFile) -> int:
    """An open descriptor. Who may see the file was decided on what the index says: a changed one could be another's.

    Raises OriginInvalidError for a changed file, OriginUnavailableError for one that cannot be opened.
    """
    try:
        file = os.open(indexed.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        raise OriginUnavailableError("a file of the archive cannot be opened") from None
    status = os.fstat(file)
    if (status.st_mtime_ns, status.st_size) != (indexed.stamp.mtime_ns, indexed.stamp.size):
        os.close(file)
        raise OriginInvalidError("a file of the archive has changed since it was indexed")
    return file


def opened(indexed: IndexedFile) -> BinaryIO:
    """The same as a file object. Raises as descriptor_of does."""
    return os.fdopen(descriptor_of(indexed), "rb")
