"""The chain's consents as a value, a State: what the events so far amount to (``app.core.consent.fold`` makes it).

States are immutable and share structure, so the finalized state, the head and every block between cost little more
than one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from immutables import Map

from app.core.consent import grants
from app.core.consent.basis import person
from app.core.consent.emergencies import Emergency, utc_day
from app.core.consent.grants import Consent
from app.core.consent.teams import Team
from app.core.consent.terms import Capacity, TeamPart, Window
from app.core.identifiers import Address, ConsentId, EmergencyId, Grantee, PatientKey, RoleId, Signer, UnixTime

# So many grants to one patient that finding one by looking through all would slow everybody down.
INDEX_FROM = 64


@dataclass(frozen=True, slots=True)
class Guardian:
    """Who may act for a patient until (and not at) a time."""

    signer: Signer
    actor: Address
    until: UnixTime


@dataclass(frozen=True, slots=True)
class Move:
    """A pending move to a new controller, which can be finished from ``ready_at`` on."""

    controller: Signer
    ready_at: UnixTime


class ActsAs(NamedTuple):
    """What of docs/CHAIN.md's rule 2 holds for an actor."""

    as_self: bool
    as_guardian: bool


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked consent. ``consent`` is None when the revocation came before any grant of that id (a tombstone)."""

    consent: Consent | None
    capacity: Capacity


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient key and everything the chain says of it.

    ``controller`` is empty and ``actor`` None until claimed; ``claim_key`` is None from then on. ``ward_until`` is 0
    for who acts for themselves, else the end of the time in which the controller acts as guardian. Once ``erased``,
    nobody acts for the key and nothing is decided for it, for good. ``move_nonce`` numbers the moves started from 1,
    ``guardian_nonce`` counts guardian changes, ``epoch`` revocations, ``granted`` grants. ``dated`` counts the live
    consents that bound dates: only then does a study's date matter to anybody.
    ``live`` holds the packed live consents per grantee (``grants.py``). ``ids`` says whose consent an id is, only for a
    patient with INDEX_FROM grants or more: for all others it would cost every id twice, and looking is quick.
    """

    key: PatientKey
    claim_key: Address | None
    claim_until: UnixTime
    controller: Signer
    actor: Address | None
    guardian: Guardian | None
    guardian_nonce: int
    move: Move | None
    move_nonce: int
    epoch: int
    granted: int
    dated: int
    live: Map[Grantee, bytes]
    ids: Map[ConsentId, Grantee] | None
    revoked: Map[ConsentId, Revoked]
    ward_until: UnixTime
    erased: bool

    @property
    def claimed(self) -> bool:
        return self.actor is not None

    def capacity_of(self, actor: Address, now: UnixTime) -> Capacity:
        """In what capacity the actor acts for this patient at ``now``. A ward's controller is no more than a guardian,
        and nothing once the ward is of age.
        """
        if self.actor is not None and actor == self.actor:
            if not self.ward_until:
                return Capacity.CONTROLLER
            return Capacity.GUARDIAN if now < self.ward_until else Capacity.NONE
        guardian = self.guardian
        if guardian is not None and actor == guardian.actor and now < guardian.until:
            return Capacity.GUARDIAN
        return Capacity.NONE

    def is_claimable(self, now: UnixTime) -> bool:
        """Whether the claim key works at ``now``: of a ward not once it is of age."""
        return now < self.claim_until and (not self.ward_until or now < self.ward_until)

    def may_act_as(self, actor: Address, now: UnixTime) -> ActsAs:
        """Whether the actor may look as the patient themselves, and whether as a guardian. Who is both controller and
        guardian has both rights.
        """
        controls = self.actor is not None and actor == self.actor
        guardian = self.guardian
        guards = guardian is not None and actor == guardian.actor and now < guardian.until
        return ActsAs(controls and not self.ward_until, guards or (controls and now < self.ward_until))

    def live_consents(self) -> list[Consent]:
        """Every consent that is granted and not revoked, whatever its window, earliest granted first."""
        found: list[Consent] = []
        for grantee, packed in self.live.items():
            found.extend(grants.unpack(packed, self.key, grantee))
        return sorted(found, key=lambda consent: consent.ordinal)

    def consents_for(self, grantees: Iterable[Grantee]) -> list[Consent]:
        """The live consents that name one of these, whatever their windows, earliest granted first."""
        found = [one for grantee in grantees for one in grants.unpack(self.live.get(grantee, b""), self.key, grantee)]
        return sorted(found, key=lambda consent: consent.ordinal)

    def consent(self, consent_id: ConsentId) -> Consent | Revoked | None:
        """The live consent, or that it is revoked, or None when the id was never used for this patient."""
        revoked = self.revoked.get(consent_id)
        if revoked is not None:
            return revoked
        if self.ids is None:
            places = self.live.items()
        else:
            grantee = self.ids.get(consent_id)
            places = () if grantee is None else ((grantee, self.live[grantee]),)
        for grantee, packed in places:
            consent = grants.find(packed, consent_id, self.key, grantee)
            if consent is not None:
                return consent
        return None


