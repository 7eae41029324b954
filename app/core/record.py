"""The record of one access: its canonical bytes, the commitment that goes on the chain in its place, and the log it
stands in there.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from app.core.consent.terms import Action, Deed, Modification, Purpose, deed
from app.core.identifiers import (
    AccessRecordId,
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    LogHead,
    PatientKey,
    StudyDate,
    StudyKey,
    StudyUid,
    UnixTime,
)
from app.core.keccak import keccak256

SALT_BYTES = 32
SESSION_TAG_BYTES = 8
RECORD_ID_BYTES = 16

_COMMITMENT_DOMAIN = keccak256(b"consentry.record.v1")

# The encoding is append only: a version byte, then every field of that version in order, each as a 4-byte length and
# its bytes. A version's fields never change their order, width or meaning. What comes later gets a new version with
# its fields at the end; decode keeps reading the old ones, because commitments to them stay on the chain for ever.
# Version 1 is an access, whose action a consent can allow. Version 2 is a modification: its action is zero, and which
# modification it is stands in one more field of two bytes. Version 3 is an access that was decided with the study's
# date, which stands in one more field of four bytes. Version 4 is an access that was decided on a stale snapshot: after
# the study's date (empty where there was none) stands the snapshot's age, four bytes too. Each deed has one version.
_ACCESS_VERSION, _MODIFICATION_VERSION, _DATED_VERSION, _STALE_VERSION = 1, 2, 3, 4
_LENGTH_BYTES = 4
_FIELD_COUNTS = {_ACCESS_VERSION: 15, _MODIFICATION_VERSION: 16, _DATED_VERSION: 16, _STALE_VERSION: 17}
_DATE_VERSIONS = frozenset({_DATED_VERSION, _STALE_VERSION})
_FOUR_BYTES = struct.Struct(">II")
_SINGLE_ACTIONS = frozenset(Action)
_NO_ACTION = 0
_MODIFIED = struct.Struct(">IH")
_MICROSECONDS = 1_000_000
# The same with every length in its place: up to the length of the study's UID, and from the action to the target's
# length. A key, like a date, is there or not.
_TO_PATIENT = struct.Struct(">BI16sIQIII20sI8sI32sI")
_TO_BLOCK = struct.Struct(">IBIBI32sIQI32sI")
_NO_KEY, _A_KEY = bytes(_LENGTH_BYTES), (32).to_bytes(_LENGTH_BYTES, "big")
_WIDTHS = (RECORD_ID_BYTES, 20, SESSION_TAG_BYTES, 32, 32, 32, 32)

# What the contract takes in one transaction.
MAX_BATCH = 500

_LOG_DOMAIN = keccak256(b"consentry.log.v1")
_GROUP = struct.Struct(">32s20s32sQ32sH")
_UINT64_END = 1 << 64


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """One access to one patient's images, or one modification of them, as it was decided.

    ``at`` is the time of the decision in whole seconds and ``at_us`` the microseconds on top. ``session_tag`` is 8
    bytes of a hash. ``study`` is None for a search over several; ``study_key`` is the key on the chain that the
    decision was made for, and ``study_date`` the date it was made with (None: none, or none that mattered). ``block``
    is the head the decision stood on; ``snapshot_age_s`` is None where that head was fresh, else for how many seconds
    nobody had confirmed it (under break-glass only). ``target`` is the resource as parsed and written anew, without
    matching values. ``gateway`` names the gateway that served.
    """

    record_id: AccessRecordId
    at: UnixTime
    at_us: int
    actor: Address
    session_tag: bytes
    patient: PatientKey
    study: StudyUid | None
    action: Deed
    purpose: Purpose
    basis: BasisId
    block: BlockRef
    target: str
    gateway: str
    study_key: StudyKey | None = None
    study_date: StudyDate | None = None
    snapshot_age_s: int | None = None


@dataclass(frozen=True, slots=True)
class LoggedAccess:
    """What goes on the chain for one record."""

    basis: BasisId
    accessor: Address
    patient: PatientKey
    block: BlockRef
    commitment: Commitment


class RecordError(ValueError):
    """The bytes are not a record's canonical bytes. The text says what is wrong and quotes nothing."""


