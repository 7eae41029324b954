"""Passkeys over the API: made, signed in with, and refused for one wrong thing. A device in software answers."""

from collections.abc import Callable
from typing import Any

import pytest
from fido2.cose import ES256
from fido2.server import Fido2Server
from fido2.webauthn import Aaguid, AttestedCredentialData, PublicKeyCredentialRpEntity
from hypothesis import given
from hypothesis import strategies as st

from app.core.consent.basis import actor_of, role_id
from app.core.consent.events import PatientClaimed, PatientEnrolled, RoleSet
from app.core.consent.fold import fold_all
from app.core.consent.terms import Role, Window
from app.core.http.credentials import SESSION_COOKIE
from app.core.identifiers import Address, PatientKey, Signer, UnixTime
from app.core.signing.claim_code import claim_address, claim_key, make_code, read_code
from app.core.signing.passkey import signed_by
from app.store.passkeys import MOST_BY_ONE
from tests.api.in_process import NOW, PHYSICIAN, STRANGER, Answer, InProcess, asked
from tests.support.authenticator import (
    BACKED_UP,
    EXTENDED,
    ORDER,
    PRESENT,
    VERIFIED,
    Authenticator,
    from_websafe,
    websafe,
)

MAKING, MADE = "/auth/passkey/registration/options", "/auth/passkey/registration/verify"
SIGNING_IN, SIGNED_IN = "/auth/passkey/signin/options", "/auth/passkey/signin/verify"
CODE = make_code(bytes(range(26)))
WAITING = PatientKey(b"\x77" * 32)


def _problem(answer: Answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]


def _wait_for_a_claim(api: InProcess) -> None:
    digits = read_code(CODE)
    assert digits is not None
    api.state = fold_all(api.state, [PatientEnrolled(WAITING, claim_address(claim_key(digits)), UnixTime(NOW + 60))])


async def _options(api: InProcess, body: dict[str, Any] | None = None, who: Any = STRANGER) -> dict[str, Any]:
    answer = await api.call(who, "POST", MAKING, body or {})
    assert answer.status_code == 200, answer.text
    options: dict[str, Any] = answer.json()["public_key"]
    return options


async def _made(api: InProcess, device: Authenticator, who: Any = STRANGER) -> dict[str, Any]:
    credential = device.create(await _options(api, who=who))
    answer = await api.call(who, "POST", MADE, {"credential": credential})
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def _request(api: InProcess) -> dict[str, Any]:
    options: dict[str, Any] = (await api.call(None, "POST", SIGNING_IN)).json()["public_key"]
    return options


async def _sign_in(api: InProcess, credential: dict[str, Any], **more: object) -> Answer:
    return await api.call(None, "POST", SIGNED_IN, {"credential": credential, **more})


async def test_somebody_signed_in_makes_a_passkey(api: InProcess) -> None:
    device = Authenticator()
    options = await _options(api, {"name": "my phone"})
    assert options["rp"] == {"id": "localhost", "name": "Consentry"}
    assert options["pubKeyCredParams"] == [{"type": "public-key", "alg": -7}], "ES256 and nothing else"
    chosen = options["authenticatorSelection"]
    assert (chosen["residentKey"], chosen["userVerification"]) == ("required", "required")
    assert options["attestation"] == "none"
    assert options["user"]["name"] == "my phone"
    assert (len(from_websafe(options["challenge"])), len(from_websafe(options["user"]["id"]))) == (32, 32)
    view = (await api.call(STRANGER, "POST", MADE, {"name": "my phone", "credential": device.create(options)})).json()
    signer = api.wiring.relying_party.signer(device.key)
    assert view["signer"] == "0x" + signer.hex()
    assert view["address"].lower() == "0x" + actor_of(signer).hex()
    assert (view["credential_id"], view["name"]) == (websafe(device.credential_id), "my phone")


async def test_who_holds_a_code_makes_one_without_signing_in(api: InProcess) -> None:
    _wait_for_a_claim(api)
    credential = Authenticator().create(await _options(api, {"code": CODE.lower()}, None))
    answer = await api.call(None, "POST", MADE, {"code": CODE, "credential": credential})
    assert answer.status_code == 201


