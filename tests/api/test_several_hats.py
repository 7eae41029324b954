"""Somebody who is several things here says at sign-in what they come for; the session's purpose is then that one."""

from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from app.api.signin import entry_of
from app.core.consent.basis import actor_of, role_id
from app.core.consent.events import Event, GuardianSet, PatientClaimed, PatientEnrolled, RoleSet
from app.core.consent.fold import fold_all
from app.core.consent.terms import Role, Window
from app.core.http.problem import ProblemError
from app.core.identifiers import Address, PatientKey, Signer, UnixTime
from tests.api.in_process import NOW, PATIENT_KEY, Answer, InProcess
from tests.api.test_passkeys import SIGNED_IN, SIGNING_IN, _made
from tests.support.authenticator import Authenticator

ACCOUNT = Account.from_key(bytes(range(1, 33)))
HERS = Address(bytes.fromhex(ACCOUNT.address[2:]))
_OWN = PatientKey(bytes([21]) * 32)
_ALWAYS = Window(UnixTime(0), UnixTime(1 << 40))


def hats(api: InProcess, *worn: str, actor: Address = HERS, signer: Signer | None = None) -> None:
    """What the chain says somebody is."""
    mine = Signer(actor) if signer is None else signer
    events: dict[str, list[Event]] = {
        "physician": [RoleSet(role_id(Role.PHYSICIAN), actor, _ALWAYS)],
        "auditor": [RoleSet(role_id(Role.AUDITOR), actor, _ALWAYS)],
        "patient": [
            PatientEnrolled(_OWN, Address(bytes([22]) * 20), _ALWAYS.end),
            PatientClaimed(_OWN, actor, mine),
        ],
        "guardian": [GuardianSet(PATIENT_KEY, actor, mine, UnixTime(NOW + 1000))],
    }
    api.state = fold_all(api.state, [event for hat in worn for event in events[hat]])


async def signed(api: InProcess) -> dict[str, Any]:
    """A message, signed."""
    asked = await api.call(None, "POST", "/auth/siwe/nonce", {"address": ACCOUNT.address})
    message = asked.json()["message"]
    signature = ACCOUNT.sign_message(encode_defunct(text=message)).signature
    return {"message": message, "signature": "0x" + signature.hex()}


async def verify(api: InProcess, body: dict[str, Any], **more: object) -> Answer:
    return await api.call(None, "POST", "/auth/siwe/verify", body | more)


# What they are → what they may choose from, the first of which they get unasked.
@pytest.mark.parametrize(
    ("worn", "fitting"),
    [
        ((), ["PATRQT"]),
        (("auditor",), ["PATRQT"]),
        (("patient",), ["PATRQT"]),
        (("guardian",), ["FAMRQT"]),
        (("physician",), ["TREAT"]),
        (("auditor", "patient"), ["PATRQT"]),
        (("patient", "guardian"), ["PATRQT", "FAMRQT"]),
        (("physician", "guardian"), ["TREAT", "FAMRQT"]),
        (("physician", "patient"), ["TREAT", "PATRQT"]),
        (("physician", "patient", "guardian"), ["TREAT", "PATRQT", "FAMRQT"]),
    ],
)
async def test_who_is_several_things_is_asked_and_who_asks_for_nothing_gets_the_first(
    api: InProcess, worn: tuple[str, ...], fitting: list[str]
) -> None:
    hats(api, *worn)
    body = await signed(api)
    told = await verify(api, body, choose=True)
    assert told.status_code == 200
    assert told.headers["cache-control"] == "no-store"
    if len(fitting) == 1:
        assert told.json()["purpose"] == fitting[0]
        return
    assert told.json() == {"choose": fitting}, "nothing else, and no session"
    assert "set-cookie" not in told.headers
    for purpose in reversed(fitting):
        again = body if purpose == fitting[-1] else await signed(api)
        entered = await verify(api, again, choose=True, purpose=purpose)
        assert entered.json()["purpose"] == purpose
        session = await api.wiring.sessions.find(entered.json()["access_token"])
        assert session is not None
        assert session.purpose.name == purpose
    assert (await verify(api, body, purpose=fitting[0])).status_code == 401, "one message, one session"
    assert (await verify(api, await signed(api))).json()["purpose"] == fitting[0], "programs are not asked"


async def test_only_whoever_signed_is_told_what_they_may_choose(api: InProcess) -> None:
    hats(api, "physician", "patient")
    body = await signed(api)
    other = Account.create().sign_message(encode_defunct(text=body["message"])).signature
    forged = {**body, "signature": "0x" + other.hex()}
    api.wiring.nodes = _NoCode()  # type: ignore[misc,assignment]  # a namespace, here
    assert (await verify(api, forged, choose=True)).status_code == 401
    api.now = UnixTime(NOW + 3600)
    late = await verify(api, body, choose=True)
    assert (late.status_code, late.json()["type"]) == (401, "urn:consentry:problem:siwe-expired")


async def test_a_purpose_that_is_none_is_refused(api: InProcess) -> None:
    hats(api, "physician", "patient")
    assert (await verify(api, await signed(api), choose=True, purpose="ask")).status_code == 422
    with pytest.raises(ProblemError):
        entry_of(api.wiring, Signer(HERS), "")


async def test_a_passkey_is_asked_likewise_and_used_once(api: InProcess) -> None:
    device = Authenticator()
    await _made(api, device)
    signer = api.wiring.relying_party.signer(device.key)
    hats(api, "physician", "patient", actor=actor_of(signer), signer=signer)
    options = (await api.call(None, "POST", SIGNING_IN)).json()["public_key"]
    shown = {"credential": device.get(options), "choose": True}
    assert (await api.call(None, "POST", SIGNED_IN, shown)).json() == {"choose": ["TREAT", "PATRQT"]}
    entered = await api.call(None, "POST", SIGNED_IN, shown | {"purpose": "PATRQT", "cookie": True})
    assert entered.json()["purpose"] == "PATRQT"
    assert "set-cookie" in entered.headers
    assert (await api.call(None, "POST", SIGNED_IN, shown | {"purpose": "TREAT"})).status_code == 401


class _NoCode:
    async def get_code(self, _account: object) -> bytes:
        return b""
