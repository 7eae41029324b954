"""Passkeys (WebAuthn): made with a code from the desk or by somebody signed in, and signed in with."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from app.api.body import Strict, body_of, documented
from app.api.caller import known_standing, session_of
from app.api.claim_codes import address_of, claimable, digits_of
from app.api.hexadecimal import checksum, to_hex
from app.api.passkey_ceremonies import (
    Known,
    challenge_of,
    creation_options,
    credential_id_of,
    made,
    request_options,
    shown,
)
from app.api.recovery_codes import recoverable_with
from app.api.signin import choices, enter, entry_of
from app.api.wiring import wiring_of
from app.core.consent.basis import ADDRESS_BYTES, actor_of
from app.core.http.problem import ProblemError, problem
from app.core.signing.claim_code import invitation_hash
from app.core.signing.passkey import websafe
from app.store.passkeys import Passkey

router = APIRouter(tags=["passkeys"])

_CodeText = Annotated[str, Field(max_length=64)]
# What the device shows beside the passkey: the holder's own words, nothing unseen.
_NameText = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e]*$")
]
_IdText = Annotated[str, Field(max_length=1366, pattern=r"^[A-Za-z0-9_-]+$")]  # 1023 bytes (WebAuthn §4)
_PartText = Annotated[str, Field(max_length=8192, pattern=r"^[A-Za-z0-9_-]*$")]


class MakingAsked(Strict):
    """For whom: ``code`` of an enrolment, ``recovery_code`` or ``invitation_code``, all on paper from the desk; none by
    somebody signed in.
    """

    code: _CodeText | None = None
    recovery_code: _CodeText | None = None
    invitation_code: _CodeText | None = None
    name: _NameText = "Consentry"


class Attested(Strict):
    """``AuthenticatorAttestationResponseJSON``, as far as it is looked at."""

    clientDataJSON: _PartText  # noqa: N815 - WebAuthn's name
    attestationObject: _PartText  # noqa: N815


class Asserted(Strict):
    """``AuthenticatorAssertionResponseJSON``, as far as it is looked at."""

    clientDataJSON: _PartText  # noqa: N815
    authenticatorData: _PartText  # noqa: N815
    signature: _PartText
    userHandle: _PartText  # noqa: N815


class NewCredential(Strict):
    """What ``navigator.credentials.create`` gave."""

    id: _IdText
    rawId: _IdText  # noqa: N815
    type: Literal["public-key"]
    response: Attested


class ShownCredential(Strict):
    """What ``navigator.credentials.get`` gave."""

    id: _IdText
    rawId: _IdText  # noqa: N815
    type: Literal["public-key"]
    response: Asserted


class Making(MakingAsked):
    """The new passkey, with the same code and name as the options were asked for."""

    credential: NewCredential


class SigningIn(Strict):
    """The passkey's answer. ``purpose``, ``choose`` and ``cookie`` as for a wallet."""

    credential: ShownCredential
    purpose: str | None = None
    choose: bool = False
    cookie: bool = False


@router.post("/auth/passkey/registration/options", openapi_extra=documented(MakingAsked))
async def making_options(
    request: Request, asked: Annotated[MakingAsked, Depends(body_of(MakingAsked))]
) -> dict[str, Any]:
    """Options for ``navigator.credentials.create``."""
    wiring = wiring_of(request)
    maker = await _maker(request, asked)
    issued = await wiring.passkey_challenges.for_making(maker.identity, wiring.clock())
    return {
        "public_key": creation_options(wiring.relying_party, issued.challenge, issued.user_handle, asked.name),
    }


@router.post("/auth/passkey/registration/verify", status_code=201, openapi_extra=documented(Making))
async def make(request: Request, making: Annotated[Making, Depends(body_of(Making))]) -> dict[str, Any]:
    """Keep a new passkey. It controls nothing yet, and this signs nobody in: the key has signed nothing so far."""
    wiring = wiring_of(request)
    party, now = wiring.relying_party, wiring.clock()
    maker = await _maker(request, making)
    credential = making.credential.model_dump()
    challenge = challenge_of(credential)
    new = None if challenge is None else made(party, challenge, credential)
    if challenge is None or new is None:
        raise ProblemError(problem("bad-signature"))
    issued = await wiring.passkey_challenges.take(challenge, maker.identity, now)
    if issued is None:
        raise ProblemError(problem("passkey-expired"))
    signer = party.signer(new.key)
    passkey = Passkey(new.credential_id, signer, issued.user_handle, making.name, new.sign_count)
    if not maker.invited:
        await wiring.passkeys.add(passkey, maker.identity, now)
    elif not await wiring.invitations.accept(maker.identity, passkey):
        raise ProblemError(problem("not-found"))
    return _view(passkey)


