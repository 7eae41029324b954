"""A slow second opinion: the rules of docs/CHAIN.md over a bare list of events, without fold and decide."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.core.consent.basis import GUARDIAN, NO_STUDY, NOBODY, SELF, person, role_id
from app.core.consent.events import (
    NO_WARD,
    ConsentGranted,
    ConsentRevoked,
    ControllerMoved,
    DirectoryEntrySet,
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    GuardianSet,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    PatientErased,
    RoleSet,
    RoleWithdrawn,
    TeamCreated,
    TeamPartSet,
)
from app.core.consent.policy import AccessRequest
from app.core.consent.terms import (
    ALL_DATES,
    NO_PARENT,
    Action,
    Capacity,
    DateSpan,
    Effect,
    Finding,
    Purpose,
    Role,
    TeamPart,
    Terms,
    Window,
)
from app.core.identifiers import (
    Address,
    BasisId,
    ConsentId,
    EmergencyId,
    Grantee,
    PatientKey,
    Signer,
    StudyDate,
    StudyKey,
    UnixTime,
)

T0 = 1_900_000_000
DATES = [None, *map(StudyDate, (20191231, 20200101, 20200615, 20201231, 20210101))]
DENIED = None  # what permits() says when a consent denies: not even an empty tuple


def permits(events: Sequence[Event], request: AccessRequest, now: int) -> tuple[BasisId, ...] | None:
    """Every basis that permits, or None where a consent denies. Looks at all events anew."""
    if any(isinstance(event, PatientErased) and event.patient == request.patient for event in events):
        return ()
    emergency = _emergency(events, request, now)
    others = _permits_without_emergency(events, request, now)
    return others if emergency is None else (emergency, *(others or ()))


def _permits_without_emergency(events: Sequence[Event], request: AccessRequest, now: int) -> tuple[BasisId, ...] | None:
    controller, guardian = _who_acts(events, request.patient)
    if controller is None:
        return ()
    if request.action is not Action.SHARE:
        ward_until = ward_end(events, request.patient)
        controls = request.actor == controller
        if controls and not ward_until and request.purpose is Purpose.PATRQT:
            return (SELF,)
        guards = guardian is not None and guardian.actor == request.actor and now < guardian.until
        if request.purpose in {Purpose.FAMRQT, Purpose.PWATRNY} and (guards or (controls and now < ward_until)):
            return (GUARDIAN,)
    if not _holds(events, Role.PHYSICIAN, request.actor, now):
        return ()
    live = {event.consent: event.terms for event in _live(events, request.patient)}
    found = []
    for consent, terms in live.items():
        if not _means(events, terms.grantee, request.actor, now) or not _applies(terms, request, request.action, now):
            continue
        if terms.effect is Effect.DENY:
            return DENIED
        if _stands(events, live, terms.parent, request, now):
            found.append(BasisId(consent))
    return tuple(found)


def _emergency(events: Sequence[Event], request: AccessRequest, now: int) -> BasisId | None:
    """The last emergency of the actor for the patient, where it opens what is asked for."""
    if request.purpose is not Purpose.ETREAT or request.action is Action.SHARE:
        return None
    last = None
    for event in events:
        if isinstance(event, EmergencyOpened) and (event.actor, event.patient) == (request.actor, request.patient):
            last = event
    if last is None or not last.window.start <= now < last.window.end:
        return None
    for event in events:
        if isinstance(event, EmergencyReviewed) and event.emergency == last.emergency and event.finding == 2:
            return None
    return BasisId(last.emergency) if _holds(events, Role.EMERGENCY, request.actor, now) else None


def ward_end(events: Sequence[Event], patient: PatientKey) -> UnixTime:
    """When the patient's time as a ward ends; 0 for who is none."""
    end = UnixTime(0)
    for event in events:
        if isinstance(event, PatientEnrolled | ControllerMoved) and event.patient == patient:
            end = event.ward_until
    return end


def _live(events: Sequence[Event], patient: PatientKey) -> list[ConsentGranted]:
    gone = revoked(events)
    return [
        event
        for event in events
        if isinstance(event, ConsentGranted) and event.terms.patient == patient and (patient, event.consent) not in gone
    ]


def _stands(
    events: Sequence[Event], live: dict[ConsentId, Terms], above: ConsentId, request: AccessRequest, now: int
) -> bool:
    if above == NO_PARENT:
        return True
    if above not in live or not live[above].window.start <= now < live[above].window.end:
        return False
    sharer = Address(live[above].grantee[12:])
    for terms in live.values():
        covers = any(_applies(terms, request, action, now) for action in (request.action, Action.SHARE))
        if terms.effect is Effect.DENY and covers and _means(events, terms.grantee, sharer, now):
            return False
    return _stands(events, live, live[above].parent, request, now)


