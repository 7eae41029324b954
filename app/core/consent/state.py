"""The chain's consents as a value, a State: what the events so far amount to (``app.core.consent.fold`` makes it).

States are immutable and share structure, so the finalized state, the head and every block between cost little more
than one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from immutables import Map

from app.core.consent import grants
from app.core.consent.basis import person
from app.core.consent.grants import Consent
from app.core.consent.teams import Team
from app.core.consent.terms import Capacity, TeamPart, Window
from app.core.identifiers import Address, ConsentId, Grantee, PatientKey, RoleId, Signer, UnixTime

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


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked consent. ``consent`` is None when the revocation came before any grant of that id (a tombstone)."""

    consent: Consent | None
    capacity: Capacity


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient key and everything the chain says of it.

    ``controller`` is empty and ``actor`` None until claimed; ``claim_key`` is None from then on. ``move_nonce`` numbers
    the moves started from 1, ``guardian_nonce`` counts guardian changes, ``epoch`` revocations, ``granted`` grants.
    ``dated`` counts the live consents that bound dates: only then does a study's date matter to anybody.
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

    @property
    def claimed(self) -> bool:
        return self.actor is not None

    def capacity_of(self, actor: Address, now: UnixTime) -> Capacity:
        """In what capacity the actor acts for this patient at ``now``."""
        if self.actor is not None and actor == self.actor:
            return Capacity.CONTROLLER
        guardian = self.guardian
        if guardian is not None and actor == guardian.actor and now < guardian.until:
            return Capacity.GUARDIAN
        return Capacity.NONE

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
    teams in which an account has a member's window, open or not.
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

    def patient(self, key: PatientKey) -> Patient | None:
        return self.patients.get(key)

    def patients_of(self, actor: Address) -> frozenset[PatientKey]:
        """Patients with a live consent naming the actor or a team of theirs (whatever its window and the
        membership's), and those they control or are guardian of.
        """
        named = (self.named.get(grantee, _NO_PATIENTS) for grantee in self.ever_named_as(actor))
        return frozenset().union(*named, self.acting.get(actor, ()))

    def concerns(self, actor: Address, patient: PatientKey) -> bool:
        """Whether the patient is among ``patients_of``, without looking at the others."""
        if patient in self.acting.get(actor, ()):
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
        return named + len(self.acting.get(actor, ()))

    def claimable_with(self, claim_key: Address, now: UnixTime) -> Patient | None:
        """The patient that is enrolled with this claim key and can still be claimed at ``now``."""
        waiting = (self.patients[key] for key in self.claiming.get(claim_key, ()))
        return next((patient for patient in waiting if now < patient.claim_until), None)

    def patients_controlled_by(self, actor: Address) -> frozenset[PatientKey]:
        """Patients whose controller the actor is."""
        return frozenset(key for key in self.acting.get(actor, ()) if self.patients[key].actor == actor)

    def role_window(self, role: RoleId, actor: Address) -> Window | None:
        return self.roles.get((role, actor))

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
)
