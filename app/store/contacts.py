"""How people asked to be told: their own addresses, confirmed before use, and what they want to hear of."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, update
from sqlmodel import Session, col, select

from app.core.identifiers import Address, PatientKey, UnixTime
from app.core.notices.kinds import ALWAYS, Channel, NoticeKind
from app.core.notices.reaching import token_hash
from app.store.engine import Database
from app.store.notices import tell_contact
from app.store.tables import ContactChannelRow, ContactPatientRow, ContactRow, NoticeDeliveryRow, NoticeRow

# How long a one-time link opens something, and how soon another may be asked for.
LINK_GOOD_FOR_S = 86_400
LINK_PAUSE_S = 60


class TooSoonError(Exception):
    """A link was sent a moment ago: nobody's mailbox is filled by asking again and again."""


@dataclass(frozen=True, slots=True)
class Reached:
    """One address. ``nonce`` goes into its one-time link and a webhook's secret, and changes with the address."""

    channel: Channel
    target: str
    nonce: bytes
    asked_at: UnixTime
    confirmed_at: UnixTime | None


@dataclass(frozen=True, slots=True)
class Contact:
    """``muted``: kinds that are not to be told; those that are told always cannot be among them."""

    actor: Address
    language: str
    muted: frozenset[NoticeKind]
    reached: tuple[Reached, ...]

    def by(self, channel: Channel) -> Reached | None:
        return next((one for one in self.reached if one.channel is channel), None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contact as its owner wants it. ``targets``: the addresses, each with the token of its one-time link for the
    nonce that it would get.
    """

    actor: Address
    language: str
    muted: frozenset[NoticeKind]
    targets: dict[Channel, str]
    patients: Sequence[PatientKey]


class Contacts:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, actor: Address) -> Contact | None:
        """The actor's own contact."""
        return await self._database.reading(lambda transaction: contact_of(transaction, actor))

    async def put(
        self, wanted: Wanted, now: UnixTime, nonce: bytes, token: Callable[[Channel, str, bytes], str]
    ) -> Contact:
        """Writes the contact in place of an earlier one. An address that is new, or whose link is used up unconfirmed,
        is asked to confirm; one that was confirmed and stays, stays confirmed. ``token`` makes a link's token.

        Raises TooSoonError when an address was asked less than a minute ago.
        """

        def work(transaction: Session) -> Contact:
            connection = transaction.connection()
            transaction.merge(
                ContactRow(
                    actor=wanted.actor,
                    language=wanted.language,
                    muted=",".join(sorted(wanted.muted - ALWAYS)),
                    changed_at=now,
                )
            )
            transaction.flush()
            for patient in wanted.patients:
                transaction.merge(ContactPatientRow(actor=wanted.actor, patient_key=patient))
            for channel in Channel:
                before = transaction.get(ContactChannelRow, (wanted.actor, channel.value))
                target = wanted.targets.get(channel)
                if before is not None and before.target == target and before.confirmed_at is not None:
                    continue
                if before is not None and target is not None and now - before.asked_at < LINK_PAUSE_S:
                    raise TooSoonError("a link was sent a moment ago")
                if before is not None:
                    transaction.delete(before)
                    transaction.flush()
                if target is not None:
                    transaction.add(
                        ContactChannelRow(
                            actor=wanted.actor,
                            channel=channel.value,
                            target=target,
                            nonce=nonce,
                            token_hash=token_hash(token(channel, target, nonce)),
                            asked_at=now,
                            confirmed_at=None,
                        )
                    )
                    tell_contact(transaction, wanted.actor, channel, nonce, now)
            transaction.flush()
            connection.execute(
                delete(NoticeDeliveryRow).where(
                    col(NoticeDeliveryRow.actor) == wanted.actor,
                    col(NoticeDeliveryRow.channel).not_in([channel.value for channel in wanted.targets]),
                )
            )
            contact = contact_of(transaction, wanted.actor)
            assert contact is not None  # noqa: S101 - written above
            return contact

        return await self._database.writing(work)

    async def confirm(self, token: str, now: UnixTime) -> bool:
        """Confirms the address whose link carries the token; False where there is none, or it is over or used."""

        def work(transaction: Session) -> bool:
            confirmed = transaction.connection().execute(
                update(ContactChannelRow)
                .where(
                    col(ContactChannelRow.token_hash) == token_hash(token),
                    col(ContactChannelRow.confirmed_at).is_(None),
                    col(ContactChannelRow.asked_at) > now - LINK_GOOD_FOR_S,
                )
                .values(confirmed_at=now)
            )
            return confirmed.rowcount == 1

        return await self._database.writing(work)

    async def remove(self, actor: Address) -> None:
        """Forgets the contact, and what was still to be sent to it."""
        await self._database.writing(lambda transaction: _remove(transaction.connection(), [actor]))


def contact_of(transaction: Session, actor: Address) -> Contact | None:
    """The actor's contact, inside somebody's transaction."""
    row = transaction.get(ContactRow, actor)
    if row is None:
        return None
    channels = transaction.exec(
        select(ContactChannelRow).where(col(ContactChannelRow.actor) == actor).order_by(col(ContactChannelRow.channel))
    )
    muted = frozenset(NoticeKind(kind) for kind in row.muted.split(",") if kind)
    return Contact(actor, row.language, muted, tuple(map(_reached, channels)))


def acts_for(transaction: Session, acting: Iterable[tuple[PatientKey, Address]]) -> None:
    """Notes for whom owners of contacts have come to act, so that erasure finds them."""
    for patient, actor in acting:
        if transaction.get(ContactRow, actor) is not None:
            transaction.merge(ContactPatientRow(actor=actor, patient_key=patient))


def erase_contacts(connection: Connection, patient: PatientKey) -> None:
    """Forgets, with a patient, the contact of everybody who acts or acted for them, and every notice about them.

    Also the contact of somebody who acts for others too: an address that stayed would tie the patient's key to a
    person. They may set it again.
    """
    theirs = select(col(ContactPatientRow.actor)).where(col(ContactPatientRow.patient_key) == patient)
    actors = [Address(actor) for (actor,) in connection.execute(theirs)]
    _remove(connection, actors)
    connection.execute(delete(NoticeRow).where(col(NoticeRow.patient_key) == patient))


def _remove(connection: Connection, actors: Sequence[Address]) -> None:
    for table in (NoticeDeliveryRow, ContactRow):  # what belongs to a contact goes with it
        connection.execute(delete(table).where(col(table.actor).in_(actors)))


def _reached(row: ContactChannelRow) -> Reached:
    return Reached(
        Channel(row.channel),
        row.target,
        row.nonce,
        UnixTime(row.asked_at),
        None if row.confirmed_at is None else UnixTime(row.confirmed_at),
    )
