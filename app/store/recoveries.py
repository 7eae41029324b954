"""Recoveries of lost wallets, from the desk's first step to their end. How far the move has come, the chain says."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import update
from sqlmodel import Session, col, select

from app.core.identifiers import Address, PatientKey, Signer, UnixTime
from app.store.engine import Database
from app.store.outbox import NewCall, OutboxCall, call_of, enqueue
from app.store.tables import OutboxCallRow, RecoveryRow

START_MOVE = "start-move"
LASTS_S = 14 * 86400


class Ended(StrEnum):
    """How a recovery ended. The values are in the database."""

    FINISHED = "finished"
    VETOED = "vetoed"
    FAILED = "failed"
    # Begun anew at the desk, or another move has taken its place on the chain.
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Recovery:
    """One recovery. ``controller``: the new one, once the code has been used; ``call`` then starts the move."""

    recovery_id: bytes
    patient: PatientKey
    registrar: Address
    created_at: UnixTime
    expires_at: UnixTime
    controller: Signer | None
    call: OutboxCall | None
    move_nonce: int | None
    ended: Ended | None
    ended_at: UnixTime | None


class Recoveries:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def begin(self, patient: PatientKey, registrar: Address, code_hash: bytes) -> Recovery:
        """A new one, with a random id of 16 bytes. One of the patient's whose code was not used yet ends by it."""
        now = self._now()
        row = RecoveryRow(
            recovery_id=secrets.token_bytes(16),
            patient_key=patient,
            registrar=registrar,
            code_hash=code_hash,
            created_at=now,
            expires_at=now + LASTS_S,
            controller=None,
            claimed_at=None,
            started_call=None,
            move_nonce=None,
            ended=None,
            ended_at=None,
        )
        begun = _recovery(row, None)
        waiting = (
            update(RecoveryRow)
            .where(
                col(RecoveryRow.patient_key) == patient,
                col(RecoveryRow.controller).is_(None),
                col(RecoveryRow.ended).is_(None),
            )
            .values(ended=Ended.REPLACED, ended_at=now)
        )

        def work(transaction: Session) -> None:
            transaction.connection().execute(waiting)
            transaction.add(row)

        await self._database.writing(work)
        return begun

    async def waiting_with(self, code_hash: bytes) -> Recovery | None:
        """The recovery that waits for this code, inside its time."""
        now = self._now()
        return await self._database.reading(
            lambda transaction: _found(transaction, _waiting(transaction, code_hash, now))
        )

    async def claim(self, code_hash: bytes, controller: Signer, call: NewCall) -> Recovery | None:
        """Uses the code up: the controller is stored and the call that starts the move queued, both or neither. None
        where the code opens nothing (any more); of two at once, one has it.
        """
        now = self._now()

        def work(transaction: Session) -> Recovery | None:
            row = _waiting(transaction, code_hash, now, lock=True)
            if row is None:
                return None
            row.controller, row.claimed_at = controller, now
            row.started_call = enqueue(transaction, call, now).call_id
            transaction.add(row)
            transaction.flush()
            return _found(transaction, row)

        return await self._database.writing(work)

    async def find(self, recovery_id: bytes) -> Recovery | None:
        """The recovery of this id."""
        return await self._database.reading(
            lambda transaction: _found(transaction, transaction.get(RecoveryRow, recovery_id))
        )

    async def all(self, limit: int = 500) -> list[Recovery]:
        """Every recovery, the newest first."""
        return await self._some(select(RecoveryRow), limit)

    async def of_patients(self, patients: Sequence[PatientKey], limit: int = 500) -> list[Recovery]:
        """The recoveries of these patients, the newest first."""
        return await self._some(select(RecoveryRow).where(col(RecoveryRow.patient_key).in_(patients)), limit)

    async def towards(self, controllers: Sequence[Signer], limit: int = 500) -> list[Recovery]:
        """The recoveries whose code these controllers used, the newest first."""
        return await self._some(select(RecoveryRow).where(col(RecoveryRow.controller).in_(controllers)), limit)

    async def running(self, limit: int = 10_000) -> list[Recovery]:
        """Those whose code was used and of which it is not known how they ended."""
        going = col(RecoveryRow.controller).is_not(None) & col(RecoveryRow.ended).is_(None)
        return await self._some(select(RecoveryRow).where(going), limit)

    async def seen(self, recovery_id: bytes, move_nonce: int) -> None:
        """Its move is on the chain under this number."""
        await self._change(recovery_id, move_nonce=move_nonce)

    async def ended(self, recovery_id: bytes, how: Ended) -> None:
        """It is over."""
        await self._change(recovery_id, ended=how, ended_at=self._now())

    async def _change(self, recovery_id: bytes, **values: object) -> None:
        change = update(RecoveryRow).where(
            col(RecoveryRow.recovery_id) == recovery_id, col(RecoveryRow.ended).is_(None)
        )
        await self._database.writing(lambda transaction: transaction.connection().execute(change.values(**values)))

    async def _some(self, query: object, limit: int) -> list[Recovery]:
        newest = query.order_by(col(RecoveryRow.created_at).desc(), col(RecoveryRow.recovery_id)).limit(limit)  # type: ignore[attr-defined]  # a select

        def work(transaction: Session) -> list[Recovery]:
            return [_recovery(row, _call(transaction, row)) for row in transaction.exec(newest).all()]

        return await self._database.reading(work)

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))


def _waiting(transaction: Session, code_hash: bytes, now: int, *, lock: bool = False) -> RecoveryRow | None:
    query = select(RecoveryRow).where(
        col(RecoveryRow.code_hash) == code_hash,
        col(RecoveryRow.controller).is_(None),
        col(RecoveryRow.ended).is_(None),
        col(RecoveryRow.expires_at) > now,
    )
    return transaction.exec(query.with_for_update() if lock else query).one_or_none()


def _found(transaction: Session, row: RecoveryRow | None) -> Recovery | None:
    return None if row is None else _recovery(row, _call(transaction, row))


def _call(transaction: Session, row: RecoveryRow) -> OutboxCall | None:
    return None if row.started_call is None else call_of(transaction.get_one(OutboxCallRow, row.started_call))


def _recovery(row: RecoveryRow, call: OutboxCall | None) -> Recovery:
    return Recovery(
        recovery_id=row.recovery_id,
        patient=PatientKey(row.patient_key),
        registrar=Address(row.registrar),
        created_at=UnixTime(row.created_at),
        expires_at=UnixTime(row.expires_at),
        controller=None if row.controller is None else Signer(row.controller),
        call=call,
        move_nonce=row.move_nonce,
        ended=None if row.ended is None else Ended(row.ended),
        ended_at=None if row.ended_at is None else UnixTime(row.ended_at),
    )
