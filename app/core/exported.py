"""Exported access records: one JSON object per line, in the order of the log, so that an auditor reads them as a
stream.
"""

import json
from dataclasses import dataclass

from app.core.identifiers import Commitment
from app.core.record import SALT_BYTES, AccessRecord, RecordError, commit, decode

_MEMBERS = ("record_id", "record", "salt")


@dataclass(frozen=True, slots=True)
class ExportedRecord:
    """A record with what opens its commitment: the canonical bytes and the salt."""

    record: AccessRecord
    body: bytes
    salt: bytes

    @property
    def commitment(self) -> Commitment:
        return commit(self.body, self.salt)


def to_line(body: bytes, salt: bytes) -> str:
    """One line, without its end. Raises RecordError when ``body`` is not a record's canonical bytes."""
    values = (decode(body).record_id, body, salt)
    return json.dumps({name: value.hex() for name, value in zip(_MEMBERS, values, strict=True)})


def from_line(line: str) -> ExportedRecord:
    """Reads one line, strictly. Raises RecordError, which quotes nothing."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RecordError("a line that is not JSON") from error
    if not isinstance(document, dict) or set(document) != set(_MEMBERS):
        raise RecordError("a line with other members than an exported record")
    record_id, body, salt = (_bytes(document[name]) for name in _MEMBERS)
    record = decode(body)
    if record.record_id != record_id:
        raise RecordError("a line whose record has another id")
    if len(salt) != SALT_BYTES:
        raise RecordError("a salt of the wrong length")
    return ExportedRecord(record, body, salt)


def _bytes(value: object) -> bytes:
    try:
        return bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError as error:
        raise RecordError("a value that is not hex") from error
