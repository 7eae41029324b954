"""Whether a whole DICOM file is built as PS3.5 says, found out while it goes by and in bounds.

What is to be stored is read by parsers behind this one, which may be led astray where this one was not: by lengths past
the end, sequences nested without end, an identity said a second time, or a place at which some of them begin to read
another data set than this one did. Such a file is Part10InvalidError. Values are counted and skipped, never kept.
"""

import re
import zlib
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from app.core.dicom.attributes import dictionary_vr
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

MAX_ELEMENTS: Final = 4_000_000  # of all levels, items and fragments included: some seconds of work
MAX_INFLATED_BYTES: Final = 256 * 1024 * 1024
MAX_META_BYTES: Final = 64 * 1024
_INFLATED_AT_ONCE: Final = 1 << 20
# Behind what is deflated: a NUL (PS3.5 §A.5), of some writers a checksum. No data set is that short.
_MOST_BEHIND: Final = 16
_GROUP_LENGTH: Final = 0x00020000
_PIXEL_DATA: Final = 0x7FE00010
# Where an encoding without VRs was announced, many parsers believe their eyes instead.
_LOOKS_EXPLICIT: Final = re.compile(rb"[A-Z]{2}").fullmatch
# The identity is read from the elements up to here (part10.py).
_END_OF_IDENTITY: Final = 0x0020000E
# Archives read these by the VR that the file gives them: a PatientID that is "UN" is nobody's at some.
_VR_OF_IDENTITY: Final = {
    0x00080005: b"CS",
    0x00080016: b"UI",
    0x00080018: b"UI",
    0x00100020: b"LO",
    0x00100021: b"LO",
    0x0020000D: b"UI",
    0x0020000E: b"UI",
}


