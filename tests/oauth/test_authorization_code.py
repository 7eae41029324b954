"""The authorization code with PKCE: RFC 6749 §4.1, RFC 7636, RFC 9207, OpenID Connect Core §3.1, as tables."""

import asyncio
import base64
import hashlib
from dataclasses import replace
from urllib.parse import quote, urlencode

import hypothesis
import pytest
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import KeySet

from app.api.hexadecimal import checksum
from app.api.oauth.grants import S256Only
from app.core.consent.basis import role_id
from app.core.consent.events import RoleSet
from app.core.consent.fold import fold
from app.core.consent.terms import Purpose, Role, Window
from app.core.identifiers import UnixTime
from tests.api.in_process import PHYSICIAN, asked
from tests.oauth.program import (
    CALLBACK,
    ISSUER,
    SCOPE,
    VERIFIER,
    VIEWER,
    Programs,
    asking,
    challenge,
    exchanging,
    form_of,
    refusal,
    sent_to,
)

LEAVE_OUT = None
VERIFIERS = st.text("abcXYZ019-._~", min_size=43, max_size=128)


async def test_a_person_allows_and_the_program_gets_its_tokens(programs: Programs) -> None:
    session = await programs.sign_in()
    page = await programs.authorize(asking())
    assert page.status_code == 200
    assert "A viewer" in page.text
    assert "treatment" in page.text
    assert "https://viewer.example" in page.text
    action, answers = form_of(page)
    assert answers == {"allow", "deny"}
    place, given = sent_to(await programs.browse(action, {"answer": "allow"}))
    assert place == CALLBACK
    assert set(given) == {"code", "state", "iss"}
    assert (given["state"], given["iss"]) == ('st"ate &=', ISSUER)
    programs.api.now = UnixTime(programs.api.now + 5)
    answer = await programs.token(exchanging(given["code"]))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert {name: told[name] for name in ("token_type", "expires_in", "scope", "purpose")} == {
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": SCOPE,
        "purpose": "TREAT",
    }
    found = await programs.opens(told["access_token"])
    assert found is not None
    assert (found.actor, found.purpose, found.expires_at) == (PHYSICIAN, Purpose.TREAT, programs.api.now + 300)
    assert found.program is not None
    assert (found.program.client_id, found.program.scope) == ("viewer", SCOPE)
    keys = (await asked(programs.application, "GET", "/oauth/jwks")).json()
    assert all("d" not in key for key in keys["keys"])
    read = jwt.decode(told["id_token"], KeySet.import_key_set(keys), algorithms=["ES256"])
    assert read.header["kid"] == keys["keys"][0]["kid"]
    half = hashlib.sha256(told["access_token"].encode()).digest()[:16]
    assert read.claims == {
        "iss": ISSUER,
        "aud": "viewer",
        "sub": checksum(PHYSICIAN),
        "iat": programs.api.now,
        "exp": programs.api.now + 300,
        "auth_time": session.began_at,
        "nonce": "nonce-1",
        "amr": ["pop"],
        "sid": found.program.family.hex(),
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        "purpose": "TREAT",
    }


# What is wrong, and what becomes of it: an error that the program is told at its address, or a page (None), since the
# address may be anybody's.
WRONG = [
    ({"client_id": LEAVE_OUT}, None),
    ({"client_id": "nobody"}, None),
    ({"client_id": 'no"body'}, None),
    ({"redirect_uri": LEAVE_OUT}, None),
    ({"redirect_uri": "https://evil.example/callback"}, None),
    ({"redirect_uri": CALLBACK + "/"}, None),
    ({"redirect_uri": CALLBACK + "?a=b"}, None),
    ({"redirect_uri": CALLBACK + "#x"}, None),
    ({"redirect_uri": CALLBACK.upper()}, None),
    ({"redirect_uri": CALLBACK.replace("callback", "%63allback")}, None),
    ({"redirect_uri": 'https://viewer.example/"'}, None),
    ({"redirect_uri": "javascript:alert(1)"}, None),
    ({"redirect_uri": "https://other.example/callback"}, None),
    ({"response_type": LEAVE_OUT}, "unsupported_response_type"),
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"response_type": "token", "redirect_uri": "https://evil.example/callback"}, None),
    ({"scope": "openid  dicomweb"}, "invalid_scope"),
    ({"scope": "email address"}, "invalid_scope"),
    ({"scope": "openid purpose:NOTHING"}, "invalid_scope"),
    ({"scope": "dicomweb purpose:TREAT purpose:HRESCH", "purpose": LEAVE_OUT}, "invalid_scope"),
    ({"scope": "dicomweb purpose:HRESCH"}, "invalid_scope"),
    ({"purpose": "treat"}, "invalid_scope"),
    ({"code_challenge": LEAVE_OUT}, "invalid_request"),
    ({"code_challenge": LEAVE_OUT, "code_challenge_method": LEAVE_OUT}, "invalid_request"),
    ({"code_challenge_method": LEAVE_OUT}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge": "x" * 42}, "invalid_request"),
    ({"code_challenge": "x" * 129}, "invalid_request"),
    ({"code_challenge": "+" * 43}, "invalid_request"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"response_mode": "form_post"}, "invalid_request"),
    ({"request": "a.b.c"}, "request_not_supported"),
    ({"request_uri": "https://viewer.example/r"}, "request_uri_not_supported"),
    ({"prompt": "none"}, "consent_required"),
    ({"prompt": "none login"}, "invalid_request"),
]


