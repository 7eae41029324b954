"""The live consents of one patient to one grantee, packed into one bytes object in the order they were granted.

A mirror holds a million of them: packed, a consent takes 62 bytes and 32 for each named study, and a decision reads
them in one pass without making objects. The layout lives in memory only and may change at will.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from app.core.identifiers import ConsentId, Grantee, PatientKey, StudyKey, UnixTime
from app.core.terms import Action, Capacity, Effect, Window

# id, ordinal, epoch, effect, actions, purposes, window start and end, capacity, number of studies; then the studies
_HEAD = struct.Struct(">32sIIBBHQQBB")
_STUDY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Consent:
    """One granted consent. ``ordinal`` counts the patient's grants from 0; ``studies`` empty means everything."""

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


def append(packed: bytes, consent: Consent) -> bytes:
    """The same consents and one more at the end."""
    head = _HEAD.pack(
        consent.id,
        consent.ordinal,
        consent.epoch,
        consent.effect,
        consent.actions,
        consent.purposes,
        consent.window.start,
        consent.window.end,
        consent.capacity,
        len(consent.studies),
    )
    return b"".join((packed, head, *consent.studies))


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
        fields = _HEAD.unpack_from(packed, start)
        yield Consent(
            id=ConsentId(fields[0]),
            patient=patient,
            grantee=grantee,
            ordinal=fields[1],
            epoch=fields[2],
            effect=Effect(fields[3]),
            actions=Action(fields[4]),
            purposes=fields[5],
            window=Window(UnixTime(fields[6]), UnixTime(fields[7])),
            capacity=Capacity(fields[8]),
            studies=tuple(
                StudyKey(packed[at : at + _STUDY_BYTES]) for at in range(start + _HEAD.size, end, _STUDY_BYTES)
            ),
        )


def in_force(packed: bytes, study: StudyKey, purpose_bit: int, now: UnixTime) -> list[tuple[ConsentId, int, int]]:
    """(id, effect, actions) of those whose window holds ``now``, whose purposes hold the bit and whose scope holds the
    study.

    Earliest granted first. This is the inner loop of a decision: it compares slices and makes nothing it does not
    return.
    """
    found = []
    offset = 0
    length = len(packed)
    unpack_head = _HEAD.unpack_from
    while offset < length:
        consent_id, _, _, effect, actions, purposes, start, end, _, count = unpack_head(packed, offset)
        offset += _HEAD.size
        if start <= now < end and purposes & purpose_bit and (not count or _names(packed, offset, count, study)):
            found.append((consent_id, effect, actions))
        offset += count * _STUDY_BYTES
    return found


def names_studies(packed: bytes) -> bool:
    """Whether any of these consents is to named studies, so that what they say differs from study to study."""
    return any(end - start > _HEAD.size for start, end in _spans(packed))


def _names(packed: bytes, offset: int, count: int, study: StudyKey) -> bool:
    end = offset + count * _STUDY_BYTES
    return any(packed[at : at + _STUDY_BYTES] == study for at in range(offset, end, _STUDY_BYTES))


def _spans(packed: bytes) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset < len(packed):
        end = offset + _HEAD.size + packed[offset + _HEAD.size - 1] * _STUDY_BYTES
        yield offset, end
        offset = end
