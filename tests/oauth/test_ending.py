"""What ends a program's sign-in, and that it ends at once: rotation and reuse, RFC 7009, signing out, logout from the
program; and what a program's token opens while it lasts.
"""

import asyncio
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from app.core.consent.terms import Purpose
from app.core.identifiers import Signer, UnixTime
from tests.api.in_process import SIGNING_KEY, asked
from tests.oauth.program import AFTERWARDS, CALLBACK, ISSUER, SCOPE, Programs, exchanging, refusal, sent_to


async def alive(programs: Programs, *tokens: str) -> list[bool]:
    """Whether the tokens open anything here, now."""
    return [(await programs.opens(token)) is not None for token in tokens]


# Refresh tokens


async def test_a_refresh_token_is_exchanged_for_the_next(programs: Programs) -> None:
    told = await programs.tokens()
    programs.api.now = UnixTime(programs.api.now + 301)
    assert await alive(programs, told["access_token"]) == [False]
    answer = await programs.renewed(told["refresh_token"])
    assert answer.status_code == 200
    again = answer.json()
    assert (again["scope"], again["purpose"], again["token_type"]) == (SCOPE, "TREAT", "Bearer")
    assert again["refresh_token"] != told["refresh_token"]
    found = await programs.opens(again["access_token"])
    assert found is not None
    assert (found.purpose, found.actor) == (Purpose.TREAT, programs.actor)
    assert (await programs.renewed(again["refresh_token"])).status_code == 200


async def test_one_that_comes_twice_ends_the_family(programs: Programs) -> None:
    first = await programs.tokens()
    other = await programs.tokens()
    second = (await programs.renewed(first["refresh_token"])).json()
    third = (await programs.renewed(second["refresh_token"])).json()
    held = [one["access_token"] for one in (first, second, third, other)]
    assert await alive(programs, *held) == [True] * 4
    assert refusal(await programs.renewed(first["refresh_token"])) == (400, "invalid_grant")
    assert await alive(programs, *held) == [False, False, False, True]
    assert refusal(await programs.renewed(third["refresh_token"])) == (400, "invalid_grant")


