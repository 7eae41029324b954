"""Who is enrolled: the PACS's name of a patient ↔ the pseudonymous key, with the salt that ties them.

Held in memory whole (about half a kilobyte a patient), since every decision needs it. What another gateway has changed
is read on a miss, at most once a second, and by whoever calls ``refresh`` regularly.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.core.identifiers import PatientKey, Subject, UnixTime
from app.store.engine import ConflictError, Database, StoreUnavailableError
from app.store.identity_resolutions import forget_patient
from app.store.tables import AccessRecordRow, AccessRequestRow, ConsentMessageRow, PatientRow, RevocationMessageRow

_MISS_PAUSE_S = 1.0
# Gateways' clocks may differ, and a transaction may commit late: each reading looks back this far.
_OVERLAP_S = 120


class AlreadyEnrolledError(Exception):
    """The subject or the key is enrolled already. The text names neither."""


@dataclass(frozen=True, slots=True)
class EnrolledPatient:
    """``salt`` (32 bytes) is the patient's own; without it nothing on the chain can be tied to the subject."""

    key: PatientKey
    subject: Subject
    salt: bytes


class Patients:
    """``load`` before use. Reads are plain dictionary look-ups and may come from any thread."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._by_subject: dict[Subject, EnrolledPatient] = {}
        self._by_key: dict[PatientKey, EnrolledPatient] = {}
        self._changes_until = 0
        self._refreshing = threading.Lock()
        self._rereader = ThreadPoolExecutor(1, thread_name_prefix="patients")
        self._next_reread = 0.0

    def load(self) -> None:
        """Reads what changed since the last time, everything at first. Blocks. Raises StoreUnavailableError."""
        with self._refreshing:
            since = self._changes_until - _OVERLAP_S
            rows = self._database.read(
                lambda transaction: transaction.exec(
                    select(PatientRow).where(col(PatientRow.changed_at) >= since).order_by(col(PatientRow.row_id))
                ).all()
            )
            for row in rows:
                self._learn(row)
                self._changes_until = max(self._changes_until, row.changed_at)

    async def refresh(self) -> None:
        """``load``, off the event loop."""
        await asyncio.get_running_loop().run_in_executor(self._rereader, self.load)

    def by_subject(self, subject: Subject) -> EnrolledPatient | None:
        """The enrolled patient of this exact PatientID and issuer."""
        found = self._by_subject.get(subject)
        if found is None:
            self._missed()
        return found

    def by_key(self, key: PatientKey) -> EnrolledPatient | None:
        """The enrolled patient of this key; None once erased."""
        found = self._by_key.get(key)
        if found is None:
            self._missed()
        return found

    def all(self) -> list[EnrolledPatient]:
        """Everyone enrolled, as known here now."""
        return list(self._by_key.values())

    async def enrol(self, subject: Subject, key: PatientKey, salt: bytes) -> EnrolledPatient:
        """Raises AlreadyEnrolledError if subject or key is enrolled, here or by another gateway."""
        now = UnixTime(int(self._clock()))
        patient = EnrolledPatient(key, subject, salt)
        row = PatientRow(
            patient_key=key,
            patient_id=subject.patient_id,
            issuer=subject.issuer,
            salt=salt,
            enrolled_at=now,
            erased_at=None,
            changed_at=now,
        )
        try:
            await self._database.writing(lambda transaction: transaction.add(row))
        except ConflictError:
            raise AlreadyEnrolledError("enrolled already") from None
        self._remember(patient)
        return patient

    async def erase(self, key: PatientKey) -> bool:
        """Forgets whatever ties the key to a person or its accesses to images; False if the key is not enrolled.

        The rows stay, so that what is on the chain is still counted; nothing that could open a commitment does.
        """
        now = int(self._clock())

        def work(transaction: Session) -> bool:
            connection = transaction.connection()
            forget_patient(connection, key, now)
            erased = connection.execute(
                update(PatientRow)
                .where(col(PatientRow.patient_key) == key, col(PatientRow.erased_at).is_(None))
                .values(patient_id=None, issuer=None, salt=None, erased_at=now, changed_at=now)
            )
            connection.execute(
                update(AccessRecordRow)
                .where(col(AccessRecordRow.patient_key) == key)
                .values(salt=b"", body=b"", study_uid=None)
            )
            for signed in (ConsentMessageRow, RevocationMessageRow):
                connection.execute(update(signed).where(col(signed.patient_key) == key).values(typed_data=""))
            connection.execute(
                update(AccessRequestRow).where(col(AccessRequestRow.patient_key) == key).values(terms="", message="")
            )
            return erased.rowcount == 1

        done = await self._database.writing(work)
        self._forget(key)
        return done

    def close(self) -> None:
        self._rereader.shutdown()

    def _missed(self) -> None:
        # Most misses are patients that nobody enrolled, so the database is asked at a bounded rate, whoever asks us.
        now = time.monotonic()
        if now >= self._next_reread:
            self._next_reread = now + _MISS_PAUSE_S
            self._rereader.submit(self._reread)

    def _reread(self) -> None:
        try:
            self.load()
        except StoreUnavailableError:
            return  # what is not known is not let in; the journal reports the database

    def _learn(self, row: PatientRow) -> None:
        key = PatientKey(row.patient_key)
        if row.patient_id is None or row.issuer is None or row.salt is None:
            self._forget(key)
        else:
            self._remember(EnrolledPatient(key, Subject(row.patient_id, row.issuer), row.salt))

    def _remember(self, patient: EnrolledPatient) -> None:
        self._by_subject[patient.subject] = patient
        self._by_key[patient.key] = patient

    def _forget(self, key: PatientKey) -> None:
        patient = self._by_key.pop(key, None)
        if patient is not None and self._by_subject.get(patient.subject) is patient:
            del self._by_subject[patient.subject]
