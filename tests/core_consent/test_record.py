"""The canonical bytes of a record, its commitment, and batches: one encoding, read back strictly."""

import random
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.consent.terms import Action, Modification, Purpose, deed
from app.core.exported import ExportedRecord, from_line, to_line
from app.core.identifiers import (
    AccessRecordId,
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    PatientKey,
    StudyDate,
    StudyKey,
    StudyUid,
    UnixTime,
)
from app.core.keccak import keccak256
from app.core.record import (
    MAX_BATCH,
    AccessRecord,
    LoggedAccess,
    RecordError,
    canonical,
    commit,
    decode,
    decode_batch,
    encode_batch,
)

RECORD = AccessRecord(
    record_id=AccessRecordId(b"\x01" * 16),
    at=UnixTime(1_900_000_000),
    at_us=250_000,
    actor=Address(b"\x02" * 20),
    session_tag=b"\x03" * 8,
    patient=PatientKey(b"\x04" * 32),
    study=StudyUid("1.2.3"),
    action=Action.RETRIEVE,
    purpose=Purpose.TREAT,
    basis=BasisId(b"\x05" * 32),
    block=BlockRef(77, BlockHash(b"\x06" * 32)),
    target="GET /studies/1.2.3",
    gateway="gate-1",
    study_key=StudyKey(b"\x07" * 32),
)
SALT = b"\x08" * 32


def _sized(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=count, max_size=count)


RECORDS = st.builds(
    AccessRecord,
    record_id=_sized(16).map(AccessRecordId),
    at=st.integers(0, 2**64 - 1).map(UnixTime),
    at_us=st.integers(0, 999_999),
    actor=_sized(20).map(Address),
    session_tag=_sized(8),
    patient=_sized(32).map(PatientKey),
    study=st.none() | st.text(min_size=1, max_size=64).map(StudyUid),
    action=st.sampled_from([*Action, *Modification]),
    purpose=st.sampled_from(list(Purpose)),
    basis=_sized(32).map(BasisId),
    block=st.builds(BlockRef, st.integers(0, 2**64 - 1), _sized(32).map(BlockHash)),
    target=st.text(max_size=80),
    gateway=st.text(max_size=20),
    study_key=st.none() | _sized(32).map(StudyKey),
    study_date=st.none() | st.integers(0, 2**32 - 1).map(StudyDate),
    snapshot_age_s=st.none() | st.integers(0, 2**32 - 1),
).map(
    lambda record: (
        replace(record, study_date=None, snapshot_age_s=None) if isinstance(record.action, Modification) else record
    )
)


@given(RECORDS)
def test_what_is_written_reads_back(record: AccessRecord) -> None:
    assert decode(canonical(record)) == record


@given(RECORDS, RECORDS)
def test_different_records_have_different_bytes(one: AccessRecord, other: AccessRecord) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


def test_the_encoding_of_version_1_never_changes() -> None:
    """Commitments to it are on chains for ever: this test is only ever added to."""
    assert keccak256(canonical(RECORD)).hex() == "81028c53b84ff5381860b0bc030646e90db9bf538a7d110e22474c086b215780"
    assert commit(canonical(RECORD), SALT).hex() == "f059d0920f6310408c67f868039731101d616b3e8f8d7eb2c583386051ae8315"


def test_the_encoding_of_version_2_never_changes() -> None:
    """The same for modifications."""
    stored = canonical(replace(RECORD, action=Modification.STORE))
    assert keccak256(stored).hex() == "1948e54acf4be96fb2efd0be803846f5639c1b0d6900abe7e12ba722d615c0b4"
    assert stored[0] == 2
    assert stored[1:] != canonical(RECORD)[1:]


def test_a_deed_has_one_version_and_one_number() -> None:
    access, stored = canonical(RECORD), canonical(replace(RECORD, action=Modification.STORE))
    as_access = stored[:-2] + int(Action.RETRIEVE).to_bytes(2, "big")
    with_action = stored.replace(b"\0\0\0\x01\0\0\0\0\x01\0", b"\0\0\0\x01\x04\0\0\0\x01\0")
    assert with_action != stored
    for bad in (
        as_access,
        with_action,
        stored[:-1],
        b"\x01" + stored[1:],
        b"\x02" + access[1:],
        stored[:-2] + b"\x7f\xff",
    ):
        with pytest.raises(RecordError):
            decode(bad)
    assert [deed(number) for number in (1, 4, 256)] == [Action.SEARCH, Action.RETRIEVE, Modification.STORE]
    with pytest.raises(ValueError, match="511"):
        deed(511)
    assert min(Modification) > 0xFF  # a consent's actions are one byte on the chain


