"""A program's token opens images and nothing else here: held against every route that there is, however it is sent."""

import re
from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from app.core.consent.basis import role_id
from app.core.consent.events import RoleSet
from app.core.consent.fold import fold_all
from app.core.consent.terms import Purpose, Role, Window
from app.core.http.credentials import SESSION_COOKIE
from app.core.identifiers import Address, Signer, UnixTime
from app.core.oauth.scopes import SCOPES
from app.store.oauth_grants import Allowed, Issued
from app.store.sessions import new_token
from tests.api.in_process import PHYSICIAN, Answer, asked
from tests.oauth.program import ISSUER, Programs

Headers = list[tuple[bytes, bytes]]

# What nobody at all may ask for: a program's token changes nothing there. Everything else that is served needs a
# person, and refuses it.
_OF_NOBODY = {
    *("GET /", "GET /about", "GET /signin", "GET /contact", "GET /claim", "GET /recover", "GET /join"),
    *("POST /language", "GET /static/{path:path}", "GET /viewer/settings.js", "GET /openapi.json"),
    *("GET /healthz", "GET /readyz", "GET /metrics"),
    # Signing in, and what a one-time code or a mail's link is enough for
    *("POST /auth/siwe/nonce", "POST /auth/siwe/verify"),
    *(
        "POST /auth/passkey/signin/options",
        "POST /auth/passkey/signin/verify",
        "POST /auth/passkey/registration/verify",
    ),
    *("POST /api/enrolments/claim/typed-data", "POST /api/enrolments/claim"),
    *("POST /api/recoveries/claim/typed-data", "POST /api/recoveries/claim", "POST /api/contact/confirmation"),
    # What programs ask themselves, and the pages that they send browsers to
    *("GET /.well-known/openid-configuration", "GET /.well-known/oauth-authorization-server", "GET /oauth/jwks"),
    *("POST /oauth/token", "POST /oauth/device_authorization", "POST /oauth/revoke"),
    *("GET /oauth/authorize", "POST /oauth/authorize", "GET /oauth/end_session", "POST /oauth/end_session"),
}
# OpenID Connect Core §5.3, and a token that ends itself.
_FOR_PROGRAMS = {"GET /oauth/userinfo", "POST /oauth/userinfo", "POST /auth/logout"}
_ALWAYS = Window(UnixTime(0), UnixTime(1 << 40))


def routes(some: list[BaseRoute]) -> Iterator[APIRoute]:
    for route in some:
        inner = getattr(route, "original_router", None)  # of a router that was included
        if inner is not None:
            yield from routes(inner.routes)
        elif isinstance(route, APIRoute):
            yield route


def served(programs: Programs) -> list[tuple[str, str]]:
    """Each method and path, as it is written in the code."""
    found = {(method, route.path) for route in routes(programs.application.routes) for method in route.methods or ()}
    return sorted((method, path) for method, path in {*found, ("GET", "/openapi.json")} if method != "HEAD")


async def answer(programs: Programs, method: str, path: str, headers: Headers) -> Answer:
    body, told = (b"", []) if method == "GET" else (b"{}", [(b"content-type", b"application/json")])
    return await asked(programs.application, method, re.sub(r"\{[^}]*\}", "x", path), [*headers, *told], body)


def sent(token: str) -> dict[str, tuple[Headers, Headers]]:
    """The ways to send a token, each with what is left of the request without it."""
    own: Headers = [(b"origin", ISSUER.encode())]
    return {
        "bearer": ([(b"authorization", f"Bearer {token}".encode())], []),
        "cookie": ([(b"cookie", f"{SESSION_COOKIE}={token}".encode()), *own], own),
    }


def outcome(given: Answer) -> tuple[int, str]:
    """The status, and where it leads: to signing in, whatever comes after."""
    return given.status_code, given.headers.get("location", "").partition("?")[0]