async def test_of_many_at_once_one_is_renewed_at_the_most(programs: Programs) -> None:
    told = await programs.tokens()
    answers = await asyncio.gather(*(programs.renewed(told["refresh_token"]) for _ in range(6)))
    good = [one.json()["access_token"] for one in answers if one.status_code == 200]
    assert len(good) <= 1
    assert not any(await alive(programs, told["access_token"], *good)), "reuse ended them"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"refresh_token": ""}, "invalid_request"),
        ({"refresh_token": "x" * 43}, "invalid_grant"),
        ({"client_id": ""}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": "other"}, "invalid_grant"),
        ({"client_secret": "x"}, "invalid_client"),
        ({"scope": SCOPE + " dicomweb.upload"}, "invalid_scope"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
    ids=str,
)
async def test_a_refresh_token_is_its_programs_own(programs: Programs, changes: dict[str, str], error: str) -> None:
    told = await programs.tokens()
    assert refusal(await programs.renewed(told["refresh_token"], **changes)) == (400, error)
    assert (await programs.renewed(told["refresh_token"])).status_code == 200


@pytest.mark.parametrize("name", ["grant_type", "client_id", "refresh_token"])
async def test_each_parameter_only_once(programs: Programs, name: str) -> None:
    told = await programs.tokens()
    form = {"grant_type": "refresh_token", "client_id": "viewer", "refresh_token": told["refresh_token"]}
    assert refusal(await programs.token(urlencode(form) + f"&{name}={form[name]}")) == (400, "invalid_request")
    assert (await programs.token(form)).status_code == 200


async def test_less_may_be_asked_for_and_what_was_allowed_stays(programs: Programs) -> None:
    told = await programs.tokens()
    less = (await programs.renewed(told["refresh_token"], scope="openid")).json()
    assert less["scope"] == "openid"
    found = await programs.opens(less["access_token"])
    assert found is not None
    assert not found.reach.images
    assert (await programs.renewed(less["refresh_token"])).json()["scope"] == SCOPE


async def test_renewing_does_not_go_on_for_ever(programs: Programs) -> None:
    told, began_at = await programs.tokens(), programs.api.now
    for after_s in range(290, 3_000, 290):
        programs.api.now = UnixTime(began_at + after_s)
        told = (await programs.renewed(told["refresh_token"])).json()
        assert told["expires_in"] == min(300, 3_000 - after_s)
    programs.api.now = UnixTime(began_at + 3_000)
    assert refusal(await programs.renewed(told["refresh_token"])) == (400, "invalid_grant")
    assert await alive(programs, told["access_token"]) == [False]


# RFC 7009


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", [None, "access_token", "refresh_token"])
async def test_a_revoked_token_takes_its_family_along_at_once(programs: Programs, which: str, hint: str | None) -> None:
    told, other = await programs.tokens(), await programs.tokens()
    again = (await programs.renewed(told["refresh_token"])).json()
    held = [told["access_token"], again["access_token"], other["access_token"]]
    assert await alive(programs, *held) == [True] * 3
    form = {"client_id": "viewer", "token": again[which]} | ({"token_type_hint": hint} if hint else {})
    assert (await programs.post("/oauth/revoke", form)).status_code == 200
    assert await alive(programs, *held) == [False, False, True]
    assert refusal(await programs.renewed(again["refresh_token"])) == (400, "invalid_grant")
    assert (await programs.post("/oauth/revoke", form)).status_code == 200, "again is no error (§2.2)"


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"token": ""}, 400, "invalid_request"),
        ({"token": "x" * 43}, 200, ""),
        ({"token_type_hint": "id_token"}, 400, "unsupported_token_type"),
        ({"client_id": ""}, 400, "invalid_client"),
        ({"client_id": "nobody"}, 400, "invalid_client"),
        ({"client_id": "other"}, 400, "invalid_grant"),
        ({"client_secret": "x"}, 400, "invalid_client"),
    ],
    ids=str,
)
async def test_nobody_revokes_what_is_not_theirs(
    programs: Programs, changes: dict[str, str], status: int, error: str
) -> None:
    told = await programs.tokens()
    answer = await programs.post("/oauth/revoke", {"client_id": "viewer", "token": told["access_token"]} | changes)
    assert (answer.status_code, answer.json().get("error", "")) == (status, error)
    assert await alive(programs, told["access_token"]) == [True]


async def test_a_persons_own_session_is_no_programs_to_revoke(programs: Programs) -> None:
    await programs.sign_in()
    answer = await programs.post("/oauth/revoke", {"client_id": "viewer", "token": programs.cookie})
    assert answer.status_code == 200
    assert await alive(programs, programs.cookie) == [True]


# Signing out


async def test_signing_out_ends_every_program_that_was_let_in_with_it(programs: Programs) -> None:
    session = await programs.sign_in()
    mine, code = await programs.tokens(), await programs.code()
    waiting = await programs.waits()
    await programs.enter(waiting["user_code"])
    await programs.sign_in()  # the same person, in another browser
    theirs = await programs.tokens()
    await programs.api.wiring.sessions.revoke(session.token_hash)
    assert await alive(programs, mine["access_token"], theirs["access_token"]) == [False, True]
    assert refusal(await programs.renewed(mine["refresh_token"])) == (400, "invalid_grant")
    assert refusal(await programs.token(exchanging(code))) == (400, "invalid_grant")
    assert refusal(await programs.polled(waiting["device_code"])) == (400, "invalid_grant")
    assert (await programs.renewed(theirs["refresh_token"])).status_code == 200


