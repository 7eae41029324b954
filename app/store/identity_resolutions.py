"""What was said of odd identities, by whom, when and why; what is in force of it is held in memory.

Every gateway on the database reads what the others changed: whoever calls ``refresh`` regularly.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, or_, update
from sqlmodel import Session, col, select

from app.core.dicom.identities import FoundIdentity
from app.core.identifiers import Address, PatientKey, StudyUid, Subject, UnixTime
from app.core.rulings import NO_RULINGS, Rulings, StudyRuling
from app.store.engine import ConflictError, Database, portions
from app.store.tables import IdentityResolutionRow, OddIdentityRow, OddStudyRow, PatientRow

_ID_BYTES = 16
# As for patients: clocks may differ, and a transaction may commit late.
_OVERLAP_S = 120


class ResolutionKind(StrEnum):
    """The values are in the database."""

    ALIAS = "alias"
    STUDY = "study"


@dataclass(frozen=True, slots=True)
class Resolution:
    """One, in force or withdrawn. ``alias`` or ``study`` with ``fingerprint``; none of them once the patient is erased.
    ``withdrawn_by`` None with a time: by the patient's erasure.
    """

    resolution_id: bytes
    kind: ResolutionKind
    patient: PatientKey
    alias: Subject | None
    study: StudyUid | None
    fingerprint: bytes | None
    reason: str
    made_by: Address
    made_at: UnixTime
    withdrawn_by: Address | None
    withdrawn_at: UnixTime | None


class IdentityResolutions:
    """``load`` before use. Methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._in_force: dict[bytes, Resolution] = {}
        # What has ended never comes back: a reading that began before must not bring it back either.
        self._ended: set[bytes] = set()
        self._changes_until = 0
        self._learning = threading.Lock()
        self._rulings = NO_RULINGS

    @property
    def rulings(self) -> Rulings:
        """What is in force: a value, replaced whole when it changes."""
        return self._rulings

    def load(self) -> None:
        """Reads what changed since the last time, everything at first. Blocks."""
        self._learn(self._database.read(self._changed))

    async def refresh(self) -> None:
        """``load``, off the event loop."""
        self._learn(await self._database.reading(self._changed))

    async def alias(self, alias: Subject, patient: PatientKey, reason: str, by: Address) -> Resolution:
        """From now on the identity is this patient's. Raises ConflictError where something is in force of it, or the
        patient is not enrolled, or the identity is a patient of its own.
        """
        row = self._row(ResolutionKind.ALIAS, patient, reason, by)
        row.alias_patient_id, row.alias_issuer = alias.patient_id, alias.issuer
        return await self._add(row)

    async def study(
        self, study: StudyUid, fingerprint: bytes, patient: PatientKey, reason: str, by: Address
    ) -> Resolution:
        """The study is this patient's while it has this fingerprint. One for another fingerprint is withdrawn with it.

        Raises ConflictError where one for this fingerprint is in force, or the patient is not enrolled.
        """
        row = self._row(ResolutionKind.STUDY, patient, reason, by)
        row.study_uid, row.fingerprint = study, fingerprint
        return await self._add(row)

    async def withdraw(self, resolution_id: bytes, by: Address) -> Resolution | None:
        """End it; None where nothing of that id is in force."""
        now = int(self._clock())

        def work(transaction: Session) -> Resolution | None:
            row = transaction.get(IdentityResolutionRow, resolution_id, with_for_update=True)
            if row is None or row.withdrawn_at is not None:
                return None
            row.withdrawn_by, row.withdrawn_at, row.changed_at = by, now, now
            transaction.add(row)
            return _resolution(row)

        ended = await self._database.writing(work)
        if ended is not None:
            self._learn([(ended, now)])
        return ended

    async def listed(self, after: bytes | None, limit: int, *, in_force: bool | None = None) -> list[Resolution]:
        """Some of them, the newest first, behind the one of the id ``after``."""

        def work(transaction: Session) -> list[Resolution]:
            made_at, identity = col(IdentityResolutionRow.made_at), col(IdentityResolutionRow.resolution_id)
            query = select(IdentityResolutionRow).order_by(made_at.desc(), identity)
            if in_force is not None:
                ended = col(IdentityResolutionRow.withdrawn_at)
                query = query.where(ended.is_(None) if in_force else ended.is_not(None))
            begin = None if after is None else transaction.get(IdentityResolutionRow, after)
            if begin is not None:
                same = (made_at == begin.made_at) & (identity > begin.resolution_id)
                query = query.where(or_(made_at < begin.made_at, same))
            return [_resolution(row) for row in transaction.exec(query.limit(limit))]

        return await self._database.reading(work)

    def _row(self, kind: ResolutionKind, patient: PatientKey, reason: str, by: Address) -> IdentityResolutionRow:
        now = int(self._clock())
        return IdentityResolutionRow(
            resolution_id=secrets.token_bytes(_ID_BYTES),
            kind=kind,
            patient_key=patient,
            alias_patient_id=None,
            alias_issuer=None,
            study_uid=None,
            fingerprint=None,
            reason=reason,
            made_by=by,
            made_at=now,
            withdrawn_by=None,
            withdrawn_at=None,
            changed_at=now,
        )

    async def _add(self, row: IdentityResolutionRow) -> Resolution:
        made = _resolution(row)

        def work(transaction: Session) -> list[Resolution]:
            enrolled = select(PatientRow).where(
                col(PatientRow.patient_key) == row.patient_key, col(PatientRow.erased_at).is_(None)
            )
            # Locked, so that an erasure comes before or after, and never leaves this behind.
            if transaction.exec(enrolled.with_for_update()).first() is None:
                raise ConflictError("no such patient is enrolled")
            ended = self._replace(transaction, row) if row.kind == ResolutionKind.STUDY else []
            if row.kind == ResolutionKind.ALIAS:
                own = select(PatientRow).where(
                    col(PatientRow.patient_id) == row.alias_patient_id, col(PatientRow.issuer) == row.alias_issuer
                )
                if transaction.exec(own).first() is not None:
                    raise ConflictError("the identity is a patient of its own")
            transaction.add(row)
            return ended

        try:
            ended = await self._database.writing(work)
        except ConflictError:
            raise ConflictError("this does not fit who is enrolled, or what is in force") from None
        self._learn([*((one, row.changed_at) for one in ended), (made, row.changed_at)])
        return made

    @staticmethod
    def _replace(transaction: Session, row: IdentityResolutionRow) -> list[Resolution]:
        in_force = select(IdentityResolutionRow).where(
            col(IdentityResolutionRow.study_uid) == row.study_uid, col(IdentityResolutionRow.withdrawn_at).is_(None)
        )
        ended = []
        for old in transaction.exec(in_force.with_for_update()).all():
            if old.fingerprint == row.fingerprint:
                raise ConflictError("a resolution of this study is in force")
            old.withdrawn_by, old.withdrawn_at, old.changed_at = row.made_by, row.made_at, row.made_at
            transaction.add(old)
            ended.append(_resolution(old))
        transaction.flush()
        return ended

    def _changed(self, transaction: Session) -> list[tuple[Resolution, int]]:
        since = self._changes_until - _OVERLAP_S
        query = select(IdentityResolutionRow).where(col(IdentityResolutionRow.changed_at) >= since)
        return [(_resolution(row), row.changed_at) for row in transaction.exec(query)]

    def _learn(self, changed: Sequence[tuple[Resolution, int]]) -> None:
        with self._learning:
            is_other = False
            for one, changed_at in changed:
                self._changes_until = max(self._changes_until, changed_at)
                if one.withdrawn_at is not None:
                    self._ended.add(one.resolution_id)
                    is_other |= self._in_force.pop(one.resolution_id, None) is not None
                elif one.resolution_id not in self._ended and one.resolution_id not in self._in_force:
                    self._in_force[one.resolution_id] = one
                    is_other = True
            if is_other:
                self._rulings = _rulings(self._in_force.values())


