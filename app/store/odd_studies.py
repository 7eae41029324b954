"""Studies whose patient the archive leaves in doubt, as they were last seen."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete
from sqlmodel import Session, col, select

from app.core.dicom.identities import Accepted, FoundIdentity
from app.core.identifiers import StudyUid, UnixTime
from app.core.oddities import Oddity
from app.store.engine import Database, portions
from app.store.identity_resolutions import identity_hash
from app.store.ownership import Ownership
from app.store.tables import OddIdentityRow, OddStudyRow

# What no path can name is not kept: nobody could be let in to it.
_UID: Final = re.compile(r"[0-9.]{1,64}").fullmatch
# Of the identities of one study; some archives put a whole day under one UID.
MOST_IDENTITIES: Final = 100
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Held:
    """One identity of a study, and how many of its instances carry it."""

    identity: FoundIdentity
    instances: int


@dataclass(frozen=True, slots=True)
class OddStudy:
    """A study as it was last seen. ``identities``: the first MOST_IDENTITIES of ``count``. ``fingerprint``: None where
    the archive could not tell enough to resolve it.
    """

    study: StudyUid
    oddity: Oddity
    identities: tuple[Held, ...]
    count: int
    instances: int
    fingerprint: bytes | None
    first_seen: UnixTime
    last_seen: UnixTime

    def is_resolved(self, ownership: Ownership) -> bool:
        """Whether it is somebody's by now, as far as it was seen."""
        if self.count > len(self.identities):
            return ownership.is_ruled(self.study, self.fingerprint)
        return ownership.is_settled(self.study, self.fingerprint, [held.identity for held in self.identities])


@dataclass(frozen=True, slots=True)
class SeenStudy:
    """A study that was looked at just now. ``oddity`` None: nothing is odd about it, or not any more."""

    study: StudyUid
    oddity: Oddity | None
    identities: tuple[Held, ...] = ()
    fingerprint: bytes | None = None


def seen(study: StudyUid, oddity: Oddity | None, accepted: Accepted, instances: int) -> SeenStudy:
    """From what the archive said of it. ``instances``: how many, where one patient is named."""
    if oddity is None:
        return SeenStudy(study, None)
    counts = {} if accepted.odd is None else accepted.odd.instances
    held = (Held(found, len(counts[found]) if counts else instances) for found in accepted.identities)
    ordered = sorted(held, key=lambda one: (one.identity.patient_ids, one.identity.issuers))
    return SeenStudy(study, oddity, tuple(ordered), accepted.fingerprint)


class OddStudies:
    """The methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def note(self, looked_at: Sequence[SeenStudy]) -> None:
        """Keep what is odd, and forget what is odd no more."""
        sound = {one.study: one for one in looked_at if _UID(one.study)}
        if not sound:
            return
        now = int(self._clock())

        def work(transaction: Session) -> None:
            connection = transaction.connection()
            for some in portions(sorted(sound)):
                known = {
                    row.study_uid: row.first_seen
                    for row in transaction.exec(select(OddStudyRow).where(col(OddStudyRow.study_uid).in_(some)))
                }
                transaction.expunge_all()
                connection.execute(delete(OddIdentityRow).where(col(OddIdentityRow.study_uid).in_(some)))
                connection.execute(delete(OddStudyRow).where(col(OddStudyRow.study_uid).in_(some)))
                for study in some:
                    transaction.add_all(_rows(sound[study], known.get(study, now), now))
                transaction.flush()

        await self._database.writing(work)

    async def page(self, after: str, limit: int, oddity: Oddity | None = None) -> list[OddStudy]:
        """Some of them, in the order of their UIDs, behind ``after``."""
        return await self._database.reading(lambda transaction: _page(transaction, after, limit, oddity))

    async def one(self, study: StudyUid) -> OddStudy | None:
        """The one of this UID."""

        def work(transaction: Session) -> OddStudy | None:
            rows = transaction.exec(select(OddStudyRow).where(col(OddStudyRow.study_uid) == study)).all()
            return next(iter(_with_identities(transaction, rows)), None)

        return await self._database.reading(work)

    async def not_seen_since(self, time_s: int, limit: int) -> list[StudyUid]:
        """Some that were last seen before that time."""

        def work(transaction: Session) -> list[StudyUid]:
            query = select(OddStudyRow.study_uid).where(col(OddStudyRow.last_seen) < time_s).limit(limit)
            return [StudyUid(uid) for uid in transaction.exec(query)]

        return await self._database.reading(work)

    async def unresolved(self, ownership: Ownership) -> int:
        """How many are nobody's."""
        return await self._database.reading(lambda transaction: count_unresolved(transaction, ownership))


def count_unresolved(transaction: Session, ownership: Ownership) -> int:
    """See OddStudies.unresolved."""
    found, after = 0, ""
    while some := _page(transaction, after, _PAGE, None):
        found += sum(not one.is_resolved(ownership) for one in some)
        after = some[-1].study
    return found


def _rows(one: SeenStudy, first_seen: int, now: int) -> list[OddStudyRow | OddIdentityRow]:
    if one.oddity is None:
        return []
    study = OddStudyRow(
        study_uid=one.study,
        oddity=one.oddity.value,
        identities=len(one.identities),
        instances=sum(held.instances for held in one.identities),
        fingerprint=one.fingerprint,
        first_seen=first_seen,
        last_seen=now,
    )
    return [study, *(_identity_row(one.study, held) for held in one.identities[:MOST_IDENTITIES])]


def _identity_row(study: StudyUid, held: Held) -> OddIdentityRow:
    return OddIdentityRow(
        study_uid=study,
        identity_hash=identity_hash(held.identity),
        identity=held.identity.text,
        blank=held.identity.blank,
        instances=held.instances,
    )


def _page(transaction: Session, after: str, limit: int, oddity: Oddity | None) -> list[OddStudy]:
    uid = col(OddStudyRow.study_uid)
    query = select(OddStudyRow).where(uid > after).order_by(uid).limit(limit)
    if oddity is not None:
        query = query.where(col(OddStudyRow.oddity) == oddity.value)
    return _with_identities(transaction, transaction.exec(query).all())


def _with_identities(transaction: Session, rows: Sequence[OddStudyRow]) -> list[OddStudy]:
    held: dict[str, list[Held]] = {}
    for some in portions([row.study_uid for row in rows]):
        query = select(OddIdentityRow).where(col(OddIdentityRow.study_uid).in_(some))
        for one in transaction.exec(query):
            identity = FoundIdentity.parse(one.identity, blank=one.blank)
            held.setdefault(one.study_uid, []).append(Held(identity, one.instances))
    return [
        OddStudy(
            StudyUid(row.study_uid),
            Oddity(row.oddity),
            tuple(
                sorted(held.get(row.study_uid, ()), key=lambda one: (one.identity.patient_ids, one.identity.issuers))
            ),
            row.identities,
            row.instances,
            row.fingerprint,
            UnixTime(row.first_seen),
            UnixTime(row.last_seen),
        )
        for row in rows
    ]