@pytest.mark.parametrize(("changes", "error"), WRONG, ids=str)
@pytest.mark.parametrize("answer", [None, "allow"])
async def test_what_is_wrong_is_told_to_the_program_only_where_it_is_known(
    programs: Programs, changes: dict[str, str | None], error: str | None, answer: str | None
) -> None:
    await programs.sign_in()
    found = await programs.authorize(asking(**changes), answer)
    if error is None:
        assert found.status_code == 400
        assert "location" not in found.headers
        assert "evil" not in found.text
        return
    if answer == "allow" and changes == {"prompt": "none"}:
        return  # a form is an answer, whatever the page had been asked for
    place, given = sent_to(found)
    assert place == CALLBACK
    description = given.pop("error_description")
    assert given == {"error": error, "state": 'st"ate &=', "iss": ISSUER}
    assert not any(str(value) in description for value in changes.values() if value)


@pytest.mark.parametrize("name", sorted(asking()))
async def test_each_parameter_only_once(programs: Programs, name: str) -> None:
    await programs.sign_in()
    for again in (asking()[name], "other"):
        doubled = urlencode(asking()) + f"&{name}={quote(again)}"
        for answer in (None, "allow"):
            found = await programs.authorize(doubled, answer)
            assert found.status_code == 400
            assert "location" not in found.headers


@pytest.mark.parametrize(
    "query", ["%", "client_id=%zz", "a=%ff", "client_id=a%0ab", "x=" + "a" * 17_000, "state=%C3%A9"]
)
async def test_a_malformed_query_is_a_page(programs: Programs, query: str) -> None:
    await programs.sign_in()
    assert (await programs.authorize(query)).status_code == 400


async def test_what_is_empty_is_left_out_and_what_is_unknown_is_ignored(programs: Programs) -> None:
    await programs.sign_in()
    query = urlencode(asking(state=None) | {"display": "page", "claims": '{"a":1}'}) + "&state=&ui_locales="
    _, given = sent_to(await programs.authorize(query, "allow"))
    assert set(given) == {"code", "iss"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code": LEAVE_OUT}, "invalid_request"),
        ({"code": "x" * 48}, "invalid_grant"),
        ({"code": 'x"y'}, "invalid_request"),
        ({"grant_type": LEAVE_OUT}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"client_id": LEAVE_OUT}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": "other"}, "invalid_grant"),
        ({"client_secret": "secret"}, "invalid_client"),
        ({"redirect_uri": LEAVE_OUT}, "invalid_grant"),
        ({"redirect_uri": "https://viewer.example/other"}, "invalid_grant"),
        ({"redirect_uri": CALLBACK + "?"}, "invalid_grant"),
        ({"code_verifier": LEAVE_OUT}, "invalid_request"),
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": challenge()}, "invalid_grant"),
        ({"code_verifier": "v" * 42}, "invalid_request"),
        ({"code_verifier": "v" * 129}, "invalid_request"),
        ({"code_verifier": VERIFIER + "\n"}, "invalid_request"),
    ],
    ids=str,
)
async def test_a_code_is_exchanged_only_as_it_was_issued(
    programs: Programs, changes: dict[str, str | None], error: str
) -> None:
    code = await programs.code()
    assert refusal(await programs.token(exchanging(code, **changes))) == (400, error)
    # And nothing was lost by it
    assert (await programs.token(exchanging(code))).status_code == 200


@pytest.mark.parametrize("name", sorted(exchanging("x")))
async def test_each_parameter_of_an_exchange_only_once(programs: Programs, name: str) -> None:
    form = exchanging(await programs.code())
    for again in (form[name], "other"):
        assert refusal(await programs.token(urlencode(form) + f"&{name}={quote(again)}")) == (400, "invalid_request")
    assert (await programs.token(form)).status_code == 200