class Part10Structure:
    """Feed it the file from its first byte, and close it."""

    __slots__ = ("_bytes_behind", "_elements", "_inflated_bytes", "_inflater", "_meta")

    def __init__(self) -> None:
        self._meta = b""
        self._elements: _Elements | None = None  # None while the meta information has not been read
        self._inflater: zlib._Decompress | None = None
        self._inflated_bytes = 0
        self._bytes_behind = 0  # what is deflated

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises Part10InvalidError."""
        if self._elements is None:
            self._meta += data
            found = _read_meta(self._meta)
            if found is None:
                if len(self._meta) > MAX_META_BYTES:
                    raise Part10InvalidError("long meta information")
                return
            syntax, end = found
            data, self._meta = self._meta[end:], b""
            self._elements = _Elements(ENCODINGS.get(syntax, EXPLICIT))
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS) if syntax in DEFLATED else None
        if self._inflater is None:
            self._elements.feed(data)
        else:
            self._inflate(data, self._inflater, self._elements)

    def close(self) -> None:
        """The file ends here. Raises Part10InvalidError where it breaks off."""
        if self._elements is None or (self._inflater is not None and not self._inflater.eof):
            raise Part10InvalidError("a file that breaks off")
        self._elements.close()

    def _inflate(self, data: bytes, inflater: "zlib._Decompress", elements: "_Elements") -> None:
        while data and not inflater.eof:
            try:
                inflated = inflater.decompress(data, _INFLATED_AT_ONCE)
            except zlib.error:
                raise Part10InvalidError("not deflated") from None
            data = inflater.unconsumed_tail or inflater.unused_data
            self._inflated_bytes += len(inflated)
            if self._inflated_bytes > MAX_INFLATED_BYTES:
                raise Part10InvalidError("a file that inflates without end")
            elements.feed(inflated)
        self._bytes_behind += len(data)
        if self._bytes_behind > _MOST_BEHIND:
            raise Part10InvalidError("something behind what is deflated")


def _read_meta(seen: bytes) -> tuple[str, int] | None:
    """The transfer syntax and where the data set begins; None while that has not come (PS3.10 §7.1)."""
    at = PREAMBLE_BYTES + len(MAGIC)
    if len(seen) < at + HEAD_BYTES:
        return None
    if seen[PREAMBLE_BYTES:at] != MAGIC:
        raise Part10InvalidError("not a DICOM file")
    syntax, said_end = "", None
    while seen[at : at + 2] == b"\x02\x00":
        head = _head(seen, at, EXPLICIT)
        if head is None:
            return None
        tag, _, length, size = head
        if tag == TRANSFER_SYNTAX:
            syntax = uid_text(seen[at + size : at + size + length])
        if tag == _GROUP_LENGTH:
            said_end = at + size + length + int.from_bytes(seen[at + size : at + size + length], "little")
        at += size + length
        if at + HEAD_BYTES > len(seen):
            return None
    if not syntax:
        raise Part10InvalidError("no transfer syntax")
    if said_end not in (None, at):  # some parsers go by what is said, others by where the group ends
        raise Part10InvalidError("meta information of another length")
    return syntax, at


class _Kind(Enum):
    SEQUENCE = auto()
    ITEM = auto()
    FRAGMENTS = auto()  # of encapsulated pixel data (PS3.5 §A.4)


@dataclass(frozen=True, slots=True)
class _Open:
    """What is being read. ``end``: its place in the data set; None where a delimiter ends it."""

    kind: _Kind
    encoding: Encoding
    end: int | None


class _Elements:
    """The elements of one data set, through all levels."""

    __slots__ = ("_begins", "_count", "_depth", "_encoding", "_held", "_last", "_open", "_place", "_skip")

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._held = b""
        self._skip = 0
        self._place = 0  # in the data set, of the next byte that matters
        self._last = 0  # the last tag of the top level
        self._open: list[_Open] = []
        self._begins = True  # the next element is the first of the data set, or of an item
        self._depth = 0  # items within items
        self._count = 0

    def feed(self, data: bytes) -> None:
        seen, at = (self._held + data if self._held else data), 0
        self._held = b""
        while True:
            if self._skip:
                step = min(self._skip, len(seen) - at)
                self._skip -= step
                at += step
                if self._skip:
                    return
            while self._open and self._open[-1].end == self._place:
                self._pop()
            size = self._step(seen, at)
            if not size:
                self._held = seen[at:]
                return
            at += size

    def close(self) -> None:
        if self._skip or self._held or any(one.end != self._place for one in self._open):
            raise Part10InvalidError("a file that breaks off")

    def _step(self, seen: bytes, at: int) -> int:
        """Take an element's head or a delimiter; its size, 0 while it has not come whole."""
        within = self._open[-1] if self._open else None
        encoding = within.encoding if within else self._encoding
        head = _head(seen, at, encoding)
        if head is None:
            return 0
        tag, vr, length, size = head
        if self._begins and not encoding.explicit and _LOOKS_EXPLICIT(seen[at + 4 : at + 6]):
            raise Part10InvalidError("elements that can be read in two ways")
        self._begins = False
        if length and tag in (ITEM_END, SEQUENCE_END):
            raise Part10InvalidError("a delimiter with a value")
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise Part10InvalidError("too many elements")
        self._place += size
        if within is None:
            self._in_order(tag)
            if encoding.explicit and _VR_OF_IDENTITY.get(tag, vr) != vr:
                raise Part10InvalidError("an identity of another VR")
            self._value(tag, vr, length, self._encoding, None)
        elif within.kind is _Kind.ITEM:
            if tag == ITEM_END and within.end is None:
                self._pop()
            elif tag >> 16 == DELIMITER_GROUP:
                raise Part10InvalidError("a delimiter out of place")
            else:
                self._value(tag, vr, length, within.encoding, within.end)
        else:
            self._item(tag, length, within)
        return size

    def _in_order(self, tag: int) -> None:
        """What the identity was read from is not said again: a parser behind might take the second for true."""
        group = tag >> 16
        if group in (DELIMITER_GROUP, META_GROUP) or (tag <= self._last and tag <= _END_OF_IDENTITY):
            raise Part10InvalidError("elements out of order")
        self._last = max(self._last, tag)

    def _value(self, tag: int, vr: bytes, length: int, encoding: Encoding, end: int | None) -> None:
        """Go over an element's value, or into it."""
        if length == UNDEFINED:
            is_fragments = tag == _PIXEL_DATA and encoding.explicit
            if not is_fragments and not _may_hold_items(tag, vr):
                raise Part10InvalidError("a value without length")
            # PS3.5 §6.2.2: what is unknown and has no length is a sequence in implicit little endian
            inner = IMPLICIT if vr == b"UN" else encoding
            self._open.append(_Open(_Kind.FRAGMENTS if is_fragments else _Kind.SEQUENCE, inner, None))
            return
        if end is not None and self._place + length > end:
            raise Part10InvalidError("a length past the end")
        is_sequence = vr == b"SQ" or (not vr and length >= HEAD_BYTES and dictionary_vr(f"{tag:08X}") == "SQ")
        if is_sequence:
            self._open.append(_Open(_Kind.SEQUENCE, encoding, self._place + length))
        else:
            self._skipped(length)

    def _item(self, tag: int, length: int, within: _Open) -> None:
        if tag == SEQUENCE_END and within.end is None:
            self._pop()
            return
        if tag != ITEM or (length == UNDEFINED and within.kind is _Kind.FRAGMENTS):
            raise Part10InvalidError("a delimiter out of place")
        if length != UNDEFINED and within.end is not None and self._place + length > within.end:
            raise Part10InvalidError("a length past the end")
        if within.kind is _Kind.FRAGMENTS:
            self._skipped(length)
            return
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Part10InvalidError("nested too deep")
        end = None if length == UNDEFINED else self._place + length
        self._open.append(_Open(_Kind.ITEM, within.encoding, end))
        self._begins = True

    def _pop(self) -> None:
        if self._open.pop().kind is _Kind.ITEM:
            self._depth -= 1

    def _skipped(self, length: int) -> None:
        self._skip = length
        self._place += length


def _may_hold_items(tag: int, vr: bytes) -> bool:
    """Whether a value without length is a sequence to every parser: some look anything else through for its end."""
    return vr == b"SQ" or (vr in (b"", b"UN") and dictionary_vr(f"{tag:08X}") in (None, "SQ"))


def _head(seen: bytes, at: int, encoding: Encoding) -> tuple[int, bytes, int, int] | None:
    """Tag, VR (b"" where implicit), length of the value and of the head; None when that has not come whole."""
    if len(seen) - at < HEAD_BYTES:
        return None
    group, element, vr, length = encoding.head.unpack_from(seen, at)
    tag = group << 16 | element
    if group == DELIMITER_GROUP or not encoding.explicit:
        return tag, b"", encoding.length.unpack_from(seen, at + 4)[0], HEAD_BYTES
    if vr in SHORT:
        return tag, vr, length, HEAD_BYTES
    if vr not in LONG:
        raise Part10InvalidError("not a value representation")
    if len(seen) - at < LONG_HEAD_BYTES:
        return None
    return tag, vr, encoding.length.unpack_from(seen, at + 8)[0], LONG_HEAD_BYTES
