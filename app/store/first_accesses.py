"""Who accessed a patient's images for the first time, found in the access log behind the journal's back: nothing is
added to the path on which a record is written.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func
from sqlmodel import Session, col, select

from app.core.consent.basis import GUARDIAN, SELF
from app.core.identifiers import Address, PatientKey, UnixTime
from app.core.notices.kinds import Due, NoticeKind
from app.store.engine import Database
from app.store.notices import insert_once, read_up_to, tell
from app.store.tables import AccessRecordRow, KnownAccessorRow, NoticeCursorRow

ACCESSES = "accesses"
# Row ids are given before their transaction commits, and another gateway's may commit late: what is younger than this
# is read again. Knowing somebody twice changes nothing.
OVERLAP_S = 120
_MOST_PAIRS = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """``upto``: the last row that was looked at. ``more``: there were more newcomers than one sweep takes."""

    upto: int
    more: bool


@dataclass(frozen=True, slots=True)
class _Found:
    pairs: list[tuple[PatientKey, Address]]
    newest: int
    settled: int


class FirstAccesses:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sweep(self, after: int | None, now: UnixTime) -> Swept:
        """Tells of everybody who is new among the records after that row (None: after what was read for good).

        The patient's own look is nobody's first access, nor is a guardian's.
        """
        found = await self._database.reading(lambda transaction: _look(transaction, after, now))
        more = len(found.pairs) == _MOST_PAIRS

        def work(transaction: Session) -> None:
            dues = [Due(NoticeKind.FIRST_ACCESS, patient, patient, actor) for patient, actor in found.pairs]
            tell(transaction, dues, now)
            known: list[dict[str, object]] = [
                {"patient_key": patient, "actor": actor} for patient, actor in found.pairs
            ]
            insert_once(transaction.connection(), KnownAccessorRow, known)
            if found.settled and not more:
                read_up_to(transaction, ACCESSES, found.settled)

        if found.pairs or found.settled:
            await self._database.writing(work)
        return Swept(after or 0 if more else found.newest, more)


def erase_accessors(connection: Connection, patient: PatientKey) -> None:
    """Forgets who accessed an erased patient's images: the log still counts them."""
    connection.execute(delete(KnownAccessorRow).where(col(KnownAccessorRow.patient_key) == patient))


def _look(transaction: Session, after: int | None, now: UnixTime) -> _Found:
    row_id = col(AccessRecordRow.row_id)
    cursor = transaction.get(NoticeCursorRow, ACCESSES)
    settled = 0 if cursor is None else cursor.position
    newest = transaction.exec(select(func.max(row_id))).one() or 0
    known = select(col(KnownAccessorRow.actor)).where(
        col(KnownAccessorRow.patient_key) == col(AccessRecordRow.patient_key),
        col(KnownAccessorRow.actor) == col(AccessRecordRow.actor),
    )
    pair = (col(AccessRecordRow.patient_key), col(AccessRecordRow.actor))
    newcomers = transaction.exec(
        select(*pair)
        .where(row_id > (settled if after is None else after), row_id <= newest, ~known.exists())
        .where(col(AccessRecordRow.basis).not_in([SELF, GUARDIAN]))
        .distinct()
        .order_by(*pair)
        .limit(_MOST_PAIRS)
    )
    pairs = [(PatientKey(patient), Address(actor)) for patient, actor in newcomers]
    old = select(func.max(row_id)).where(row_id > settled, row_id <= newest, col(AccessRecordRow.at) < now - OVERLAP_S)
    # Only what a sweep from the cursor has looked at is read for good
    return _Found(pairs, newest, 0 if after is not None else transaction.exec(old).one() or 0)