async def test_nobody_else_makes_one(api: InProcess) -> None:
    _wait_for_a_claim(api)
    credential = Authenticator().create(await _options(api, {"code": CODE}, None))
    for body, refused in (
        ({}, (401, "unauthenticated")),
        ({"code": make_code(bytes(26))}, (404, "not-found")),
        ({"code": "no code"}, (404, "not-found")),
    ):
        assert _problem(await api.call(None, "POST", MAKING, body)) == refused
        assert _problem(await api.call(None, "POST", MADE, {**body, "credential": credential})) == refused
    api.now = UnixTime(NOW + 60)  # the code's time is over
    assert _problem(await api.call(None, "POST", MAKING, {"code": CODE})) == (404, "not-found")


async def test_one_person_makes_only_so_many(api: InProcess) -> None:
    for number in range(MOST_BY_ONE):
        await _made(api, Authenticator(credential_id=bytes([number])))
    one_more = Authenticator(credential_id=b"\xff").create(await _options(api))
    assert _problem(await api.call(STRANGER, "POST", MADE, {"credential": one_more})) == (409, "conflict")
    await _made(api, Authenticator(credential_id=b"\xfe"), PHYSICIAN)


async def test_a_passkey_is_made_once(api: InProcess) -> None:
    device = Authenticator()
    await _made(api, device)
    for other in (Authenticator(private=device.private, credential_id=b"other"), Authenticator()):
        credential = other.create(await _options(api))
        assert _problem(await api.call(STRANGER, "POST", MADE, {"credential": credential})) == (409, "conflict")


def _client(device: Authenticator, options: dict[str, Any], kind: str, **other: object) -> bytes:
    return device.client_data(kind, from_websafe(options["challenge"]), **other)


WRONGLY_MADE: dict[str, Callable[[Authenticator, dict[str, Any]], dict[str, Any]]] = {
    "as for signing in": lambda d, o: d.create(o, client_data=_client(d, o, "webauthn.get")),
    "on another page": lambda d, o: Authenticator(origin="https://localhost").create(o),
    "in a frame": lambda d, o: d.create(o, client_data=_client(d, o, "webauthn.create", crossOrigin=True)),
    "no challenge": lambda d, o: d.create(o, client_data=_client(d, o, "webauthn.create", challenge=None)),
    "a number for a challenge": lambda d, o: d.create(o, client_data=_client(d, o, "webauthn.create", challenge=1)),
    "for another host": lambda d, o: Authenticator(rp_id="example.org").create(o),
    "nobody present": lambda d, o: d.create(o, flags=VERIFIED),
    "nobody verified": lambda d, o: d.create(o, flags=PRESENT),
    "EdDSA": lambda d, o: d.create(o, cose=d.cose(algorithm=-8)),
    "RS256": lambda d, o: d.create(o, cose=d.cose(algorithm=-257)),
    "another curve": lambda d, o: d.create(o, cose=d.cose(curve=8)),
    "no point of the curve": lambda d, o: d.create(o, cose=d.cose(x=bytes(32))),
    "a long x": lambda d, o: d.create(o, cose=d.cose(x=b"\0" + d.key[:32])),
    "cut at another place": lambda d, o: d.create(o, cose=d.cose(x=d.key[:31], y=d.key[31:])),
    "a short x": lambda d, o: d.create(o, cose=d.cose(x=d.key[:31])),
    "extensions announced and none there": lambda d, o: d.create(o, flags=PRESENT | VERIFIED | EXTENDED),
    "no attestation": lambda d, o: d.credential({**d.create(o)["response"], "attestationObject": ""}),
    "an attestation that ends early": lambda d, o: d.credential(
        {**d.create(o)["response"], "attestationObject": d.create(o)["response"]["attestationObject"][:-8]}
    ),
    "nested without end": lambda d, o: d.credential(
        {**d.create(o)["response"], "attestationObject": websafe(b"\x81" * 6000)}
    ),
    "client data that are no JSON": lambda d, o: d.credential({**d.create(o)["response"], "clientDataJSON": "AAAA"}),
    "client data that are a list": lambda d, o: d.credential(
        {**d.create(o)["response"], "clientDataJSON": websafe(b"[]")}
    ),
}


@pytest.mark.parametrize("case", WRONGLY_MADE)
async def test_one_wrong_thing_makes_no_passkey(api: InProcess, case: str) -> None:
    credential = WRONGLY_MADE[case](Authenticator(), await _options(api))
    answer = await api.call(STRANGER, "POST", MADE, {"credential": credential})
    assert _problem(answer) == (401, "bad-signature")


