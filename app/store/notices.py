"""The outbox of what people are told: each notice once, however many gateways notice it and however often they start.

A notice is written in the transaction of what caused it, or with the cursor that says how far the chain was read. Later
it is addressed (who is to be told, and by which channels) and its deliveries are attempted until one succeeds or the
day is over. A delivery is marked after it was made: a gateway that dies between the two delivers it again, and whoever
receives it can tell by its id.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy import Connection, delete, func, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from app.core.identifiers import Address, PatientKey, UnixTime
from app.core.notices.kinds import Channel, Due, NoticeKind, Settled
from app.store.engine import Database, portions
from app.store.tables import NoticeCursorRow, NoticeDeliveryRow, NoticeRow, Row

CHAIN = "chain"
_PATIENT_KEY_BYTES = 32
# What was told is kept so long, so that nothing that comes late tells it again.
KEPT_S = 30 * 86_400


class DeliveryState(StrEnum):
    """The values are in the database. DROPPED: its owner does not want it any more, or is not reached that way."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DROPPED = "dropped"
    GIVEN_UP = "given-up"


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice that is not addressed yet. ``recipient``: an actor, or a patient key for who acts for the patient."""

    notice_id: int
    kind: NoticeKind
    recipient: Address | PatientKey

    @property
    def of_patient(self) -> bool:
        return len(self.recipient) == _PATIENT_KEY_BYTES


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt that is due."""

    delivery_id: int
    kind: NoticeKind
    actor: Address
    channel: Channel
    public_id: bytes
    created_at: UnixTime
    failures: int


@dataclass(frozen=True, slots=True)
class OutboxCount:
    """``waiting``: deliveries that are still to be made; ``given_up``: of the last thirty days."""

    waiting: int
    given_up: int


class Notices:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cursor(self, source: str) -> int | None:
        """How far that source has been read; None before the first time."""
        row = await self._database.reading(lambda transaction: transaction.get(NoticeCursorRow, source))
        return None if row is None else row.position

    async def waiting(self, now: UnixTime, limit: int) -> list[Notice]:
        """Notices that are not addressed and whose time has come, the oldest first."""
        query = (
            select(NoticeRow)
            .where(col(NoticeRow.addressed_at).is_(None), col(NoticeRow.due_at) <= now)
            .order_by(col(NoticeRow.notice_id))
            .limit(limit)
        )
        rows = await self._database.reading(lambda transaction: list(transaction.exec(query).all()))
        return [_notice(row) for row in rows]

    async def address(self, to: Mapping[int, Sequence[tuple[Address, Channel]]], now: UnixTime) -> None:
        """Says for each of these notices who is to be told, and how. Nobody is an answer too."""

        def work(transaction: Session) -> None:
            connection = transaction.connection()
            for notice_id, people in to.items():
                for actor, channel in people:
                    _insert_delivery(connection, notice_id, actor, channel, now)
            for some in portions(list(to)):
                connection.execute(update(NoticeRow).where(col(NoticeRow.notice_id).in_(some)).values(addressed_at=now))

        await self._database.writing(work)

    async def due(self, now: UnixTime, limit: int) -> list[Delivery]:
        """Deliveries whose time has come, the longest overdue first."""
        query = (
            select(NoticeDeliveryRow, NoticeRow)
            .join(NoticeRow, col(NoticeRow.notice_id) == col(NoticeDeliveryRow.notice_id))
            .where(col(NoticeDeliveryRow.state) == DeliveryState.WAITING.value, col(NoticeDeliveryRow.next_at) <= now)
            .order_by(col(NoticeDeliveryRow.next_at), col(NoticeDeliveryRow.delivery_id))
            .limit(limit)
        )
        rows = await self._database.reading(lambda transaction: transaction.exec(query).all())
        return [_delivery(delivery, notice) for delivery, notice in rows]

    async def claim(self, delivery_id: int, now: UnixTime, until: UnixTime) -> bool:
        """Takes the delivery for an attempt that is over before ``until``; False when somebody else has taken it, or it
        is no more. What is claimed and not marked, its gateway being dead, is due again then.
        """
        change = (
            update(NoticeDeliveryRow)
            .where(
                col(NoticeDeliveryRow.delivery_id) == delivery_id,
                col(NoticeDeliveryRow.state) == DeliveryState.WAITING.value,
                col(NoticeDeliveryRow.next_at) <= now,
            )
            .values(next_at=until)
        )
        claimed = await self._database.writing(lambda transaction: transaction.connection().execute(change).rowcount)
        return claimed == 1

    async def ended(self, delivery_id: int, state: DeliveryState, now: UnixTime) -> None:
        """The delivery is over, one way or another."""
        change = update(NoticeDeliveryRow).where(col(NoticeDeliveryRow.delivery_id) == delivery_id)
        await self._database.writing(
            lambda transaction: transaction.connection().execute(change.values(state=state.value, changed_at=now))
        )

    async def failed(self, delivery_id: int, next_at: UnixTime, now: UnixTime) -> None:
        """It is to be attempted again."""
        failures = col(NoticeDeliveryRow.failures) + 1
        change = update(NoticeDeliveryRow).where(col(NoticeDeliveryRow.delivery_id) == delivery_id)
        await self._database.writing(
            lambda transaction: transaction.connection().execute(
                change.values(failures=failures, next_at=next_at, changed_at=now)
            )
        )

    async def count(self) -> OutboxCount:
        """For metrics."""
        query = select(col(NoticeDeliveryRow.state), func.count()).group_by(col(NoticeDeliveryRow.state))
        found = await self._database.reading(lambda transaction: dict(transaction.exec(query).all()))
        return OutboxCount(found.get(DeliveryState.WAITING, 0), found.get(DeliveryState.GIVEN_UP, 0))

    async def forget(self, now: UnixTime) -> None:
        """Lets go of what was told long ago."""
        old = delete(NoticeRow).where(
            col(NoticeRow.created_at) < now - KEPT_S, col(NoticeRow.addressed_at).is_not(None)
        )
        await self._database.writing(lambda transaction: transaction.connection().execute(old))