async def test_a_program_that_logs_out_ends_its_own_and_nobody_elses(programs: Programs) -> None:
    told, other = await programs.tokens(), await programs.tokens()
    again = (await programs.renewed(told["refresh_token"])).json()
    headers = [(b"authorization", b"Bearer " + again["access_token"].encode())]
    assert (await asked(programs.application, "POST", "/auth/logout", headers)).status_code == 204
    held = [told["access_token"], again["access_token"], other["access_token"], programs.cookie]
    assert await alive(programs, *held) == [False, False, True, True]
    assert refusal(await programs.renewed(again["refresh_token"])) == (400, "invalid_grant")


async def test_a_code_that_was_issued_while_somebody_signed_out_is_worth_nothing(programs: Programs) -> None:
    session = await programs.sign_in()
    grants = programs.api.wiring.oauth.ground.grants
    kept: list[object] = []
    grants.keep_code = kept.append  # type: ignore[method-assign,assignment]
    code = await programs.code()
    await programs.api.wiring.sessions.revoke(session.token_hash)
    del grants.keep_code
    grants.keep_code(kept[0])  # type: ignore[arg-type]
    assert refusal(await programs.token(exchanging(code))) == (400, "invalid_grant")


# RP-Initiated Logout


async def test_a_program_signs_its_person_out(programs: Programs) -> None:
    told, other = await programs.tokens(), await programs.tokens()
    cookie, programs.cookie = programs.cookie, ""  # from another site's page no cookie comes along
    query = {"id_token_hint": told["id_token"], "post_logout_redirect_uri": AFTERWARDS, "state": "s 1"}
    programs.api.now = UnixTime(programs.api.now + 299)
    place, given = sent_to(await programs.browse("/oauth/end_session?" + urlencode(query), site="cross-site"))
    assert (place, given) == (AFTERWARDS, {"state": "s 1"})
    held = [told["access_token"], other["access_token"], cookie]
    assert await alive(programs, *held) == [False] * 3
    assert refusal(await programs.renewed(told["refresh_token"])) == (400, "invalid_grant")
    # Once more it has nothing to end, and leads on all the same
    assert (await programs.browse("/oauth/end_session", query)).status_code == 303


@pytest.mark.parametrize(
    ("changes", "status", "goes"),
    [
        ({"post_logout_redirect_uri": "https://evil.example/"}, 200, True),
        ({"post_logout_redirect_uri": CALLBACK}, 200, True),
        ({"post_logout_redirect_uri": ""}, 200, True),
        ({"client_id": "other"}, 400, False),
        ({"client_id": "viewer"}, 303, True),
        ({"id_token_hint": ""}, 200, False),
        ({"id_token_hint": "a.b.c"}, 400, False),
    ],
    ids=str,
)
async def test_nobody_is_led_astray_by_signing_out(
    programs: Programs, changes: dict[str, str], status: int, *, goes: bool
) -> None:
    told = await programs.tokens()
    programs.cookie = ""
    query = {"id_token_hint": told["id_token"], "post_logout_redirect_uri": AFTERWARDS} | changes
    answer = await programs.browse("/oauth/end_session?" + urlencode(query))
    assert answer.status_code == status
    assert answer.headers.get("location") == (AFTERWARDS if status == 303 else None)
    assert await alive(programs, told["access_token"]) == [not goes]


async def test_an_id_token_of_another_is_none(programs: Programs) -> None:
    told = await programs.tokens()
    claims = jwt.decode(told["id_token"], SIGNING_KEY.key, algorithms=["ES256"]).claims
    strange = ECKey.generate_key("P-256")
    forged = [
        jwt.encode({"alg": "ES256"}, claims, strange),
        jwt.encode({"alg": "ES256", "kid": SIGNING_KEY.key_id}, claims, strange),
        jwt.encode({"alg": "ES256"}, {**claims, "iss": "https://elsewhere.example"}, SIGNING_KEY.key),
    ]
    for token in forged:
        for more in ({}, {"client_id": "viewer"}):
            query = {"id_token_hint": token, "post_logout_redirect_uri": AFTERWARDS} | more
            assert (await programs.browse("/oauth/end_session?" + urlencode(query))).status_code == 400
    for sid in ("", "zz", "00", 7, None):
        token = jwt.encode({"alg": "ES256"}, {**claims, "sid": sid}, SIGNING_KEY.key)
        assert (await programs.browse("/oauth/end_session?" + urlencode({"id_token_hint": token}))).status_code == 200
    assert await alive(programs, told["access_token"], programs.cookie) == [True, True]


