"""Access records made up for tests: every field random, none of them anybody's."""

import random
from dataclasses import replace

from app.core.consent.terms import Action, Purpose
from app.core.identifiers import (
    AccessRecordId,
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    PatientKey,
    StudyUid,
    UnixTime,
)
from app.core.record import AccessRecord, canonical, commit
from app.store.journal import JournalEntry


def random_record(rng: random.Random, **fields: object) -> AccessRecord:
    """A record; ``fields`` are as given."""
    record = AccessRecord(
        record_id=AccessRecordId(rng.randbytes(16)),
        at=UnixTime(rng.randrange(1_700_000_000, 1_900_000_000)),
        at_us=rng.randrange(1_000_000),
        actor=Address(rng.randbytes(20)),
        session_tag=rng.randbytes(8),
        patient=PatientKey(rng.randbytes(32)),
        study=rng.choice([None, StudyUid(f"2.25.{rng.getrandbits(120)}")]),
        action=rng.choice(list(Action)),
        purpose=rng.choice(list(Purpose)),
        basis=BasisId(rng.randbytes(32)),
        block=BlockRef(rng.randrange(2**40), BlockHash(rng.randbytes(32))),
        target="GET /studies",
        gateway="gw1",
    )
    return replace(record, **fields)  # type: ignore[arg-type]  # the caller names fields of the record


def entry_of(record: AccessRecord, rng: random.Random) -> JournalEntry:
    """The record as the journal takes it."""
    salt = rng.randbytes(32)
    body = canonical(record)
    return JournalEntry(record, salt, body, commit(body, salt))


def random_entry(rng: random.Random, **fields: object) -> JournalEntry:
    """A random record, ready for the journal."""
    return entry_of(random_record(rng, **fields), rng)
