"""Staff without a wallet over the API: who may invite, what a code opens, and that it gives nobody a role."""

import asyncio
import random
from typing import Any

import pytest

from app.api.hexadecimal import checksum
from app.core.consent.basis import actor_of, role_id
from app.core.consent.events import RoleSet
from app.core.consent.fold import fold
from app.core.consent.terms import Role, Window
from app.core.identifiers import UnixTime
from app.store.invitations import LASTS_S
from tests.api.in_process import ADMIN, AUDITOR, NOW, PATIENT, PHYSICIAN, REGISTRAR, STRANGER, Answer, InProcess
from tests.support.authenticator import Authenticator

MAKING, MADE = "/auth/passkey/registration/options", "/auth/passkey/registration/verify"
ASKED = {"name": "Dr. New"}


def _problem(answer: Answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rsplit(":", 1)[-1]


@pytest.fixture(autouse=True)
def _codes_differ(api: InProcess, rng: random.Random) -> None:
    api.wiring.random_bytes = rng.randbytes  # type: ignore[misc]


async def _invited(api: InProcess, who: Any = ADMIN) -> dict[str, Any]:
    answer = await api.call(who, "POST", "/api/invitations", ASKED)
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def _made(api: InProcess, code: str, device: Authenticator | None = None) -> Answer:
    options = await api.call(None, "POST", MAKING, {"invitation_code": code})
    if options.status_code != 200:
        return options
    credential = (device or Authenticator()).create(options.json()["public_key"])
    return await api.call(None, "POST", MADE, {"invitation_code": code, "credential": credential})


async def _listed(api: InProcess, who: Any = REGISTRAR) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await api.call(who, "GET", "/api/invitations")).json()["invitations"]
    return found


async def test_the_desk_and_the_admin_invite_and_nobody_else(api: InProcess) -> None:
    for who, status in (
        (None, 401), (PATIENT, 403), (PHYSICIAN, 403), (AUDITOR, 403), (STRANGER, 403), (REGISTRAR, 201), (ADMIN, 201),
    ):  # fmt: skip
        answer = await api.call(who, "POST", "/api/invitations", ASKED)
        assert answer.status_code == status
        assert (await api.call(who, "GET", "/api/invitations")).status_code == (200 if status == 201 else status)
        gone = await api.call(who, "DELETE", f"/api/invitations/{'00' * 16}")
        assert gone.status_code == (404 if status == 201 else status)
    assert len(await _listed(api)) == 2


async def test_a_code_makes_one_passkey_without_a_role_that_signs_in(api: InProcess) -> None:
    invited = await _invited(api)
    assert invited["join_url"] == f"http://localhost:8080/join#{invited['code']}"
    assert (invited["status"], invited["expires_at"]) == ("open", NOW + LASTS_S)
    device = Authenticator()
    made = await _made(api, invited["code"].lower().replace("-", " "), device)
    assert made.status_code == 201
    account = made.json()["address"]
    (listed,) = await _listed(api)
    assert (listed["status"], listed["account"], listed["has_role"]) == ("used", account, False)
    assert "code" not in listed
    again = await _made(api, invited["code"], Authenticator(credential_id=b"another"))
    assert _problem(again) == (404, "not-found")

    request = (await api.call(None, "POST", "/auth/passkey/signin/options")).json()["public_key"]
    entered = await api.call(None, "POST", "/auth/passkey/signin/verify", {"credential": device.get(request)})
    assert (entered.status_code, entered.json()["roles"]) == (200, [])

    actor = actor_of(api.wiring.relying_party.signer(device.key))
    assert checksum(actor) == account
    api.state = fold(api.state, RoleSet(role_id(Role.PHYSICIAN), actor, Window(UnixTime(NOW - 1), UnixTime(NOW + 60))))
    assert (await _listed(api))[0]["has_role"]


async def test_a_code_that_opens_nothing_is_like_any_other(api: InProcess) -> None:
    late, withdrawn = await _invited(api), await _invited(api)
    assert (await api.call(ADMIN, "DELETE", f"/api/invitations/{withdrawn['id']}")).status_code == 204
    unknown = await _made(api, "0" * 26)
    ended = await _made(api, withdrawn["code"])
    api.now = UnixTime(NOW + LASTS_S)
    over = await _made(api, late["code"])
    assert [_problem(one) for one in (unknown, ended, over)] == [(404, "not-found")] * 3
    assert ended.json() == unknown.json() == over.json()
    assert [one["status"] for one in await _listed(api)] == ["expired"]


async def test_of_two_at_once_one_has_it(api: InProcess) -> None:
    code = (await _invited(api))["code"]
    made = await asyncio.gather(
        *(_made(api, code, Authenticator(credential_id=bytes([number]))) for number in range(4))
    )
    assert sorted(one.status_code for one in made) == [201, 404, 404, 404]
    (listed,) = await _listed(api)
    (won,) = [one.json()["address"] for one in made if one.status_code == 201]
    assert listed["account"] == won


async def test_no_challenge_is_given_out_for_a_code_that_opens_nothing(api: InProcess) -> None:
    answer = await api.call(None, "POST", MAKING, {"invitation_code": "0" * 26})
    assert _problem(answer) == (404, "not-found")


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": " \u202e "}, {"name": "x" * 161}, {"name": 7}])
async def test_nobody_is_invited_without_a_name(api: InProcess, body: Any) -> None:
    assert (await api.call(ADMIN, "POST", "/api/invitations", body)).status_code == 422
    assert await _listed(api) == []
