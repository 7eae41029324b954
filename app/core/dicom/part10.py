"""The identity in the first bytes of a DICOM file (PS3.10 §7), read while the file goes by and in bounds.

The scanner looks at no more than it must: top-level elements in order, up to SeriesInstanceUID (0020,000E). What is
long is counted and not kept; sequences of undefined length are walked, not built. Whatever breaks the format or a bound
is Part10InvalidError: a file that cannot be told whose it is, is nobody's.
"""

import zlib
from dataclasses import dataclass
from typing import Final

from app.core.dicom.charsets import codecs_of, decoded
from app.core.dicom.part10_encoding import (
    DEFLATED,
    DELIMITER_GROUP,
    ENCODINGS,
    EXPLICIT,
    HEAD_BYTES,
    IMPLICIT,
    ITEM,
    ITEM_END,
    LONG,
    LONG_HEAD_BYTES,
    MAGIC,
    MAX_DEPTH,
    MAY_BE_UNDEFINED,
    META_GROUP,
    PREAMBLE_BYTES,
    SEQUENCE_END,
    SHORT,
    TRANSFER_SYNTAX,
    UNDEFINED,
    Encoding,
    Part10InvalidError,
    uid_text,
)
from app.core.identifiers import Subject

MAX_LOOKED_AT_BYTES: Final = 1 << 20
_MAX_VALUE_BYTES: Final = 4096

_STEP_BYTES: Final = 4096  # looked at in one go: most files name everything in their first few
_END_OF_META: Final = 0x00030000
_CHARACTER_SET: Final = 0x00080005
_CLASS: Final = 0x00080016
_INSTANCE: Final = 0x00080018
_PATIENT_ID: Final = 0x00100020
_ISSUER: Final = 0x00100021
_STUDY: Final = 0x0020000D
_SERIES: Final = 0x0020000E
_WANTED: Final = frozenset({TRANSFER_SYNTAX, _CHARACTER_SET, _CLASS, _INSTANCE, _PATIENT_ID, _ISSUER, _STUDY, _SERIES})

_DEFAULT_CODECS: Final = codecs_of(())


@dataclass(frozen=True, slots=True)
class Part10Identity:
    """Whose file it is, and which. Absent UIDs are ""; ``patient_ids`` and ``issuers`` hold every value, as decoded.

    ``transfer_syntax`` is the UID that the file's meta information names, ``sop_class`` the SOPClassUID.
    """

    study: str
    series: str
    instance: str
    patient_ids: tuple[str, ...]
    issuers: tuple[str, ...]
    transfer_syntax: str
    sop_class: str = ""

    @property
    def subject(self) -> Subject:
        """As dicomjson.identity: the id is "" unless there is just one, and at most one issuer."""
        if len(self.patient_ids) > 1 or len(self.issuers) > 1:
            return Subject("", "")
        return Subject("".join(self.patient_ids), "".join(self.issuers))


_ELSE_ENCODED: Final = DEFLATED | ENCODINGS.keys()


@dataclass(frozen=True, slots=True)
class _Open:
    """A sequence, or an item in one, of undefined length. ``encoding`` is that of what it holds."""

    is_item: bool
    encoding: Encoding