@pytest.fixture
async def token(programs: Programs) -> str:
    """A program's, with every scope there is, of somebody with every role there is."""
    programs.api.state = fold_all(
        programs.api.state, [RoleSet(role_id(role), programs.actor, _ALWAYS) for role in Role]
    )
    session = await programs.sign_in()
    made, ends_at = new_token(), UnixTime(programs.api.now + 1000)
    allowed = Allowed(session.actor, Purpose.TREAT, " ".join(SCOPES), session.began_at, session.token_hash)
    issued = Issued(made, ends_at, None, ends_at)
    assert programs.api.wiring.oauth.ground.grants.begin_by_person("P", allowed, issued) is not None
    found = await programs.opens(made)
    assert found is not None
    assert found.reach.images
    assert found.reach.storing
    return made


@pytest.mark.parametrize("way", ["bearer", "cookie"])
async def test_no_route_is_opened_by_a_programs_token(programs: Programs, token: str, way: str) -> None:
    with_token, without = sent(token)[way]
    wrong, of_nobody = {}, set()
    for method, path in served(programs):
        name = f"{method} {path}"
        if name in _FOR_PROGRAMS or name == "POST /signout":
            continue
        theirs, nobodys = [await answer(programs, method, path, one) for one in (with_token, without)]
        if nobodys.status_code == 401:
            if theirs.status_code != 403:
                wrong[name] = outcome(theirs)
            continue
        if outcome(nobodys) not in {(303, "/signin"), (303, "/oauth/device"), (403, "")} or name in _OF_NOBODY:
            of_nobody.add(name)
        if outcome(theirs) != outcome(nobodys) or programs.actor.hex() in theirs.text.lower():
            wrong[name] = outcome(theirs)
    assert wrong == {}
    assert of_nobody == _OF_NOBODY


async def test_the_person_themselves_opens_them(programs: Programs, token: str) -> None:
    """Else the table above would say nothing."""
    opened = {"bearer": 0, "cookie": 0}
    for way in opened:
        session, _ = sent(programs.cookie)[way]
        program, _ = sent(token)[way]
        for method, path in served(programs):
            if method == "GET" and f"GET {path}" not in _OF_NOBODY:
                own, theirs = [outcome(await answer(programs, method, path, one)) for one in (session, program)]
                opened[way] += own[0] == 200 and own != theirs
    assert opened["cookie"] > 25
    assert opened["bearer"] > 10


@pytest.mark.parametrize("way", ["bearer", "cookie"])
async def test_a_programs_token_signs_nobody_out(programs: Programs, token: str, way: str) -> None:
    with_token, _ = sent(token)[way]
    headers = {name.decode(): value.decode() for name, value in [*with_token, (b"origin", ISSUER.encode())]}
    await programs.post("/signout", "", **headers)
    assert await programs.opens(programs.cookie) is not None
    assert await programs.opens(token) is not None


@pytest.mark.parametrize(
    ("roles", "scope"),
    [
        ({Role.UPLOADER}, "dicomweb dicomweb.upload"),
        ({Role.UPLOADER, Role.PHYSICIAN}, "dicomweb dicomweb.upload"),
        ({Role.EMERGENCY}, "dicomweb"),
        ({Role.PHYSICIAN}, "dicomweb"),
        ({Role.AUDITOR, Role.REGISTRAR}, None),
        (set(), None),
    ],
)
async def test_a_token_of_ones_own_stores_only_for_uploaders(
    programs: Programs, roles: set[Role], scope: str | None
) -> None:
    programs.actor = Address(b"u" * 20)
    programs.api.state = fold_all(
        programs.api.state, [RoleSet(role_id(role), programs.actor, _ALWAYS) for role in roles]
    )
    await programs.sign_in()
    body = '{"name": "A modality", "lifetime_s": 600, "scope": "dicomweb dicomweb.upload"}'
    made = await programs.post(
        "/api/programs/tokens", body, content_type="application/json", authorization=f"Bearer {programs.cookie}"
    )
    if scope is None:
        assert made.status_code == 403
        return
    told = made.json()
    session = await programs.opens(told["token"])
    assert session is not None
    assert (told["scope"], session.reach.storing, session.reach.api) == (scope, Role.UPLOADER in roles, False)
    assert session.signer == Signer(programs.actor) != Signer(PHYSICIAN)
