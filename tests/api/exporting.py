"""Accesses and consents to export: on the chain, by people with names that are hard to write."""

import asyncio
import random
from dataclasses import replace

from app.core.consent.basis import person, role_id
from app.core.consent.consent_id import consent_id
from app.core.consent.events import ConsentGranted, ConsentRevoked, DirectoryEntrySet, RoleSet
from app.core.consent.fold import fold, fold_all
from app.core.consent.terms import Action, Capacity, DateSpan, Effect, Purpose, Role, Terms, Window
from app.core.directory import entry_hash
from app.core.identifiers import Address, ConsentId, StudyKey, StudyUid, UnixTime
from app.store.directory import DirectoryEntry
from app.store.journal import Journal, Outcome
from tests.api.in_process import CHAIN_ID, DEPLOYMENT, NOW, PATIENT, PATIENT_KEY, PHYSICIAN, InProcess
from tests.support.accesses import entry_of, random_record

STUDY = StudyUid("1.2.840.113619.2.55.3.604688")
NAMES = [
    "Dr. Ána Żółć",
    "山田太郎",
    "김철수",
    "张伟",
    "Иван Петров",
    "Νίκος Παπαδόπουλος",
    "محمد علي",
    "משה כהן",
    '#set text(red) <script>alert("1")</script> *bold* _x_ $x$ @ref \\ `raw` //',
]
PEOPLE = [Address(bytes([0x40 + at]) * 20) for at in range(len(NAMES))]
TERMS = Terms(
    patient=PATIENT_KEY,
    grantee=person(PHYSICIAN),
    effect=Effect.PERMIT,
    actions=Action.VIEW | Action.SHARE,
    purposes=1 << Purpose.TREAT | 1 << Purpose.HRESCH,
    window=Window(UnixTime(NOW - 100), UnixTime(NOW + 600)),
    studies=(StudyKey(b"\x05" * 32),),
    epoch=0,
    consent_nonce=bytes(32),
    dates=DateSpan(20200229, 0),
    share_depth=1,
)


def identity(terms: Terms) -> ConsentId:
    return consent_id(terms, CHAIN_ID, DEPLOYMENT.address("ConsentRegistry"))


def granted(api: InProcess, terms: Terms = TERMS) -> ConsentId:
    """On the chain, not handed in here."""
    api.state = fold(api.state, ConsentGranted(identity(terms), terms, PATIENT, Capacity.CONTROLLER))
    return identity(terms)


def revoked(api: InProcess, consent: ConsentId) -> None:
    api.state = fold(api.state, ConsentRevoked(PATIENT_KEY, consent, PATIENT, Capacity.CONTROLLER, 1))


async def in_directory(api: InProcess, who: Address, name: str, organisation: str = "Klinikum") -> None:
    """In the directory, and vouched for by the chain."""
    salt = bytes(32)
    hashed = entry_hash(salt, name, organisation, "")
    await api.wiring.directory.put(DirectoryEntry(who, name, organisation, "", salt, hashed))
    window = Window(UnixTime(0), UnixTime(1 << 40))
    api.state = fold_all(api.state, [RoleSet(role_id(Role.PHYSICIAN), who, window), DirectoryEntrySet(who, hashed)])


async def looked(api: InProcess, rng: random.Random, count: int = 1, **fields: object) -> None:
    """So many accesses by the people of NAMES in turn, newest last, unless ``fields`` say otherwise."""
    records = [
        replace(
            random_record(rng, patient=PATIENT_KEY, study=STUDY, action=Action.VIEW, purpose=Purpose.TREAT),
            at=UnixTime(NOW - count + at),
            actor=PEOPLE[at % len(PEOPLE)],
            **fields,  # type: ignore[arg-type]  # the caller names fields of the record
        )
        for at in range(count)
    ]
    journal = Journal(api.database)
    journal.start()
    await journal.append([entry_of(record, rng) for record in records])
    for record in records:
        journal.outcome(record.record_id, Outcome(200, 10, complete=True))
    await asyncio.to_thread(journal.stop)
