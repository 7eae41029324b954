"""A program and a browser, as they appear to the gateway: every request by hand, so that each part can be wrong."""

import base64
import hashlib
import html
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from app.api.application import create_application
from app.core.consent.terms import Purpose
from app.core.http.credentials import SESSION_COOKIE
from app.core.identifiers import Address, Signer, UnixTime
from app.portal.pages import add_pages
from app.portal.program_pages import program_pages
from app.store.engine import Database
from app.store.oauth_clients import OauthClient
from app.store.sessions import Session
from tests.api.in_process import PHYSICIAN, Answer, InProcess, asked
from tests.support.needs import PROJECT

ISSUER = "http://localhost:8080"
CALLBACK = "https://viewer.example/callback"
AFTERWARDS = "https://viewer.example/bye"
VERIFIER = "v" * 43
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
VIEWER = OauthClient(
    "viewer",
    "A viewer",
    (CALLBACK, "https://viewer.example/other"),
    (AFTERWARDS,),
    ("openid", "profile", "dicomweb", "dicomweb.upload", "offline_access"),
)
OTHER = OauthClient("other", "Another", ("https://other.example/callback",), (), VIEWER.scopes, device=True)
DESKTOP = OauthClient("desktop", "A desktop", ("http://127.0.0.1/callback",), (), VIEWER.scopes, True, True)
SCOPE = "openid profile dicomweb offline_access"


def challenge(verifier: str = VERIFIER) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def asking(**changes: str | None) -> dict[str, str]:
    """The parameters of an authorization request; None leaves one out."""
    usual: dict[str, str | None] = {
        "response_type": "code",
        "client_id": "viewer",
        "redirect_uri": CALLBACK,
        "scope": SCOPE,
        "state": 'st"ate &=',
        "nonce": "nonce-1",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
        "purpose": "TREAT",
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def exchanging(code: str, /, **changes: str | None) -> dict[str, str]:
    """The parameters that exchange a code."""
    usual: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "client_id": "viewer",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def sent_to(answer: Answer) -> tuple[str, dict[str, str]]:
    """Where the browser is sent, and with what."""
    assert answer.status_code == 303, answer.text
    parts = urlsplit(answer.headers["location"])
    given = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in given.values())
    return f"{parts.scheme}://{parts.netloc}{parts.path}", {name: values[0] for name, values in given.items()}


def refusal(answer: Answer) -> tuple[int, str]:
    """The error of a token endpoint (RFC 6749 §5.2)."""
    document = answer.json()
    assert set(document) == {"error", "error_description"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, document["error"]


@dataclass
class Programs:
    """The gateway, and what is asked of it. ``actor``: who sits at the browser, signed in with ``cookie``."""

    database: Database
    actor: Address = PHYSICIAN
    cookie: str = ""
    api: InProcess = field(init=False)
    application: Any = field(init=False)

    def __post_init__(self) -> None:
        self.api = InProcess(self.database)
        self.application = create_application(self.api.wiring)
        add_pages(self.application, ISSUER, PROJECT / "viewer")
        self.application.include_router(program_pages(self.api.wiring))
        for client in (VIEWER, OTHER, DESKTOP):
            self.api.wiring.oauth.ground.clients.put(client)

    async def sign_in(self, purpose: Purpose = Purpose.TREAT) -> Session:
        self.cookie, session = await self.api.wiring.sessions.create(
            Signer(self.actor), purpose, UnixTime(self.api.now + 28_800)
        )
        return session

    async def browse(
        self, path: str, form: dict[str, str] | None = None, *, origin: str | None = ISSUER, site: str = "none"
    ) -> Answer:
        """A page, or a form sent from one."""
        headers = [(b"sec-fetch-site", site.encode())]
        if self.cookie:
            headers.append((b"cookie", f"{SESSION_COOKIE}={self.cookie}".encode()))
        if form is None:
            return await asked(self.application, "GET", path, headers)
        headers.append((b"content-type", b"application/x-www-form-urlencoded"))
        if origin is not None:
            headers.append((b"origin", origin.encode()))
        return await asked(self.application, "POST", path, headers, urlencode(form).encode())

    async def authorize(self, query: str | dict[str, str], answer: str | None = None) -> Answer:
        text = query if isinstance(query, str) else urlencode(query)
        return await self.browse(f"/oauth/authorize?{text}", None if answer is None else {"answer": answer})

    async def post(self, path: str, form: str | dict[str, str], **headers: str) -> Answer:
        """A program's own request, without a cookie."""
        given = {"content-type": "application/x-www-form-urlencoded"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = form if isinstance(form, str) else urlencode(form)
        told = [(name.encode(), value.encode()) for name, value in given.items()]
        return await asked(self.application, "POST", path, told, body.encode())

    async def token(self, form: str | dict[str, str], **headers: str) -> Answer:
        return await self.post("/oauth/token", form, **headers)

    async def code(self, **changes: str | None) -> str:
        """A code that somebody allowed."""
        if not self.cookie:
            await self.sign_in()
        _, given = sent_to(await self.authorize(asking(**changes), "allow"))
        return given["code"]

    async def tokens(self, **changes: str | None) -> dict[str, Any]:
        """What a program got for it."""
        redirect = changes.get("redirect_uri") or CALLBACK
        code = await self.code(**changes)
        client = changes.get("client_id") or "viewer"
        answer = await self.token(exchanging(code, redirect_uri=redirect, client_id=client))
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def renewed(self, token: str, /, **changes: str) -> Answer:
        return await self.token(
            {"grant_type": "refresh_token", "client_id": "viewer", "refresh_token": token} | changes
        )

    async def waits(self, **changes: str) -> dict[str, Any]:
        """A program on another machine, which shows a code."""
        answer = await self.post("/oauth/device_authorization", {"client_id": "desktop", "scope": SCOPE} | changes)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def polled(self, device_code: str, /, **changes: str) -> Answer:
        return await self.token(
            {"grant_type": DEVICE_GRANT, "client_id": "desktop", "device_code": device_code} | changes
        )

    async def enter(self, user_code: str, answer: str = "allow") -> Answer:
        return await self.browse("/oauth/device", {"user_code": user_code, "answer": answer})

    async def opens(self, token: str) -> Session | None:
        return await self.api.wiring.sessions.find(token)

    async def get(self, path: str, token: str) -> Answer:
        return await asked(self.application, "GET", path, [(b"authorization", b"Bearer " + token.encode())])


def form_of(answer: Answer) -> tuple[str, set[str]]:
    """Where the page's form goes, and which answers it offers."""
    main = answer.text.partition("<main")[2].partition("</main>")[0]
    action = re.search(r'<form[^>]* action="([^"]*)"', main)
    assert action is not None
    return html.unescape(action[1]), set(re.findall(r'name="answer" value="([^"]*)"', answer.text))