def _means(events: Sequence[Event], grantee: Grantee, actor: Address, now: int) -> bool:
    if grantee == person(actor):
        return True
    window = None
    for event in events:
        if isinstance(event, TeamPartSet) and (event.team, event.account) == (grantee, actor):
            window = event.window if event.part is TeamPart.MEMBER else window
    return window is not None and window.start <= now < window.end


def lineage(events: Sequence[Event], consent: ConsentId) -> list[ConsentId]:
    """The consent and those above it in its line of sharing."""
    parents = {event.consent: event.terms.parent for event in events if isinstance(event, ConsentGranted)}
    line = [consent]
    while parents.get(line[-1], NO_PARENT) != NO_PARENT:
        line.append(parents[line[-1]])
    return line


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


def _holds(events: Sequence[Event], role: Role, actor: Address, now: int) -> bool:
    held = False
    for event in events:
        if not isinstance(event, RoleSet | RoleWithdrawn):
            continue
        if (event.role, event.account) == (role_id(role), actor):
            held = isinstance(event, RoleSet) and event.window.start <= now < event.window.end
    return held


def _applies(terms: Terms, request: AccessRequest, action: Action, now: int) -> bool:
    if not terms.window.start <= now < terms.window.end or not terms.purposes >> request.purpose & 1:
        return False
    if terms.studies and request.study not in terms.studies:
        return False
    if terms.dates != ALL_DATES:
        if request.study_date is None:
            if terms.effect is Effect.PERMIT:
                return False
        elif request.study_date < terms.dates.first or request.study_date > (terms.dates.last or 99999999):
            return False
    if terms.effect is Effect.PERMIT:
        brings = Action.VIEW if terms.actions & Action.RETRIEVE else Action(0)
    else:
        brings = Action.RETRIEVE if terms.actions & Action.VIEW else Action(0)
    return bool((terms.actions | brings) & action)


_NOBODY = Signer(b"")


@dataclass(slots=True)
class _Known:
    """What the maker must remember of a patient to make events that can follow."""

    controller: Signer | None = None
    guardian: Signer = _NOBODY
    move: Signer | None = None
    epoch: int = 0
    used: tuple[ConsentGranted, ...] = ()
    revoked: tuple[ConsentId, ...] = ()
    is_enrolled: bool = False
    is_erased: bool = False
    ward_until: UnixTime = NO_WARD
    ready_at: UnixTime = NO_WARD


