"""A physician asks, the patient answers. A granted request names the consent that the patient signed for it."""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, delete, func
from sqlmodel import Session, col, select

from app.core.identifiers import Address, ConsentId, PatientKey, UnixTime
from app.core.notices.kinds import Due, NoticeKind
from app.store.engine import Database
from app.store.notices import tell
from app.store.tables import AccessRequestRow

LASTS_S = 30 * 86400
MOST_OPEN = 3
MOST_IN_WINDOW = 30
WINDOW_S = 3600
# What nobody answered is kept for so long after its end, and then forgotten.
_KEPT_AFTER_END_S = 30 * 86400


class RequestState(StrEnum):
    """Where a request is. The values are in the database, but for EXPIRED: an open one whose time is over."""

    OPEN = "open"
    GRANTED = "granted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class TooManyOpenError(Exception):
    """The requester has as many open requests to whoever is named so as anybody may."""


class TooManyAskedError(Exception):
    """The requester asks too often. ``wait_s``: seconds until they may again."""

    def __init__(self, wait_s: int) -> None:
        super().__init__("asks too often")
        self.wait_s = wait_s


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
    expires_at: UnixTime
    decided_at: UnixTime | None


class AccessRequests:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def ask(
        self, patient: PatientKey, requester: Address, terms: str, message: str, asked_as: bytes = b""
    ) -> AskedAccess:
        """A new request with a random id of 16 bytes, and in the same transaction the notice of it: to a patient who is
        nobody too (a random key), so that the work is the same.

        ``asked_as``: the same bytes for the same way of naming the same patient, by which open requests are counted.
        Raises TooManyOpenError, TooManyAskedError: both depend on what this requester asked before, and on nothing that
        is known of the patient.
        """
        now = int(self._clock())
        row = AccessRequestRow(
            request_id=secrets.token_bytes(16),
            patient_key=patient,
            requester=requester,
            asked=asked_as,
            terms=terms,
            message=message,
            state=RequestState.OPEN,
            consent_id=None,
            created_at=now,
            expires_at=now + LASTS_S,
            decided_at=None,
        )
        asked = _asked(row, now)
        mine = col(AccessRequestRow.requester) == requester
        lately = select(AccessRequestRow.created_at).where(mine, col(AccessRequestRow.created_at) > now - WINDOW_S)
        open_ones = (
            select(func.count())
            .select_from(AccessRequestRow)
            .where(mine, col(AccessRequestRow.asked) == asked_as, *_is_open(now))
        )

        def work(transaction: Session) -> None:
            times = sorted(transaction.exec(lately).all())
            if len(times) >= MOST_IN_WINDOW:
                raise TooManyAskedError(max(1, times[-MOST_IN_WINDOW] + WINDOW_S - now))
            if transaction.exec(open_ones).one() >= MOST_OPEN:
                raise TooManyOpenError("as many as may be open")
            transaction.add(row)
            due = Due(NoticeKind.ACCESS_REQUESTED, patient, patient, asked.request_id)
            tell(transaction, [due], asked.created_at)

        await self._database.writing(work)
        return asked

    async def find(self, request_id: bytes) -> AskedAccess | None:
        """The request of this id."""

        def work(transaction: Session) -> AskedAccess | None:
            row = transaction.get(AccessRequestRow, request_id)
            return None if row is None else _asked(row, self._clock())

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
            open_one = select(AccessRequestRow).where(col(AccessRequestRow.request_id) == request_id, *_is_open(now))
            row = transaction.exec(open_one.with_for_update()).one_or_none()
            if row is None:
                return None
            row.state, row.consent_id, row.decided_at = state, consent_id, now
            decided = _asked(row, now)
            if state is not RequestState.WITHDRAWN:
                answered = Due(NoticeKind.REQUEST_ANSWERED, decided.requester, decided.patient, request_id)
                tell(transaction, [answered], UnixTime(now))
            return decided

        return await self._database.writing(work)

    async def forget(self) -> None:
        """Lets go of what nobody answered, some time after its end: words about a patient are not kept for ever."""
        old = int(self._clock()) - _KEPT_AFTER_END_S
        unanswered = col(AccessRequestRow.state).in_((RequestState.OPEN, RequestState.WITHDRAWN))
        gone = delete(AccessRequestRow).where(unanswered, col(AccessRequestRow.expires_at) < old)
        await self._database.writing(lambda transaction: transaction.connection().execute(gone))

    async def _some(self, which: object, limit: int) -> list[AskedAccess]:
        query = (
            select(AccessRequestRow)
            .where(which)  # type: ignore[arg-type]  # a condition
            .order_by(col(AccessRequestRow.created_at).desc(), col(AccessRequestRow.request_id))
            .limit(limit)
        )
        return await self._database.reading(
            lambda transaction: [_asked(row, self._clock()) for row in transaction.exec(query).all()]
        )


def _is_open(now: int) -> "tuple[ColumnElement[bool], ColumnElement[bool]]":
    return (col(AccessRequestRow.state) == RequestState.OPEN), (col(AccessRequestRow.expires_at) > now)


def _asked(row: AccessRequestRow, now: float) -> AskedAccess:
    state = RequestState(row.state)
    return AskedAccess(
        request_id=row.request_id,
        patient=PatientKey(row.patient_key),
        requester=Address(row.requester),
        terms=row.terms,
        message=row.message,
        state=RequestState.EXPIRED if state is RequestState.OPEN and row.expires_at <= now else state,
        consent_id=None if row.consent_id is None else ConsentId(row.consent_id),
        created_at=UnixTime(row.created_at),
        expires_at=UnixTime(row.expires_at),
        decided_at=None if row.decided_at is None else UnixTime(row.decided_at),
    )
