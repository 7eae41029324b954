"""The device grant: RFC 8628, as tables."""

import asyncio
import re
from urllib.parse import urlencode

import pytest
from joserfc import jwt

from app.core.consent.terms import Purpose
from app.core.identifiers import Address, UnixTime
from tests.api.in_process import PHYSICIAN, SIGNING_KEY
from tests.oauth.program import DEVICE_GRANT, ISSUER, SCOPE, Programs, form_of, refusal


async def test_a_program_is_let_in_by_its_code(programs: Programs) -> None:
    waiting = await programs.waits(purpose="HRESCH")
    assert set(waiting) == {
        "device_code",
        "user_code",
        "verification_uri",
        "verification_uri_complete",
        "expires_in",
        "interval",
    }
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", waiting["user_code"])
    assert waiting["verification_uri"] == ISSUER + "/oauth/device"
    assert refusal(await programs.polled(waiting["device_code"])) == (400, "authorization_pending")
    session = await programs.sign_in()
    page = await programs.browse(waiting["verification_uri_complete"].removeprefix(ISSUER))
    assert page.status_code == 200
    assert waiting["user_code"] in page.text
    assert "A desktop" in page.text
    assert "research" in page.text
    assert form_of(page) == ("/oauth/device", {"allow", "deny"})
    done = await programs.enter(waiting["user_code"])
    assert (done.status_code, "A desktop goes on" in done.text) == (200, True)
    answer = await programs.polled(waiting["device_code"])
    assert answer.status_code == 200
    told = answer.json()
    assert (told["purpose"], told["expires_in"]) == ("HRESCH", 300)
    assert set(told["scope"].split()) == {*SCOPE.split(), "purpose:HRESCH"}
    found = await programs.opens(told["access_token"])
    assert found is not None
    assert (found.actor, found.purpose) == (PHYSICIAN, Purpose.HRESCH)
    claims = jwt.decode(told["id_token"], SIGNING_KEY.key, algorithms=["ES256"]).claims
    assert (claims["aud"], claims["auth_time"]) == ("desktop", session.began_at)
    assert (await programs.renewed(told["refresh_token"], client_id="desktop")).status_code == 200
    # The code is used up
    assert refusal(await programs.polled(waiting["device_code"])) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": ""}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": "viewer"}, "unauthorized_client"),
        ({"client_secret": "x"}, "invalid_client"),
        ({"scope": "openid  x"}, "invalid_scope"),
        ({"scope": "email"}, "invalid_scope"),
        ({"purpose": "NOTHING"}, "invalid_scope"),
        ({"scope": "dicomweb purpose:TREAT", "purpose": "COC"}, "invalid_scope"),
    ],
    ids=str,
)
async def test_what_is_wrong_gets_no_code(programs: Programs, changes: dict[str, str], error: str) -> None:
    form = {"client_id": "desktop", "scope": SCOPE} | changes
    assert refusal(await programs.post("/oauth/device_authorization", form)) == (400, error)


@pytest.mark.parametrize("name", ["client_id", "scope", "x"])
async def test_each_parameter_only_once(programs: Programs, name: str) -> None:
    doubled = urlencode({"client_id": "desktop", "scope": SCOPE, "x": "1"}) + f"&{name}=desktop"
    assert refusal(await programs.post("/oauth/device_authorization", doubled)) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"device_code": ""}, "invalid_request"),
        ({"device_code": "x" * 42}, "invalid_grant"),
        ({"client_id": ""}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": "viewer"}, "unauthorized_client"),
        ({"client_id": "other"}, "invalid_grant"),
        ({"client_secret": "x"}, "invalid_client"),
    ],
    ids=str,
)
@pytest.mark.parametrize("entered", [False, True])
async def test_a_device_code_is_its_programs_own(
    programs: Programs, changes: dict[str, str], error: str, *, entered: bool
) -> None:
    await programs.sign_in()
    waiting = await programs.waits()
    if entered:
        await programs.enter(waiting["user_code"])
    assert refusal(await programs.polled(waiting["device_code"], **changes)) == (400, error)
    if entered:
        assert (await programs.polled(waiting["device_code"])).status_code == 200


async def test_who_says_no_is_believed(programs: Programs) -> None:
    await programs.sign_in()
    waiting = await programs.waits()
    assert "Not allowed" in (await programs.enter(waiting["user_code"], "deny")).text
    for _ in range(2):
        assert refusal(await programs.polled(waiting["device_code"])) == (400, "access_denied")
    assert (await programs.enter(waiting["user_code"])).status_code == 404


