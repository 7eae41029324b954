"""Who is enrolled: the PACS's name of a patient ↔ the pseudonymous key, with the salt that ties them.

Held in memory whole (about half a kilobyte a patient), since every decision needs it. What another gateway has changed
is read on a miss, at most once a second, and by whoever calls ``refresh`` regularly.

A patient who is being erased is shut out: nothing here finds them any more, so nobody is let in to their images.
"""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlmodel import col, select

from app.core.identifiers import PatientKey, Subject, UnixTime
from app.core.patient_code import RANDOM_BYTES, make_patient_code
from app.store.engine import ConflictError, Database, StoreUnavailableError
from app.store.tables import ErasureRow, PatientRow

_MISS_PAUSE_S = 1.0
# Gateways' clocks may differ, and a transaction may commit late: each reading looks back this far.
_OVERLAP_S = 120


class AlreadyEnrolledError(Exception):
    """The subject or the key is enrolled already. The text names neither."""


@dataclass(frozen=True, slots=True)
class EnrolledPatient:
    """``salt`` (32 bytes) is the patient's own; without it nothing on the chain can be tied to the subject. ``code``:
    the digits by which the patient can be asked for access.
    """

    key: PatientKey
    subject: Subject
    salt: bytes
    code: str = field(default="", compare=False)


class Patients:
    """``load`` before use. Reads are plain dictionary look-ups and may come from any thread."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._by_subject: dict[Subject, EnrolledPatient] = {}
        self._by_key: dict[PatientKey, EnrolledPatient] = {}
        self._by_code: dict[str, EnrolledPatient] = {}
        # Being erased: here since the first moment of it, and elsewhere.
        self._shut: dict[PatientKey, EnrolledPatient | None] = {}
        self._changes_until = 0
        self._refreshing = threading.Lock()
        self._rereader = ThreadPoolExecutor(1, thread_name_prefix="patients")
        self._next_reread = 0.0

    def load(self) -> None:
        """Reads what changed since the last time, everything at first. Blocks. Raises StoreUnavailableError."""
        with self._refreshing:
            since = self._changes_until - _OVERLAP_S
            changed = select(PatientRow).where(col(PatientRow.changed_at) >= since).order_by(col(PatientRow.row_id))
            going = select(ErasureRow.patient_key).where(col(ErasureRow.erased_at).is_(None))
            rows, shut = self._database.read(
                lambda transaction: (transaction.exec(changed).all(), transaction.exec(going).all())
            )
            for key in shut:
                self.shut_out(PatientKey(key))
            for row in rows:
                self._learn(row)
                self._changes_until = max(self._changes_until, row.changed_at)

    async def refresh(self) -> None:
        """``load``, off the event loop."""
        await asyncio.get_running_loop().run_in_executor(self._rereader, self.load)

    def by_subject(self, subject: Subject, *, look_again: bool = True) -> EnrolledPatient | None:
        """The enrolled patient of this exact PatientID and issuer. Without ``look_again`` a miss has no consequence,
        and so takes no longer than a hit.
        """
        found = self._by_subject.get(subject)
        if found is None and look_again:
            self._missed()
        return found

    def by_code(self, digits: str) -> EnrolledPatient | None:
        """The enrolled patient of this code; a miss has no consequence."""
        return self._by_code.get(digits)

    def by_key(self, key: PatientKey, *, look_again: bool = True) -> EnrolledPatient | None:
        """The enrolled patient of this key; None once erased. ``look_again``: as in ``by_subject``."""
        found = self._by_key.get(key)
        if found is None and look_again:
            self._missed()
        return found

    def all(self) -> list[EnrolledPatient]:
        """Everyone enrolled, as known here now; not who is being erased."""
        return list(self._by_key.values())

    def being_erased(self) -> list[EnrolledPatient]:
        """Those who are served to nobody any more and whose links are not destroyed yet, as far as known here."""
        return [patient for patient in self._shut.values() if patient is not None]

    def shut_out(self, key: PatientKey) -> None:
        """From now on nobody finds this patient here: the erasure has begun. It cannot be taken back."""
        patient = self._by_key.get(key)
        self._shut[key] = patient or self._shut.get(key)
        self._forget(key)

    def erased(self, key: PatientKey) -> None:
        """The links are destroyed: what is left in memory goes too."""
        self._forget(key)
        self._shut.pop(key, None)

    async def enrol(self, subject: Subject, key: PatientKey, salt: bytes) -> EnrolledPatient:
        """Raises AlreadyEnrolledError if subject or key is enrolled, here or by another gateway."""
        now = UnixTime(int(self._clock()))
        patient = EnrolledPatient(key, subject, salt, make_patient_code(secrets.token_bytes(RANDOM_BYTES)))
        row = PatientRow(
            patient_key=key,
            patient_id=subject.patient_id,
            issuer=subject.issuer,
            salt=salt,
            code=patient.code,
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
            self.erased(key)
            return
        patient = EnrolledPatient(key, Subject(row.patient_id, row.issuer), row.salt, row.code or "")
        if key in self._shut:
            self._shut[key] = patient
        else:
            self._remember(patient)

    def _remember(self, patient: EnrolledPatient) -> None:
        self._by_subject[patient.subject] = patient
        self._by_key[patient.key] = patient
        self._by_code[patient.code] = patient

    def _forget(self, key: PatientKey) -> None:
        patient = self._by_key.pop(key, None)
        if patient is None:
            return
        # A person who was erased and enrolled anew has another key under the same name.
        if self._by_subject.get(patient.subject) is patient:
            del self._by_subject[patient.subject]
        self._by_code.pop(patient.code, None)