def canonical(record: AccessRecord) -> bytes:
    """The one encoding of the record. Raises RecordError for a field that its width cannot hold."""
    version = _version_of(record)
    action = _NO_ACTION if version == _MODIFICATION_VERSION else record.action
    if record.study == "" or not 0 <= record.at_us < _MICROSECONDS:
        raise RecordError("a study is a UID or None, and microseconds stay below a second")
    key = record.study_key
    block = record.block
    widths = (
        len(record.record_id),
        len(record.actor),
        len(record.session_tag),
        len(record.patient),
        len(record.basis),
        len(block.hash),
        32 if key is None else len(key),
    )
    if widths != _WIDTHS:  # packing would pad or cut in silence
        raise RecordError("a value of the wrong width")
    try:
        study, target, gateway = (record.study or "").encode(), record.target.encode(), record.gateway.encode()
        return b"".join(
            (
                _TO_PATIENT.pack(
                    version, 16, record.record_id, 8, record.at, 4, record.at_us, 20, record.actor,
                    8, record.session_tag, 32, record.patient, len(study),
                ),
                study,
                _NO_KEY if key is None else _A_KEY + key,
                _TO_BLOCK.pack(
                    1, action, 1, record.purpose, 32, record.basis, 8, block.number, 32, block.hash, len(target)
                ),
                target,
                len(gateway).to_bytes(_LENGTH_BYTES, "big"),
                gateway,
                _after_gateway(record, version),
            )
        )  # fmt: skip
    except (struct.error, OverflowError, UnicodeEncodeError) as error:
        raise RecordError("a number out of range or text that is not Unicode") from error


def _version_of(record: AccessRecord) -> int:
    dated, stale = record.study_date is not None, record.snapshot_age_s is not None
    if isinstance(record.action, Modification):
        if dated or stale:
            raise RecordError("neither a date nor a stale snapshot decides on a modification")
        return _MODIFICATION_VERSION
    if record.action not in _SINGLE_ACTIONS:
        raise RecordError("one action at a time")
    if stale:
        return _STALE_VERSION
    return _DATED_VERSION if dated else _ACCESS_VERSION


def _after_gateway(record: AccessRecord, version: int) -> bytes:
    """What later versions have after the fields of the first. Raises struct.error."""
    if version == _MODIFICATION_VERSION:
        return _MODIFIED.pack(2, record.action)
    date, age_s = record.study_date, record.snapshot_age_s
    if version == _STALE_VERSION:
        return (_NO_KEY if date is None else _FOUR_BYTES.pack(4, date)) + _FOUR_BYTES.pack(4, age_s)
    return b"" if date is None else _FOUR_BYTES.pack(4, date)


def decode(body: bytes) -> AccessRecord:
    """The record that these canonical bytes are. Raises RecordError for anything canonical() would not have written."""
    fields = _split(body)
    # An empty date in version 3 is caught below: without a date the record is of version 1.
    dated = body[0] in _DATE_VERSIONS and bool(fields[15])
    try:
        record = AccessRecord(
            record_id=AccessRecordId(fields[0]),
            at=UnixTime(int.from_bytes(fields[1], "big")),
            at_us=int.from_bytes(fields[2], "big"),
            actor=Address(fields[3]),
            session_tag=fields[4],
            patient=PatientKey(fields[5]),
            study=StudyUid(fields[6].decode()) if fields[6] else None,
            study_key=StudyKey(fields[7]) if fields[7] else None,
            action=deed(int.from_bytes(fields[15] if body[0] == _MODIFICATION_VERSION else fields[8], "big")),
            purpose=Purpose(int.from_bytes(fields[9], "big")),
            basis=BasisId(fields[10]),
            block=BlockRef(int.from_bytes(fields[11], "big"), BlockHash(fields[12])),
            target=fields[13].decode(),
            gateway=fields[14].decode(),
            study_date=StudyDate(int.from_bytes(fields[15], "big")) if dated else None,
            snapshot_age_s=int.from_bytes(fields[16], "big") if body[0] == _STALE_VERSION else None,
        )
    except ValueError as error:
        raise RecordError("a value that no record has") from error
    # Whatever leniency is left above (a number written too wide, say) does not survive this.
    if canonical(record) != body:
        raise RecordError("not the canonical encoding")
    return record


