"""One part of an upload: read while it comes in, told whose it is and how it is built, and kept till it is judged."""

import hashlib
from pathlib import Path

from app.core.dicom.dicomweb import Store
from app.core.dicom.part10 import Part10Identity, Part10Scanner
from app.core.dicom.part10_encoding import Part10InvalidError
from app.core.dicom.part10_structure import Part10Structure
from app.core.dicom.storing import FailureReason, InstanceName, flaw_in, name_of
from app.gateway.spool import Spool

_IN_MEMORY_BYTES = 1024 * 1024


class UploadedPart:
    """Give it the part's bytes and end it; then ``flaw`` says why it cannot be stored, if it cannot.

    The verdict depends on the bytes and not on the pieces they came in.
    """

    __slots__ = ("_asked", "_digest", "_scanner", "_structure", "_trouble", "_unsound", "identity", "received_bytes",
                 "spool")  # fmt: skip

    def __init__(self, asked: Store, folder: Path | None, *, is_dicom: bool) -> None:
        self._asked = asked
        self._scanner: Part10Scanner | None = Part10Scanner() if is_dicom else None
        self._structure = Part10Structure()
        self._digest = hashlib.sha256()
        self._unsound = not is_dicom
        self._trouble = False  # of our own
        self.identity: Part10Identity | None = None
        self.received_bytes = 0
        self.spool = Spool(folder, _IN_MEMORY_BYTES)

    @property
    def flaw(self) -> FailureReason | None:
        """Why it is not stored whatever the archive holds; first whose it is, then how it is built."""
        if self.identity is not None and (found := flaw_in(self.identity, self._asked)) is not None:
            return found
        if self._unsound or self.identity is None:
            return FailureReason.NOT_UNDERSTOOD
        return FailureReason.OUT_OF_RESOURCES if self._trouble else None

    @property
    def name(self) -> InstanceName | None:
        """Which instance it is to be, where that can be told."""
        return None if self.identity is None else name_of(self.identity)

    @property
    def digest(self) -> bytes:
        """SHA-256 of all its bytes, where it has no flaw."""
        return self._digest.digest()

    def take(self, data: bytes) -> None:
        """The next bytes. Blocks on the disk."""
        self.received_bytes += len(data)
        if self._scanner is not None:
            try:
                self.identity = self._scanner.feed(data)
            except Part10InvalidError:
                self._scanner, self._unsound = None, True
            if self.identity is not None:
                self._scanner = None
        if self._unsound or self._trouble or (self.identity is not None and self.flaw is not None):
            return  # nobody will want it
        try:
            self._structure.feed(data)
            self._digest.update(data)
            self.spool.write(data)
        except Part10InvalidError:
            self._unsound = True
        except OSError:
            self._trouble = True

    def end(self, data: bytes) -> None:
        """The last bytes: the part is whole."""
        self.take(data)
        try:
            if self._scanner is not None:
                self.identity = self._scanner.close()
            if self.flaw is None:
                self._structure.close()
        except Part10InvalidError:
            self._unsound = True