async def test_an_attestation_that_the_browser_left_in_does_not_matter(api: InProcess) -> None:
    credential = Authenticator().create(await _options(api), fmt="apple")
    assert (await api.call(STRANGER, "POST", MADE, {"credential": credential})).status_code == 201


async def test_a_challenge_is_answered_once_in_time_and_by_whom_it_was_made_for(api: InProcess) -> None:
    device = Authenticator()
    options = await _options(api)
    credential = device.create(options)
    assert _problem(await api.call(PHYSICIAN, "POST", MADE, {"credential": credential})) == (401, "passkey-expired")
    api.now = UnixTime(NOW + 301)
    assert _problem(await api.call(STRANGER, "POST", MADE, {"credential": credential})) == (401, "passkey-expired")
    api.now = UnixTime(NOW + 300)
    assert (await api.call(STRANGER, "POST", MADE, {"credential": credential})).status_code == 201
    assert _problem(await api.call(STRANGER, "POST", MADE, {"credential": credential})) == (401, "passkey-expired")
    # What was issued for one ceremony is nothing in the other
    for_signing_in = device.create({**await _request(api), "user": options["user"]})
    assert _problem(await api.call(STRANGER, "POST", MADE, {"credential": for_signing_in})) == (401, "passkey-expired")
    for_making = device.get(await _options(api))
    assert _problem(await _sign_in(api, for_making)) == (401, "passkey-expired")


async def test_signing_in_gives_what_a_wallet_gets(api: InProcess) -> None:
    device = Authenticator()
    signer = Signer(bytes.fromhex((await _made(api, device))["signer"][2:]))
    options = await _request(api)
    assert (options["rpId"], options["userVerification"]) == ("localhost", "required")
    assert not options.get("allowCredentials")
    answer = await _sign_in(api, device.get(options))
    told = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert set(told) == {"access_token", "token_type", "expires_in", "address", "roles", "purpose"}
    assert (told["expires_in"], told["roles"], told["purpose"]) == (600, [], "PATRQT")
    session = await api.wiring.sessions.find(told["access_token"])
    assert session is not None
    assert (session.signer, session.actor) == (signer, actor_of(signer))
    assert told["address"].lower() == "0x" + session.actor.hex()


async def test_the_purpose_and_the_roles_are_the_signer_s(api: InProcess) -> None:
    device = Authenticator()
    signer = Signer(bytes.fromhex((await _made(api, device))["signer"][2:]))
    actor, always = actor_of(signer), Window(UnixTime(0), UnixTime(1 << 40))
    api.state = fold_all(api.state, [RoleSet(role_id(Role.PHYSICIAN), actor, always)])
    told = (await _sign_in(api, device.get(await _request(api)))).json()
    assert (told["roles"], told["purpose"]) == (["PHYSICIAN"], "TREAT")
    told = (await _sign_in(api, device.get(await _request(api)), purpose="HRESCH")).json()
    assert told["purpose"] == "HRESCH"
    answer = await _sign_in(api, device.get(await _request(api)), purpose="NONE")
    assert _problem(answer) == (422, "invalid-request")
    _wait_for_a_claim(api)
    api.state = fold_all(api.state, [PatientClaimed(WAITING, actor, signer)])
    told = (await _sign_in(api, device.get(await _request(api)))).json()
    assert told["roles"] == ["PHYSICIAN", "PATIENT"]


async def test_a_cookie_instead_of_a_token(api: InProcess) -> None:
    device = Authenticator()
    await _made(api, device)
    answer = await _sign_in(api, device.get(await _request(api)), cookie=True)
    assert "access_token" not in answer.json()
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(SESSION_COOKIE + "=")
    assert all(part in cookie for part in ("HttpOnly", "Path=/", "SameSite=strict", "Secure"))


def _shown(device: Authenticator, options: dict[str, Any], **response: str) -> dict[str, Any]:
    credential = device.get(options)
    return {**credential, "response": {**credential["response"], **response}}


def _twin(device: Authenticator, **other: Any) -> Authenticator:
    """The same passkey somewhere else, or another with its names."""
    given: dict[str, Any] = {"private": device.private, "user_handle": device.user_handle, "count": device.count}
    return Authenticator(**(given | other))