def test_the_encoding_of_version_3_never_changes() -> None:
    """Version 1 and the study's date after it; a record without a date is of version 1."""
    body = canonical(replace(RECORD, study_date=StudyDate(20200229)))
    assert body == b"\x03" + canonical(RECORD)[1:] + bytes.fromhex("0000000401343b25")
    with pytest.raises(RecordError, match="date"):
        canonical(replace(RECORD, action=Modification.STORE, study_date=StudyDate(20200229)))


def test_the_encoding_of_version_4_never_changes() -> None:
    """Version 3, whose date may be missing here, and the snapshot's age after it."""
    plain, age = canonical(RECORD)[1:], bytes.fromhex("0000000400000384")
    dated = replace(RECORD, study_date=StudyDate(20200229), snapshot_age_s=900)
    assert canonical(dated) == b"\x04" + plain + bytes.fromhex("0000000401343b25") + age
    assert canonical(replace(RECORD, snapshot_age_s=900)) == b"\x04" + plain + bytes(4) + age
    with pytest.raises(RecordError, match="snapshot"):
        canonical(replace(RECORD, action=Modification.STORE, snapshot_age_s=0))
    for bad in (
        b"\x03" + plain + bytes(4),  # without its date it is of version 1
        b"\x04" + plain + bytes(4),
        b"\x04" + plain + bytes(8),
        b"\x04" + plain + age,
        b"\x04" + plain + bytes(4) + age[:3] + b"\x05\0" + age[4:],
    ):
        with pytest.raises(RecordError):
            decode(bad)


