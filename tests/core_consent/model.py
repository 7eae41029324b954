"""A slow second opinion: the rules of docs/CHAIN.md over a bare list of events, without fold and decide."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from app.core.basis import GUARDIAN, NO_STUDY, NOBODY, SELF, person, role_id
from app.core.events import (
    ConsentGranted,
    ConsentRevoked,
    ControllerMoved,
    DirectoryEntrySet,
    Event,
    GuardianSet,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    RoleSet,
    RoleWithdrawn,
)
from app.core.identifiers import Address, BasisId, ConsentId, PatientKey, Signer, StudyKey, UnixTime
from app.core.policy import AccessRequest
from app.core.terms import Action, Capacity, Effect, Purpose, Role, Terms, Window

T0 = 1_900_000_000
DENIED = None  # what permits() says when a consent denies: not even an empty tuple


def permits(events: Sequence[Event], request: AccessRequest, now: int) -> tuple[BasisId, ...] | None:
    """Every basis that permits, or None where a consent denies. Looks at all events anew."""
    controller, guardian = _who_acts(events, request.patient)
    if controller is None:
        return ()
    if request.action is not Action.SHARE:
        if request.actor == controller and request.purpose is Purpose.PATRQT:
            return (SELF,)
        family = request.purpose in {Purpose.FAMRQT, Purpose.PWATRNY}
        if family and guardian is not None and guardian.actor == request.actor and now < guardian.until:
            return (GUARDIAN,)
    if not _is_physician(events, request.actor, now):
        return ()
    found = []
    for event in events:
        if isinstance(event, ConsentGranted) and _applies(event.terms, request, now):
            if (event.terms.patient, event.consent) in revoked(events):
                continue
            if event.terms.effect is Effect.DENY:
                return DENIED
            found.append(BasisId(event.consent))
    return tuple(found)


def revoked(events: Sequence[Event]) -> set[tuple[PatientKey, ConsentId]]:
    return {(event.patient, event.consent) for event in events if isinstance(event, ConsentRevoked)}


def _who_acts(events: Sequence[Event], patient: PatientKey) -> tuple[Address | None, GuardianSet | None]:
    controller: Address | None = None
    guardian: GuardianSet | None = None
    for event in events:
        if isinstance(event, PatientClaimed | ControllerMoved) and event.patient == patient:
            controller = event.actor
        if isinstance(event, GuardianSet) and event.patient == patient:
            guardian = event
    return controller, guardian


def _is_physician(events: Sequence[Event], actor: Address, now: int) -> bool:
    held = False
    for event in events:
        if not isinstance(event, RoleSet | RoleWithdrawn):
            continue
        if (event.role, event.account) == (role_id(Role.PHYSICIAN), actor):
            held = isinstance(event, RoleSet) and event.window.start <= now < event.window.end
    return held


def _applies(terms: Terms, request: AccessRequest, now: int) -> bool:
    if terms.patient != request.patient or terms.grantee != person(request.actor):
        return False
    if not terms.window.start <= now < terms.window.end or not terms.purposes >> request.purpose & 1:
        return False
    if terms.studies and request.study not in terms.studies:
        return False
    if terms.effect is Effect.PERMIT:
        brings = Action.VIEW if terms.actions & Action.RETRIEVE else Action(0)
    else:
        brings = Action.RETRIEVE if terms.actions & Action.VIEW else Action(0)
    return bool((terms.actions | brings) & request.action)


_NOBODY = Signer(b"")


@dataclass(slots=True)
class _Known:
    """What the maker must remember of a patient to make events that can follow."""

    controller: Signer | None = None
    guardian: Signer = _NOBODY
    move: Signer | None = None
    epoch: int = 0
    used: tuple[ConsentId, ...] = ()
    revoked: tuple[ConsentId, ...] = ()


class Maker:
    """Random events that the contracts could emit after the given ones. Few keys, so that histories meet themselves."""

    def __init__(self, rng: random.Random, patients: int = 3, people: int = 5, studies: int = 3) -> None:
        self.rng = rng
        self.patients = [PatientKey(rng.randbytes(32)) for _ in range(patients)]
        self.people = [Signer(rng.randbytes(20)) for _ in range(people)]
        self.studies = sorted(StudyKey(rng.randbytes(32)) for _ in range(studies))

    @property
    def actors(self) -> list[Address]:
        """The people, each with a plain account."""
        return [Address(signer) for signer in self.people]

    def history(self, length: int, before: Sequence[Event] = ()) -> list[Event]:
        """``length`` more events that may follow ``before``."""
        made = list(before)
        while len(made) < length + len(before):
            made.append(self.event(made))
        return made[len(before) :]

    def requests(self) -> list[AccessRequest]:
        """Every question about the maker's people, patients and studies, and about no study, for some purposes."""
        purposes = (Purpose.TREAT, Purpose.PATRQT, Purpose.FAMRQT)
        return [
            AccessRequest(actor, patient, study, action, purpose)
            for actor in self.actors
            for patient in self.patients
            for study in (*self.studies, NO_STUDY)
            for action in Action
            for purpose in purposes
        ]

    def event(self, before: Sequence[Event]) -> Event:
        kinds = (
            *(self._role, self._role, self._enrol_or_claim, self._enrol_or_claim, self._directory),
            *(self._grant, self._grant, self._grant, self._grant, self._revoke, self._guardian, self._move),
        )
        while True:
            made = self.rng.choice(kinds)(before)
            if made is not None:
                return made

    def time(self) -> UnixTime:
        return UnixTime(T0 + self.rng.randrange(-40, 40))

    def _window(self) -> Window:
        start = self.time()
        return Window(start, UnixTime(start + self.rng.randrange(1, 80)))

    def _role(self, before: Sequence[Event]) -> Event | None:
        role = role_id(self.rng.choice([Role.PHYSICIAN, Role.PHYSICIAN, Role.REGISTRAR]))
        account = Address(self.rng.choice(self.people))
        held = False
        for event in before:
            if isinstance(event, RoleSet | RoleWithdrawn) and (event.role, event.account) == (role, account):
                held = isinstance(event, RoleSet)
        if held and self.rng.random() < 0.3:
            return RoleWithdrawn(role, account)
        return RoleSet(role, account, self._window())

    def _directory(self, _before: Sequence[Event]) -> Event | None:
        entry = self.rng.choice([bytes(32), self.rng.randbytes(32)])
        return DirectoryEntrySet(Address(self.rng.choice(self.people)), entry)

    def _enrol_or_claim(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        if self._known(before, patient).controller is not None:
            return None
        enrolled = any(isinstance(event, PatientEnrolled) and event.patient == patient for event in before)
        if enrolled and self.rng.random() < 0.8:
            controller = self.rng.choice(self.people)
            return PatientClaimed(patient, Address(controller), controller)
        return PatientEnrolled(patient, Address(self.rng.randbytes(20)), self.time())

    def _guardian(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        if self._known(before, patient).controller is None:
            return None
        if self.rng.random() < 0.3:
            return GuardianSet(patient, NOBODY, Signer(b""), UnixTime(0))
        guardian = self.rng.choice(self.people)
        return GuardianSet(patient, Address(guardian), guardian, self.time())

    def _move(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if known.controller is None:
            return None
        if known.move is not None and self.rng.random() < 0.8:
            if self.rng.random() < 0.5:
                return MoveVetoed(patient)
            return ControllerMoved(patient, Address(known.move), known.move)
        others = [signer for signer in self.people if signer != known.controller]
        return MoveStarted(patient, self.rng.choice(others), self.time())

    def _grantor(self, known: _Known) -> tuple[Address, Capacity]:
        if known.guardian and self.rng.random() < 0.3:
            return Address(known.guardian), Capacity.GUARDIAN
        assert known.controller is not None
        return Address(known.controller), Capacity.CONTROLLER

    def _grant(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if known.controller is None:
            return None
        chosen = self.rng.sample(self.studies, self.rng.randrange(len(self.studies)))
        purposes = (Purpose.TREAT, Purpose.PATRQT, Purpose.FAMRQT)
        terms = Terms(
            patient=patient,
            grantee=person(Address(self.rng.choice(self.people))),
            effect=self.rng.choice([Effect.PERMIT, Effect.PERMIT, Effect.PERMIT, Effect.DENY]),
            actions=Action(self.rng.randrange(1, 16)),
            purposes=sum(1 << purpose for purpose in self.rng.sample(purposes, self.rng.randrange(1, 4))),
            window=self._window(),
            studies=tuple(sorted(chosen)),
            epoch=known.epoch,
            consent_nonce=self.rng.randbytes(32),
        )
        return ConsentGranted(ConsentId(self.rng.randbytes(32)), terms, *self._grantor(known))

    def _revoke(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if known.controller is None:
            return None
        live = [consent for consent in known.used if consent not in known.revoked]
        consent = self.rng.choice([*live, ConsentId(self.rng.randbytes(32))])
        return ConsentRevoked(patient, consent, *self._grantor(known), known.epoch + 1)

    @staticmethod
    def _known(before: Sequence[Event], patient: PatientKey) -> _Known:
        known = _Known()
        for event in before:
            if getattr(event, "patient", None) == patient:
                if isinstance(event, PatientClaimed | ControllerMoved):
                    known.controller, known.move = event.controller, None
                elif isinstance(event, MoveStarted):
                    known.move = event.controller
                elif isinstance(event, MoveVetoed):
                    known.move = None
                elif isinstance(event, GuardianSet):
                    known.guardian = event.guardian
                elif isinstance(event, ConsentRevoked):
                    known.epoch = event.epoch
                    known.revoked = (*known.revoked, event.consent)
            elif isinstance(event, ConsentGranted) and event.terms.patient == patient:
                known.used = (*known.used, event.consent)
        return known
