"""Random histories played through the real contracts, and the state that their events fold into."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from coincurve import PrivateKey

from app.chain.anvil import DEVELOPMENT_KEYS
from app.chain.contracts import CallData
from app.chain.deploy import EMERGENCY_DURATION_S, EMERGENCY_QUOTA
from app.chain.events import EventReader, place_of
from app.chain.quantities import items, to_data, to_quantity
from app.chain.rpc import Call
from app.core.consent.basis import NO_STUDY, person, role_id
from app.core.consent.emergencies import Opening, emergency_id
from app.core.consent.events import NO_WARD, Event
from app.core.consent.fold import fold
from app.core.consent.grants import Consent
from app.core.consent.policy import AccessRequest
from app.core.consent.sharing import ancestors
from app.core.consent.state import GENESIS, Patient, Revoked, State
from app.core.consent.terms import (
    ALL_DATES,
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
from app.core.keccak import keccak256
from app.core.signing.messages import (
    Claim,
    ConsentOffer,
    ConsentOffers,
    EmergencyAccess,
    EmergencyReview,
    GuardianChange,
    Message,
    MoveAcceptance,
    MoveVeto,
    Revocation,
    TeamChange,
)
from app.core.signing.typed_data import digest, words_hash
from app.core.signing.words import NO_NAMES, words_for
from tests.support.chain import ALWAYS, CAST, MOVE_DELAY_S, Chain, signer
from tests.support.consents import domains, signed

# Few people in many parts: patients are physicians too, and a guardian may be a controller elsewhere.
PEOPLE = ("patient1", "patient2", "physician1", "physician2")
PURPOSES = (Purpose.TREAT, Purpose.PATRQT, Purpose.FAMRQT, Purpose.PWATRNY, Purpose.ETREAT)
TEAMS = (Grantee(b"\x01" * 32), Grantee(b"\xff" * 32))
DATES = (None, *map(StudyDate, (19991231, 20191231, 20200101, 20260229)))
_LONGEST_S = 4_000
_NOBODY = Signer(b"")


def key_of(name: str) -> bytes:
    return DEVELOPMENT_KEYS[CAST.index(name)]


def signer_of(name: str) -> Signer:
    return Signer(bytes(signer(name).address))


def _acts(patient: Patient, at: UnixTime) -> bool:
    """Whether the patient's controller acts at that time: a ward's until the ward is of age."""
    return patient.actor is not None and patient.capacity_of(patient.actor, at) is not Capacity.NONE


@dataclass(slots=True)
class Play:
    """A chain, and the mirror's state of it. Whoever plays only does what the state says can be done."""

    chain: Chain
    rng: random.Random
    state: State = GENESIS
    events: list[Event] = field(default_factory=list)
    now: UnixTime = ALWAYS.start
    patients: list[PatientKey] = field(default_factory=list)
    studies: list[StudyKey] = field(default_factory=list)
    granted: dict[PatientKey, list[ConsentId]] = field(default_factory=dict)
    opened: list[EmergencyId] = field(default_factory=list)
    _read_to: int = 0

    async def begin(self) -> None:
        self.patients = [PatientKey(self.rng.randbytes(32)) for _ in range(2)]
        self.studies = sorted(StudyKey(self.rng.randbytes(32)) for _ in range(2))
        self.now = await self.chain.time()
        await self._read()

    async def step(self) -> None:
        """One random move; every transaction must succeed, and its events must fold."""
        moves = (
            *(self._role, self._patient, self._patient, self._team, self._team),
            *(self._grant, self._grant, self._several, *[self._share] * 8, self._role, self._revoke),
            *(self._open, self._open, self._open, self._review, self._erase),
        )
        made = None
        while made is None:
            # The time is set before the move is thought of: what it needs must hold in its own block.
            made = await self.rng.choice(moves)(UnixTime(self.now + self.rng.randrange(1, 900)))
        await self._read()

    def requests(self) -> list[AccessRequest]:
        return [
            AccessRequest(signer(name).address, patient, study, action, purpose, self.rng.choice(DATES))
            for name in PEOPLE
            for patient in self.patients
            for study in (*self.studies, NO_STUDY)
            for action in Action
            for purpose in PURPOSES
        ]

    async def verdicts(self, requests: Sequence[AccessRequest]) -> list[BasisId | None]:
        """What the contract's view says of each at the head."""
        consents = self.chain.contracts.consents
        views = [consents.decide(asked) for asked in requests]
        block = to_quantity(await self.chain.height())
        answers = await self.chain.anvil.node.batch(
            [Call("eth_call", ({"to": to_data(v.call.to), "data": to_data(v.call.data)}, block)) for v in views]
        )
        verdicts = []
        for view, answer in zip(views, answers, strict=True):
            assert isinstance(answer, str)
            verdicts.append(view.answer(bytes.fromhex(answer[2:])))
        return verdicts

    async def _send(self, who: str, call: CallData, at: UnixTime) -> bool:
        await self.chain.rpc("evm_setNextBlockTimestamp", to_quantity(at))
        await self.chain.send(signer(who), call)
        self.now = at
        return True

    async def _read(self) -> None:
        height = await self.chain.height()
        wanted = {
            "fromBlock": to_quantity(self._read_to),
            "toBlock": to_quantity(height),
            "address": [to_data(address) for address in self.chain.deployment.addresses],
        }
        reader = EventReader(self.chain.deployment)
        for log in items(await self.chain.rpc("eth_getLogs", wanted), "the logs"):
            assert self._read_to <= place_of(log).block.number <= height
            event = reader.read(log)
            if event is not None:
                self.events.append(event)
                self.state = fold(self.state, event)
        self._read_to = height + 1

    async def _role(self, at: UnixTime) -> bool | None:
        role = role_id(self.rng.choice([Role.PHYSICIAN, Role.PHYSICIAN, Role.EMERGENCY]))
        account = signer(self.rng.choice(PEOPLE)).address
        roles = self.chain.contracts.roles
        if self.state.role_window(role, account) is not None and self.rng.random() < 0.15:
            return await self._send("admin", roles.withdraw_role(role, account), at)
        start = UnixTime(at + self.rng.randrange(-_LONGEST_S, 1_000))
        window = Window(start, UnixTime(max(start, at) + self.rng.randrange(1, 8 * _LONGEST_S)))
        lasting = Window(UnixTime(0), UnixTime(at + 50 * _LONGEST_S))
        return await self._send("admin", roles.set_role(role, account, self.rng.choice([window, lasting])), at)

    async def _patient(self, at: UnixTime) -> bool | None:
        key = self.rng.choice(self.patients)
        patient = self.state.patient(key)
        if patient is None:
            claimer = Address(keccak256(PrivateKey(key).public_key.format(compressed=False)[1:])[12:])
            # Every other one is a ward, so that there always is one.
            is_ward = self.patients.index(key) % 2
            ward_until = UnixTime(at + self.rng.randrange(1, 25 * _LONGEST_S)) if is_ward else NO_WARD
            enrol = self.chain.contracts.patients.enrol(key, claimer, UnixTime(at + 50_000), ward_until)
            return await self._send("registrar", enrol, at)
        if not patient.claimed:
            return await self._claim(key, at) if patient.is_claimable(at) else None
        if patient.move is not None and self.rng.random() < 0.7:
            return await self._end_move(patient, at)
        acts = _acts(patient, at)
        if self.rng.random() < 0.3 or not acts:
            new = signer_of(self.rng.choice(PEOPLE))
            if new == patient.controller and acts:
                return None
            return await self._send("registrar", self.chain.contracts.patients.start_move(key, new), at)
        return await self._guardian(patient, at)

    async def _erase(self, at: UnixTime) -> bool | None:
        """One or two of them: what is erased has no history any more, and another patient comes in its place."""
        patient = self.state.patient(self.rng.choice(self.patients))
        if patient is None or patient.erased or len(self.patients) > 3 or self.rng.random() < 0.6:
            return None
        self.patients.append(PatientKey(self.rng.randbytes(32)))
        return await self._send("registrar", self.chain.contracts.patients.erase(patient.key), at)

    async def _open(self, at: UnixTime) -> bool | None:
        """By transaction or signature, now or a while ago (a chain that was away)."""
        patient, name = self.state.patient(self.rng.choice(self.patients)), self.rng.choice(PEOPLE)
        actor = signer(name).address
        start = UnixTime(at + self.rng.choice([60, 0, -self.rng.randrange(_LONGEST_S)]))
        role = self.state.role_window(role_id(Role.EMERGENCY), actor)
        if patient is None or patient.erased or role is None or not role.holds(start):
            return None
        if self.state.openings_on(actor, start) >= EMERGENCY_QUOTA:
            return None
        window = Window(start, UnixTime(start + self.rng.randrange(1, EMERGENCY_DURATION_S + 1)))
        opening = Opening(patient.key, self.rng.randbytes(32), window, self.rng.randbytes(32))
        emergencies = self.chain.contracts.emergencies
        if self.rng.random() < 0.5:
            sent = await self._send(name, emergencies.open(opening), at)
        else:
            message = EmergencyAccess(opening)
            signature, hashed = self._sign(message, name), self._words(message)[1]
            call = emergencies.open_by_signature(opening, hashed, signer_of(name), signature)
            sent = await self._send("relayer", call, at)
        deployment = self.chain.deployment
        self.opened.append(emergency_id(opening, actor, deployment.chain_id, deployment.address("EmergencyAccess")))
        return sent

    async def _review(self, at: UnixTime) -> bool | None:
        left = [one for one in self.state.emergencies.values() if one.review is None]
        if not left:
            return None
        one, finding = self.rng.choice(left), self.rng.choice(list(Finding))
        emergencies = self.chain.contracts.emergencies
        if self.rng.random() < 0.5:
            return await self._send("auditor", emergencies.review(one.id, finding, self.rng.randbytes(32)), at)
        review = EmergencyReview(one.id, finding, bytes(32), UnixTime(at + 60))
        signature, hashed = self._sign(review, "auditor"), self._words(review)[1]
        call = emergencies.review_by_signature(review, hashed, signer_of("auditor"), signature)
        return await self._send("relayer", call, at)

    async def _claim(self, key: PatientKey, at: UnixTime) -> bool:
        who = self.rng.choice(PEOPLE)
        claim = Claim(key, signer_of(who), UnixTime(at + 60))
        words, hashed = self._words(claim)
        by_claim_key = signed(digest(claim, words, domains(self.chain)), key)
        call = self.chain.contracts.patients.claim(
            key, claim.controller, by_claim_key, self._sign(claim, who), claim.deadline, hashed
        )
        return await self._send("relayer", call, at)

    async def _end_move(self, patient: Patient, at: UnixTime) -> bool:
        patients, deadline = self.chain.contracts.patients, UnixTime(at + MOVE_DELAY_S + 60)
        old = self._name(patient.controller)
        assert patient.move is not None
        if self.rng.random() < 0.4 and _acts(patient, at):
            if self.rng.random() < 0.5:
                return await self._send(old, patients.veto_move(patient.key), at)
            veto = MoveVeto(patient.key, patient.move_nonce, deadline)
            call = patients.veto_move_by_signature(patient.key, self._sign(veto, old), deadline, self._words(veto)[1])
            return await self._send("relayer", call, at)
        acceptance = MoveAcceptance(patient.key, patient.move.controller, patient.move_nonce, deadline)
        signature = self._sign(acceptance, self._name(patient.move.controller))
        call = patients.finish_move(patient.key, signature, deadline, self._words(acceptance)[1])
        return await self._send("relayer", call, UnixTime(max(at, patient.move.ready_at)))

    async def _guardian(self, patient: Patient, at: UnixTime) -> bool:
        removed = self.rng.random() < 0.2
        guardian = _NOBODY if removed else signer_of(self.rng.choice(PEOPLE))
        latest = _LONGEST_S if not patient.ward_until else min(_LONGEST_S, patient.ward_until - at + 1)
        until = UnixTime(0 if removed else at + self.rng.randrange(1, max(latest, 2)))
        patients, controller = self.chain.contracts.patients, self._name(patient.controller)
        if self.rng.random() < 0.5:
            return await self._send(controller, patients.set_guardian(patient.key, guardian, until), at)
        change = GuardianChange(patient.key, guardian, until, patient.guardian_nonce, UnixTime(at + 60))
        call = patients.set_guardian_by_signature(
            patient.key, guardian, until, self._sign(change, controller), change.deadline, self._words(change)[1]
        )
        return await self._send("relayer", call, at)

    def _grantor(self, at: UnixTime) -> tuple[Patient, str] | None:
        patient = self.state.patient(self.rng.choice(self.patients))
        if patient is None or not patient.claimed:
            return None
        guardian = patient.guardian
        if guardian is not None and at < guardian.until and self.rng.random() < 0.4:
            return patient, self._name(guardian.signer)
        if not _acts(patient, at):
            return None
        return patient, self._name(patient.controller)

    async def _team(self, at: UnixTime) -> bool:
        """Its first lead is set by the office; everybody else by a lead, directly or by a signature."""
        teams, team = self.chain.contracts.teams, self.rng.choice(TEAMS)
        known = self.state.teams.get(team)
        if known is None:
            return await self._send(self.rng.choice(["admin", "registrar"]), teams.create(team), at)
        leads = [name for name in PEOPLE if known.has(TeamPart.LEAD, signer(name).address, at)]
        account = signer(self.rng.choice(PEOPLE)).address
        if not leads:
            always = Window(UnixTime(0), UnixTime(at + 10 * _LONGEST_S))
            call = teams.set_part(team, account, TeamPart.LEAD, always)
            return await self._send(self.rng.choice(["admin", "registrar"]), call, at)
        who, part = self.rng.choice(leads), self.rng.choice([*[TeamPart.MEMBER] * 4, TeamPart.LEAD])
        start = UnixTime(at + self.rng.randrange(-_LONGEST_S, 1_000))
        window: Window | None = Window(start, UnixTime(max(start, at) + self.rng.randrange(1, 3 * _LONGEST_S)))
        if account in known.part(part) and self.rng.random() < 0.3:
            window = None
        if self.rng.random() < 0.5:
            return await self._send(who, teams.set_part(team, account, part, window), at)
        ends = (UnixTime(0), UnixTime(0)) if window is None else (window.start, window.end)
        change = TeamChange(team, account, part, *ends, known.nonce, UnixTime(at + 60))
        call = teams.set_part_by_signature(change, self._words(change)[1], signer_of(who), self._sign(change, who))
        return await self._send("relayer", call, at)

    async def _share(self, at: UnixTime) -> bool | None:
        """A physician passes on what is theirs, as it is or narrower; an erased patient's too, which opens nothing."""
        patient = self.state.patient(self.rng.choice(self.patients))
        if patient is None:
            return None
        able = [one for one in patient.live_consents() if one.share_depth and self._stands(patient, one, at)]
        if not able:
            return None
        parent = self.rng.choice(able)
        depth = self.rng.randrange(parent.share_depth)
        actions = parent.actions & Action(self.rng.choice([7, 7, 1, 2, 3, 6]))
        if not actions:
            return None
        terms = Terms(
            patient=patient.key,
            grantee=self._grantee() if not depth else person(signer(self.rng.choice(PEOPLE)).address),
            effect=Effect.PERMIT,
            actions=actions | Action.SHARE if depth else actions,
            purposes=parent.purposes,
            window=self.rng.choice([parent.window, Window(at, parent.window.end)]),
            studies=parent.studies[:1] or self._studies(),
            epoch=patient.epoch,
            consent_nonce=self.rng.randbytes(32),
            dates=parent.dates if parent.dates.bounded else self._dates(),
            parent=parent.id,
            share_depth=depth,
        )
        who = self._name(Signer(bytes(parent.grantee[12:])))
        return await self._hand_in(terms, who, at)

    def _stands(self, patient: Patient, consent: Consent, at: UnixTime) -> bool:
        """Whether its grantee can share it on at that time."""
        role = self.state.role_window(role_id(Role.PHYSICIAN), Address(consent.grantee[12:]))
        line = [consent, *(patient.consent(above) for above in ancestors(patient, consent.id))]
        alive = all(isinstance(one, Consent) and one.window.holds(at) for one in line)
        return alive and role is not None and role.holds(at)

    def _grantee(self) -> Grantee:
        people = [person(signer(name).address) for name in PEOPLE]
        return self.rng.choice([*people, *[team for team in TEAMS if team in self.state.teams]])

    def _dates(self) -> DateSpan:
        return self.rng.choice([ALL_DATES, ALL_DATES, DateSpan(20200101, 0), DateSpan(0, 20191231), DateSpan(1, 2)])

    def _studies(self) -> tuple[StudyKey, ...]:
        return tuple(sorted(self.rng.sample(self.studies, self.rng.choice([0, 0, 1, 2]))))

    async def _grant(self, at: UnixTime) -> bool | None:
        found = self._grantor(at)
        if found is None:
            return None
        patient, who = found
        return await self._hand_in(self._terms(patient, at), who, at)

    async def _several(self, at: UnixTime) -> bool | None:
        """Several grants by one signature."""
        found = self._grantor(at)
        if found is None:
            return None
        patient, who = found
        grants = tuple(self._terms(patient, at) for _ in range(self.rng.randrange(1, 4)))
        offers = ConsentOffers(grants, UnixTime(at + 60))
        hashed, signature = self._words(offers)[1], self._sign(offers, who)
        consents = self.chain.contracts.consents
        call = consents.grant_all_by_signature(grants, hashed, offers.deadline, signer_of(who), signature)
        sent = await self._send("relayer", call, at)
        return await self._noted(patient.key, len(grants), done=sent)

    def _terms(self, patient: Patient, at: UnixTime) -> Terms:
        start = UnixTime(at + self.rng.randrange(-_LONGEST_S, 1_500))
        grantee = self._grantee()
        effect = self.rng.choice([Effect.PERMIT, Effect.PERMIT, Effect.PERMIT, Effect.DENY])
        actions = Action(self.rng.randrange(1, 16))
        if effect is Effect.PERMIT and grantee in TEAMS:
            actions = actions & ~Action.SHARE or Action.VIEW
        shares = effect is Effect.PERMIT and bool(actions & Action.SHARE)
        return Terms(
            patient=patient.key,
            grantee=grantee,
            effect=effect,
            actions=actions,
            purposes=sum(1 << purpose for purpose in self.rng.sample(PURPOSES, self.rng.randrange(1, 4))),
            window=Window(start, UnixTime(max(start, at) + self.rng.randrange(1, 8 * _LONGEST_S))),
            studies=self._studies(),
            epoch=patient.epoch,
            consent_nonce=self.rng.randbytes(32),
            dates=self._dates(),
            share_depth=self.rng.randrange(1, 4) if shares else 0,
        )

    async def _hand_in(self, terms: Terms, who: str, at: UnixTime) -> bool:
        consents = self.chain.contracts.consents
        if self.rng.random() < 0.5:
            sent = await self._send(who, consents.grant(terms), at)
        else:
            offer = ConsentOffer(terms, UnixTime(at + self.rng.choice([0, 60])))
            signature, hashed = self._sign(offer, who), self._words(offer)[1]
            call = consents.grant_by_signature(terms, hashed, offer.deadline, signer_of(who), signature)
            sent = await self._send("relayer", call, at)
        return await self._noted(terms.patient, 1, done=sent)

    async def _noted(self, patient: PatientKey, count: int, *, done: bool) -> bool:
        ids = await self.chain.contracts.ask(self.chain.nodes, self.chain.contracts.consents.consent_ids(patient))
        self.granted.setdefault(patient, []).extend(ids[-count:])
        return done

    async def _revoke(self, at: UnixTime) -> bool | None:
        found = self._grantor(at)
        if found is None:
            return None
        patient, who = found
        ids = [c for c in self.granted.get(patient.key, []) if not isinstance(patient.consent(c), Revoked)]
        chosen = self.rng.choice([*ids, ConsentId(self.rng.randbytes(32))])
        consents = self.chain.contracts.consents
        if self.rng.random() < 0.5:
            return await self._send(who, consents.revoke(patient.key, chosen), at)
        revocation = Revocation(patient.key, chosen, UnixTime(at + 60))
        call = consents.revoke_by_signature(
            patient.key,
            chosen,
            self._words(revocation)[1],
            revocation.deadline,
            signer_of(who),
            self._sign(revocation, who),
        )
        return await self._send("relayer", call, at)

    def _sign(self, message: Message, who: str) -> bytes:
        return signed(digest(message, self._words(message)[0], domains(self.chain)), key_of(who))

    @staticmethod
    def _words(message: Message) -> tuple[str, bytes]:
        words = words_for(message, NO_NAMES)
        return words, words_hash(words)

    @staticmethod
    def _name(who: Signer) -> str:
        return next(name for name in PEOPLE if signer_of(name) == who)