async def test_a_code_ends_after_ten_minutes(programs: Programs) -> None:
    await programs.sign_in()
    early, late = await programs.waits(), await programs.waits()
    programs.api.now = UnixTime(programs.api.now + 599)
    assert (await programs.enter(early["user_code"])).status_code == 200
    programs.api.now = UnixTime(programs.api.now + 1)
    assert (await programs.enter(late["user_code"])).status_code == 404
    for waiting in (early, late):
        assert refusal(await programs.polled(waiting["device_code"])) == (400, "expired_token")


async def test_who_asks_too_often_waits_longer_each_time(programs: Programs) -> None:
    waiting = await programs.waits()

    async def after(seconds: int) -> str:
        programs.api.now = UnixTime(programs.api.now + seconds)
        return refusal(await programs.polled(waiting["device_code"]))[1]

    said = [await after(seconds) for seconds in (0, 5, 4, 5, 10, 14, 15, 20)]
    pending, slower = "authorization_pending", "slow_down"
    assert said == [pending, pending, slower, slower, slower, slower, slower, slower]
    assert await after(35) == pending


@pytest.mark.parametrize("typed", ["{0}", "{1}", "{2}", " {1} ", "{3}"])
async def test_a_code_is_read_as_people_type_it(programs: Programs, typed: str) -> None:
    await programs.sign_in()
    code = (await programs.waits())["user_code"]
    forms = (code, code.lower(), code.replace("-", ""), code.replace("-", " "))
    page = await programs.browse("/oauth/device?" + urlencode({"user_code": typed.format(*forms)}))
    assert page.status_code == 200
    assert code in page.text


async def test_codes_are_not_guessed(programs: Programs) -> None:
    await programs.sign_in()
    code = (await programs.waits())["user_code"]
    for _ in range(10):
        assert (await programs.browse("/oauth/device?user_code=BBBB-BBBB")).status_code == 404
    refused = await programs.browse(f"/oauth/device?user_code={code}")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "600")
    assert (await programs.enter(code)).status_code == 429
    # Somebody else's tries are their own, and time heals
    mine, programs.actor = programs.cookie, Address(b"x" * 20)
    await programs.sign_in()
    assert (await programs.browse(f"/oauth/device?user_code={code}")).status_code == 200
    programs.cookie = mine
    programs.api.now = UnixTime(programs.api.now + 600)
    assert (await programs.browse("/oauth/device?user_code=BBBB-BBBB")).status_code == 404


async def test_an_answer_counts_from_our_own_page_alone(programs: Programs) -> None:
    await programs.sign_in()
    waiting = await programs.waits()
    form = {"user_code": waiting["user_code"], "answer": "allow"}
    for origin in (None, "null", "https://evil.example"):
        assert (await programs.browse("/oauth/device", form, origin=origin)).status_code == 403
    assert (await programs.browse("/oauth/device", {"user_code": waiting["user_code"]})).status_code == 422
    assert refusal(await programs.polled(waiting["device_code"])) == (400, "authorization_pending")


async def test_whoever_is_not_signed_in_does_that_first(programs: Programs) -> None:
    waiting = await programs.waits()
    answer = await programs.browse(f"/oauth/device?user_code={waiting['user_code']}")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/signin?next=%2Foauth%2Fdevice%3Fuser_code")
    assert (await programs.enter(waiting["user_code"])).status_code == 303
    assert refusal(await programs.polled(waiting["device_code"])) == (400, "authorization_pending")


async def test_signing_out_before_the_program_asks_takes_the_answer_back(programs: Programs) -> None:
    session = await programs.sign_in()
    waiting = await programs.waits()
    await programs.enter(waiting["user_code"])
    await programs.api.wiring.sessions.revoke(session.token_hash)
    assert refusal(await programs.polled(waiting["device_code"])) == (400, "invalid_grant")


async def test_of_many_at_once_one_gets_the_token(programs: Programs) -> None:
    await programs.sign_in()
    waiting = await programs.waits()
    answers = await asyncio.gather(programs.enter(waiting["user_code"]), programs.enter(waiting["user_code"], "deny"))
    assert sorted(one.status_code for one in answers) == [200, 404]
    waiting = await programs.waits()
    await programs.enter(waiting["user_code"])
    polls = await asyncio.gather(*(programs.polled(waiting["device_code"]) for _ in range(6)))
    assert sorted(one.status_code for one in polls) == [200] + [400] * 5


async def test_the_grant_is_named_exactly(programs: Programs) -> None:
    waiting = await programs.waits()
    for name in ("device_code", DEVICE_GRANT.upper(), DEVICE_GRANT + " "):
        answer = await programs.polled(waiting["device_code"], grant_type=name)
        assert refusal(answer) == (400, "unsupported_grant_type")
