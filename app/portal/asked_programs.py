"""What a program asks of somebody, worked out for the page that asks them, and again for their answer."""

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from app.api.caller import known_standing
from app.api.oauth.grants import CodeGrant
from app.api.wiring import Wiring
from app.core.consent.policy import holds_role
from app.core.consent.terms import Purpose, Role
from app.core.oauth.scopes import IMAGES, OFFLINE, OPENID, PROFILE, UPLOAD, granted, read
from app.portal.navigation import N_
from app.store.oauth_clients import OauthClient
from app.store.oauth_grants import Allowed
from app.store.sessions import Session

ABILITIES = {
    OPENID: N_("know which account you signed in with"),
    PROFILE: N_("know your name, as the directory has it"),
    IMAGES: N_("find, view and download the images that you may see"),
    UPLOAD: N_("store images, as you may"),
    OFFLINE: N_("go on without asking again, for some days at the most"),
}


@dataclass(frozen=True, slots=True)
class AskedProgram:
    """``scope``: what would be granted to this person, "" for nothing. ``withheld``: what they cannot do themselves.
    ``redirect_uri`` of a program that sent a browser, ``code`` of one that waits; the other is "".
    """

    client: OauthClient
    scope: str
    withheld: str
    purpose: Purpose
    redirect_uri: str = ""
    code: str = ""

    @property
    def abilities(self) -> list[str]:
        return [ABILITIES[one] for one in self.scope.split(" ") if one in ABILITIES]

    def allowed(self, session: Session) -> Allowed:
        """The person's word."""
        return Allowed(session.actor, self.purpose, self.scope, session.began_at, session.token_hash)


async def asked_by_browser(wiring: Wiring, session: Session, grant: CodeGrant) -> AskedProgram:
    """What the program asks that sent the browser. Raises 503 while the chain's state is not known."""
    given = grant.request.parameters
    client: OauthClient = grant.request.client.client
    return _asked(wiring, session, client, given.get("scope"), given.get("purpose"), grant.redirect_uri or "", "")


async def asked_by_code(wiring: Wiring, session: Session, code: str) -> AskedProgram | None:
    """What the program asks that waits with this code; None when none does. Raises 503 likewise."""
    ground = wiring.oauth.ground
    waiting = await run_in_threadpool(ground.devices.by_user_code, code)
    client = None if waiting is None else await run_in_threadpool(ground.clients.find, waiting.client_id)
    if waiting is None or client is None or not client.device:
        return None
    return _asked(wiring, session, client, waiting.scope, None, "", code)


def _asked(
    wiring: Wiring,
    session: Session,
    client: OauthClient,
    scope: str | None,
    purpose: str | None,
    redirect_uri: str,
    code: str,
) -> AskedProgram:
    """Without a purpose of its own the program acts for the one that the person signed in for."""
    standing, now = known_standing(wiring)
    asked = read(scope, purpose)
    if asked is None:
        return AskedProgram(client, "", "", session.purpose, redirect_uri, code)
    registered = set(client.scopes)
    may_upload = holds_role(standing, Role.UPLOADER, session.actor, now)
    withheld = ABILITIES[UPLOAD] if not may_upload and UPLOAD in asked.scopes & registered else ""
    return AskedProgram(
        client,
        granted(asked, registered, may_upload=may_upload),
        withheld,
        session.purpose if asked.purpose is None else asked.purpose,
        redirect_uri,
        code,
    )
