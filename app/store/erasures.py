"""Erasure: the end of every link between a person and what the chain holds of them, and the record that it was done.

In this order, so that a crash at any point leaves a state to go on from:

1. ``begin``: the intent and the call for the chain are stored together. From then on nobody is let in here.
2. The chain takes the call, as it takes any other (outbox). From then on nobody is let in anywhere.
3. ``finish``: in one transaction everything that ties the key to the person goes, and the record says when.
4. ``sweep``: for some minutes more, what an answer that was running at the time wrote last goes too.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, or_, update
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col, select

from app.core.identifiers import Address, PatientKey, Signer, UnixTime
from app.store.access_requests import RequestState
from app.store.contacts import erase_contacts
from app.store.engine import Database, portions
from app.store.first_accesses import erase_accessors
from app.store.identity_resolutions import forget_patient
from app.store.outbox import NewCall, OutboxCall, call_of, enqueue
from app.store.patients import Patients
from app.store.tables import (
    AccessRecordRow,
    AccessRequestRow,
    ConsentMessageRow,
    EmergencyReviewRow,
    EmergencyRow,
    ErasureRow,
    GuardianNameRow,
    OutboxCallRow,
    PasskeyRow,
    PatientRow,
    RecoveryRow,
    RevocationMessageRow,
)

ERASE = "erase"
# The reason recorded for an erasure that came by a transaction of which nothing was known here.
BY_TRANSACTION = "by-transaction"
# Longer than any gateway goes on by a standing that does not know of the erasure (P8), and any answer it began then.
_SWEPT_FOR_S = 600
# What a passkey is called that nobody gave a name.
_NAMELESS = "Consentry"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One erasure. ``registrar`` None: it came by a transaction of which nothing was known here, as did its call."""

    patient: PatientKey
    registrar: Address | None
    reason: str
    asked_at: UnixTime
    call: OutboxCall | None
    erased_at: UnixTime | None


class Erasures:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database, patients: Patients, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._patients = patients
        self._clock = clock

    async def begin(
        self,
        patient: PatientKey,
        registrar: Address,
        reason: str,
        call: NewCall | None,
        acting: Sequence[Signer] = (),
    ) -> Erasure:
        """Begins it, or finds it begun; a call that had failed is queued anew. Without ``call`` the chain has it.

        ``acting``: who acts for the patient, as long as the chain still says so: what they called their passkeys may
        name somebody, and the chain knows these by their keys.
        """
        now = self._now()
        # At once: to deny a moment before it is stored is safe, to permit a moment after is not.
        self._patients.shut_out(patient)

        def work(transaction: Session) -> Erasure:
            row = transaction.get(ErasureRow, patient)
            if row is None:
                row = ErasureRow(
                    patient_key=patient,
                    registrar=registrar,
                    reason=reason,
                    asked_at=now,
                    call_id=None,
                    erased_at=None,
                    swept_at=None,
                )
            if row.erased_at is None and call is not None:
                row.call_id = enqueue(transaction, call, now).call_id
            transaction.add(row)
            transaction.flush()
            _rename_passkeys(transaction.connection(), acting)
            return _erasure(transaction, row)

        return await self._database.writing(work)

    async def find(self, patient: PatientKey) -> Erasure | None:
        """The erasure of this key, however far it has come."""

        def work(transaction: Session) -> Erasure | None:
            row = transaction.get(ErasureRow, patient)
            return None if row is None else _erasure(transaction, row)

        return await self._database.reading(work)

    async def all(self, limit: int = 500) -> list[Erasure]:
        """Every erasure, the newest first."""
        query = select(ErasureRow).order_by(col(ErasureRow.asked_at).desc(), col(ErasureRow.patient_key)).limit(limit)
        return await self._database.reading(
            lambda transaction: [_erasure(transaction, row) for row in transaction.exec(query).all()]
        )

    async def unfinished(self) -> list[PatientKey]:
        """Those that have begun and whose links are still here."""
        query = select(ErasureRow.patient_key).where(col(ErasureRow.erased_at).is_(None))
        return await self._database.reading(lambda transaction: list(map(PatientKey, transaction.exec(query).all())))

    async def finish(self, patient: PatientKey) -> None:
        """Destroys every link, and records that it is done: both or neither. Does nothing once it is done."""
        now = self._now()

        def work(transaction: Session) -> None:
            row = transaction.get(ErasureRow, patient, with_for_update=True)
            if row is None:
                row = ErasureRow(
                    patient_key=patient,
                    registrar=None,
                    reason=BY_TRANSACTION,
                    asked_at=now,
                    call_id=None,
                    erased_at=None,
                    swept_at=None,
                )
            if row.erased_at is not None:
                return
            row.erased_at = now
            transaction.add(row)
            connection = transaction.connection()
            connection.execute(
                update(PatientRow)
                .where(col(PatientRow.patient_key) == patient, col(PatientRow.erased_at).is_(None))
                .values(patient_id=None, issuer=None, salt=None, code=None, erased_at=now, changed_at=now)
            )
            _destroy_links(connection, patient, now)

        await self._database.writing(work)
        self._patients.erased(patient)
        await self._database.forget_overwritten()

    async def sweep(self) -> None:
        """What was written of erased patients since, by answers that had begun before."""
        now = self._now()
        unswept = select(ErasureRow).where(col(ErasureRow.erased_at).is_not(None), col(ErasureRow.swept_at).is_(None))

        def work(transaction: Session) -> bool:
            rows = transaction.exec(unswept).all()
            for row in rows:
                _destroy_links(transaction.connection(), PatientKey(row.patient_key), now)
                if row.erased_at is not None and row.erased_at + _SWEPT_FOR_S <= now:
                    row.swept_at = now
            return bool(rows)

        if await self._database.writing(work):
            await self._database.forget_overwritten()

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))