def commit(body: bytes, salt: bytes) -> Commitment:
    """What stands on the chain for a record: opened by its bytes and its 32-byte random salt. Raises ValueError for
    another salt.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError("a salt has 32 bytes")
    return Commitment(keccak256(_COMMITMENT_DOMAIN + salt + keccak256(body)))


def genesis_head(chain_id: int, contract: Address) -> LogHead:
    """The head of an empty log. ``contract`` is AccessLog's address."""
    return LogHead(keccak256(_LOG_DOMAIN + chain_id.to_bytes(32, "big") + contract.rjust(32, b"\0")))


def next_head(head: LogHead, seq: int, access: LoggedAccess) -> LogHead:
    """The head after the record of that sequence number (abi.encode: every value in a word of 32 bytes)."""
    words = (
        head,
        access.basis,
        access.accessor.rjust(32, b"\0"),
        access.patient,
        seq.to_bytes(32, "big"),
        access.block.number.to_bytes(32, "big"),
        access.block.hash,
        access.commitment,
    )
    return LogHead(keccak256(b"".join(words)))


def encode_batch(accesses: Sequence[LoggedAccess]) -> bytes:
    """The batch's bytes, in the order given, which is the order of sequence numbers.

    Neighbours that differ only in their commitment share one group; nothing is moved to make groups larger.
    Raises ValueError for an empty batch, for more than MAX_BATCH records, and for a value of the wrong width.
    """
    if not 1 <= len(accesses) <= MAX_BATCH:
        raise ValueError("a batch has 1 to 500 records")
    parts = []
    for shared, group in groupby(accesses, key=_shared):
        commitments = [access.commitment for access in group]
        if any(len(commitment) != 32 for commitment in commitments):
            raise ValueError("a commitment has 32 bytes")
        parts.append(_GROUP.pack(*shared, len(commitments)))
        parts.extend(commitments)
    return b"".join(parts)


def decode_batch(batch: bytes) -> list[LoggedAccess]:
    """The records of a batch, as AccessLog reads them. Raises RecordError for bytes that it would refuse."""
    accesses: list[LoggedAccess] = []
    offset = 0
    while offset < len(batch):
        start = offset + _GROUP.size
        if start > len(batch):
            raise RecordError("a batch cut short")
        basis, accessor, patient, number, block_hash, count = _GROUP.unpack_from(batch, offset)
        offset = start + 32 * count
        if not count or offset > len(batch):
            raise RecordError("a group that is empty or cut short")
        block = BlockRef(number, BlockHash(block_hash))
        accesses.extend(
            LoggedAccess(BasisId(basis), Address(accessor), PatientKey(patient), block, Commitment(batch[at : at + 32]))
            for at in range(start, offset, 32)
        )
    if not 1 <= len(accesses) <= MAX_BATCH:
        raise RecordError("a batch has 1 to 500 records")
    return accesses


def _shared(access: LoggedAccess) -> tuple[bytes, bytes, bytes, int, bytes]:
    widths = (len(access.basis), len(access.accessor), len(access.patient), len(access.block.hash))
    if widths != (32, 20, 32, 32) or not 0 <= access.block.number < _UINT64_END:
        raise ValueError("a value of the wrong width")
    return access.basis, access.accessor, access.patient, access.block.number, access.block.hash


def _split(body: bytes) -> list[bytes]:
    field_count = _FIELD_COUNTS.get(body[0] if body else 0)
    if field_count is None:
        raise RecordError("an unknown version")
    fields = []
    offset = 1
    while offset < len(body):
        start = offset + _LENGTH_BYTES
        offset = start + int.from_bytes(body[offset:start], "big")
        fields.append(body[start:offset])
    if offset != len(body) or len(fields) != field_count:
        raise RecordError("cut short, or fields too many or too few")
    return fields