async def test_parameters_come_in_a_form_and_nowhere_else(programs: Programs) -> None:
    form = exchanging(await programs.code())
    assert refusal(await programs.post("/oauth/token?" + urlencode(form), "")) == (400, "invalid_request")
    assert refusal(await programs.post("/oauth/token?a=b", form)) == (400, "invalid_request")
    for media_type in ("application/json", "text/plain", "multipart/form-data"):
        assert refusal(await programs.token(form, content_type=media_type)) == (400, "invalid_request")
    assert (await programs.token("a=" + "b" * 20_000)).status_code == 413
    assert (await programs.token(form)).status_code == 200


async def test_a_program_that_authenticates_is_told_how_in_vain(programs: Programs) -> None:
    answer = await programs.token(exchanging("x", client_id=None), authorization="Basic dmlld2VyOnNlY3JldA==")
    assert refusal(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"] == 'Basic realm="consentry"'


async def test_a_code_works_once_and_its_replay_ends_what_came_of_it(programs: Programs) -> None:
    code = await programs.code()
    first = (await programs.token(exchanging(code))).json()
    assert await programs.opens(first["access_token"]) is not None
    assert refusal(await programs.token(exchanging(code, code_verifier="w" * 43))) == (400, "invalid_grant")
    assert await programs.opens(first["access_token"]) is None
    assert refusal(await programs.renewed(first["refresh_token"])) == (400, "invalid_grant")


@pytest.mark.parametrize(("after_s", "status"), [(59, 200), (60, 400), (61, 400)])
async def test_a_code_is_good_for_a_minute(programs: Programs, after_s: int, status: int) -> None:
    code = await programs.code()
    programs.api.now = UnixTime(programs.api.now + after_s)
    assert (await programs.token(exchanging(code))).status_code == status


async def test_of_many_exchanges_at_once_one_succeeds(programs: Programs) -> None:
    code = await programs.code()
    answers = await asyncio.gather(*(programs.token(exchanging(code)) for _ in range(6)))
    assert [one.status_code for one in answers].count(200) <= 1
    good = [one.json()["access_token"] for one in answers if one.status_code == 200]
    # Whoever came second may have ended it all, as a replay does
    assert len(good) == 1 or all(refusal(one)[1] == "invalid_grant" for one in answers)


@hypothesis.given(verifier=VERIFIERS, other=VERIFIERS)
def test_a_verifier_fits_its_own_challenge_and_no_other(verifier: str, other: str) -> None:
    fits = S256Only.CODE_CHALLENGE_METHODS["S256"]
    assert fits(verifier, challenge(verifier))
    assert fits(other, challenge(verifier)) == (other == verifier)
    assert not fits(challenge(verifier), verifier)
    assert S256Only.SUPPORTED_CODE_CHALLENGE_METHOD == ["S256"]


async def test_whoever_is_not_signed_in_does_that_first(programs: Programs) -> None:
    where = f"/oauth/authorize?{urlencode(asking())}"
    answer = await programs.browse(where)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/signin?" + urlencode({"next": where})
    # A navigation from elsewhere brings no cookie along: it is made once more from here
    from_elsewhere = await programs.browse(where, site="cross-site")
    assert from_elsewhere.status_code == 200
    assert 'http-equiv="refresh"' in from_elsewhere.text
    _, given = sent_to(await programs.authorize(asking(prompt="none")))
    assert given["error"] == "login_required"


async def test_an_answer_counts_from_our_own_page_alone(programs: Programs) -> None:
    await programs.sign_in()
    where = f"/oauth/authorize?{urlencode(asking())}"
    for origin in (None, "null", "https://viewer.example", "http://localhost:8081"):
        answer = await programs.browse(where, {"answer": "allow"}, origin=origin)
        assert (answer.status_code, "location" in answer.headers) == (403, False)
    for form in ({}, {"answer": "yes"}, {"answer": ""}):
        assert (await programs.browse(where, form)).status_code == 422


async def test_who_says_no_is_believed(programs: Programs) -> None:
    await programs.sign_in()
    place, given = sent_to(await programs.authorize(asking(), "deny"))
    assert (place, given["error"], given["state"]) == (CALLBACK, "access_denied", 'st"ate &=')
    assert "code" not in given


async def test_the_page_lets_its_form_go_to_the_program_and_nowhere_else(programs: Programs) -> None:
    await programs.sign_in()
    policy = (await programs.authorize(asking())).headers["content-security-policy"]
    assert "form-action 'self' https://viewer.example;" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_a_program_with_a_free_port_is_sent_back_to_it(programs: Programs) -> None:
    await programs.sign_in()
    place = "http://127.0.0.1:43117/callback"
    assert (await programs.tokens(client_id="desktop", redirect_uri=place))["token_type"] == "Bearer"
    wrong = await programs.authorize(asking(client_id="desktop", redirect_uri="http://127.0.0.1:43117/other"))
    assert wrong.status_code == 400


@pytest.mark.parametrize(
    ("age_s", "changes", "asks"),
    [
        (119, {"prompt": "login"}, False),
        (121, {"prompt": "login"}, True),
        (121, {"prompt": "consent"}, False),
        (121, {"max_age": "0"}, True),
        (500, {"max_age": "600"}, False),
        (601, {"max_age": "600"}, True),
        (601, {"max_age": "600", "prompt": "login"}, True),
        (500, {"max_age": "a"}, False),
    ],
)
async def test_signing_in_anew_when_the_program_insists(
    programs: Programs, age_s: int, changes: dict[str, str], *, asks: bool
) -> None:
    session = await programs.sign_in()
    programs.api.now = UnixTime(programs.api.now + age_s)
    page = await programs.authorize(asking(**changes))
    action, answers = form_of(page)
    assert answers == ({"anew"} if asks else {"allow", "deny"})
    if asks:
        left = await programs.browse(action, {"answer": "anew"})
        assert left.headers["location"] == "/signin?" + urlencode({"next": action})
        assert "__Host-consentry=" in left.headers["set-cookie"]
        assert await programs.opens(programs.cookie) is None
        await programs.sign_in()
        assert session.began_at < programs.api.now
        assert form_of(await programs.authorize(asking(**changes)))[1] == {"allow", "deny"}


@pytest.mark.parametrize(
    ("changes", "granted", "purpose"),
    [
        ({"scope": LEAVE_OUT}, "dicomweb", "TREAT"),
        ({"scope": "dicomweb"}, "dicomweb", "TREAT"),
        ({"scope": "openid email dicomweb"}, "openid dicomweb", "TREAT"),
        ({"scope": "dicomweb purpose:HRESCH", "purpose": LEAVE_OUT}, "dicomweb purpose:HRESCH", "HRESCH"),
        ({"scope": "dicomweb", "purpose": LEAVE_OUT}, "dicomweb", "COC"),
        ({"scope": "dicomweb purpose:TREAT"}, "dicomweb purpose:TREAT", "TREAT"),
        ({"scope": "dicomweb dicomweb.upload"}, "dicomweb", "TREAT"),
    ],
    ids=str,
)
async def test_scope_and_purpose_are_those_asked_for_and_no_wider(
    programs: Programs, changes: dict[str, str | None], granted: str, purpose: str
) -> None:
    await programs.sign_in(Purpose.COC)
    told = await programs.tokens(**changes)
    assert (told["scope"], told["purpose"]) == (granted, purpose)
    assert ("id_token" in told, "refresh_token" in told) == ("openid" in granted, "offline_access" in granted)
    found = await programs.opens(told["access_token"])
    assert found is not None
    assert found.purpose.name == purpose


async def test_storing_is_for_those_who_may_store_themselves(programs: Programs) -> None:
    await programs.sign_in()
    asks = asking(scope="dicomweb.upload")
    assert "does not get it" in (await programs.authorize(asks)).text
    _, given = sent_to(await programs.authorize(asks, "allow"))
    assert given["error"] == "invalid_scope"
    always = Window(UnixTime(0), UnixTime(1 << 40))
    programs.api.state = fold(programs.api.state, RoleSet(role_id(Role.UPLOADER), PHYSICIAN, always))
    assert "does not get it" not in (await programs.authorize(asks)).text
    told = await programs.tokens(scope="dicomweb.upload")
    found = await programs.opens(told["access_token"])
    assert found is not None
    assert (found.reach.images, found.reach.storing, found.reach.api) == (False, True, False)


async def test_a_program_that_was_removed_asks_in_vain(programs: Programs) -> None:
    told, code = await programs.tokens(), await programs.code()
    assert programs.api.wiring.oauth.ground.clients.remove("viewer")
    assert refusal(await programs.token(exchanging(code))) == (400, "invalid_client")
    assert refusal(await programs.renewed(told["refresh_token"])) == (400, "invalid_client")
    programs.api.now = UnixTime(programs.api.now + 2)
    assert await programs.opens(told["access_token"]) is None
    assert (await programs.authorize(asking())).status_code == 400


async def test_without_the_chain_nobody_is_let_in(programs: Programs) -> None:
    await programs.sign_in()
    programs.api.wiring.standing = lambda: None  # type: ignore[misc]
    assert (await programs.authorize(asking(), "allow")).status_code == 503


async def test_hostile_names_are_shown_as_text(programs: Programs) -> None:
    await programs.sign_in()
    programs.api.wiring.oauth.ground.clients.put(replace(VIEWER, name="<b>x</b>"))
    page = await programs.authorize(asking(state='"><script>alert(1)</script>'))
    assert "<b>" not in page.text
    assert "<script>" not in page.text