def _destroy_links(connection: Connection, patient: PatientKey, now: UnixTime) -> None:
    """Whatever ties the key to a person, or opens what the chain holds of it. Rows that the chain's are counted by
    stay, and say nothing.
    """
    records = update(AccessRecordRow).where(
        col(AccessRecordRow.patient_key) == patient,
        or_(col(AccessRecordRow.body) != b"", col(AccessRecordRow.study_uid).is_not(None)),
    )
    connection.execute(records.values(salt=b"", body=b"", study_uid=None))
    _rename_passkeys(connection, _signers(connection, patient))
    # Made with the code of one of their recoveries, whether or not it was to take over in the end
    codes = select(RecoveryRow.recovery_id).where(col(RecoveryRow.patient_key) == patient)
    connection.execute(update(PasskeyRow).where(col(PasskeyRow.maker).in_(codes)).values(name=_NAMELESS))
    for signed in (ConsentMessageRow, RevocationMessageRow):
        connection.execute(update(signed).where(col(signed.patient_key) == patient).values(typed_data=""))
    emergencies = update(EmergencyRow).where(col(EmergencyRow.patient_key) == patient)
    connection.execute(emergencies.values(reason="", reason_salt=b""))
    reviews = update(EmergencyReviewRow).where(col(EmergencyReviewRow.patient_key) == patient)
    connection.execute(reviews.values(note="", note_salt=b""))
    erase_contacts(connection, patient)
    erase_accessors(connection, patient)
    forget_patient(connection, patient, now)
    for about in (RecoveryRow, GuardianNameRow):
        connection.execute(delete(about).where(col(about.patient_key) == patient))
    _destroy_requests(connection, patient)


def _signers(connection: Connection, patient: PatientKey) -> list[Signer]:
    """Every key that signed for the patient here, was to take over, or was named as guardian."""
    found: set[bytes] = set()
    columns: tuple[tuple[Mapped[bytes], Mapped[bytes | None]], ...] = (
        (col(ConsentMessageRow.patient_key), col(ConsentMessageRow.signer)),
        (col(RevocationMessageRow.patient_key), col(RevocationMessageRow.signer)),
        (col(RecoveryRow.patient_key), col(RecoveryRow.controller)),
        (col(GuardianNameRow.patient_key), col(GuardianNameRow.guardian)),
    )
    for key, signer in columns:
        found |= {one for one in connection.execute(select(signer).where(key == patient)).scalars() if one is not None}
    return sorted(map(Signer, found))


def _rename_passkeys(connection: Connection, signers: Sequence[Signer]) -> None:
    for some in portions(list(signers)):
        connection.execute(update(PasskeyRow).where(col(PasskeyRow.signer).in_(some)).values(name=_NAMELESS))


def _destroy_requests(connection: Connection, patient: PatientKey) -> None:
    """What was answered goes. What was not becomes a request to nobody, as if there had never been such a patient:
    whoever asked must not learn by this that there was. It is forgotten when its time is over.
    """
    mine = col(AccessRequestRow.patient_key) == patient
    answered = col(AccessRequestRow.state).in_((RequestState.GRANTED, RequestState.DECLINED))
    connection.execute(delete(AccessRequestRow).where(mine, answered))
    left: Sequence[bytes] = connection.execute(select(col(AccessRequestRow.request_id)).where(mine)).scalars().all()
    for request in left:
        nobody = update(AccessRequestRow).where(col(AccessRequestRow.request_id) == request)
        connection.execute(nobody.values(patient_key=secrets.token_bytes(32)))


def _erasure(transaction: Session, row: ErasureRow) -> Erasure:
    call = None if row.call_id is None else transaction.get(OutboxCallRow, row.call_id)
    return Erasure(
        patient=PatientKey(row.patient_key),
        registrar=None if row.registrar is None else Address(row.registrar),
        reason=row.reason,
        asked_at=UnixTime(row.asked_at),
        call=None if call is None else call_of(call),
        erased_at=None if row.erased_at is None else UnixTime(row.erased_at),
    )