@dataclass(frozen=True, slots=True)
class State:
    """What the events so far amount to.

    ``named`` finds the patients with a live consent for a grantee, ``acting`` those that an actor controls or is
    guardian of, ``claiming`` the unclaimed ones of a claim key (a few each, so a tuple does). ``member_of`` finds the
    teams in which an account has a member's window, open or not. ``emergencies`` holds every one ever opened;
    ``broken_by`` finds, by actor, the one that landed last for each patient, ``broken_for`` all of a patient's in the
    order of landing, and ``openings`` counts an actor's in a UTC day.
    """

    patients: Map[PatientKey, Patient]
    roles: Map[tuple[RoleId, Address], Window]
    directory: Map[Address, bytes]
    # The inner value repeats the grantee: one bytes object that all patients' entries for it share.
    named: Map[Grantee, Map[PatientKey, Grantee]]
    acting: Map[Address, tuple[PatientKey, ...]]
    claiming: Map[Address, tuple[PatientKey, ...]]
    teams: Map[Grantee, Team]
    member_of: Map[Address, tuple[Grantee, ...]]
    emergencies: Map[EmergencyId, Emergency]
    broken_by: Map[Address, Map[PatientKey, EmergencyId]]
    broken_for: Map[PatientKey, tuple[EmergencyId, ...]]
    openings: Map[tuple[Address, int], int]

    def patient(self, key: PatientKey) -> Patient | None:
        return self.patients.get(key)

    def patients_of(self, actor: Address) -> frozenset[PatientKey]:
        """Patients with a live consent naming the actor or a team of theirs (whatever its window and the
        membership's), those they control or are guardian of, and those for whom they ever opened an emergency.
        """
        named = (self.named.get(grantee, _NO_PATIENTS) for grantee in self.ever_named_as(actor))
        return frozenset().union(*named, self.acting.get(actor, ()), self.broken_by.get(actor, ()))

    def concerns(self, actor: Address, patient: PatientKey) -> bool:
        """Whether the patient is among ``patients_of``, without looking at the others."""
        if patient in self.acting.get(actor, ()) or patient in self.broken_by.get(actor, ()):
            return True
        return any(patient in self.named.get(grantee, _NO_PATIENTS) for grantee in self.ever_named_as(actor))

    def ever_named_as(self, actor: Address) -> tuple[Grantee, ...]:
        """Every grantee that may mean the actor: the person, and the teams in which it has a window."""
        return (person(actor), *self.member_of.get(actor, ()))

    def named_as(self, actor: Address, now: UnixTime) -> tuple[Grantee, ...]:
        """Every grantee that means the actor at ``now``."""
        teams = self.member_of.get(actor)
        if teams is None:
            return (person(actor),)
        return (person(actor), *(team for team in teams if self.teams[team].has(TeamPart.MEMBER, actor, now)))

    def count_of(self, actor: Address) -> int:
        """At least as many as ``patients_of`` gives, without looking at each."""
        named = sum(len(self.named.get(grantee, _NO_PATIENTS)) for grantee in self.ever_named_as(actor))
        return named + len(self.acting.get(actor, ())) + len(self.broken_by.get(actor, ()))

    def claimable_with(self, claim_key: Address, now: UnixTime) -> Patient | None:
        """The patient that is enrolled with this claim key and can still be claimed at ``now``."""
        waiting = (self.patients[key] for key in self.claiming.get(claim_key, ()))
        return next((patient for patient in waiting if patient.is_claimable(now)), None)

    def patients_controlled_by(self, actor: Address) -> frozenset[PatientKey]:
        """Patients whose controller the actor is."""
        return frozenset(key for key in self.acting.get(actor, ()) if self.patients[key].actor == actor)

    def role_window(self, role: RoleId, actor: Address) -> Window | None:
        return self.roles.get((role, actor))

    def last_emergency(self, patient: PatientKey, actor: Address) -> Emergency | None:
        """The emergency of this actor for this patient that landed last, whatever became of it."""
        broken = self.broken_by.get(actor)
        latest = None if broken is None else broken.get(patient)
        return None if latest is None else self.emergencies[latest]

    def emergencies_of(self, patient: PatientKey) -> list[Emergency]:
        """Every emergency opened for the patient, in the order of landing."""
        return [self.emergencies[one] for one in self.broken_for.get(patient, ())]

    def openings_on(self, actor: Address, at: UnixTime) -> int:
        """How many emergencies the actor opened that begin in the UTC day of ``at``: what the quota counts."""
        return self.openings.get((actor, utc_day(at)), 0)

    def consents(self) -> Iterator[Consent]:
        """Every live consent of every patient, in no order."""
        for patient in self.patients.values():
            for grantee, packed in patient.live.items():
                yield from grants.unpack(packed, patient.key, grantee)


_NO_PATIENTS: Map[PatientKey, Grantee] = Map()

# Before the first event.
GENESIS = State(
    patients=Map(),
    roles=Map(),
    directory=Map(),
    named=Map(),
    acting=Map(),
    claiming=Map(),
    teams=Map(),
    member_of=Map(),
    emergencies=Map(),
    broken_by=Map(),
    broken_for=Map(),
    openings=Map(),
)
