"""The truth table of decide() that Solidity reads too (tests/vectors/README.md)."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.consent.basis import GUARDIAN, NO_STUDY, NOBODY, SELF, person, role_id
from app.core.consent.events import (
    NO_WARD,
    ConsentGranted,
    ConsentRevoked,
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    GuardianSet,
    PatientClaimed,
    PatientEnrolled,
    PatientErased,
    RoleSet,
    TeamCreated,
    TeamPartSet,
)
from app.core.consent.fold import fold_all
from app.core.consent.mirror import Standing
from app.core.consent.policy import AccessRequest, Deny, Permit, Verdict, decide, decide_standing
from app.core.consent.state import GENESIS, State
from app.core.consent.terms import (
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
    BlockHash,
    BlockRef,
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

_TABLE = json.loads((Path(__file__).parents[1] / "vectors" / "policy.json").read_text())
_T0 = _TABLE["t0"]


def _actor(name: str) -> Address:
    return Address(keccak256(name.encode())[:20])


def _patient(name: str) -> PatientKey:
    return PatientKey(keccak256(b"patient " + name.encode()))


def _study(name: str) -> StudyKey:
    return StudyKey(keccak256(b"study " + name.encode()))


def _consent(name: str) -> ConsentId:
    return ConsentId(keccak256(b"consent " + name.encode()))


def _emergency(name: str) -> EmergencyId:
    return EmergencyId(keccak256(b"emergency " + name.encode()))


def _at(offset: int) -> UnixTime:
    return UnixTime(_T0 + offset)


def _window(entry: dict[str, Any]) -> Window:
    return Window(_at(entry["from"]), _at(entry["until"]))


def _grantee(entry: Any) -> Grantee:
    return person(_actor(entry)) if isinstance(entry, str) else Grantee(keccak256(str(entry["team"]).encode()))


def _patients(world: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    for entry in world["patients"]:
        key = _patient(entry["patient"])
        ward_until = _at(entry["ward_until"]) if "ward_until" in entry else NO_WARD
        events.append(PatientEnrolled(key, _actor("claim key"), _at(0), ward_until))
        if entry["controller"] is not None:
            controller = _actor(entry["controller"])
            events.append(PatientClaimed(key, controller, Signer(controller)))
        if entry["guardian"] is not None:
            guardian = _actor(entry["guardian"]["actor"])
            events.append(GuardianSet(key, guardian, Signer(guardian), _at(entry["guardian"]["until"])))
    return events


def _emergencies(world: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    for entry in world.get("emergencies", []):
        key, name = _patient(entry["patient"]), _emergency(entry["name"])
        events.append(EmergencyOpened(key, name, _actor(entry["actor"]), bytes(32), _window(entry), bytes(32)))
        if "finding" in entry:
            finding = Finding[entry["finding"].upper()]
            events.append(EmergencyReviewed(key, name, _actor(entry["by"]), finding, bytes(32)))
    return events


def _erasures(world: dict[str, Any]) -> list[Event]:
    return [PatientErased(_patient(entry["patient"])) for entry in world["patients"] if entry.get("erased")]


def _teams(world: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    for entry in world.get("teams", []):
        team = _grantee(entry)
        events.append(TeamCreated(team))
        for nonce, member in enumerate(entry["members"], start=1):
            events.append(TeamPartSet(team, _actor(member["actor"]), TeamPart.MEMBER, _window(member), nonce))
    return events


def _grants(world: dict[str, Any]) -> list[Event]:
    controllers = {entry["patient"]: entry["controller"] for entry in world["patients"]}
    wards = {entry["patient"] for entry in world["patients"] if "ward_until" in entry}
    granted: list[Event] = []
    withdrawn: list[Event] = []
    epochs: dict[str, int] = {}
    for entry in world["consents"]:
        key = _patient(entry["patient"])
        by_controller = entry["by"] == controllers[entry["patient"]]
        as_self = by_controller and entry["patient"] not in wards
        capacity = Capacity.CONTROLLER if as_self else Capacity.GUARDIAN
        grantor = _actor(entry["by"]), Capacity.GRANTEE if "parent" in entry else capacity
        # Whoever acts for the patient takes back what was shared on.
        revoker = grantor if "parent" not in entry else (_actor(controllers[entry["patient"]]), Capacity.CONTROLLER)
        terms = Terms(
            patient=key,
            grantee=_grantee(entry["grantee"]),
            effect=Effect[entry["effect"].upper()],
            dates=DateSpan(*(entry.get("dates") or (0, 0))),
            parent=_consent(entry["parent"]) if "parent" in entry else NO_PARENT,
            share_depth=entry.get("share_depth", 0),
            actions=Action(sum(Action[name.upper()] for name in entry["actions"])),
            purposes=sum(1 << Purpose[name] for name in entry["purposes"]),
            window=_window(entry),
            studies=() if entry["studies"] == "all" else tuple(sorted(map(_study, entry["studies"]))),
            epoch=0,
            consent_nonce=keccak256(entry["name"].encode()),
        )
        granted.append(ConsentGranted(_consent(entry["name"]), terms, *grantor))
        if entry["revoked"]:
            epochs[entry["patient"]] = epochs.get(entry["patient"], 0) + 1
            withdrawn.append(ConsentRevoked(key, _consent(entry["name"]), *revoker, epochs[entry["patient"]]))
    return granted + withdrawn


def _final(world: dict[str, Any]) -> State:
    """The state before what the world says is not final yet."""
    teams = [
        {**team, "members": [one for one in team["members"] if one.get("final", True)]}
        for team in world.get("teams", [])
    ]
    consents = [
        {**entry, "revoked": entry["revoked"] and entry.get("revocation_final", True)}
        for entry in world["consents"]
        if entry.get("final", True)
    ]
    return _state({**world, "teams": teams, "consents": consents})


def _state(world: dict[str, Any]) -> State:
    roles: list[Event] = [
        RoleSet(role_id(Role(entry["role"])), _actor(entry["actor"]), _window(entry)) for entry in world["roles"]
    ]
    happened = [*_teams(world), *_patients(world), *_grants(world), *_emergencies(world), *_erasures(world)]
    return fold_all(GENESIS, [*roles, *happened])


def _request(entry: dict[str, Any], action: Action, purpose: Purpose) -> AccessRequest:
    study = NO_STUDY if entry["study"] is None else _study(entry["study"])
    date = None if entry.get("date") is None else StudyDate(entry["date"])
    return AccessRequest(_actor(entry["actor"]), _patient(entry["patient"]), study, action, purpose, date)


@pytest.mark.parametrize("world", _TABLE["worlds"], ids=lambda world: world["name"])
def test_decide_answers_as_the_table_says(world: dict[str, Any]) -> None:
    state = _state(world)
    standing = Standing(_final(world), state, BlockRef(1, BlockHash(bytes(32))), _at(0))
    assert world["requests"] or world["malformed"]
    for entry in world["requests"]:
        request = _request(entry, Action[entry["action"].upper()], Purpose[entry["purpose"]])
        _must_be(decide(state, request, _at(entry["at"])), _basis(world, entry["basis"]), entry)
        expected = _basis(world, entry.get("standing", entry["basis"]))
        _must_be(decide_standing(standing, request, _at(entry["at"]), frozenset()), expected, entry)
    for entry in world["malformed"]:
        if entry["purpose_index"] not in set(Purpose):
            with pytest.raises(ValueError, match="not a valid Purpose"):
                Purpose(entry["purpose_index"])
            continue
        request = _request(entry, Action(entry["action_bits"]), Purpose(entry["purpose_index"]))
        assert isinstance(decide(state, request, _at(world["requests"][-1]["at"])), Deny), entry


def _basis(world: dict[str, Any], name: str | None) -> BasisId | None:
    if name is None:
        return None
    fixed = {"SELF": SELF, "GUARDIAN": GUARDIAN}
    fixed |= {entry["name"]: BasisId(_emergency(entry["name"])) for entry in world.get("emergencies", [])}
    return fixed.get(name, BasisId(_consent(name)))


def _must_be(verdict: Verdict, basis: BasisId | None, entry: dict[str, Any]) -> None:
    if basis is None:
        assert isinstance(verdict, Deny), entry
    else:
        assert verdict == Permit(basis), entry


def test_nobody_is_let_in() -> None:
    world = _TABLE["worlds"][0]
    state = _state(world)
    for purpose in Purpose:
        request = AccessRequest(NOBODY, _patient("p1"), NO_STUDY, Action.VIEW, purpose)
        assert isinstance(decide(state, request, _at(0)), Deny)