def forget_patient(connection: Connection, key: PatientKey, now: int) -> None:
    """Within an erasure: what was said of this patient ends and is emptied; studies that name them are not listed any
    more until the archive is asked again.
    """
    patient = connection.execute(
        select(PatientRow.patient_id, PatientRow.issuer).where(col(PatientRow.patient_key) == key)
    ).first()
    mine = col(IdentityResolutionRow.patient_key) == key
    said = connection.execute(
        select(
            IdentityResolutionRow.alias_patient_id, IdentityResolutionRow.alias_issuer, IdentityResolutionRow.study_uid
        ).where(mine)
    ).all()
    names = {(row[0], row[1]) for row in [*said, *([patient] if patient is not None else [])] if row[0] is not None}
    hashes = [identity_hash(FoundIdentity.of_subject(Subject(*name))) for name in names]
    studies = {row[2] for row in said if row[2] is not None}
    for some in portions(hashes):
        named = select(OddIdentityRow.study_uid).where(col(OddIdentityRow.identity_hash).in_(some))
        studies.update(connection.execute(named).scalars())
    for some in portions(sorted(studies)):
        connection.execute(delete(OddIdentityRow).where(col(OddIdentityRow.study_uid).in_(some)))
        connection.execute(delete(OddStudyRow).where(col(OddStudyRow.study_uid).in_(some)))
    withdrawn = col(IdentityResolutionRow.withdrawn_at)
    connection.execute(update(IdentityResolutionRow).where(mine, withdrawn.is_(None)).values(withdrawn_at=now))
    connection.execute(
        update(IdentityResolutionRow)
        .where(mine)
        .values(alias_patient_id=None, alias_issuer=None, study_uid=None, fingerprint=None, reason="", changed_at=now)
    )


def identity_hash(found: FoundIdentity) -> bytes:
    """What an identity is found by in the database."""
    return hashlib.sha256(found.text.encode()).digest()


def _rulings(in_force: Iterable[Resolution]) -> Rulings:
    aliases: dict[Subject, PatientKey] = {}
    studies: dict[StudyUid, StudyRuling] = {}
    for one in in_force:
        if one.alias is not None:
            aliases[one.alias] = one.patient
        elif one.study is not None and one.fingerprint is not None:
            studies[one.study] = StudyRuling(one.patient, one.fingerprint)
    return Rulings(aliases, studies)


def _resolution(row: IdentityResolutionRow) -> Resolution:
    has_alias = row.alias_patient_id is not None and row.alias_issuer is not None
    return Resolution(
        row.resolution_id,
        ResolutionKind(row.kind),
        PatientKey(row.patient_key),
        Subject(row.alias_patient_id or "", row.alias_issuer or "") if has_alias else None,
        None if row.study_uid is None else StudyUid(row.study_uid),
        row.fingerprint,
        row.reason,
        Address(row.made_by),
        UnixTime(row.made_at),
        None if row.withdrawn_by is None else Address(row.withdrawn_by),
        None if row.withdrawn_at is None else UnixTime(row.withdrawn_at),
    )
