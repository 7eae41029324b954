"""A physician asks, the patient answers. A granted request names the consent that the patient signed for it."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import Session, col, select

from app.core.identifiers import Address, ConsentId, PatientKey, UnixTime
from app.core.notices.kinds import Due, NoticeKind
from app.store.engine import Database
from app.store.notices import tell
from app.store.tables import AccessRequestRow


class RequestState(StrEnum):
    """Where a request is. The values are in the database."""

    OPEN = "open"
    GRANTED = "granted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class AskedAccess:
    """One request. ``terms`` is JSON text of what is asked for, ``message`` what the requester says to the patient."""

    request_id: bytes
    patient: PatientKey
    requester: Address
    terms: str
    message: str
    state: RequestState
    consent_id: ConsentId | None
    created_at: UnixTime
    decided_at: UnixTime | None


class AccessRequests:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def ask(self, patient: PatientKey, requester: Address, terms: str, message: str) -> AskedAccess:
        """A new request with a random id of 16 bytes, and in the same transaction the notice of it: to a patient who is
        nobody too, so that the work is the same.
        """
        row = AccessRequestRow(
            request_id=secrets.token_bytes(16),
            patient_key=patient,
            requester=requester,
            terms=terms,
            message=message,
            state=RequestState.OPEN,
            consent_id=None,
            created_at=int(self._clock()),
            decided_at=None,
        )
        asked = _asked(row)

        def work(transaction: Session) -> None:
            transaction.add(row)
            tell(transaction, [Due(NoticeKind.ACCESS_REQUESTED, patient, patient, asked.request_id)], asked.created_at)

        await self._database.writing(work)
        return asked

    async def find(self, request_id: bytes) -> AskedAccess | None:
        """The request of this id."""

        def work(transaction: Session) -> AskedAccess | None:
            row = transaction.get(AccessRequestRow, request_id)
            return None if row is None else _asked(row)

        return await self._database.reading(work)

    async def of_patients(self, patients: Sequence[PatientKey], limit: int = 500) -> list[AskedAccess]:
        """What these patients were asked, the newest first."""
        return await self._some(col(AccessRequestRow.patient_key).in_(patients), limit)

    async def by_requester(self, requester: Address, limit: int = 500) -> list[AskedAccess]:
        """What this actor asked for, the newest first."""
        return await self._some(col(AccessRequestRow.requester) == requester, limit)

    async def decide(
        self, request_id: bytes, state: RequestState, consent_id: ConsentId | None = None
    ) -> AskedAccess | None:
        """Closes an open request and tells who asked; None when there is no open one of this id. Of two at once, one
        decides.
        """
        now = int(self._clock())

        def work(transaction: Session) -> AskedAccess | None:
            open_one = select(AccessRequestRow).where(
                col(AccessRequestRow.request_id) == request_id, col(AccessRequestRow.state) == RequestState.OPEN
            )
            row = transaction.exec(open_one.with_for_update()).one_or_none()
            if row is None:
                return None
            row.state, row.consent_id, row.decided_at = state, consent_id, now
            decided = _asked(row)
            if state is not RequestState.WITHDRAWN:
                answered = Due(NoticeKind.REQUEST_ANSWERED, decided.requester, decided.patient, request_id)
                tell(transaction, [answered], UnixTime(now))
            return decided

        return await self._database.writing(work)

    async def _some(self, which: object, limit: int) -> list[AskedAccess]:
        query = (
            select(AccessRequestRow)
            .where(which)  # type: ignore[arg-type]  # a condition
            .order_by(col(AccessRequestRow.created_at).desc(), col(AccessRequestRow.request_id))
            .limit(limit)
        )
        return await self._database.reading(lambda transaction: [_asked(row) for row in transaction.exec(query).all()])


def _asked(row: AccessRequestRow) -> AskedAccess:
    return AskedAccess(
        request_id=row.request_id,
        patient=PatientKey(row.patient_key),
        requester=Address(row.requester),
        terms=row.terms,
        message=row.message,
        state=RequestState(row.state),
        consent_id=None if row.consent_id is None else ConsentId(row.consent_id),
        created_at=UnixTime(row.created_at),
        decided_at=None if row.decided_at is None else UnixTime(row.decided_at),
    )
