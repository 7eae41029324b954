"""What programs look up, whom they learn of, which pages may read it, and what is written of it all."""

import logging
from urllib.parse import urlencode

import pytest
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc.jwk import KeySet
from starlette.types import ASGIApp

from app.api.hexadecimal import checksum
from app.core.consent.events import DirectoryEntrySet
from app.core.consent.fold import fold
from app.core.directory import entry_hash
from app.core.http.cors import CorsRules
from app.gateway.cors import Cors
from app.store.directory import DirectoryEntry
from tests.api.in_process import PHYSICIAN, Answer, asked
from tests.oauth.program import ISSUER, Programs, asking, exchanging

PAGE = "https://viewer.example"


async def read(programs: Programs, path: str) -> Answer:
    return await asked(programs.application, "GET", path)


async def test_the_configuration_is_a_valid_one_and_names_routes_that_exist(programs: Programs) -> None:
    answer = await read(programs, "/.well-known/openid-configuration")
    assert answer.status_code == 200
    told = answer.json()
    assert told == (await read(programs, "/.well-known/oauth-authorization-server")).json()
    metadata = OpenIDProviderMetadata(told)
    for name in metadata.REGISTRY_KEYS:
        # OpenID Connect Discovery asks for RS256 of whoever lets strangers register; here an operator does
        if name != "id_token_signing_alg_values_supported":
            getattr(metadata, f"validate_{name}")()
    assert told["issuer"] == ISSUER
    assert told["response_types_supported"] == ["code"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["token_endpoint_auth_methods_supported"] == ["none"]
    assert told["authorization_response_iss_parameter_supported"] is True
    for name, address in told.items():
        if name.endswith(("_endpoint", "_uri")):
            assert address.startswith(ISSUER + "/oauth/")
            got = await read(programs, address.removeprefix(ISSUER))
            assert got.status_code != 404, name


async def test_the_keys_are_public_and_say_which_they_are(programs: Programs) -> None:
    answer = await read(programs, "/oauth/jwks")
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
    assert KeySet.import_key_set(answer.json()).keys[0].thumbprint() == key["kid"]


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/oauth/jwks"])
async def test_what_is_the_same_for_everybody_may_be_kept(programs: Programs, path: str) -> None:
    assert "public" in (await read(programs, path)).headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/oauth/token", "POST"),
        ("/oauth/revoke", "POST"),
        ("/oauth/device_authorization", "POST"),
        ("/oauth/userinfo", "GET, POST"),
        ("/oauth/jwks", "GET"),
    ],
)
async def test_other_methods_are_told_which_there_are(programs: Programs, path: str, allowed: str) -> None:
    for method in ("PUT", "DELETE", *({"GET", "POST"} - set(allowed.split(", ")))):
        answer = await asked(programs.application, method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_who_signed_in_is_told_as_far_as_it_was_asked_for(programs: Programs) -> None:
    salt = bytes(32)
    hashed = entry_hash(salt, "Dr. Ada", "A hospital", "")
    await programs.api.wiring.directory.put(DirectoryEntry(PHYSICIAN, "Dr. Ada", "A hospital", "", salt, hashed))
    whole, bare, none = [
        (await programs.tokens(scope=scope))["access_token"]
        for scope in ("openid profile dicomweb", "openid", "profile dicomweb")
    ]
    nameless = {"sub": checksum(PHYSICIAN), "purpose": "TREAT"}
    assert (await programs.get("/oauth/userinfo", whole)).json() == nameless, "the chain does not vouch for the name"
    programs.api.state = fold(programs.api.state, DirectoryEntrySet(PHYSICIAN, hashed))
    named = nameless | {"name": "Dr. Ada, A hospital"}
    assert (await programs.get("/oauth/userinfo", whole)).json() == named
    assert (await programs.get("/oauth/userinfo", bare)).json() == nameless
    assert (await programs.get("/oauth/userinfo", none)).status_code == 403
    assert (await programs.get("/oauth/userinfo", "x" * 43)).status_code == 401
    assert (await programs.get("/oauth/userinfo", programs.cookie)).json() == named


def pages(application: ASGIApp) -> ASGIApp:
    return Cors(application, CorsRules(frozenset({PAGE.encode()})))


@pytest.mark.parametrize("origin", [PAGE, "https://evil.example"])
async def test_pages_of_listed_origins_may_read_what_programs_read(programs: Programs, origin: str) -> None:
    application, told = pages(programs.application), await programs.tokens()
    bearer = (b"authorization", b"Bearer " + told["access_token"].encode())
    form = urlencode({"client_id": "viewer", "token": "x"}).encode()
    as_form = (b"content-type", b"application/x-www-form-urlencoded")
    requests = [
        ("GET", "/.well-known/openid-configuration", [], b""),
        ("GET", "/oauth/jwks", [], b""),
        ("GET", "/oauth/userinfo", [bearer], b""),
        ("POST", "/oauth/token", [as_form], urlencode(exchanging("x")).encode()),
        ("POST", "/oauth/revoke", [as_form], form),
        ("POST", "/oauth/device_authorization", [as_form], b"client_id=desktop"),
    ]
    for method, path, headers, body in requests:
        answer = await asked(application, method, path, [*headers, (b"origin", origin.encode())], body)
        assert answer.headers.get("access-control-allow-origin") == (origin if origin == PAGE else None), path
        assert "Origin" in answer.headers["vary"]
    wanted = [
        (b"origin", origin.encode()),
        (b"access-control-request-method", b"GET"),
        (b"access-control-request-headers", b"authorization"),
    ]
    preflight = await asked(application, "OPTIONS", "/oauth/userinfo", wanted)
    assert (preflight.status_code == 204) == (origin == PAGE)


async def test_no_code_and_no_token_is_written_down(programs: Programs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    code = await programs.code()
    told = (await programs.token(exchanging(code))).json()
    again = (await programs.renewed(told["refresh_token"])).json()
    waiting = await programs.waits()
    await programs.enter(waiting["user_code"])
    third = (await programs.polled(waiting["device_code"])).json()
    await programs.token(exchanging(code))
    await programs.post("/oauth/revoke", {"client_id": "desktop", "token": third["access_token"]})
    secrets = [code, waiting["user_code"], waiting["device_code"], programs.cookie]
    for document in (told, again, third):
        secrets += [document[name] for name in ("access_token", "refresh_token", "id_token") if name in document]
    assert len(secrets) == 12
    said = caplog.text + "".join(str(record.args) for record in caplog.records)
    assert [secret for secret in secrets if secret in said] == []


async def test_answers_about_sign_ins_are_kept_by_nobody(programs: Programs) -> None:
    await programs.sign_in()
    waiting = await programs.waits()
    page = await programs.browse("/oauth/authorize?" + urlencode(asking()))
    for answer in (
        page,
        await programs.browse("/oauth/device"),
        await programs.authorize(asking(), "allow"),
        await programs.polled(waiting["device_code"]),
        await programs.get("/oauth/userinfo", (await programs.tokens())["access_token"]),
    ):
        assert "no-store" in answer.headers["cache-control"]