def tell(transaction: Session, dues: Iterable[Due], now: UnixTime) -> None:
    """Writes notices in the transaction of what caused them. One that is there already is not written again."""
    insert_once(
        transaction.connection(),
        NoticeRow,
        [
            {
                "identity": due.identity,
                "kind": due.kind.value,
                "recipient": due.recipient,
                "patient_key": due.patient,
                "about": due.about,
                "due_at": due.due_at,
                "created_at": now,
                "addressed_at": None,
            }
            for due in dues
        ],
    )


def settle_notices(transaction: Session, settled: Settled, now: UnixTime) -> None:
    """Addresses to nobody what need not be told any more; what is being told already is told."""
    transaction.connection().execute(
        update(NoticeRow)
        .where(
            col(NoticeRow.patient_key) == settled.patient,
            col(NoticeRow.kind) == settled.kind.value,
            col(NoticeRow.about) == settled.about,
            col(NoticeRow.addressed_at).is_(None),
        )
        .values(addressed_at=now)
    )


def tell_contact(transaction: Session, actor: Address, channel: Channel, nonce: bytes, now: UnixTime) -> None:
    """The message that asks whether an address is the actor's own; it goes to that address and nowhere else."""
    due = Due(NoticeKind.CONFIRM_CONTACT, actor, PatientKey(b""), channel.encode() + nonce)
    tell(transaction, [due], now)
    connection = transaction.connection()
    notice_id = connection.execute(
        update(NoticeRow)
        .where(col(NoticeRow.identity) == due.identity)
        .values(addressed_at=now)
        .returning(col(NoticeRow.notice_id))
    ).scalar_one()
    assert notice_id is not None  # noqa: S101 - a key
    _insert_delivery(connection, notice_id, actor, channel, now)


def read_up_to(transaction: Session, source: str, position: int) -> None:
    """Moves a source's cursor forward; one that another gateway moved further stays."""
    connection = transaction.connection()
    insert_once(connection, NoticeCursorRow, [{"source": source, "position": position}])
    connection.execute(
        update(NoticeCursorRow)
        .where(col(NoticeCursorRow.source) == source, col(NoticeCursorRow.position) < position)
        .values(position=position)
    )


def insert_once(connection: Connection, table: type[Row], rows: Sequence[dict[str, object]]) -> None:
    """Inserts those of the rows that are not there. Of two transactions at once, the later one finds the row."""
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(sa.inspect(table).local_table).on_conflict_do_nothing(), list(rows))


def _insert_delivery(connection: Connection, notice_id: int, actor: Address, channel: Channel, now: UnixTime) -> None:
    row = {
        "notice_id": notice_id,
        "actor": actor,
        "channel": channel.value,
        "public_id": secrets.token_bytes(16),
        "state": DeliveryState.WAITING.value,
        "failures": 0,
        "next_at": now,
        "changed_at": now,
    }
    insert_once(connection, NoticeDeliveryRow, [row])


def _notice(row: NoticeRow) -> Notice:
    assert row.notice_id is not None  # noqa: S101 - it was read
    patient = len(row.recipient) == _PATIENT_KEY_BYTES
    return Notice(row.notice_id, NoticeKind(row.kind), PatientKey(row.recipient) if patient else Address(row.recipient))


def _delivery(row: NoticeDeliveryRow, notice: NoticeRow) -> Delivery:
    assert row.delivery_id is not None  # noqa: S101 - it was read
    return Delivery(
        row.delivery_id,
        NoticeKind(notice.kind),
        Address(row.actor),
        Channel(row.channel),
        row.public_id,
        UnixTime(notice.created_at),
        row.failures,
    )