WRONGLY_SHOWN: dict[str, Callable[[Authenticator, dict[str, Any]], dict[str, Any]]] = {
    "as for making": lambda d, o: d.get(o, client_data=_client(d, o, "webauthn.create")),
    "no type": lambda d, o: d.get(o, client_data=_client(d, o, "webauthn.get", type=None)),
    "no challenge": lambda d, o: d.get(o, client_data=_client(d, o, "webauthn.get", challenge=None)),
    "another challenge in the signature": lambda d, o: _shown(
        d, {"challenge": websafe(bytes(32))}, clientDataJSON=websafe(_client(d, o, "webauthn.get"))
    ),
    "on another port": lambda d, o: _twin(d, origin="http://localhost:8081").get(o),
    "over TLS": lambda d, o: _twin(d, origin="https://localhost:8080").get(o),
    "in a frame": lambda d, o: d.get(o, client_data=_client(d, o, "webauthn.get", crossOrigin=True)),
    "in a frame of": lambda d, o: d.get(o, client_data=_client(d, o, "webauthn.get", topOrigin="https://a.b")),
    "for another host": lambda d, o: _twin(d, rp_id="example.org").get(o),
    "nobody present": lambda d, o: d.get(o, authenticator_data=d.authenticator_data(VERIFIED)),
    "nobody verified": lambda d, o: d.get(o, authenticator_data=d.authenticator_data(PRESENT)),
    "copied though it cannot be": lambda d, o: d.get(
        o, authenticator_data=d.authenticator_data(PRESENT | VERIFIED | BACKED_UP)
    ),
    "another key": lambda d, o: Authenticator(user_handle=d.user_handle).get(o),
    "another handle": lambda d, o: _shown(d, o, userHandle=websafe(bytes(32))),
    "no handle": lambda d, o: _shown(d, o, userHandle=""),
    "no signature": lambda d, o: _shown(d, o, signature=""),
    "a signature that is no DER": lambda d, o: _shown(d, o, signature=websafe(bytes(64))),
    "no authenticator data": lambda d, o: _shown(d, o, authenticatorData=""),
    "no client data": lambda d, o: _shown(d, o, clientDataJSON=""),
    "extensions that are no CBOR": lambda d, o: d.get(
        o, authenticator_data=d.authenticator_data(PRESENT | VERIFIED | EXTENDED, b"\xa1")
    ),
}


@pytest.mark.parametrize("case", WRONGLY_SHOWN)
async def test_one_wrong_thing_signs_nobody_in(api: InProcess, case: str) -> None:
    device = Authenticator()
    await _made(api, device)
    options = await _request(api)
    assert _problem(await _sign_in(api, WRONGLY_SHOWN[case](device, options))) == (401, "bad-signature")
    assert (await _sign_in(api, device.get(options))).status_code == 200, "a bad answer uses no challenge up"


async def test_a_challenge_signs_in_once_and_for_five_minutes(api: InProcess) -> None:
    device = Authenticator()
    await _made(api, device)
    first, second = await _request(api), await _request(api)
    credential = device.get(first)
    assert (await _sign_in(api, credential)).status_code == 200
    assert _problem(await _sign_in(api, credential)) == (401, "passkey-expired")
    assert _problem(await _sign_in(api, device.get(first))) == (401, "passkey-expired")
    api.now = UnixTime(NOW + 301)
    assert _problem(await _sign_in(api, device.get(second))) == (401, "passkey-expired")
    made_up = {"challenge": websafe(bytes(32))}
    assert _problem(await _sign_in(api, device.get(made_up))) == (401, "passkey-expired")


async def test_a_passkey_that_was_not_made_here_is_told_so(api: InProcess) -> None:
    device = Authenticator()
    assert _problem(await _sign_in(api, device.get(await _request(api)))) == (401, "passkey-unknown")


async def test_a_count_that_falls_back_is_a_copy(api: InProcess) -> None:
    device = Authenticator()
    await _made(api, device)
    assert (await _sign_in(api, device.get(await _request(api)))).status_code == 200
    copy = _twin(device, count=device.count - 1)
    assert _problem(await _sign_in(api, copy.get(await _request(api)))) == (401, "bad-signature")
    silent = _twin(device, count=-1)
    assert _problem(await _sign_in(api, silent.get(await _request(api)))) == (401, "bad-signature")
    assert (await _sign_in(api, device.get(await _request(api)))).status_code == 200


