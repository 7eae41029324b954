"""Emergencies that were opened here, and their reviews, on their way to the chain.

An emergency counts from the moment it is stored, on every gateway of the database once that has looked; a review that
finds it unjustified ends it in the same way. What the chain makes of both is the mirror's to say.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlmodel import Session, col, func, select

from app.core.consent.emergencies import OpenedHere, utc_day
from app.core.consent.terms import Finding, Window
from app.core.identifiers import Address, ConsentId, EmergencyId, PatientKey, Signer, UnixTime
from app.core.notices.kinds import Due, NoticeKind
from app.store.consents import Consents
from app.store.engine import ConflictError, Database
from app.store.notices import tell
from app.store.outbox import CallState, NewCall, OutboxCall, call_of, enqueue
from app.store.tables import EmergencyReviewRow, EmergencyRow, OutboxCallRow

OPEN = "emergency-open"
REVIEW = "emergency-review"

_DAY_S = 86_400
# Gateways' clocks may differ: what ended a moment ago is still known.
_KEPT_AFTER_END_S = 60

# Actor → patient → the emergency that was opened last.
Opened = Mapping[Address, Mapping[PatientKey, OpenedHere]]


class QuotaReachedError(Exception):
    """The actor has opened as many emergencies in that UTC day as may be."""


@dataclass(frozen=True, slots=True)
class SignedOpening:
    """What was signed to open an emergency. ``reason_salt``: the 32 bytes that open the reason's hash."""

    emergency_id: EmergencyId
    patient: PatientKey
    actor: Address
    reason: str
    reason_salt: bytes
    window: Window
    signer: Signer
    signature: bytes
    snapshot_age_s: int | None


@dataclass(frozen=True, slots=True)
class SignedReview:
    """What somebody else found, and with what note."""

    emergency_id: EmergencyId
    patient: PatientKey
    reviewer: Address
    finding: Finding
    note: str
    note_salt: bytes


@dataclass(frozen=True, slots=True)
class StoredReview:
    review: SignedReview
    created_at: UnixTime
    call: OutboxCall


@dataclass(frozen=True, slots=True)
class StoredEmergency:
    """An emergency with the call that takes it to the chain, and its review if one was handed in here."""

    opening: SignedOpening
    created_at: UnixTime
    call: OutboxCall
    review: StoredReview | None


@dataclass(frozen=True, slots=True)
class _Counting:
    """What counts here and now: replaced whole when it changes, so that one look sees one state."""

    opened: Opened = field(default_factory=dict)
    ended: AbstractSet[tuple[PatientKey, ConsentId]] = frozenset()