@router.post("/auth/passkey/signin/options")
async def signing_in_options(request: Request) -> dict[str, Any]:
    """Options for ``navigator.credentials.get``: any passkey made here will do."""
    wiring = wiring_of(request)
    challenge = await wiring.passkey_challenges.for_signing_in(wiring.clock())
    return {"public_key": request_options(wiring.relying_party, challenge)}


@router.post("/auth/passkey/signin/verify", openapi_extra=documented(SigningIn))
async def sign_in(
    request: Request, response: Response, signing: Annotated[SigningIn, Depends(body_of(SigningIn))]
) -> dict[str, Any]:
    """Exchange a passkey's answer for a token. No node is asked; the challenge is used up last."""
    wiring = wiring_of(request)
    party, now = wiring.relying_party, wiring.clock()
    credential = signing.credential.model_dump()
    passkey = await wiring.passkeys.find(credential_id_of(credential))
    key = None if passkey is None else party.key_of(passkey.signer)
    if passkey is None or key is None:  # made for a verifier that this deployment does not have
        raise ProblemError(problem("passkey-unknown"))
    challenge = challenge_of(credential)
    known = Known(passkey.credential_id, key, passkey.user_handle)
    count = None if challenge is None else shown(party, challenge, known, credential)
    if challenge is None or count is None:
        raise ProblemError(problem("bad-signature"))
    entry = entry_of(wiring, passkey.signer, signing.purpose)
    if signing.choose and entry.is_to_choose:
        return choices(response, entry)
    if await wiring.passkey_challenges.take(challenge, b"", now) is None:
        raise ProblemError(problem("passkey-expired"))
    if not await wiring.passkeys.used(passkey.credential_id, count, now):
        raise ProblemError(problem("bad-signature"))
    return await enter(wiring, response, entry, cookie=signing.cookie)


@router.get("/auth/passkey")
async def own(request: Request) -> dict[str, Any]:
    """The passkey the caller is signed in with, so that a page can ask for that very one; 404 for a wallet."""
    session = await session_of(request)
    passkey = None
    if len(session.signer) > ADDRESS_BYTES:
        passkey = await wiring_of(request).passkeys.of_signer(session.signer)
    if passkey is None:
        raise ProblemError(problem("not-found"))
    return _view(passkey)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Who lets a passkey be made. ``identity``: the enrolment code's account, the recovery's id, the invitation's hash,
    or the caller's account; no two of them are equally long but the accounts. ``invited``: by an invitation, which is
    used up by it.
    """

    identity: bytes
    invited: bool = False


async def _maker(request: Request, asked: MakingAsked) -> _Maker:
    """Raises 401, 404, 422, 503. Nobody else may make one, or anybody could fill the table."""
    wiring = wiring_of(request)
    codes = (asked.code, asked.recovery_code, asked.invitation_code)
    if sum(code is not None for code in codes) > 1:
        raise ProblemError(problem("invalid-request"))
    if asked.recovery_code is not None:
        return _Maker((await recoverable_with(wiring, asked.recovery_code)).recovery_id)
    if asked.invitation_code is not None:
        invitation = invitation_hash(digits_of(asked.invitation_code))
        if not await wiring.invitations.is_open(invitation):
            raise ProblemError(problem("not-found"))
        return _Maker(invitation, invited=True)
    if asked.code is None:
        return _Maker((await session_of(request)).actor)
    address = address_of(asked.code)
    standing, now = known_standing(wiring)
    claimable(standing, address, now)
    return _Maker(address)


def _view(passkey: Passkey) -> dict[str, Any]:
    return {
        "credential_id": websafe(passkey.credential_id),
        "signer": to_hex(passkey.signer),
        "address": checksum(actor_of(passkey.signer)),
        "name": passkey.name,
    }
