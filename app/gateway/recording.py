"""The access record of one answer: made from what was decided, handed to the journal, and closed with its outcome."""

from app.core.consent.terms import Deed, Modification
from app.core.dicom.dicomweb import Level, Retrieve, Search
from app.core.dicom.links import path_of
from app.core.identifiers import AccessRecordId, StudyUid, UnixTime
from app.core.record import RECORD_ID_BYTES, SALT_BYTES, AccessRecord, canonical, commit
from app.gateway.admission import Admitted, AdmittedStoring
from app.gateway.ports import Wiring
from app.store.journal import JournalEntry

_SEARCHED = {Level.STUDY: "studies", Level.SERIES: "series", Level.INSTANCE: "instances"}


class Recorder:
    """Makes journal entries. Random bytes are drawn in larger pieces, since a record needs two small ones."""

    def __init__(self, wiring: Wiring) -> None:
        self._random_bytes = wiring.random_bytes
        self._gateway_id = wiring.gateway_id
        self._pool = b""

    def entry(self, admitted: Admitted, target: str, study: StudyUid | None) -> JournalEntry:
        """The entry for one patient's part of an answer. ``study`` None: several studies of the patient."""
        return self._entry(admitted, admitted.request.action, target, study)

    def stored(self, admitted: AdmittedStoring, target: str) -> JournalEntry:
        """The entry for one instance that is about to be stored."""
        return self._entry(admitted, Modification.STORE, target, admitted.study)

    def _entry(
        self, admitted: Admitted | AdmittedStoring, action: Deed, target: str, study: StudyUid | None
    ) -> JournalEntry:
        record = AccessRecord(
            record_id=AccessRecordId(self._draw(RECORD_ID_BYTES)),
            at=UnixTime(int(admitted.at_s)),
            at_us=int(admitted.at_s * 1_000_000) % 1_000_000,
            actor=admitted.session.actor,
            session_tag=admitted.session.tag,
            patient=admitted.patient.key,
            study=study,
            action=action,
            purpose=admitted.purpose,
            basis=admitted.basis,
            block=admitted.block,
            target=target,
            gateway=self._gateway_id,
            study_key=admitted.study_key,
            study_date=admitted.study_date,
            snapshot_age_s=admitted.snapshot_age_s,
        )
        body = canonical(record)
        salt = self._draw(SALT_BYTES)
        return JournalEntry(record, salt, body, commit(body, salt))

    def _draw(self, size: int) -> bytes:
        if len(self._pool) < size:
            self._pool = self._random_bytes(48 * 128)
        drawn, self._pool = self._pool[:size], self._pool[size:]
        return drawn


def target_of(method: str, asked: Retrieve | Search) -> str:
    """The resource as the record names it: rebuilt from what was parsed; of a search the keys, and no value."""
    if isinstance(asked, Retrieve):
        return f"{method} {path_of(asked)}"
    path = f"/studies/{asked.study}" if asked.study is not None else ""
    if asked.series is not None:
        path += f"/series/{asked.series}"
    keys = "&".join(".".join(matching.path) for matching in asked.matching)
    return f"{method} {path}/{_SEARCHED[asked.level]}" + (f"?{keys}" if keys else "")