class Emergencies:
    """``load`` before use. The methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._counting = _Counting()

    def load(self) -> None:
        """Reads which emergencies have not ended, also those opened at other gateways. Blocks."""
        self._adopt(self._database.read(self._read_counting))

    async def refresh(self) -> None:
        """``load``, off the event loop."""
        self._adopt(await self._database.reading(self._read_counting))

    def _adopt(self, found: _Counting) -> None:
        # The same again stays the same object: those who hold on to it see that nothing changed
        if found != self._counting:
            self._counting = found

    @property
    def opened(self) -> Opened:
        """The emergencies that were opened here and are not over: to be read, replaced whole when it changes."""
        return self._counting.opened

    @property
    def ended(self) -> AbstractSet[tuple[PatientKey, ConsentId]]:
        """Those found unjustified here whose window is still open, named like the consents that are taken back here."""
        return self._counting.ended

    async def open(
        self, opening: SignedOpening, call: NewCall, enrolment: NewCall | None, *, quota: int, landed: int
    ) -> StoredEmergency:
        """Stores the emergency and queues its call, after the enrolment that it needs, if any; then it counts.

        ``landed``: how many of the actor's in that UTC day the chain has counted already, those opened elsewhere
        included. Raises QuotaReachedError, or ConflictError where the id is stored already.
        """
        now = self._now()

        def work(transaction: Session) -> StoredEmergency:
            self._one_at_a_time(transaction, opening.actor)
            day = utc_day(opening.window.start) * _DAY_S
            row = EmergencyRow
            today = select(func.count()).where(
                col(row.actor) == opening.actor, col(row.valid_from) >= day, col(row.valid_from) < day + _DAY_S
            )
            if max(transaction.exec(today).one(), landed) >= quota:
                raise QuotaReachedError("the quota of the day is reached")
            if transaction.get(EmergencyRow, opening.emergency_id) is not None:
                raise ConflictError("the emergency is stored already")
            if enrolment is not None:
                enqueue(transaction, enrolment, now)
            queued = enqueue(transaction, call, now)
            stored = EmergencyRow(
                emergency_id=opening.emergency_id,
                patient_key=opening.patient,
                actor=opening.actor,
                reason=opening.reason,
                reason_salt=opening.reason_salt,
                valid_from=opening.window.start,
                valid_until=opening.window.end,
                signer=opening.signer,
                signature=opening.signature,
                snapshot_age_s=opening.snapshot_age_s,
                created_at=now,
                call_id=queued.call_id,
            )
            transaction.add(stored)
            told = Due(NoticeKind.BREAK_GLASS, opening.patient, opening.patient, opening.emergency_id)
            tell(transaction, [told], now)
            transaction.flush()
            return _stored(stored, transaction.get_one(OutboxCallRow, queued.call_id), None)

        made = await self._database.writing(work)
        await self.refresh()
        return made

    async def review(self, review: SignedReview, call: NewCall) -> StoredReview:
        """Stores the review and queues its call. Of two at once, one is stored: ConflictError for the other, unless the
        first one's call has failed.
        """
        now = self._now()

        def work(transaction: Session) -> StoredReview:
            before = transaction.get(EmergencyReviewRow, review.emergency_id, with_for_update=True)
            if before is not None and transaction.get_one(OutboxCallRow, before.call_id).state != CallState.FAILED:
                raise ConflictError("the emergency is reviewed already")
            queued = enqueue(transaction, call, now)
            stored = EmergencyReviewRow(
                emergency_id=review.emergency_id,
                patient_key=review.patient,
                reviewer=review.reviewer,
                finding=int(review.finding),
                note=review.note,
                note_salt=review.note_salt,
                created_at=now,
                call_id=queued.call_id,
            )
            stored = transaction.merge(stored)
            transaction.flush()
            return _reviewed(stored, transaction.get_one(OutboxCallRow, queued.call_id))

        made = await self._database.writing(work)
        await self.refresh()
        return made

    async def find(self, emergency_id: EmergencyId) -> StoredEmergency | None:
        """The emergency of this id, if it was opened at one of our gateways."""
        found = await self._some(col(EmergencyRow.emergency_id) == emergency_id, 1)
        return found[0] if found else None

    async def by_actor(self, actor: Address, limit: int = 500) -> list[StoredEmergency]:
        """Those that this actor opened here, the newest first."""
        return await self._some(col(EmergencyRow.actor) == actor, limit)

    async def of_patients(self, patients: Sequence[PatientKey], limit: int = 500) -> list[StoredEmergency]:
        """Those of these patients, the newest first."""
        return await self._some(col(EmergencyRow.patient_key).in_(patients), limit)

    async def all(self, limit: int = 500) -> list[StoredEmergency]:
        """Every one that was opened here, the newest first."""
        return await self._some(col(EmergencyRow.created_at) >= 0, limit)

    def _one_at_a_time(self, transaction: Session, actor: Address) -> None:
        """Two gateways that count one actor's openings at the same time would both find room for one more."""
        if not self._database.is_sqlite:
            turn = text("SELECT pg_advisory_xact_lock(:actor)")
            transaction.connection().execute(turn, {"actor": int.from_bytes(actor[:8], "big", signed=True)})

    async def _some(self, which: object, limit: int) -> list[StoredEmergency]:
        query = (
            select(EmergencyRow, OutboxCallRow)
            .join(OutboxCallRow, col(OutboxCallRow.call_id) == col(EmergencyRow.call_id))
            .where(which)  # type: ignore[arg-type]  # a condition
            .order_by(col(EmergencyRow.created_at).desc(), col(EmergencyRow.emergency_id))
            .limit(limit)
        )

        def work(transaction: Session) -> list[StoredEmergency]:
            rows = transaction.exec(query).all()
            ids = [row.emergency_id for row, _ in rows]
            reviews = (
                select(EmergencyReviewRow, OutboxCallRow)
                .join(OutboxCallRow, col(OutboxCallRow.call_id) == col(EmergencyReviewRow.call_id))
                .where(col(EmergencyReviewRow.emergency_id).in_(ids))
            )
            found = {row.emergency_id: _reviewed(row, call) for row, call in transaction.exec(reviews).all()}
            return [_stored(row, call, found.get(row.emergency_id)) for row, call in rows]

        return await self._database.reading(work)

    def _read_counting(self, transaction: Session) -> _Counting:
        since = self._now() - _KEPT_AFTER_END_S
        # What the contract has refused would leave accesses without authority: it opens nothing here either.
        running = (
            select(EmergencyRow)
            .join(OutboxCallRow, col(OutboxCallRow.call_id) == col(EmergencyRow.call_id))
            .where(col(EmergencyRow.valid_until) > since, col(OutboxCallRow.state) != CallState.FAILED)
            .order_by(col(EmergencyRow.created_at), col(EmergencyRow.emergency_id))
        )
        rows = transaction.exec(running).all()
        unjustified = select(EmergencyReviewRow.emergency_id).where(
            col(EmergencyReviewRow.finding) == int(Finding.NOT_JUSTIFIED),
            col(EmergencyReviewRow.emergency_id).in_([row.emergency_id for row in rows]),
        )
        over = set(transaction.exec(unjustified).all()) if rows else set()
        opened: dict[Address, dict[PatientKey, OpenedHere]] = {}
        for row in rows:
            if row.emergency_id not in over:
                one = OpenedHere(
                    PatientKey(row.patient_key),
                    Address(row.actor),
                    EmergencyId(row.emergency_id),
                    Window(UnixTime(row.valid_from), UnixTime(row.valid_until)),
                )
                opened.setdefault(one.actor, {})[one.patient] = one
        ended = frozenset(
            (PatientKey(row.patient_key), ConsentId(row.emergency_id)) for row in rows if row.emergency_id in over
        )
        return _Counting(opened, ended)

    def _now(self) -> UnixTime:
        return UnixTime(int(self._clock()))


