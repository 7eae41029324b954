"""Where somebody wants to be told what happens: their own e-mail address and webhook, confirmed before use."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import Caller, SignedIn
from app.api.wiring import Wiring, wiring_of
from app.core.consent.terms import Role
from app.core.http.problem import ProblemError, problem
from app.core.notices.kinds import ALWAYS, OPTIONAL, Channel, NoticeKind
from app.core.notices.reaching import (
    LONGEST_WEBHOOK,
    confirmation_token,
    email_address,
    webhook_address,
    webhook_secret,
)
from app.core.notices.wording import LANGUAGES
from app.store.contacts import LINK_PAUSE_S, Contact, Reached, TooSoonError, Wanted

router = APIRouter(tags=["contact"])

_NONCE_BYTES = 16


class ContactWanted(Strict):
    """A whole contact. ``kinds``: what to be told of besides what is told always; left out: everything."""

    email: Annotated[str, Field(max_length=254)] | None = None
    webhook: Annotated[str, Field(max_length=LONGEST_WEBHOOK)] | None = None
    language: Literal["en", "de"] = "en"
    kinds: Annotated[list[str], Field(max_length=len(NoticeKind))] | None = None


class Confirmation(Strict):
    """What the one-time link carried."""

    token: Annotated[str, Field(min_length=1, max_length=64)]


@router.get("/api/contact")
async def mine(request: Request, caller: SignedIn) -> dict[str, Any]:
    """The caller's own contact, and what there is to choose from."""
    wiring = wiring_of(request)
    return _view(wiring, await wiring.contacts.find(caller.actor))


@router.put("/api/contact", openapi_extra=documented(ContactWanted))
async def put(
    request: Request, caller: SignedIn, asked: Annotated[ContactWanted, Depends(body_of(ContactWanted))]
) -> dict[str, Any]:
    """Replace it. An address that is new is sent a one-time link, and nothing else until that was opened and confirmed.

    Only for those whom something could be told: who acts for a patient, is named in a consent, or holds a role.
    """
    wiring = wiring_of(request)
    if not _concerned(caller):
        raise ProblemError(problem("forbidden"))
    kinds = {kind.value for kind in OPTIONAL} if asked.kinds is None else set(asked.kinds)
    if not kinds <= {kind.value for kind in NoticeKind if kind is not NoticeKind.CONFIRM_CONTACT}:
        raise ProblemError(problem("invalid-request"))
    wanted = Wanted(
        actor=caller.actor,
        language=asked.language,
        muted=frozenset(kind for kind in OPTIONAL if kind.value not in kinds),
        targets=_targets(wiring, asked),
        patients=caller.own_patients(),
    )

    def token(channel: Channel, target: str, nonce: bytes) -> str:
        return confirmation_token(wiring.site_key, caller.actor, channel, target, nonce)

    try:
        contact = await wiring.contacts.put(wanted, wiring.clock(), wiring.random_bytes(_NONCE_BYTES), token)
    except TooSoonError:
        raise ProblemError(problem("too-many-requests").with_header("Retry-After", str(LINK_PAUSE_S))) from None
    return _view(wiring, contact)


@router.delete("/api/contact", status_code=204)
async def remove(request: Request, caller: SignedIn) -> Response:
    """Forget it, and whatever was still to be sent to it."""
    await wiring_of(request).contacts.remove(caller.actor)
    return Response(status_code=204)


@router.post("/api/contact/confirmation", status_code=204, openapi_extra=documented(Confirmation))
async def confirm(request: Request, said: Annotated[Confirmation, Depends(body_of(Confirmation))]) -> Response:
    """Confirm an address with what its one-time link carried. Nobody need be signed in: whoever can read what is sent
    there shows by the token that they do.
    """
    wiring = wiring_of(request)
    if not await wiring.contacts.confirm(said.token, wiring.clock()):
        raise ProblemError(problem("not-found"))
    return Response(status_code=204)


def _targets(wiring: Wiring, asked: ContactWanted) -> dict[Channel, str]:
    """The addresses as they will be used. Raises 422 for one that cannot be, and for a way that is not open here."""
    found: dict[Channel, str] = {}
    if asked.email is not None:
        email = email_address(asked.email)
        if email is None or not wiring.reach.mail:
            raise ProblemError(problem("invalid-request"))
        found[Channel.EMAIL] = email
    if asked.webhook is not None:
        webhook = webhook_address(asked.webhook, private=wiring.reach.private_webhooks)
        if webhook is None or not wiring.reach.webhooks:
            raise ProblemError(problem("invalid-request"))
        found[Channel.WEBHOOK] = webhook
    return found


def _concerned(caller: Caller) -> bool:
    return bool(caller.standing.head.patients_of(caller.actor)) or any(caller.holds(role) for role in Role)


def _view(wiring: Wiring, contact: Contact | None) -> dict[str, Any]:
    reach = wiring.reach
    muted = frozenset[NoticeKind]() if contact is None else contact.muted
    return {
        **{channel.value: _reached(wiring, contact, channel) for channel in Channel},
        "language": LANGUAGES[0] if contact is None else contact.language,
        "languages": list(LANGUAGES),
        "kinds": [kind.value for kind in OPTIONAL if kind not in muted],
        "optional_kinds": [kind.value for kind in OPTIONAL],
        "always": [kind.value for kind in NoticeKind if kind in ALWAYS and kind is not NoticeKind.CONFIRM_CONTACT],
        "possible": [
            channel.value
            for channel, is_open in ((Channel.EMAIL, reach.mail), (Channel.WEBHOOK, reach.webhooks))
            if is_open
        ],
    }


def _reached(wiring: Wiring, contact: Contact | None, channel: Channel) -> dict[str, Any] | None:
    reached: Reached | None = None if contact is None else contact.by(channel)
    if contact is None or reached is None:
        return None
    view: dict[str, Any] = {"address": reached.target, "confirmed": reached.confirmed_at is not None}
    if channel is Channel.WEBHOOK:  # its owner's alone, and needed to check what is sent there
        view["secret"] = webhook_secret(wiring.site_key, contact.actor, reached.target, reached.nonce).hex()
    return view