def test_every_flipped_bit_is_refused_or_another_record(rng: random.Random) -> None:
    body = canonical(RECORD)
    for at in range(len(body) * 8):
        flipped = bytearray(body)
        flipped[at // 8] ^= 1 << at % 8
        try:
            read = decode(bytes(flipped))
        except RecordError:
            continue
        assert read != RECORD
        assert canonical(read) == flipped


def test_bytes_that_are_no_record_are_refused() -> None:
    body = canonical(RECORD)
    for bad in (
        b"",
        b"\x02" + body[1:],
        body[:-1],
        body + b"\0",
        body + b"\0\0\0\0",
        b"\x01",
        body[:30],
        b"\x03" + body[1:],
    ):
        with pytest.raises(RecordError):
            decode(bad)


def test_a_number_written_too_wide_is_refused() -> None:
    at = 1 + 4 + 16  # after the version and the record's id
    body = canonical(RECORD)
    wide = body[:at] + (9).to_bytes(4, "big") + b"\0" + body[at + 4 :]
    with pytest.raises(RecordError, match="canonical"):
        decode(wide)


@pytest.mark.parametrize(
    "change",
    [
        {"record_id": b"\x01" * 15},
        {"at": -1},
        {"at": 1 << 64},
        {"at_us": 1_000_000},
        {"at_us": -1},
        {"actor": b"\x01" * 21},
        {"session_tag": b""},
        {"patient": b""},
        {"study": ""},
        {"study": "\ud800"},
        {"study_key": b"\x01"},
        {"action": Action(0)},
        {"action": Action.VIEW | Action.SEARCH},
        {"action": Action(16)},
        {"basis": b"\x01"},
        {"block": BlockRef(-1, BlockHash(bytes(32)))},
        {"block": BlockRef(1, BlockHash(bytes(31)))},
        {"target": "\udfff"},
        {"study_date": -1},
        {"study_date": 1 << 32},
        {"snapshot_age_s": -1},
        {"snapshot_age_s": 1 << 32},
    ],
    ids=str,
)
def test_a_field_that_does_not_fit_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(RecordError):
        canonical(replace(RECORD, **change))  # type: ignore[arg-type]  # wrong on purpose


OTHER = AccessRecord(
    record_id=AccessRecordId(b"\x09" * 16),
    at=UnixTime(1_900_000_001),
    at_us=250_001,
    actor=Address(b"\x09" * 20),
    session_tag=b"\x09" * 8,
    patient=PatientKey(b"\x09" * 32),
    study=None,
    action=Action.VIEW,
    purpose=Purpose.ETREAT,
    basis=BasisId(b"\x09" * 32),
    block=BlockRef(78, BlockHash(b"\x06" * 32)),
    target="GET /studies/1.2.4",
    gateway="gate-2",
    study_key=None,
    study_date=StudyDate(20200229),
    snapshot_age_s=7,
)


def test_the_commitment_opens_with_its_record_and_salt_only(rng: random.Random) -> None:
    body = canonical(RECORD)
    commitment = commit(body, SALT)
    assert commit(body, SALT) == commitment
    assert commit(body, rng.randbytes(32)) != commitment
    commitments = {commitment}
    for field in fields(AccessRecord):
        change: dict[str, Any] = {field.name: getattr(OTHER, field.name)}
        commitments.add(commit(canonical(replace(RECORD, **change)), SALT))
    assert len(commitments) == 1 + len(fields(AccessRecord))
    with pytest.raises(ValueError, match="32 bytes"):
        commit(body, SALT[1:])


def _access(rng: random.Random, few: int = 2) -> LoggedAccess:
    def one_of(width: int) -> bytes:
        return bytes([rng.randrange(few)]) * width

    block = BlockRef(rng.randrange(few), BlockHash(one_of(32)))
    return LoggedAccess(
        BasisId(one_of(32)), Address(one_of(20)), PatientKey(one_of(32)), block, Commitment(rng.randbytes(32))
    )


def test_batches_keep_the_order_and_share_what_neighbours_share(rng: random.Random) -> None:
    sizes = set()
    for _ in range(40):
        accesses = [_access(rng, rng.choice([1, 2])) for _ in range(rng.randrange(1, 40))]
        batch = encode_batch(accesses)
        assert decode_batch(batch) == accesses
        groups = 1 + sum(replace(a, commitment=b.commitment) != b for a, b in pairwise(accesses))
        assert len(batch) == groups * 126 + len(accesses) * 32
        sizes.add(groups)
    assert len(sizes) > 3
    assert len(decode_batch(encode_batch([_access(rng)] * MAX_BATCH))) == MAX_BATCH


def test_batches_that_the_contract_would_refuse(rng: random.Random) -> None:
    access = _access(rng)
    batch = encode_batch([access, access])
    empty_group = batch[:124] + b"\0\0"
    too_many = batch[:124] + (501).to_bytes(2, "big") + bytes(32 * 501)
    for bad in (b"", batch[:-1], batch[:50], batch + b"\0", empty_group, too_many):
        with pytest.raises(RecordError):
            decode_batch(bad)
    for accesses in ([], [access] * (MAX_BATCH + 1)):
        with pytest.raises(ValueError, match="1 to 500"):
            encode_batch(accesses)
    changes: list[dict[str, object]] = [
        {"basis": b""},
        {"accessor": b"\x01" * 32},
        {"patient": b"\x01"},
        {"block": BlockRef(1, BlockHash(b""))},
        {"block": BlockRef(1 << 64, BlockHash(bytes(32)))},
        {"commitment": b"\x01"},
    ]
    for change in changes:
        with pytest.raises(ValueError, match=r"width|32 bytes"):
            encode_batch([replace(access, **change)])  # type: ignore[arg-type]  # wrong on purpose


def test_exported_lines_read_back() -> None:
    body = canonical(RECORD)
    line = to_line(body, SALT)
    exported = from_line(line)
    assert exported == ExportedRecord(RECORD, body, SALT)
    assert exported.commitment == commit(body, SALT)


def test_exported_lines_are_read_strictly() -> None:
    line = to_line(canonical(RECORD), SALT)
    bad = {
        "not JSON": line[:-1],
        "nested too deep": "[" * 100_000,
        "not an object": "[]",
        "one member more": line[:-1] + ', "more": ""}',
        "another id": line.replace("01" * 16, "02" * 16, 1),
        "a short salt": line.replace(SALT.hex(), SALT.hex()[2:]),
        "a record that is none": line.replace('"record": "01', '"record": "02'),
        "not hex": line.replace(SALT.hex(), "zz"),
        "not text": line.replace(f'"{SALT.hex()}"', "1"),
    }
    for text in bad.values():
        assert text != line
        with pytest.raises(RecordError):
            from_line(text)
    with pytest.raises(RecordError):
        to_line(b"\x01", SALT)