class TakenBack:
    """Consents that were revoked here and emergencies that were found unjustified here: one set, and the same object
    while neither changes, so that a running answer sees by identity whether it has to be decided again.
    """

    def __init__(self, consents: Consents, emergencies: Emergencies) -> None:
        self._consents = consents
        self._emergencies = emergencies
        self._of: tuple[object, object] = (None, None)
        self._both: AbstractSet[tuple[PatientKey, ConsentId]] = frozenset()

    def now(self) -> AbstractSet[tuple[PatientKey, ConsentId]]:
        revoked, ended = self._consents.revoked_here, self._emergencies.ended
        if not ended:
            return revoked
        if self._of[0] is not revoked or self._of[1] is not ended:
            self._both, self._of = frozenset(revoked) | ended, (revoked, ended)
        return self._both


def _stored(row: EmergencyRow, call: OutboxCallRow, review: StoredReview | None) -> StoredEmergency:
    opening = SignedOpening(
        emergency_id=EmergencyId(row.emergency_id),
        patient=PatientKey(row.patient_key),
        actor=Address(row.actor),
        reason=row.reason,
        reason_salt=row.reason_salt,
        window=Window(UnixTime(row.valid_from), UnixTime(row.valid_until)),
        signer=Signer(row.signer),
        signature=row.signature,
        snapshot_age_s=row.snapshot_age_s,
    )
    return StoredEmergency(opening, UnixTime(row.created_at), call_of(call), review)


def _reviewed(row: EmergencyReviewRow, call: OutboxCallRow) -> StoredReview:
    review = SignedReview(
        emergency_id=EmergencyId(row.emergency_id),
        patient=PatientKey(row.patient_key),
        reviewer=Address(row.reviewer),
        finding=Finding(row.finding),
        note=row.note,
        note_salt=row.note_salt,
    )
    return StoredReview(review, UnixTime(row.created_at), call_of(call))
