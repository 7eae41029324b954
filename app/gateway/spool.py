"""One instance on its way in: kept until it has been judged, in a little memory and else in a file without a name.

The file is open to nobody else (mode 0600) and unlinked as soon as it is made, so that nothing of it outlives the
request, whatever ends the process.
"""

import asyncio
import io
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import BinaryIO

_PIECE_BYTES = 256 * 1024


class Spool:
    """Write it, then read it as often as needed, then close it. What blocks on a disk is to be called in a thread."""

    __slots__ = ("_file", "_folder", "_memory_bytes", "length")

    def __init__(self, folder: Path | None, memory_bytes: int) -> None:
        """``folder`` None: where the system keeps temporary files."""
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._file: BinaryIO = io.BytesIO()
        self.length = 0

    def write(self, data: bytes) -> None:
        """Blocks. Raises OSError where the disk is full."""
        self.length += len(data)
        if self.length > self._memory_bytes and isinstance(self._file, io.BytesIO):
            file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed by close()
            kept, self._file = self._file.getbuffer(), file
            _write_all(file, kept)
        if isinstance(self._file, io.BytesIO):
            self._file.write(data)
        else:
            _write_all(self._file, data)

    async def pieces(self) -> AsyncGenerator[bytes]:
        """All of it from the beginning. Raises OSError."""
        at = 0
        while at < self.length:
            piece = await self._read(at)
            if not piece:
                raise OSError("a temporary file that is shorter than what was written")
            at += len(piece)
            yield piece

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

    async def _read(self, at: int) -> bytes:
        if isinstance(self._file, io.BytesIO):
            return bytes(self._file.getbuffer()[at : at + _PIECE_BYTES])
        return await asyncio.to_thread(self._read_file, at)

    def _read_file(self, at: int) -> bytes:
        self._file.seek(at)
        return self._file.read(_PIECE_BYTES)


def _write_all(file: BinaryIO, data: "bytes | memoryview") -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
