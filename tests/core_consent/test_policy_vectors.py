"""The truth table of decide() that Solidity reads too (tests/vectors/README.md)."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.basis import GUARDIAN, NO_STUDY, NOBODY, SELF, person, role_id
from app.core.consent import GENESIS, State
from app.core.events import (
    ConsentGranted,
    ConsentRevoked,
    Event,
    GuardianSet,
    PatientClaimed,
    PatientEnrolled,
    RoleSet,
)
from app.core.fold import fold_all
from app.core.identifiers import Address, BasisId, ConsentId, Grantee, PatientKey, Signer, StudyKey, UnixTime
from app.core.keccak import keccak256
from app.core.policy import AccessRequest, Deny, Permit, decide
from app.core.terms import Action, Capacity, Effect, Purpose, Role, Terms, Window

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
        events.append(PatientEnrolled(key, _actor("claim key"), _at(0)))
        if entry["controller"] is not None:
            controller = _actor(entry["controller"])
            events.append(PatientClaimed(key, controller, Signer(controller)))
        if entry["guardian"] is not None:
            guardian = _actor(entry["guardian"]["actor"])
            events.append(GuardianSet(key, guardian, Signer(guardian), _at(entry["guardian"]["until"])))
    return events


def _grants(world: dict[str, Any]) -> list[Event]:
    controllers = {entry["patient"]: entry["controller"] for entry in world["patients"]}
    granted: list[Event] = []
    withdrawn: list[Event] = []
    epochs: dict[str, int] = {}
    for entry in world["consents"]:
        key = _patient(entry["patient"])
        by_controller = entry["by"] == controllers[entry["patient"]]
        grantor = _actor(entry["by"]), Capacity.CONTROLLER if by_controller else Capacity.GUARDIAN
        terms = Terms(
            patient=key,
            grantee=_grantee(entry["grantee"]),
            effect=Effect[entry["effect"].upper()],
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
            withdrawn.append(ConsentRevoked(key, _consent(entry["name"]), *grantor, epochs[entry["patient"]]))
    return granted + withdrawn


def _state(world: dict[str, Any]) -> State:
    roles: list[Event] = [
        RoleSet(role_id(Role(entry["role"])), _actor(entry["actor"]), _window(entry)) for entry in world["roles"]
    ]
    return fold_all(GENESIS, [*roles, *_patients(world), *_grants(world)])


def _request(entry: dict[str, Any], action: Action, purpose: Purpose) -> AccessRequest:
    study = NO_STUDY if entry["study"] is None else _study(entry["study"])
    return AccessRequest(_actor(entry["actor"]), _patient(entry["patient"]), study, action, purpose)


@pytest.mark.parametrize("world", _TABLE["worlds"], ids=lambda world: world["name"])
def test_decide_answers_as_the_table_says(world: dict[str, Any]) -> None:
    state = _state(world)
    fixed = {"SELF": SELF, "GUARDIAN": GUARDIAN}
    assert world["requests"] or world["malformed"]
    for entry in world["requests"]:
        request = _request(entry, Action[entry["action"].upper()], Purpose[entry["purpose"]])
        verdict = decide(state, request, _at(entry["at"]))
        if entry["basis"] is None:
            assert isinstance(verdict, Deny), entry
        else:
            assert verdict == Permit(fixed.get(entry["basis"], BasisId(_consent(entry["basis"])))), entry
    for entry in world["malformed"]:
        if entry["purpose_index"] not in set(Purpose):
            with pytest.raises(ValueError, match="not a valid Purpose"):
                Purpose(entry["purpose_index"])
            continue
        request = _request(entry, Action(entry["action_bits"]), Purpose(entry["purpose_index"]))
        assert isinstance(decide(state, request, _at(world["requests"][-1]["at"])), Deny), entry


def test_nobody_is_let_in() -> None:
    world = _TABLE["worlds"][0]
    state = _state(world)
    for purpose in Purpose:
        request = AccessRequest(NOBODY, _patient("p1"), NO_STUDY, Action.VIEW, purpose)
        assert isinstance(decide(state, request, _at(0)), Deny)
