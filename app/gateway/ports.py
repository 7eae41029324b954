"""What the data path needs from the rest of the house, as narrow as it uses it. The composition root hands it over."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol

from app.core.consent.emergencies import OpenedHere
from app.core.consent.mirror import Standing
from app.core.identifiers import AccessRecordId, Address, ConsentId, PatientKey, StudyKey, StudyUid, Subject
from app.core.rulings import NO_RULINGS, Rulings
from app.pacs.origin import Origin, StudySubjects
from app.store.journal import JournalEntry, Outcome
from app.store.patients import EnrolledPatient
from app.store.sessions import Session


class SessionsPort(Protocol):
    """``hot`` answers from memory or not at all; ``find`` asks the database where it must (StoreUnavailableError)."""

    def hot(self, token: str) -> Session | None: ...
    async def find(self, token: str) -> Session | None: ...


class PatientsPort(Protocol):
    """In memory; None for whoever is not enrolled, or erased."""

    def by_subject(self, subject: Subject) -> EnrolledPatient | None: ...
    def by_key(self, key: PatientKey) -> EnrolledPatient | None: ...


class JournalPort(Protocol):
    """``append`` returns once all entries are committed and synced; it raises JournalUnavailableError."""

    def append(self, entries: Sequence[JournalEntry]) -> Awaitable[None]: ...
    def outcome(self, record_id: AccessRecordId, outcome: Outcome) -> None: ...


class Alarm(Enum):
    """What an operator must hear of. The alarm names the kind and nothing of the input."""

    WRONG_PATIENT = "wrong-patient"
    WRONG_RESOURCE = "wrong-resource"
    UPSTREAM_INVALID = "upstream-invalid"
    CREDENTIALS_REFUSED = "credentials-refused"


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Bounds of the data path.

    ``resolution_ttl_s``: how long the archive's word on whose a study is, and what belongs to it, is believed.
    ``proof_ttl_s``: how long a search believes that a study is of one patient, while its number of instances stays.
    ``remembered_odd_studies``: the memory of each holds the UIDs of its instances.
    ``counted_patients``: with so many patients' consents at the most a search goes through all that the caller may see,
    and says how many results are left; ``search_rows``: rows of one study, or of the patients of one page, that it may
    consider; ``page_rows``: rows of one answer; ``trails``, ``trail_ttl_s``: long listings whose pages' beginnings are
    remembered, and how long. ``denial_step_s``: a 404 is answered at a multiple of this, so that its time says nothing.
    ``uploads``: at the same time; ``upload_instances``: in one request.
    """

    resolution_ttl_s: float = 30.0
    proof_ttl_s: float = 3600.0
    remembered_studies: int = 65_536
    remembered_odd_studies: int = 1_024
    remembered_members: int = 262_144
    remembered_study_keys: int = 65_536
    metadata_bytes: int = 64 * 1024 * 1024
    counted_patients: int = 200
    search_concurrency: int = 8
    search_rows: int = 50_000
    page_rows: int = 5_000
    trails: int = 256
    trail_ttl_s: float = 300.0
    denial_step_s: float = 0.05
    uploads: int = 8
    upload_instances: int = 10_000
    upload_instance_bytes: int = 2 * 1024**3
    upload_request_bytes: int = 16 * 1024**3


@dataclass(frozen=True, slots=True)
class Wiring:
    """Everything the data path is made of.

    ``standing``: None while the chain's state is not known well enough. ``revoked_here``: consents whose signed
    revocation was handed to this gateway, and emergencies found unjustified here. ``opened_here``: the emergencies that
    were opened here and are not over. ``snapshot``: the last standing known and its age in seconds, where that is young
    enough for an emergency; None otherwise. ``study_key_of``: (the patient's salt, StudyInstanceUID) → the key on the
    chain. ``public_url``: the gateway's DICOMweb root as clients reach it, without a slash at the end. ``clock``: Unix
    seconds; ``monotonic``: seconds that never go back. ``gateway_id`` goes into each record.
    ``spool_folder``: where uploads wait to be judged, None for the system's temporary folder. ``page_origins``: of
    pages for which the portal's cookie counts. ``rulings``: what people said of odd identities, replaced whole when it
    changes; ``odd_met`` is told of each study with odd identities that comes by, and returns at once.
    """

    origin: Origin
    sessions: SessionsPort
    patients: PatientsPort
    journal: JournalPort
    standing: Callable[[], Standing | None]
    revoked_here: Callable[[], AbstractSet[tuple[PatientKey, ConsentId]]]
    opened_here: Callable[[], Mapping[Address, Mapping[PatientKey, OpenedHere]]]
    snapshot: Callable[[], tuple[Standing, float] | None]
    study_key_of: Callable[[bytes, StudyUid], StudyKey]
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    random_bytes: Callable[[int], bytes]
    alarm: Callable[[Alarm], None]
    public_url: str
    gateway_id: str
    limits: GatewayLimits = field(default_factory=GatewayLimits)
    spool_folder: Path | None = None
    page_origins: AbstractSet[bytes] = frozenset()
    rulings: Callable[[], Rulings] = lambda: NO_RULINGS
    odd_met: Callable[[StudyUid, StudySubjects], None] = lambda _study, _found: None