class Part10Scanner:
    """Feed it the file from its first byte until it answers."""

    __slots__ = ("_at", "_bytes", "_encoding", "_found", "_inflater", "_last", "_limit", "_looked_at", "_open", "_skip")

    def __init__(self, limit: int = MAX_LOOKED_AT_BYTES) -> None:
        self._bytes = bytearray()
        self._at = 0
        self._skip = PREAMBLE_BYTES  # of what comes next: bytes that nobody needs
        self._limit = limit
        self._looked_at = 0
        self._encoding: Encoding | None = None  # None before "DICM"
        self._inflater: _Inflater | None = None
        self._last = -1  # the last tag of the top level
        self._open: list[_Open] = []
        self._found: dict[int, bytes] = {}

    def feed(self, data: bytes | memoryview) -> Part10Identity | None:
        """The identity, once it is known; None while more is needed. Raises Part10InvalidError."""
        view = memoryview(data)
        if not self._looked_at and self._limit >= _STEP_BYTES and self._glance(bytes(view[:_STEP_BYTES])):
            return self._identity()
        for start in range(0, len(view), _STEP_BYTES):
            piece = view[start : start + _STEP_BYTES]
            self._take(piece if self._inflater is None else self._inflater.inflate(piece, self._left()))
            if self._looked_at - (len(self._bytes) - self._at) > self._limit:
                raise Part10InvalidError("an identity too far from the beginning")
            if self._last >= _SERIES:
                return self._identity()
        return None

    def close(self) -> Part10Identity:
        """The identity in a file that ends here. Raises Part10InvalidError where the file breaks off."""
        is_whole = not self._skip and not self._open and self._at == len(self._bytes)
        if not is_whole or TRANSFER_SYNTAX not in self._found or (self._inflater and not self._inflater.is_done):
            raise Part10InvalidError("a file that breaks off")
        return self._identity()

    def _glance(self, seen: bytes) -> bool:  # noqa: C901, PLR0911 - one loop without calls: that is its point
        """Whether the file begins as almost all do, and tells its identity at once: explicit VR little endian, in
        order, every value whole. Where anything is otherwise nothing has been decided, and the walk below begins anew.
        """
        if seen[PREAMBLE_BYTES : PREAMBLE_BYTES + len(MAGIC)] != MAGIC:
            return False
        unpack = EXPLICIT.head.unpack_from
        found: dict[int, bytes] = {}
        at, last, end = PREAMBLE_BYTES + len(MAGIC), -1, len(seen) - LONG_HEAD_BYTES
        while at <= end:
            group, element, vr, length = unpack(seen, at)
            tag = group << 16 | element
            if last < _END_OF_META and group != META_GROUP:
                syntax = uid_text(found.get(TRANSFER_SYNTAX, b""))
                if not syntax or syntax in _ELSE_ENCODED:
                    return False
                last = _END_OF_META
            if tag <= last or group == DELIMITER_GROUP:
                return False
            at += HEAD_BYTES
            if vr not in SHORT:
                if vr not in LONG:
                    return False
                length = EXPLICIT.length.unpack_from(seen, at)[0]
                at += LONG_HEAD_BYTES - HEAD_BYTES
            if tag in _WANTED:
                if length > _MAX_VALUE_BYTES:
                    return False
                found[tag] = seen[at : at + length]
                if len(found[tag]) < length:
                    return False
            if tag >= _SERIES:
                self._found, self._last = found, tag
                return True
            at += length  # one without a length leads beyond the end
            last = tag
        return False

    def _left(self) -> int:
        return max(1, self._limit + 1 - self._looked_at)

    def _take(self, data: bytes | memoryview) -> None:
        """Go on as far as the bytes reach."""
        self._looked_at += len(data)
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        del self._bytes[: self._at]
        self._at = 0
        self._bytes += data[skipped:]
        while not self._skip and self._last < _SERIES and self._step():
            pass

    def _step(self) -> bool:
        """One element, or one delimiter; False when it has not come whole yet."""
        if self._encoding is None:
            return self._begin()
        if len(self._bytes) - self._at < HEAD_BYTES:
            return False
        if self._last < _END_OF_META and self._bytes[self._at : self._at + 2] != b"\x02\x00":
            self._begin_dataset()
            return True
        head = self._head(self._open[-1].encoding if self._open else self._encoding)
        if head is None:
            return False
        if self._open:
            return self._inside(*head)
        return self._top(*head) and self._hurry(self._encoding)

    def _begin(self) -> bool:
        if len(self._bytes) < len(MAGIC):
            return False
        if self._bytes[: len(MAGIC)] != MAGIC:
            raise Part10InvalidError("not a DICOM file")
        self._at = len(MAGIC)
        self._encoding = EXPLICIT  # PS3.10 §7.1: so is the meta information, whatever follows
        return True

    def _begin_dataset(self) -> None:
        if TRANSFER_SYNTAX not in self._found:
            raise Part10InvalidError("no transfer syntax")
        syntax = uid_text(self._found[TRANSFER_SYNTAX])
        self._encoding = ENCODINGS.get(syntax, EXPLICIT)
        self._last = _END_OF_META
        if syntax in DEFLATED:
            self._inflater = _Inflater()
            deflated, self._bytes, self._at = bytes(self._bytes[self._at :]), bytearray(), 0
            self._take(self._inflater.inflate(deflated, self._left()))

    def _head(self, encoding: Encoding) -> tuple[int, bytes, int, int] | None:
        """Tag, VR (b"" where implicit), length of the value and of the head; None when that has not come whole."""
        group, element, vr, length = encoding.head.unpack_from(self._bytes, self._at)
        tag = group << 16 | element
        if group == DELIMITER_GROUP or not encoding.explicit:
            return tag, b"", encoding.length.unpack_from(self._bytes, self._at + 4)[0], HEAD_BYTES
        if vr in SHORT:
            return tag, vr, length, HEAD_BYTES
        if vr not in LONG:
            raise Part10InvalidError("not a value representation")
        if len(self._bytes) - self._at < LONG_HEAD_BYTES:
            return None
        return tag, vr, encoding.length.unpack_from(self._bytes, self._at + 8)[0], LONG_HEAD_BYTES

    def _top(self, tag: int, vr: bytes, length: int, size: int) -> bool:
        if tag <= self._last or tag >> 16 == DELIMITER_GROUP:
            raise Part10InvalidError("elements out of order")
        if tag in _WANTED:
            if length > _MAX_VALUE_BYTES:
                raise Part10InvalidError("a long value")
            start = self._at + size
            if len(self._bytes) < start + length:
                return False
            self._found[tag] = bytes(self._bytes[start : start + length])
        self._last = tag
        if tag <= _SERIES:
            self._pass(vr, length, size)
        return True

    def _hurry(self, encoding: Encoding) -> bool:
        """Past the short elements that nobody needs, as _top goes, but in one loop: a file has a hundred of them."""
        if not encoding.explicit or self._open or self._skip or self._last < _END_OF_META:
            return True
        unpack, seen, at, last = encoding.head.unpack_from, self._bytes, self._at, self._last
        end = len(seen) - HEAD_BYTES
        while at <= end:
            group, element, vr, length = unpack(seen, at)
            tag = group << 16 | element
            if vr not in SHORT or tag in _WANTED or not last < tag < _SERIES:
                break
            at += HEAD_BYTES + length
            last = tag
        self._last = last
        self._advance(at - self._at)
        return True

    def _inside(self, tag: int, vr: bytes, length: int, size: int) -> bool:
        innermost = self._open[-1]
        if tag == (ITEM_END if innermost.is_item else SEQUENCE_END):
            self._open.pop()
            self._advance(size)
        elif innermost.is_item and tag >> 16 != DELIMITER_GROUP:
            self._pass(vr, length, size)
        elif innermost.is_item or tag != ITEM:
            raise Part10InvalidError("a delimiter out of place")
        elif length == UNDEFINED:
            self._open.append(_Open(is_item=True, encoding=innermost.encoding))
            self._advance(size)
        else:
            self._advance(size + length)
        return True

    def _pass(self, vr: bytes, length: int, size: int) -> None:
        """Go past an element: over its value, or, where that has no length, into it."""
        if length != UNDEFINED:
            self._advance(size + length)
            return
        if vr not in MAY_BE_UNDEFINED or len(self._open) >= 2 * MAX_DEPTH:
            raise Part10InvalidError("a value without length, or nested too deep")
        around = self._open[-1].encoding if self._open else self._encoding or EXPLICIT
        # PS3.5 §6.2.2: what is unknown and has no length is a sequence in implicit little endian
        self._open.append(_Open(is_item=False, encoding=IMPLICIT if vr == b"UN" else around))
        self._advance(size)

    def _advance(self, count: int) -> None:
        left = len(self._bytes) - self._at
        self._at += min(count, left)
        self._skip = max(0, count - left)

    def _identity(self) -> Part10Identity:
        terms = self._found.get(_CHARACTER_SET, b"").decode("latin-1").split("\\")
        codecs = codecs_of(terms) if terms != [""] else _DEFAULT_CODECS
        return Part10Identity(
            uid_text(self._found.get(_STUDY, b"")),
            uid_text(self._found.get(_SERIES, b"")),
            uid_text(self._found.get(_INSTANCE, b"")),
            _texts(self._found.get(_PATIENT_ID, b""), codecs),
            _texts(self._found.get(_ISSUER, b""), codecs),
            uid_text(self._found[TRANSFER_SYNTAX]),
            self._found.get(_CLASS, b"").rstrip(b"\0 ").decode("ascii", "replace"),
        )


class _Inflater:
    """PS3.5 §A.5, never giving more than what may be looked at."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
        self._is_cut = False

    @property
    def is_done(self) -> bool:
        return self._zlib.eof

    def inflate(self, data: bytes | memoryview, limit: int) -> bytes:
        """At most ``limit`` bytes, at least 1. Once that has cut something off, nothing can follow."""
        if self._is_cut:
            raise Part10InvalidError("an identity too far from the beginning")
        try:
            inflated = self._zlib.decompress(data, limit)
        except zlib.error:
            raise Part10InvalidError("not deflated") from None
        self._is_cut = bool(self._zlib.unconsumed_tail)
        return inflated


def _texts(value: bytes, codecs: tuple[str, ...] | None) -> tuple[str, ...]:
    """Every value without padding; none for what is blank altogether."""
    text = decoded(value, codecs)
    if text is None:
        raise Part10InvalidError("text that cannot be told")
    text = text.strip(" \0")
    return tuple(one.strip(" \0") for one in text.split("\\")) if text else ()
