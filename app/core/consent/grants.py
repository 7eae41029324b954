"""The live consents of one patient to one grantee, packed into one bytes object in the order they were granted.

A mirror holds a million of them: packed, a consent takes 62 bytes and 32 for each named study, 8 more if it bounds
dates and 52 if it shares another one on, and a decision reads them in one pass without making objects. The layout lives
in memory only and may change at will.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from app.core.consent.terms import ALL_DATES, NO_PARENT, Action, Capacity, DateSpan, Effect, Terms, Window
from app.core.identifiers import Address, ConsentId, Grantee, PatientKey, StudyDate, StudyKey, UnixTime

# id, ordinal, epoch, effect, actions, purposes, window start and end, marks, number of studies; then what the marks
# announce, and the studies
_HEAD = struct.Struct(">32sIIBBHQQBB")
_STUDY_BYTES = 32
# The marks: capacity in two bits, share depth in two more, and whether dates and a line of sharing follow.
_TWO_BITS = 0b11
_DEPTH_SHIFT = 2
_DATED = 1 << 4
_SHARED = 1 << 5
_DATES = struct.Struct(">II")
_LINE = struct.Struct(">32s20s")
_EXTRA_BYTES = {
    mark: (_DATES.size if mark & _DATED else 0) + (_LINE.size if mark & _SHARED else 0) for mark in range(1 << 6)
}


@dataclass(frozen=True, slots=True)
class Line:
    """What a consent shares on: the one above it, and who was given that."""

    parent: ConsentId
    sharer: Address


@dataclass(frozen=True, slots=True)
class Consent:
    """One granted consent. ``ordinal`` counts the patient's grants from 0; ``studies`` empty means everything.
    ``line`` is None for a consent of the patient (or guardian).
    """

    id: ConsentId
    patient: PatientKey
    grantee: Grantee
    ordinal: int
    epoch: int
    effect: Effect
    actions: Action
    purposes: int
    window: Window
    studies: tuple[StudyKey, ...]
    capacity: Capacity
    dates: DateSpan = ALL_DATES
    share_depth: int = 0
    line: Line | None = None


def of_terms(
    terms: Terms, consent_id: ConsentId, grantee: Grantee, ordinal: int, grantor: Address, capacity: Capacity
) -> Consent:
    """The consent that these terms become. ``grantee`` equals theirs: one object that many consents may share."""
    return Consent(
        id=consent_id,
        patient=terms.patient,
        grantee=grantee,
        ordinal=ordinal,
        epoch=terms.epoch,
        effect=terms.effect,
        actions=terms.actions,
        purposes=terms.purposes,
        window=terms.window,
        studies=terms.studies,
        capacity=capacity,
        dates=terms.dates,
        share_depth=terms.share_depth,
        line=None if terms.parent == NO_PARENT else Line(terms.parent, grantor),
    )


def append(packed: bytes, consent: Consent) -> bytes:
    """The same consents and one more at the end."""
    marks = consent.capacity | consent.share_depth << _DEPTH_SHIFT
    dates = line = b""
    if consent.dates.bounded:
        marks |= _DATED
        dates = _DATES.pack(consent.dates.first, consent.dates.last)
    if consent.line is not None:
        marks |= _SHARED
        line = _LINE.pack(consent.line.parent, consent.line.sharer)
    head = _HEAD.pack(
        consent.id,
        consent.ordinal,
        consent.epoch,
        consent.effect,
        consent.actions,
        consent.purposes,
        consent.window.start,
        consent.window.end,
        marks,
        len(consent.studies),
    )
    return b"".join((packed, head, dates, line, *consent.studies))


def without(packed: bytes, consent_id: ConsentId) -> bytes:
    """The same consents without the named one."""
    kept = []
    for start, end in _spans(packed):
        if packed[start : start + 32] != consent_id:
            kept.append(packed[start:end])
    return b"".join(kept)


def unpack(packed: bytes, patient: PatientKey, grantee: Grantee) -> Iterator[Consent]:
    """Each consent, earliest granted first."""
    for start, end in _spans(packed):
        yield _consent_at(packed, start, end, patient, grantee)


def find(packed: bytes, consent_id: ConsentId, patient: PatientKey, grantee: Grantee) -> Consent | None:
    """The consent of that id, or None where it is not among them."""
    # The bytes may also occur as a study key or a parent, which anybody can choose: look, then look again.
    if packed.find(consent_id) < 0:
        return None
    for start, end in _spans(packed):
        if packed[start : start + 32] == consent_id:
            return _consent_at(packed, start, end, patient, grantee)
    return None


# Ordinal, id, effect, actions, and where in the packed bytes the line of sharing is (0: there is none).
InForce = tuple[int, ConsentId, int, int, int]


def in_force(
    packed: bytes, study: StudyKey, study_date: StudyDate | None, purpose_bit: int, now: UnixTime
) -> list[InForce]:
    """Those whose window holds ``now``, whose purposes hold the bit and whose scope holds the study.

    Earliest granted first. This is the inner loop of a decision: it compares slices and makes nothing it does not
    return.
    """
    found = []
    offset = 0
    length = len(packed)
    unpack_head = _HEAD.unpack_from
    while offset < length:
        consent_id, ordinal, _, effect, actions, purposes, start, end, marks, count = unpack_head(packed, offset)
        offset += _HEAD.size
        extra, offset = offset, offset + _EXTRA_BYTES[marks]
        if (
            start <= now < end
            and purposes & purpose_bit
            and (not count or _names(packed, offset, count, study))
            and (not marks & _DATED or _in_bounds(packed, extra, effect, study_date))
        ):
            found.append((ordinal, consent_id, effect, actions, offset - _LINE.size if marks & _SHARED else 0))
        offset += count * _STUDY_BYTES
    return found


# Id, effect, actions, purposes, start and end of the window.
Plain = tuple[ConsentId, int, int, int, int, int]


def only_plain(packed: bytes) -> Plain | None:
    """The consent where this is only one, to everything, of any date and not shared on; else None."""
    if len(packed) != _HEAD.size:
        return None
    consent_id, _, _, effect, actions, purposes, start, end, _, _ = _HEAD.unpack(packed)
    return consent_id, effect, actions, purposes, start, end


def line_at(packed: bytes, place: int) -> Line | None:
    """The line of sharing that ``in_force`` found."""
    if not place:
        return None
    parent, sharer = _LINE.unpack_from(packed, place)
    return Line(ConsentId(parent), Address(sharer))


def _consent_at(packed: bytes, start: int, end: int, patient: PatientKey, grantee: Grantee) -> Consent:
    fields = _HEAD.unpack_from(packed, start)
    marks = fields[8]
    offset = start + _HEAD.size
    dates, line = ALL_DATES, None
    if marks & _DATED:
        dates = DateSpan(*_DATES.unpack_from(packed, offset))
        offset += _DATES.size
    if marks & _SHARED:
        line = line_at(packed, offset)
        offset += _LINE.size
    return Consent(
        id=ConsentId(fields[0]),
        patient=patient,
        grantee=grantee,
        ordinal=fields[1],
        epoch=fields[2],
        effect=Effect(fields[3]),
        actions=Action(fields[4]),
        purposes=fields[5],
        window=Window(UnixTime(fields[6]), UnixTime(fields[7])),
        capacity=Capacity(marks & _TWO_BITS),
        studies=tuple(StudyKey(packed[at : at + _STUDY_BYTES]) for at in range(offset, end, _STUDY_BYTES)),
        dates=dates,
        share_depth=marks >> _DEPTH_SHIFT & _TWO_BITS,
        line=line,
    )


def _in_bounds(packed: bytes, offset: int, effect: int, study_date: StudyDate | None) -> bool:
    if study_date is None:
        return effect == Effect.DENY
    first, last = _DATES.unpack_from(packed, offset)
    return bool(first <= study_date and (not last or study_date <= last))


def _names(packed: bytes, offset: int, count: int, study: StudyKey) -> bool:
    end = offset + count * _STUDY_BYTES
    return any(packed[at : at + _STUDY_BYTES] == study for at in range(offset, end, _STUDY_BYTES))


def _spans(packed: bytes) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset < len(packed):
        marks, count = packed[offset + _HEAD.size - 2 : offset + _HEAD.size]
        end = offset + _HEAD.size + _EXTRA_BYTES[marks] + count * _STUDY_BYTES
        yield offset, end
        offset = end
