"""Sign in with a wallet (EIP-4361), and out."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.body import Strict, body_of, documented
from app.api.caller import session_of, standing_for
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
    portal instead.
    """

    message: str
    signature: SignatureText
    purpose: str | None = None
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
    """Exchange a signed message for a token. The checks come in the order of PROMISES; the nonce is used up last."""
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
        good = await stands_behind(wiring.nodes, Signer(claimed.address), claimed.digest, from_hex(signed.signature))
    except RpcError:
        raise ProblemError(problem("chain-unavailable")) from None
    if not good:
        raise ProblemError(problem("bad-signature"))
    asked = Purpose.__members__.get(signed.purpose or "")
    standing, at, age_s = standing_for(wiring, asked or Purpose.PATRQT)
    if age_s is not None and not holds_role(standing, Role.EMERGENCY, claimed.address, at):
        raise ProblemError(problem("chain-unavailable"))  # while the chain is away, for breaking the glass alone
    purpose = _purpose(signed.purpose, standing, claimed.address, at)
    taken = await wiring.siwe_nonces.take(claimed.siwe_nonce, claimed.address, now)
    if not isinstance(taken, Taken) or taken.issued_at < now - MAX_AGE_S:
        raise ProblemError(problem("siwe-expired"))
    expires_at = UnixTime(now + wiring.token_lifetime_s)
    answer = {"address": checksum(claimed.address), "roles": roles(standing, claimed.address, at)}
    given = await give_session(wiring, response, Signer(claimed.address), purpose, expires_at, cookie=signed.cookie)
    return given | answer


async def give_session(
    wiring: Wiring, response: Response, signer: Signer, purpose: Purpose, expires_at: UnixTime, *, cookie: bool
) -> dict[str, Any]:
    """A new session: its token in the answer, or in the portal's cookie instead."""
    token, _session = await wiring.sessions.create(actor_of(signer), purpose, expires_at)
    response.headers["Cache-Control"] = "no-store"
    lasts = expires_at - wiring.clock()
    answer: dict[str, Any] = {"expires_in": lasts, "purpose": purpose.name}
    if not cookie:
        return {"access_token": token, "token_type": "Bearer", **answer}
    response.set_cookie(SESSION_COOKIE, token, max_age=lasts, path="/", secure=True, httponly=True, samesite="strict")
    return answer


@router.post("/auth/logout", status_code=204)
async def logout(request: Request, response: Response, session: Annotated[Session, Depends(session_of)]) -> None:
    """End the session; its token is worth nothing from now on, here at once and on other gateways within two
    seconds.
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


def _purpose(asked: str | None, standing: Standing, actor: Address, now: UnixTime) -> Purpose:
    """The session's purpose of use: as asked, else what fits who signs in."""
    if asked is not None:
        if asked not in Purpose.__members__:
            raise ProblemError(problem("invalid-request"))
        return Purpose[asked]
    if holds_role(standing, Role.PHYSICIAN, actor, now):
        return Purpose.TREAT
    capacities = _capacities(standing, actor, now)
    if capacities == {Capacity.GUARDIAN}:
        return Purpose.FAMRQT
    return Purpose.PATRQT


def _capacities(standing: Standing, actor: Address, now: UnixTime) -> set[Capacity]:
    patients = (standing.head.patient(key) for key in standing.head.patients_of(actor))
    return {patient.capacity_of(actor, now) for patient in patients if patient is not None} - {Capacity.NONE}
