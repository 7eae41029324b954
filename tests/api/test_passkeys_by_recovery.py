"""A passkey made with nothing but a recovery's code: while that waits, only so many, and without using it up."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from app.api.hexadecimal import to_hex
from app.core.consent.events import PatientClaimed, PatientEnrolled, PatientErased
from app.core.consent.fold import fold, fold_all
from app.core.consent.state import GENESIS
from app.core.identifiers import PatientKey, Signer, Subject, UnixTime
from app.core.signing.claim_code import RANDOM_BYTES, claim_address, claim_key, make_code, read_code
from app.store.passkeys import MOST_BY_ONE
from app.store.recoveries import LASTS_S
from tests.api.in_process import BEFORE, NOW, PATIENT_KEY, REGISTRAR, STRANGER, Answer, InProcess
from tests.support.authenticator import Authenticator
from tests.support.stores import statements_at

MAKING, MADE = "/auth/passkey/registration/options", "/auth/passkey/registration/verify"
SIGNING_IN, SIGNED_IN = "/auth/passkey/signin/options", "/auth/passkey/signin/verify"
FIRST, SECOND, UNKNOWN, OF_ENROLMENT = (make_code(bytes([n]) * RANDOM_BYTES) for n in (1, 2, 3, 4))
_OTHER = PatientKey(b"\x55" * 32)
_WAITING = PatientKey(b"\x77" * 32)
_STRANGER = Signer(bytes(STRANGER))


class _Node:
    """One that takes every transaction."""

    async def first(self, _ask: object) -> None:
        return None


@pytest.fixture
async def recovering(api: InProcess) -> InProcess:
    """The desk has printed FIRST; OF_ENROLMENT waits for somebody else."""
    api.wiring.nodes = _Node()  # type: ignore[misc,assignment]  # a namespace, here
    await api.enrolled()
    api.state = _with_enrolment(api)
    await _begin(api, 1)
    return api


def _with_enrolment(api: InProcess) -> Any:
    address = claim_address(claim_key(read_code(OF_ENROLMENT) or ""))
    return fold(api.state, PatientEnrolled(_WAITING, address, UnixTime(NOW + 10 * LASTS_S)))


async def _begin(api: InProcess, number: int, patient_id: str = "P-1") -> None:
    api.wiring.random_bytes = lambda size: bytes([number]) * size  # type: ignore[misc]
    body = {"patient_id": patient_id, "issuer": "S"}
    answer = await api.call(REGISTRAR, "POST", "/api/recoveries", body)
    assert (answer.status_code, answer.json()["code"]) == (201, make_code(bytes([number]) * RANDOM_BYTES))


def _problem(answer: Answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]


async def _options(api: InProcess, code: str = FIRST) -> dict[str, Any]:
    answer = await api.call(None, "POST", MAKING, {"recovery_code": code})
    assert answer.status_code == 200, answer.text
    options: dict[str, Any] = answer.json()["public_key"]
    return options


async def _make(api: InProcess, device: Authenticator, code: str = FIRST) -> Answer:
    credential = device.create(await _options(api, code))
    return await api.call(None, "POST", MADE, {"recovery_code": code, "credential": credential})


def _held(api: InProcess, table: str) -> list[Any]:
    with api.database.engine.connect() as connection:
        return list(connection.execute(text(f"SELECT * FROM {table}")).all())


async def _use(api: InProcess, signer: Signer = _STRANGER, code: str = FIRST) -> Answer:
    return await api.call(signer, "POST", "/api/recoveries/claim", {"code": code})


# --- The code's states and the answers --------------------------------------------------------------------------------


async def _nothing(_api: InProcess) -> None:
    pass


async def _just_in_time(api: InProcess) -> None:
    api.now = UnixTime(NOW + LASTS_S - 1)


async def _late(api: InProcess) -> None:
    api.now = UnixTime(NOW + LASTS_S)


async def _used(api: InProcess) -> None:
    assert (await _use(api)).status_code == 202


async def _replaced(api: InProcess) -> None:
    await _begin(api, 2)


async def _erased(api: InProcess) -> None:
    api.state = fold(api.state, PatientErased(PATIENT_KEY))


async def _links_destroyed(api: InProcess) -> None:
    await api.wiring.erasures.finish(PATIENT_KEY)


async def _not_claimed(api: InProcess) -> None:
    api.state = fold_all(GENESIS, BEFORE[:-1])


async def _chain_away(api: InProcess) -> None:
    api.wiring.standing = lambda: None  # type: ignore[misc]


_NOT_FOUND, _INVALID, _AWAY = (404, "not-found"), (422, "invalid-request"), (503, "chain-unavailable")
_Happens = Callable[[InProcess], Awaitable[None]]
# What has happened to FIRST, what is sent, and the answer; None where a passkey is made.
STATES: dict[str, tuple[_Happens, dict[str, str], tuple[int, str] | None]] = {
    "waiting": (_nothing, {"recovery_code": FIRST}, None),
    "as somebody types it": (_nothing, {"recovery_code": FIRST.lower().replace("-", " ")}, None),
    "in its last second": (_just_in_time, {"recovery_code": FIRST}, None),
    "its time is over": (_late, {"recovery_code": FIRST}, _NOT_FOUND),
    "used": (_used, {"recovery_code": FIRST}, _NOT_FOUND),
    "begun anew": (_replaced, {"recovery_code": FIRST}, _NOT_FOUND),
    "the one it was begun anew with": (_replaced, {"recovery_code": SECOND}, None),
    "nobody's": (_nothing, {"recovery_code": UNKNOWN}, _NOT_FOUND),
    "no code": (_nothing, {"recovery_code": "no code"}, _NOT_FOUND),
    "empty": (_nothing, {"recovery_code": ""}, _NOT_FOUND),
    "of an enrolment": (_nothing, {"recovery_code": OF_ENROLMENT}, _NOT_FOUND),
    "where an enrolment's belongs": (_nothing, {"code": FIRST}, _NOT_FOUND),
    "an enrolment's in its place": (_nothing, {"code": OF_ENROLMENT}, None),
    "beside an enrolment's": (_nothing, {"recovery_code": FIRST, "code": OF_ENROLMENT}, _INVALID),
    "too long": (_nothing, {"recovery_code": "1" * 65}, _INVALID),
    "none at all": (_nothing, {}, (401, "unauthenticated")),
    "of a record that was erased": (_erased, {"recovery_code": FIRST}, _NOT_FOUND),
    "of a record whose links are gone": (_links_destroyed, {"recovery_code": FIRST}, _NOT_FOUND),
    "of a record that nobody has taken charge of": (_not_claimed, {"recovery_code": FIRST}, _NOT_FOUND),
    "while the chain is not known": (_chain_away, {"recovery_code": FIRST}, _AWAY),
    "nobody's, while the chain is not known": (_chain_away, {"recovery_code": UNKNOWN}, _AWAY),
}


@pytest.mark.parametrize("state", STATES)
async def test_only_a_code_that_waits_makes_a_passkey(recovering: InProcess, state: str) -> None:
    happens, sent, refused = STATES[state]
    api, device = recovering, Authenticator()
    before = device.create(await _options(api))
    await happens(api)
    answer = await api.call(None, "POST", MAKING, sent)
    if refused is None:
        assert answer.status_code == 200, answer.text
        body = {**sent, "credential": device.create(answer.json()["public_key"])}
        assert (await api.call(None, "POST", MADE, body)).status_code == 201
        return
    assert _problem(answer) == refused
    assert not any(code in answer.text for code in sent.values() if code)
    assert _problem(await api.call(None, "POST", MADE, {**sent, "credential": before})) == refused
    assert _held(api, "passkey") == [], "also where it had begun while the code waited"


# --- Nothing tells one that opens nothing from another ----------------------------------------------------------------


@pytest.mark.parametrize("path", [MAKING, MADE])
async def test_the_same_answer_and_the_samestatements_of(recovering: InProcess, path: str) -> None:
    api = recovering
    credential = Authenticator().create(await _options(api))
    told = {}
    for name, happens, code in (
        ("unknown", _nothing, UNKNOWN),
        ("of an enrolment", _nothing, OF_ENROLMENT),
        ("begun anew", _replaced, FIRST),
        ("of an erased record", _erased, SECOND),
        ("used", _used, SECOND),
        ("over", _late, SECOND),
    ):
        before = api.state
        if name == "used":
            assert (await _use(api, code=SECOND)).status_code == 202
        else:
            await happens(api)
        body = {"recovery_code": code} | ({"credential": credential} if path == MADE else {})
        with statements_at(api.database) as statements:
            answer = await api.call(None, "POST", path, body)
        told[name] = (answer.status_code, answer.headers, answer.body, statements)
        api.state = before
    first = told["unknown"]
    assert first[0] == 404
    assert [statement for statement in first[3] if "recovery" in statement], "the database is asked"
    assert {name for name, one in told.items() if one != first} == set()


# --- How many, and for whom -------------------------------------------------------------------------------------------


async def test_a_code_makes_only_so_many_and_is_not_used_up_by_them(recovering: InProcess) -> None:
    api = recovering
    for number in range(MOST_BY_ONE):
        assert (await _make(api, Authenticator(credential_id=bytes([number])))).status_code == 201
    assert _problem(await _make(api, Authenticator(credential_id=b"\xff"))) == (409, "conflict")
    assert len(_held(api, "passkey")) == MOST_BY_ONE
    assert (await _use(api)).status_code == 202, "it was not used up"
    await _begin(api, 2)
    assert (await _make(api, Authenticator(credential_id=b"\xfe"), SECOND)).status_code == 201


async def test_what_one_code_began_no_other_finishes(recovering: InProcess) -> None:
    """Nor somebody signed in."""
    api = recovering
    await api.wiring.patients.enrol(Subject("P-2", "S"), _OTHER, bytes(32))
    api.state = fold(api.state, PatientEnrolled(_OTHER, STRANGER, UnixTime(1 << 40)))
    api.state = fold(api.state, PatientClaimed(_OTHER, STRANGER, _STRANGER))
    await _begin(api, 2, "P-2")
    credential = Authenticator().create(await _options(api))
    for who, more in ((None, {"recovery_code": SECOND}), (None, {"code": OF_ENROLMENT}), (STRANGER, {})):
        answer = await api.call(who, "POST", MADE, {**more, "credential": credential})
        assert _problem(answer) == (401, "passkey-expired")
    assert (await api.call(None, "POST", MADE, {"recovery_code": FIRST, "credential": credential})).status_code == 201


async def test_with_nothing_but_the_code_somebody_comes_as_far_as_the_delay(recovering: InProcess) -> None:
    api, device = recovering, Authenticator()
    made = (await _make(api, device)).json()
    signer = Signer(bytes.fromhex(made["signer"][2:]))
    assert (await api.call(signer, "GET", "/api/recoveries")).json() == {"recoveries": []}, "it controls nothing yet"
    options = (await api.call(None, "POST", SIGNING_IN)).json()["public_key"]
    told = (await api.call(None, "POST", SIGNED_IN, {"credential": device.get(options)})).json()
    assert told["roles"] == []
    used = await _use(api, signer)
    assert (used.status_code, used.json()["controller"], used.json()["delay_s"]) == (202, to_hex(signer), 3600)
    (queued,) = (await api.call(signer, "GET", "/api/recoveries")).json()["recoveries"]
    assert queued["controller"] == made["signer"]
    assert _problem(await api.call(None, "POST", MAKING, {"recovery_code": FIRST})) == _NOT_FOUND, "used, and no more"