async def test_without_an_id_token_the_person_is_asked(programs: Programs) -> None:
    await programs.sign_in()
    page = await programs.browse("/oauth/end_session")
    assert page.status_code == 200
    assert 'action="/signout"' in page.text
    assert await alive(programs, programs.cookie) == [True]
    programs.cookie = ""
    assert "You are signed out" in (await programs.browse("/oauth/end_session")).text
    assert 'http-equiv="refresh"' in (await programs.browse("/oauth/end_session", site="cross-site")).text
    assert (await programs.browse("/oauth/end_session?state=a&state=b")).status_code == 400


# What a token opens

API = ["/api/consents", "/api/accesses", "/api/patients", "/api/access-requests", "/api/care-teams", "/api/programs"]


@pytest.mark.parametrize("path", API)
async def test_a_programs_token_opens_nothing_of_the_api(programs: Programs, path: str) -> None:
    told = await programs.tokens()
    refused = await programs.get(path, told["access_token"])
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:consentry:problem:insufficient-scope"
    assert refused.headers["www-authenticate"] == 'Bearer realm="consentry", error="insufficient_scope"'
    assert (await programs.get(path, programs.cookie)).status_code == 200, "but the person's does"


@pytest.mark.parametrize(
    "path", ["/api/consents/typed-data", "/api/consents", "/api/access-requests", "/api/enrolments"]
)
async def test_nor_does_it_change_anything(programs: Programs, path: str) -> None:
    told = await programs.tokens()
    answer = await programs.post(
        path, "{}", content_type="application/json", authorization="Bearer " + told["access_token"]
    )
    assert answer.status_code in {403, 422}
    if answer.status_code == 403:
        assert answer.json()["type"] == "urn:consentry:problem:insufficient-scope"


async def test_a_programs_token_is_no_cookie_of_the_portal(programs: Programs) -> None:
    programs.cookie = (await programs.tokens())["access_token"]
    for path in ("/oauth/device", "/oauth/authorize?" + urlencode({"client_id": "viewer"})):
        answer = await programs.browse(path)
        assert "signed in as" not in answer.text
    answer = await programs.browse("/oauth/device")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/signin")


async def test_people_see_their_programs_and_end_them(programs: Programs) -> None:
    told, other = await programs.tokens(), await programs.tokens(scope="dicomweb")
    listed = (await programs.get("/api/programs", programs.cookie)).json()["programs"]
    assert {(one["client_id"], one["name"], one["scope"]) for one in listed} == {
        ("viewer", "A viewer", SCOPE),
        ("viewer", "A viewer", "dicomweb"),
    }
    mine = next(one for one in listed if one["scope"] == SCOPE)
    path = f"/api/programs/{mine['id']}/end"
    stranger, _ = await programs.api.wiring.sessions.create(
        Signer(b"s" * 20), Purpose.TREAT, UnixTime(programs.api.now + 100)
    )
    for bearer, wanted in (
        (stranger, 404),
        (told["access_token"], 403),
        (programs.cookie, 204),
        (programs.cookie, 404),
    ):
        answer = await programs.post(path, "", authorization=f"Bearer {bearer}")
        assert answer.status_code == wanted
    assert await alive(programs, told["access_token"], other["access_token"]) == [False, True]
    assert refusal(await programs.renewed(told["refresh_token"])) == (400, "invalid_grant")
    listed = (await programs.get("/api/programs", programs.cookie)).json()["programs"]
    assert [one["scope"] for one in listed] == ["dicomweb"]


async def test_the_issuer_is_where_it_is(programs: Programs) -> None:
    assert programs.api.wiring.place.origin_url == ISSUER == programs.api.wiring.oauth.ground.issuer