async def test_a_device_that_does_not_count_may_go_on_not_counting(api: InProcess) -> None:
    device = Authenticator()
    await _made(api, device)
    for _ in range(2):
        device.count = -1
        assert (await _sign_in(api, device.get(await _request(api)))).status_code == 200


async def test_while_the_chain_is_not_known_nobody_is_let_in(api: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Authenticator()
    await _made(api, device)
    options = await _request(api)
    with monkeypatch.context() as patched:
        patched.setattr(api.wiring, "standing", lambda: None)
        assert _problem(await _sign_in(api, device.get(options))) == (503, "chain-unavailable")
        assert _problem(await api.call(None, "POST", MAKING, {"code": CODE})) == (503, "chain-unavailable")
    assert (await _sign_in(api, device.get(options))).status_code == 200, "and the challenge was not used up"


async def test_which_passkey_the_caller_is_signed_in_with(api: InProcess) -> None:
    device = Authenticator()
    view = await _made(api, device)
    signer = Signer(bytes.fromhex(view["signer"][2:]))
    assert (await api.call(signer, "GET", "/auth/passkey")).json() == view
    assert _problem(await api.call(STRANGER, "GET", "/auth/passkey")) == (404, "not-found")
    elsewhere = Signer(signer[:-1] + b"\0")
    assert _problem(await api.call(elsewhere, "GET", "/auth/passkey")) == (404, "not-found")
    assert _problem(await api.call(None, "GET", "/auth/passkey")) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "with space"},
        {"rawId": ""},
        {"rawId": "A" * 1367},
        {"type": "password"},
        {"response": {"clientDataJSON": "AAAA"}},
        {"more": 1},
    ],
)
async def test_a_body_of_another_shape(api: InProcess, change: dict[str, Any]) -> None:
    device = Authenticator()
    device.create(await _options(api))
    body = device.get(await _request(api))
    answer = await asked(
        api.application, "POST", SIGNED_IN, [(b"content-type", b"application/json")], b'{"credential": []}'
    )
    assert _problem(answer) == (422, "invalid-request")
    assert _problem(await _sign_in(api, body | change)) == (422, "invalid-request")


@given(st.data())
def test_the_library_and_we_agree_on_every_assertion(data: Any) -> None:
    """What we take, the library takes; what the library takes and we do not, is one of the things it leaves out."""
    device = Authenticator()
    party = Authenticator.party(Address(b"\xaa" * 20))
    challenge = data.draw(st.binary(min_size=32, max_size=32))
    answer = device.sign(
        challenge, authenticator_data=device.authenticator_data(data.draw(st.sampled_from([0, 1, 4, 5, 0x0D, 0x1D])))
    )
    part = data.draw(st.sampled_from(["nothing", "client_data", "authenticator_data", "r", "s"]))
    changes: dict[str, Any] = {}
    if part in {"r", "s"}:
        changes[part] = getattr(answer, part) ^ 1 << data.draw(st.integers(0, 255))
    elif part != "nothing":
        changed = bytearray(getattr(answer, part))
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        changes[part] = bytes(changed)
    given_now = type(answer)(**{name: changes.get(name, getattr(answer, name)) for name in answer.__slots__})
    ours = signed_by(party, device.key, challenge, answer.encoded(**_low(changes)))
    assert ours == _library_takes(device, challenge, given_now)


def _low(changes: dict[str, Any]) -> dict[str, Any]:
    s = changes.get("s")
    return changes if s is None else {**changes, "s": min(s, ORDER - s) if s < ORDER else s}


def _library_takes(device: Authenticator, challenge: bytes, answer: Any) -> bool:
    server = Fido2Server(PublicKeyCredentialRpEntity(name="", id=device.rp_id), verify_origin=device.origin.__eq__)
    key = ES256({1: 2, 3: -7, -1: 1, -2: device.key[:32], -3: device.key[32:]})
    known = AttestedCredentialData.create(Aaguid(bytes(16)), device.credential_id, key)
    credential = device.credential(
        {
            "clientDataJSON": websafe(answer.client_data),
            "authenticatorData": websafe(answer.authenticator_data),
            "signature": websafe(answer.signature),
            "userHandle": "",
        }
    )
    try:
        state = {"challenge": websafe(challenge), "user_verification": "required"}
        server.authenticate_complete(state, [known], credential)
    except Exception:  # noqa: BLE001 - whatever it stumbles over
        return False
    return True
