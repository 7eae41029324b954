"""Who is calling: the session behind a request, and what its actor may be on the chain."""

import math
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.api.wiring import Wiring, wiring_of
from app.core.consent.emergencies import PURPOSE as EMERGENCY
from app.core.consent.mirror import Standing
from app.core.consent.policy import holds_role
from app.core.consent.terms import Capacity, Purpose, Role
from app.core.http.credentials import token_of
from app.core.http.problem import Problem, ProblemError, problem
from app.core.identifiers import Address, PatientKey, Signer, UnixTime
from app.store.sessions import Session

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in actor at one moment: every question below is answered on one standing and one time.

    ``is_admin``: they are the chain's default admin, as far as pages are concerned; the API asks anew.
    """

    session: Session
    standing: Standing
    now: UnixTime
    is_admin: bool = False

    @property
    def actor(self) -> Address:
        return self.session.actor

    @property
    def signer(self) -> Signer:
        """What the caller signs with: a wallet's address, or a passkey."""
        return self.session.signer

    @property
    def purpose(self) -> Purpose:
        return self.session.purpose

    def holds(self, role: Role) -> bool:
        return holds_role(self.standing, role, self.actor, self.now)

    def acts_for(self, patient: PatientKey) -> bool:
        """True for the patient's controller and their guardian, at the head."""
        known = self.standing.head.patient(patient)
        return known is not None and known.capacity_of(self.actor, self.now) is not Capacity.NONE

    def may_read_of(self, patient: PatientKey) -> bool:
        """True for those who act for the patient at the head and finally: what is told cannot be taken back, so a claim
        that a reorganisation may still undo opens nothing (P6), and a move at the head closes at once.
        """
        final = self.standing.final.patient(patient)
        return (
            self.acts_for(patient)
            and final is not None
            and final.capacity_of(self.actor, self.now) is not Capacity.NONE
        )

    def own_patients(self) -> list[PatientKey]:
        """The patients the caller acts for, in a stable order."""
        return sorted(key for key in self.standing.head.patients_of(self.actor) if self.acts_for(key))

    def must_hold(self, role: Role) -> None:
        """Raises 403 unless the caller holds the role."""
        if not self.holds(role):
            raise ProblemError(problem("forbidden"))


async def session_of(request: Request) -> Session:
    """The session of somebody who signed in themselves. Raises 400, 401, or 403 for a program's token, which may do
    nothing here.
    """
    session = await any_session_of(request)
    if not session.reach.api:
        raise ProblemError(problem("insufficient-scope"))
    return session


async def any_session_of(request: Request) -> Session:
    """The session of a request, be it a program's. Raises 400 or 401."""
    wiring = wiring_of(request)
    token = token_of(request.scope["headers"], cookie=True)
    if isinstance(token, Problem):
        raise ProblemError(token)
    if "authorization" not in request.headers and request.method not in _SAFE_METHODS:
        _same_origin(request, wiring)
    session = await wiring.sessions.find(token)
    if session is None:
        raise ProblemError(problem("unauthenticated"))
    return session


async def caller_of(request: Request) -> Caller:
    """The caller of a request. Raises 400, 401, or 503 while the chain's state is not known."""
    session = await session_of(request)
    wiring = wiring_of(request)
    standing, now = known_standing(wiring)
    return Caller(session, standing, now)


def known_standing(wiring: Wiring) -> tuple[Standing, UnixTime]:
    """The standing and the time decisions are made at. Raises 503 ``chain-unavailable``.

    The time is never before the head's: a node's clock may lead ours, and a consent that it has begun is begun.
    """
    standing = wiring.standing()
    if standing is None:
        raise ProblemError(problem("chain-unavailable"))
    return standing, max(wiring.clock(), standing.timestamp)


def standing_for(wiring: Wiring, purpose: Purpose) -> tuple[Standing, UnixTime, int | None]:
    """The same for somebody who breaks the glass, with the age of what is known where it is not fresh: while the chain
    is away, roles hold for some minutes more (DESIGN, decision 3). Raises 503 ``chain-unavailable``.
    """
    snapshot = wiring.snapshot() if purpose is EMERGENCY and wiring.standing() is None else None
    if snapshot is None:
        standing, now = known_standing(wiring)
        return standing, now, None
    standing, age_s = snapshot
    return standing, max(wiring.clock(), standing.timestamp), math.ceil(age_s)


def _same_origin(request: Request, wiring: Wiring) -> None:
    """A cookie is sent by the browser whoever asks: a change must come from our own pages."""
    if request.headers.get("origin") != wiring.place.origin_url:
        raise ProblemError(problem("forbidden"))


SignedIn = Annotated[Caller, Depends(caller_of)]
