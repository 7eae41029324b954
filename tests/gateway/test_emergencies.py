"""Who has broken the glass is let in to that patient's images and no others, and only while all of it holds."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest

from app.core.consent.basis import role_id
from app.core.consent.emergencies import OpenedHere
from app.core.consent.events import EmergencyOpened, EmergencyReviewed, PatientErased, RoleSet, RoleWithdrawn
from app.core.consent.state import State
from app.core.consent.terms import Action, Effect, Finding, Modification, Purpose, Role, Window
from app.core.identifiers import Address, EmergencyId, UnixTime
from app.store.patients import EnrolledPatient
from tests.gateway.conftest import MakeWorld
from tests.gateway.people import A1, ANNA, B1, BERT, MISSING, archive
from tests.gateway.world import ALWAYS, PHYSICIAN, World

RESCUER = Address(b"\x35" * 20)
EMERGENCY = role_id(Role.EMERGENCY)
THIS = EmergencyId(b"\xe1" * 32)
HOUR = 3600


@dataclass
class Scene:
    """A rescuer whose emergency for Anna was opened here and has not landed."""

    world: World
    anna: EnrolledPatient
    opened: OpenedHere

    @classmethod
    async def build(cls, make_world: MakeWorld) -> "Scene":
        world = await make_world(archive())
        anna, _ = await world.enrol(ANNA), await world.enrol(BERT)
        world.happens(RoleSet(EMERGENCY, RESCUER, ALWAYS))
        now = int(time.time())
        opened = OpenedHere(anna.key, RESCUER, THIS, Window(UnixTime(now - 60), UnixTime(now + HOUR)))
        scene = cls(world, anna, opened)
        scene.open(opened)
        return scene

    def open(self, opened: OpenedHere | None) -> None:
        self.world.opened_here = {} if opened is None else {opened.actor: {opened.patient: opened}}

    def landed(self, finding: Finding | None = None) -> State:
        one = self.opened
        self.world.happens(EmergencyOpened(one.patient, THIS, one.actor, bytes(32), one.window, bytes(32)))
        if finding is not None:
            self.world.happens(EmergencyReviewed(one.patient, THIS, PHYSICIAN, finding, bytes(32)))
        return self.world.state

    def away(self, age_s: float | None) -> None:
        """The chain no longer answers; what was known last is so old, or too old to be told."""
        standing = self.world.standing()
        assert standing is not None
        self.world.known = False
        self.world.snapshot = None if age_s is None else (standing, age_s)

    async def status(self, target: str = f"/studies/{A1}", purpose: Purpose = Purpose.ETREAT, **ask: Any) -> int:
        accept = ("Accept", 'multipart/related; type="application/dicom"')
        token = await self.world.token(RESCUER, purpose)
        return (await self.world.ask(target, token, accept, **ask)).status


Change = Callable[[Scene], object]


def _nothing(_scene: Scene) -> None:
    """As it is."""


def _window(start: int, end: int) -> Change:
    def change(scene: Scene) -> None:
        now = int(time.time())
        scene.open(replace(scene.opened, window=Window(UnixTime(now + start), UnixTime(now + end))))

    return change


def _deny(scene: Scene) -> None:
    actions = Action.SEARCH | Action.VIEW | Action.RETRIEVE
    purposes = 1 << Purpose.ETREAT | 1 << Purpose.TREAT
    scene.world.grant(scene.anna, actions, grantee=RESCUER, effect=Effect.DENY, purposes=purposes)


def _found(finding: Finding) -> Change:
    return lambda scene: scene.landed(finding)


def _only_at_the_head(scene: Scene) -> None:
    before = scene.world.state
    scene.landed()
    scene.world.final = before


def _only_at_the_head_and_elsewhere(scene: Scene) -> None:
    _only_at_the_head(scene)
    scene.open(None)


def _landed_elsewhere(scene: Scene) -> None:
    scene.landed()
    scene.open(None)


def _landed_and_closed_here(scene: Scene) -> None:
    """It was found unjustified at this gateway, and the chain does not know yet."""
    scene.landed()
    scene.open(None)
    scene.world.revoked = frozenset({(scene.anna.key, THIS)})  # type: ignore[arg-type]


# What is different → whether Anna's study is served to a session of purpose ETREAT.
TABLE: dict[str, tuple[Change, bool]] = {
    "opened here, not landed": (_nothing, True),
    "opened here, landed": (lambda scene: scene.landed(), True),
    "landed at the head, opened here": (_only_at_the_head, True),
    "landed finally, opened elsewhere": (_landed_elsewhere, True),
    "landed at the head alone, opened elsewhere": (_only_at_the_head_and_elsewhere, False),
    "nothing opened": (lambda scene: scene.open(None), False),
    "a deny of the patient": (_deny, True),
    "over": (_window(-HOUR, -1), False),
    "not begun": (_window(60, HOUR), False),
    "role withdrawn": (lambda scene: scene.world.happens(RoleWithdrawn(EMERGENCY, RESCUER)), False),
    "opened by somebody else": (lambda scene: scene.open(replace(scene.opened, actor=PHYSICIAN)), False),
    "of a patient who was erased": (lambda scene: scene.world.happens(PatientErased(scene.anna.key)), False),
    "found justified": (_found(Finding.JUSTIFIED), True),
    "found unjustified": (_found(Finding.NOT_JUSTIFIED), False),
    "found unjustified here": (_landed_and_closed_here, False),
}


@pytest.mark.parametrize(("change", "served"), TABLE.values(), ids=TABLE.keys())
async def test_what_an_emergency_needs(make_world: MakeWorld, change: Change, *, served: bool) -> None:
    scene = await Scene.build(make_world)
    change(scene)
    assert await scene.status() == (200 if served else 404)
    assert await scene.status(f"/studies/{B1}") == 404, "another patient's"
    assert await scene.status(f"/studies/{MISSING}") == 404
    for purpose in set(Purpose) - {Purpose.ETREAT}:
        assert await scene.status(purpose=purpose) == 404, "it helps no other purpose"


@pytest.mark.parametrize(
    ("age_s", "opened", "purpose", "status"),
    [
        (1.0, True, Purpose.ETREAT, 200),
        (899.0, True, Purpose.ETREAT, 200),
        (None, True, Purpose.ETREAT, 503),
        (1.0, False, Purpose.ETREAT, 503),
        (1.0, True, Purpose.TREAT, 503),
    ],
)
async def test_while_the_chain_is_away(
    make_world: MakeWorld, age_s: float | None, *, opened: bool, purpose: Purpose, status: int
) -> None:
    scene = await Scene.build(make_world)
    scene.world.grant(scene.anna, grantee=RESCUER, purposes=1 << purpose)
    if not opened:
        scene.open(None)
    scene.away(age_s)
    assert await scene.status(purpose=purpose) == status


async def test_while_the_chain_is_away_no_consent_counts_and_nothing_is_stored(make_world: MakeWorld) -> None:
    """What was granted may have been taken back since: only the emergency itself lets in."""
    scene = await Scene.build(make_world)
    world = scene.world
    bert = next(patient for patient in world.patients.all() if patient.subject == BERT)
    world.happens(RoleSet(role_id(Role.PHYSICIAN), RESCUER, ALWAYS))
    world.happens(RoleSet(role_id(Role.UPLOADER), RESCUER, ALWAYS))
    world.grant(bert, grantee=RESCUER, purposes=1 << Purpose.ETREAT)
    assert await scene.status(f"/studies/{B1}") == 200
    scene.away(5.0)
    assert await scene.status(f"/studies/{B1}") == 404
    assert await scene.status("/studies", method="POST") in {415, 503}
    token = await world.token(RESCUER, Purpose.ETREAT)
    found = await world.ask("/studies", token)
    assert {study["0020000D"]["Value"][0] for study in found.json()} == {"1.2.1", "1.2.2"}


@pytest.mark.parametrize("away", [False, True])
async def test_the_record_names_the_emergency_and_how_old_the_roles_were(make_world: MakeWorld, *, away: bool) -> None:
    scene = await Scene.build(make_world)
    if away:
        scene.away(61.2)
    assert await scene.status() == 200
    token = await scene.world.token(RESCUER, Purpose.ETREAT)
    assert (await scene.world.ask(f"/studies/{A1}/series", token)).status == 200
    for record in scene.world.journal.records:
        assert bytes(record.basis) == THIS
        assert (record.purpose, record.actor) == (Purpose.ETREAT, RESCUER)
        assert record.snapshot_age_s == (62 if away else None)
    assert [record.action for record in scene.world.journal.records] == [Action.RETRIEVE, Action.SEARCH]


async def test_a_search_finds_what_an_archive_of_that_patient_alone_would_hold(make_world: MakeWorld) -> None:
    scene = await Scene.build(make_world)
    token = await scene.world.token(RESCUER, Purpose.ETREAT)
    for query in ("", "?PatientID=ANNA-1", "?limit=1&offset=1"):
        everything = await scene.world.ask(f"/studies{query}", token)
        world = await make_world(archive())
        await world.enrol(BERT)
        alone = await world.enrol(ANNA)
        world.grant(alone)
        same = await world.ask(f"/studies{query}", await world.token())
        assert everything.status == same.status == 200
        assert everything.body == same.body, query
        assert [name for name, _ in everything.headers] == [name for name, _ in same.headers]


async def test_a_running_answer_is_cut_when_the_emergency_ends(make_world: MakeWorld) -> None:
    scene = await Scene.build(make_world)
    token = await scene.world.token(RESCUER, Purpose.ETREAT)
    seen: list[bytes] = []

    def end(piece: bytes) -> None:
        seen.append(piece)
        scene.open(None)

    reply = await scene.world.ask(f"/studies/{A1}", token, on_piece=end)
    assert not reply.complete, "cut, and not made to look whole"
    whole = await scene.status()
    assert (len(seen), whole) == (1, 404)


async def test_nothing_is_asked_of_emergencies_for_anybody_else(make_world: MakeWorld) -> None:
    """The data path of a session for treatment never looks at them."""
    scene = await Scene.build(make_world)
    scene.world.grant(scene.anna)

    class Untouchable(dict[Any, Any]):
        def get(self, *_: object) -> Any:
            raise AssertionError("looked at")

    scene.world.opened_here = Untouchable()
    reply = await scene.world.ask(f"/studies/{A1}", await scene.world.token())
    assert reply.status == 200


def test_a_modification_is_no_action_of_an_emergency() -> None:
    from app.core.consent.policy import emergency_covers  # noqa: PLC0415

    covered = {
        (action, purpose)
        for action, purpose in product([*Action, Modification.STORE], Purpose)
        if emergency_covers(action, purpose)
    }
    assert covered == {(action, Purpose.ETREAT) for action in (Action.SEARCH, Action.VIEW, Action.RETRIEVE)}