class Maker:
    """Random events that the contracts could emit after the given ones. Few keys, so that histories meet themselves."""

    def __init__(self, rng: random.Random, patients: int = 3, people: int = 5, studies: int = 3) -> None:
        self.rng = rng
        self.patients = [PatientKey(rng.randbytes(32)) for _ in range(patients)]
        self.people = [Signer(rng.randbytes(20)) for _ in range(people)]
        self.studies = sorted(StudyKey(rng.randbytes(32)) for _ in range(studies))
        self.teams = [Grantee(rng.randbytes(32)) for _ in range(2)]

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
        purposes = (Purpose.TREAT, Purpose.PATRQT, Purpose.FAMRQT, Purpose.ETREAT)
        return [
            AccessRequest(actor, patient, study, action, purpose, self.rng.choice(DATES))
            for actor in self.actors
            for patient in self.patients
            for study in (*self.studies, NO_STUDY)
            for action in Action
            for purpose in purposes
        ]

    def event(self, before: Sequence[Event]) -> Event:
        kinds = (
            *(self._role, self._role, self._enrol_or_claim, self._enrol_or_claim, self._directory),
            *(self._team, self._team, *[self._share] * 6, self._role, *[self._grant] * 8),
            *(self._grant, self._grant, self._grant, self._grant, self._revoke, self._guardian, self._move, self._move),
            *(self._open, self._open, self._open, self._review, self._role, self._erase, self._enrol_or_claim),
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

    def _long_window(self) -> Window:
        start = self.rng.randrange(T0 - 60, T0)
        return Window(UnixTime(start), UnixTime(start + self.rng.randrange(40, 120)))

    def _role(self, before: Sequence[Event]) -> Event | None:
        role = role_id(self.rng.choice([*[Role.PHYSICIAN] * 3, *[Role.EMERGENCY] * 2, Role.REGISTRAR]))
        account = Address(self.rng.choice(self.people))
        held = False
        for event in before:
            if isinstance(event, RoleSet | RoleWithdrawn) and (event.role, event.account) == (role, account):
                held = isinstance(event, RoleSet)
        if held and self.rng.random() < 0.3:
            return RoleWithdrawn(role, account)
        always = Window(UnixTime(T0 - 100), UnixTime(T0 + 200))
        return RoleSet(role, account, self.rng.choice([always, always, self._window()]))

    def _directory(self, _before: Sequence[Event]) -> Event | None:
        entry = self.rng.choice([bytes(32), self.rng.randbytes(32)])
        return DirectoryEntrySet(Address(self.rng.choice(self.people)), entry)

    def _team(self, before: Sequence[Event]) -> Event | None:
        team = self.rng.choice(self.teams)
        changes = [event for event in before if isinstance(event, TeamPartSet) and event.team == team]
        if not any(isinstance(event, TeamCreated) and event.team == team for event in before):
            return TeamCreated(team)
        account, part = Address(self.rng.choice(self.people)), self.rng.choice([*[TeamPart.MEMBER] * 3, TeamPart.LEAD])
        now = [event.window for event in changes if (event.account, event.part) == (account, part)]
        ends = bool(now) and now[-1] is not None and self.rng.random() < 0.3
        return TeamPartSet(team, account, part, None if ends else self._long_window(), len(changes) + 1)

    def _share(self, before: Sequence[Event]) -> Event | None:
        """A grantee passes on what they have, narrower where there is something to narrow."""
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        live = [event for event in known.used if event.consent not in known.revoked and event.terms.share_depth]
        if not live:  # an erased patient's too: nothing keeps a grantee from it, and it opens nothing
            return None
        parent = self.rng.choice(live)
        given = parent.terms
        depth = self.rng.randrange(given.share_depth)
        actions = given.actions & Action(self.rng.randrange(1, 16))
        actions = actions | Action.SHARE if depth else actions & ~Action.SHARE
        start = self.rng.randrange(given.window.start, given.window.end)
        shared = self._terms(
            patient,
            known,
            grantee=person(Address(self.rng.choice(self.people))) if depth else self._grantee(before),
            effect=Effect.PERMIT,
            actions=actions or Action(0),
            purposes=given.purposes,
            window=Window(UnixTime(start), self.rng.choice([given.window.end, UnixTime(start + 1)])),
            studies=given.studies[:1] if given.studies else self._some_studies(),
            dates=given.dates if given.dates.bounded else self._dates(),
            parent=parent.consent,
            share_depth=depth,
        )
        if not actions:
            return None
        return ConsentGranted(ConsentId(self.rng.randbytes(32)), shared, Address(given.grantee[12:]), Capacity.GRANTEE)

    def _grantee(self, before: Sequence[Event]) -> Grantee:
        teams = [event.team for event in before if isinstance(event, TeamCreated)]
        if teams and self.rng.random() < 0.4:
            return self.rng.choice(teams)
        return person(Address(self.rng.choice(self.people)))

    def _dates(self) -> DateSpan:
        if self.rng.random() < 0.6:
            return ALL_DATES
        first, last = self.rng.choice([0, 20200101, 20200615]), self.rng.choice([0, 20200615, 20201231])
        return DateSpan(first, last)

    def _some_studies(self) -> tuple[StudyKey, ...]:
        return tuple(sorted(self.rng.sample(self.studies, self.rng.randrange(len(self.studies)))))

    def _terms(self, patient: PatientKey, known: _Known, **said: Any) -> Terms:
        return Terms(patient=patient, epoch=known.epoch, consent_nonce=self.rng.randbytes(32), **said)

    def _enrol_or_claim(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if known.controller is not None or known.is_erased:
            return None
        if known.is_enrolled and self.rng.random() < 0.8:
            controller = self.rng.choice(self.people)
            return PatientClaimed(patient, Address(controller), controller)
        ward_until = self.rng.choice([UnixTime(0), UnixTime(0), self.time()])
        return PatientEnrolled(patient, Address(self.rng.randbytes(20)), self.time(), ward_until)

    def _erase(self, before: Sequence[Event]) -> Event | None:
        """Seldom: what is erased has no history any more."""
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if not known.is_enrolled or known.is_erased or self.rng.random() < 0.9:
            return None
        return PatientErased(patient)

    def _open(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if not known.is_enrolled or known.is_erased:
            return None
        actor, window = Address(self.rng.choice(self.people)), self.rng.choice([self._window(), self._long_window()])
        emergency, reason_hash, salt = (self.rng.randbytes(32) for _ in range(3))
        return EmergencyOpened(patient, EmergencyId(emergency), actor, reason_hash, window, salt)

    def _review(self, before: Sequence[Event]) -> Event | None:
        reviewed = {event.emergency for event in before if isinstance(event, EmergencyReviewed)}
        opened = [e for e in before if isinstance(e, EmergencyOpened) and e.emergency not in reviewed]
        if not opened:
            return None
        one = self.rng.choice(opened)
        reviewer = self.rng.choice([actor for actor in self.actors if actor != one.actor])
        finding = self.rng.choice(list(Finding))
        return EmergencyReviewed(one.patient, one.emergency, reviewer, finding, self.rng.randbytes(32))

    def _guardian(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        if self._known(before, patient).controller is None:
            return None
        if self.rng.random() < 0.3:
            return GuardianSet(patient, NOBODY, Signer(b""), UnixTime(0))
        guardian, until = self.rng.choice(self.people), self.time()
        ward_until = self._known(before, patient).ward_until
        return GuardianSet(patient, Address(guardian), guardian, min(until, ward_until or until))

    def _move(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if known.controller is None:
            return None
        if known.move is not None and self.rng.random() < 0.8:
            if self.rng.random() < 0.5:
                return MoveVetoed(patient)
            came_of_age = known.ready_at > known.ward_until and self.rng.random() < 0.5
            ward_until = UnixTime(0) if came_of_age else known.ward_until
            return ControllerMoved(patient, Address(known.move), known.move, ward_until)
        others = [signer for signer in self.people if signer != known.controller]
        return MoveStarted(patient, self.rng.choice(others), self.time())

    def _grantor(self, known: _Known) -> tuple[Address, Capacity]:
        if known.guardian and self.rng.random() < 0.3:
            return Address(known.guardian), Capacity.GUARDIAN
        assert known.controller is not None
        return Address(known.controller), Capacity.GUARDIAN if known.ward_until else Capacity.CONTROLLER

    def _grant(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if known.controller is None:
            return None
        purposes = (Purpose.TREAT, Purpose.PATRQT, Purpose.FAMRQT)
        effect = self.rng.choice([Effect.PERMIT, Effect.PERMIT, Effect.PERMIT, Effect.DENY])
        actions, grantee = Action(self.rng.randrange(1, 16)), self._grantee(before)
        shares = effect is Effect.PERMIT and bool(actions & Action.SHARE)
        if shares and not grantee.startswith(bytes(12)):
            return None
        terms = self._terms(
            patient,
            known,
            grantee=grantee,
            effect=effect,
            actions=actions,
            purposes=sum(1 << purpose for purpose in self.rng.sample(purposes, self.rng.randrange(1, 4))),
            window=self.rng.choice([self._window(), self._long_window()]),
            studies=self._some_studies(),
            dates=self._dates(),
            share_depth=self.rng.randrange(1, 4) if shares else 0,
        )
        return ConsentGranted(ConsentId(self.rng.randbytes(32)), terms, *self._grantor(known))

    def _revoke(self, before: Sequence[Event]) -> Event | None:
        patient = self.rng.choice(self.patients)
        known = self._known(before, patient)
        if known.controller is None:
            return None
        live = [event.consent for event in known.used if event.consent not in known.revoked]
        consent = self.rng.choice([*live, ConsentId(self.rng.randbytes(32))])
        return ConsentRevoked(patient, consent, *self._grantor(known), known.epoch + 1)

    @staticmethod
    def _known(before: Sequence[Event], patient: PatientKey) -> _Known:
        known = _Known(ward_until=ward_end(before, patient))
        about = [event for event in before if getattr(event, "patient", None) == patient]
        known.is_enrolled = any(isinstance(event, PatientEnrolled) for event in about)
        known.is_erased = any(isinstance(event, PatientErased) for event in about)
        for event in before:
            if getattr(event, "patient", None) == patient:
                if isinstance(event, PatientClaimed | ControllerMoved):
                    known.controller, known.move = event.controller, None
                elif isinstance(event, MoveStarted):
                    known.move, known.ready_at = event.controller, event.ready_at
                elif isinstance(event, MoveVetoed):
                    known.move = None
                elif isinstance(event, GuardianSet):
                    known.guardian = event.guardian
                elif isinstance(event, ConsentRevoked):
                    known.epoch = event.epoch
                    known.revoked = (*known.revoked, event.consent)
            elif isinstance(event, ConsentGranted) and event.terms.patient == patient:
                known.used = (*known.used, event)
        if known.is_erased:
            known.controller = None
        return known
