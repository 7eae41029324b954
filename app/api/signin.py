"""Sign in with a wallet (EIP-4361), and out; and what signing in gives, whichever way it is done."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.body import Strict, body_of, documented
from app.api.caller import any_session_of, standing_for
from app.api.hexadecimal import AddressText, SignatureText, checksum, from_hex
from app.api.siwe_message import MAX_AGE_S, compose, read
from app.api.wiring import Wiring, reading_turn, wiring_of
from app.chain.rpc import RpcError
from app.chain.wallets import stands_behind
from app.core.consent.basis import actor_of
from app.core.consent.mirror import Standing
from app.core.consent.policy import holds_role
from app.core.consent.terms import Capacity, Purpose, Role
from app.core.http.credentials import SESSION_COOKIE
from app.core.http.problem import Problem, ProblemError, problem
from app.core.identifiers import Address, Signer, UnixTime
from app.store.sessions import Session
from app.store.siwe_nonces import Taken

router = APIRouter(tags=["sign-in"])


class NonceRequest(Strict):
    """Whose wallet will sign."""

    address: AddressText


class VerifyRequest(Strict):
    """The signed message. ``purpose``: the HL7 purpose of use of the whole session. ``cookie``: a session for the
    portal instead. ``choose``: where no purpose is given and several fit, be told them instead of getting the first.
    """

    message: str
    signature: SignatureText
    purpose: str | None = None
    choose: bool = False
    cookie: bool = False


@router.post("/auth/siwe/nonce", openapi_extra=documented(NonceRequest))
async def nonce(request: Request, asked: Annotated[NonceRequest, Depends(body_of(NonceRequest))]) -> dict[str, str]:
    """A fresh nonce for this address, and the text to sign, ready."""
    wiring = wiring_of(request)
    address = Address(from_hex(asked.address))
    now = wiring.clock()
    siwe_nonce = await wiring.siwe_nonces.issue(address, now)
    return {"nonce": siwe_nonce, "message": compose(wiring.place, address, siwe_nonce, now)}


@router.post("/auth/siwe/verify", openapi_extra=documented(VerifyRequest))
async def verify(
    request: Request, response: Response, signed: Annotated[VerifyRequest, Depends(body_of(VerifyRequest))]
) -> dict[str, Any]:
    """Exchange a signed message for a token. The checks come in the order of PROMISES; the nonce is used up last.

    With ``choose`` the answer may be ``{"choose": [purpose, …]}``: nothing is used up, and the same message with one of
    them signs in.
    """
    wiring = wiring_of(request)
    now = wiring.clock()
    async with reading_turn(request):
        claimed = await run_in_threadpool(read, signed.message, wiring.place, now)
    if isinstance(claimed, Problem):
        raise ProblemError(claimed)
    # Before any node is asked about the signature: a message without a nonce of ours costs them nothing.
    if not await wiring.siwe_nonces.waits(claimed.siwe_nonce, claimed.address):
        raise ProblemError(problem("siwe-expired"))
    try:
        good = await stands_behind(
            wiring.nodes, Signer(claimed.address), claimed.digest, from_hex(signed.signature), wiring.relying_party
        )
    except RpcError:
        raise ProblemError(problem("chain-unavailable")) from None
    if not good:
        raise ProblemError(problem("bad-signature"))
    entry = entry_of(wiring, Signer(claimed.address), signed.purpose)
    if signed.choose and entry.is_to_choose:
        return choices(response, entry)
    taken = await wiring.siwe_nonces.take(claimed.siwe_nonce, claimed.address, now)
    if not isinstance(taken, Taken) or taken.issued_at < now - MAX_AGE_S:
        raise ProblemError(problem("siwe-expired"))
    return await enter(wiring, response, entry, cookie=signed.cookie)


@dataclass(frozen=True, slots=True)
class Entry:
    """Who has shown what they sign with, and what they come in as. Nothing is kept of it before ``enter``.

    ``fitting``: the purposes that what they are here suggests, where they asked for none; the first is ``purpose``.
    """

    signer: Signer
    purpose: Purpose
    roles: list[str]
    fitting: tuple[Purpose, ...] = ()

    @property
    def is_to_choose(self) -> bool:
        """Whether somebody with several hats has not said which they wear."""
        return len(self.fitting) > 1


def entry_of(wiring: Wiring, signer: Signer, purpose: str | None) -> Entry:
    """What the signer comes in as. Raises 503 while the chain's state is not known, 422 for a purpose that is none.

    While the chain is away, those come in who hold the emergency role, to break the glass (DESIGN, decision 3).
    """
    asked = Purpose.__members__.get(purpose or "", Purpose.PATRQT)
    standing, now, age_s = standing_for(wiring, asked)
    actor = actor_of(signer)
    if age_s is not None and not holds_role(standing, Role.EMERGENCY, actor, now):
        raise ProblemError(problem("chain-unavailable"))
    held = roles(standing, actor, now)
    if purpose is None:
        fitting = _fitting(standing, actor, now)
        return Entry(signer, fitting[0], held, fitting)
    if purpose not in Purpose.__members__:
        raise ProblemError(problem("invalid-request"))
    return Entry(signer, Purpose[purpose], held)


def choices(response: Response, entry: Entry) -> dict[str, Any]:
    """What to choose from before signing in. There is no session yet."""
    response.headers["Cache-Control"] = "no-store"
    return {"choose": [one.name for one in entry.fitting]}


async def enter(
    wiring: Wiring, response: Response, entry: Entry, *, cookie: bool, until: UnixTime | None = None
) -> dict[str, Any]:
    """A session: the answer that every way of signing in gives, with a token or the portal's cookie. ``until``: where
    it is to end sooner than sessions do.
    """
    now = wiring.clock()
    lasts_s = wiring.token_lifetime_s if until is None else min(wiring.token_lifetime_s, until - now)
    expires_at = UnixTime(now + lasts_s)
    token, session = await wiring.sessions.create(entry.signer, entry.purpose, expires_at)
    answer: dict[str, Any] = {
        "expires_in": lasts_s,
        "address": checksum(session.actor),
        "roles": entry.roles,
        "purpose": entry.purpose.name,
    }
    response.headers["Cache-Control"] = "no-store"
    if cookie:
        response.set_cookie(
            SESSION_COOKIE,
            token,
            max_age=lasts_s,
            path="/",
            secure=True,
            httponly=True,
            samesite="strict",
        )
        return answer
    return {"access_token": token, "token_type": "Bearer", **answer}


@router.post("/auth/logout", status_code=204)
async def logout(request: Request, response: Response, session: Annotated[Session, Depends(any_session_of)]) -> None:
    """End the session, with the programs that it let in and their refresh tokens: nothing of it is worth anything from
    now on, here at once and on other gateways within two seconds. A program's token ends the program's sign-in.
    """
    await wiring_of(request).sessions.revoke(session.token_hash)
    response.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="strict")


def roles(standing: Standing, actor: Address, now: UnixTime) -> list[str]:
    """The staff roles held now, and PATIENT and GUARDIAN for those who act for somebody."""
    held = [role.value for role in Role if holds_role(standing, role, actor, now)]
    capacities = _capacities(standing, actor, now)
    return held + [
        word
        for capacity, word in ((Capacity.CONTROLLER, "PATIENT"), (Capacity.GUARDIAN, "GUARDIAN"))
        if capacity in capacities
    ]


def _fitting(standing: Standing, actor: Address, now: UnixTime) -> tuple[Purpose, ...]:
    """The purposes of use that fit who signs in, at least one: treating others, their own images, another's."""
    capacities = _capacities(standing, actor, now)
    hats = (
        (holds_role(standing, Role.PHYSICIAN, actor, now), Purpose.TREAT),
        (Capacity.CONTROLLER in capacities, Purpose.PATRQT),
        (Capacity.GUARDIAN in capacities, Purpose.FAMRQT),
    )
    return tuple(purpose for is_worn, purpose in hats if is_worn) or (Purpose.PATRQT,)


def _capacities(standing: Standing, actor: Address, now: UnixTime) -> set[Capacity]:
    patients = (standing.head.patient(key) for key in standing.head.patients_of(actor))
    return {patient.capacity_of(actor, now) for patient in patients if patient is not None} - {Capacity.NONE}
