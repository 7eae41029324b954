"""Signed consents and revocations that were handed in here, on their way to the chain.

What the chain makes of them is the mirror's to say; here is what was signed, and where its call is. A revocation denies
from the moment it is stored: ``revoked_here`` is what the chain's final state does not know yet.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import cast

from sqlalchemy import tuple_, update
from sqlmodel import Session, col, select

from app.core.identifiers import ConsentId, PatientKey, Signer, UnixTime
from app.store.engine import Database, portions
from app.store.outbox import NewCall, OutboxCall, call_of, enqueue
from app.store.tables import ConsentMessageRow, OutboxCallRow, RevocationMessageRow

GRANT = "grant"
REVOKE = "revoke"

Revocation = tuple[PatientKey, ConsentId]


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A grant or a revocation: the typed data as JSON text, exactly as it was signed, by whom, and the signature."""

    consent_id: ConsentId
    patient: PatientKey
    typed_data: str
    signer: Signer
    signature: bytes


@dataclass(frozen=True, slots=True)
class Submitted:
    """A message and the call that carries it to the chain."""

    message: SignedMessage
    created_at: UnixTime
    call: OutboxCall


class Consents:
    """``load`` before use. The methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        # What was handed in at this process, and what the database said last. Apart, so that a reading which began
        # before a revocation was stored cannot take it away again.
        self._ours: frozenset[Revocation] = frozenset()
        self._stored: frozenset[Revocation] = frozenset()
        self._revoked: frozenset[Revocation] = frozenset()

    def load(self) -> None:
        """Reads which revocations have not landed, also those handed to other gateways. Blocks."""
        self._stored = self._database.read(_not_landed)
        self._revoked = self._ours | self._stored

    async def refresh(self) -> None:
        """``load``, off the event loop."""
        self._stored = await self._database.reading(_not_landed)
        self._revoked = self._ours | self._stored

    @property
    def revoked_here(self) -> AbstractSet[Revocation]:
        """Revocations handed in and not final on the chain: a set to be read, replaced whole when it changes."""
        return self._revoked

    async def submit_grant(self, message: SignedMessage, call: NewCall) -> Submitted:
        """Stores the consent and queues its call. Submitted again, it stays as it was, unless its call had failed."""
        return (await self.submit_grants([message], call))[0]

    async def submit_grants(self, messages: Sequence[SignedMessage], call: NewCall) -> list[Submitted]:
        """The same for several consents that one signature and so one call carries: all of them or none."""
        keyed = [(message, message.consent_id) for message in messages]
        return await self._database.writing(
            lambda transaction: self._submit(transaction, keyed, call, ConsentMessageRow)
        )

    async def submit_revocation(self, message: SignedMessage, call: NewCall) -> Submitted:
        """Stores the revocation and queues its call; it denies here from the moment this is called."""
        key = (message.patient, message.consent_id)
        # At once: to deny a moment before it is stored is safe, to permit a moment after is not.
        self._ours |= {key}
        self._revoked |= {key}
        stored = await self._database.writing(
            lambda transaction: self._submit(transaction, [(message, key)], call, RevocationMessageRow)
        )
        return stored[0]

    def _submit(
        self,
        transaction: Session,
        messages: Sequence[tuple[SignedMessage, object]],
        call: NewCall,
        table: type[ConsentMessageRow] | type[RevocationMessageRow],
    ) -> list[Submitted]:
        """Each message with its row's key."""
        now = self._now()
        queued = enqueue(transaction, call, now)
        for message, _ in messages if queued.anew else []:
            transaction.merge(
                table(
                    consent_id=message.consent_id,
                    patient_key=message.patient,
                    typed_data=message.typed_data,
                    signer=message.signer,
                    signature=message.signature,
                    created_at=now,
                    call_id=queued.call_id,
                )
            )
        transaction.flush()
        rows = [
            cast("ConsentMessageRow | RevocationMessageRow", transaction.get_one(table, key)) for _, key in messages
        ]
        return [_submitted(row, transaction.get_one(OutboxCallRow, row.call_id)) for row in rows]

    async def landed(self, revocations: Iterable[Revocation]) -> None:
        """The chain's final state has these: the mirror denies by itself now."""
        keys = [key for key in revocations if key in self._revoked]
        if not keys:
            return
        key_of = tuple_(col(RevocationMessageRow.patient_key), col(RevocationMessageRow.consent_id))
        change = update(RevocationMessageRow).values(landed_at=self._now())

        def work(transaction: Session) -> None:
            for some in portions(keys):
                transaction.connection().execute(change.where(key_of.in_(some)))

        await self._database.writing(work)
        self._ours -= frozenset(keys)
        self._stored -= frozenset(keys)
        self._revoked = self._ours | self._stored

    async def grant(self, consent_id: ConsentId) -> Submitted | None:
        """The consent of this id, if it was handed in at one of our gateways."""
        found = await self._grants(col(ConsentMessageRow.consent_id) == consent_id)
        return found[0] if found else None

    async def grants_of(self, patients: Sequence[PatientKey]) -> list[Submitted]:
        """All consents of these patients that were handed in here, the oldest first."""
        return await self._grants(col(ConsentMessageRow.patient_key).in_(patients))

    async def revocation(self, patient: PatientKey, consent_id: ConsentId) -> Submitted | None:
        """The revocation of this consent, if it was handed in at one of our gateways."""

        def work(transaction: Session) -> Submitted | None:
            row = transaction.get(RevocationMessageRow, (patient, consent_id))
            return None if row is None else _submitted(row, transaction.get_one(OutboxCallRow, row.call_id))

        return await self._database.reading(work)

    async def _grants(self, which: object) -> list[Submitted]:
        query = (
            select(ConsentMessageRow, OutboxCallRow)
            .join(OutboxCallRow, col(OutboxCallRow.call_id) == col(ConsentMessageRow.call_id))
            .where(which)  # type: ignore[arg-type]  # a condition
            .order_by(col(ConsentMessageRow.created_at), col(ConsentMessageRow.call_id))
        )
        return await self._database.reading(
            lambda transaction: [_submitted(row, call) for row, call in transaction.exec(query).all()]
        )

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))


def _not_landed(transaction: Session) -> frozenset[Revocation]:
    waiting = select(RevocationMessageRow.patient_key, RevocationMessageRow.consent_id).where(
        col(RevocationMessageRow.landed_at).is_(None)
    )
    return frozenset((PatientKey(patient), ConsentId(consent)) for patient, consent in transaction.exec(waiting).all())


def _submitted(row: ConsentMessageRow | RevocationMessageRow, call: OutboxCallRow) -> Submitted:
    message = SignedMessage(
        ConsentId(row.consent_id), PatientKey(row.patient_key), row.typed_data, Signer(row.signer), row.signature
    )
    return Submitted(message, UnixTime(row.created_at), call_of(call))
