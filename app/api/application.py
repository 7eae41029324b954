"""The FastAPI application: sign-in and the JSON API. Every error leaves it as an ``app.core.http.problem``."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.api import (
    access_requests,
    accesses,
    care_teams,
    consents,
    contact,
    directory,
    emergencies,
    emergency_reviews,
    enrolments,
    erasures,
    explain,
    guardians,
    health,
    identities,
    invitations,
    passkeys,
    patients,
    recoveries,
    roles,
    signin,
    verifications,
)
from app.api.envelope import Envelope, answer
from app.api.oauth import answering as oauth
from app.api.oauth import programs
from app.api.reports.typesetting import TypesettingError
from app.api.wiring import Wiring
from app.chain.rpc import RpcError
from app.core.http.problem import Problem, ProblemError, problem
from app.pacs.origin import OriginInvalidError, OriginTimeoutError, OriginUnavailableError
from app.store.engine import ConflictError, StoreUnavailableError

_MODULES = (
    signin,
    passkeys,
    invitations,
    consents,
    care_teams,
    roles,
    directory,
    enrolments,
    patients,
    guardians,
    recoveries,
    erasures,
    access_requests,
    emergencies,
    emergency_reviews,
    accesses,
    contact,
    explain,
    verifications,
    health,
    identities,
    oauth,
    programs,
)
_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 400: "invalid-request", 413: "payload-too-large"}
# What a failure of ours is to the caller; a subclass that is not named here is what its parent is.
_MEANINGS: Mapping[type[Exception], str] = {
    RequestValidationError: "invalid-parameter",
    RpcError: "chain-unavailable",
    StoreUnavailableError: "log-unavailable",
    TypesettingError: "report-unavailable",
    ConflictError: "conflict",
    OriginTimeoutError: "upstream-timeout",
    OriginUnavailableError: "upstream-unavailable",
    OriginInvalidError: "upstream-invalid",
}


def create_application(wiring: Wiring) -> FastAPI:
    """The application over ``wiring``. It serves no page that loads anything from elsewhere."""
    application = FastAPI(
        title="Consentry",
        description="Sign-in, consents, enrolments and the access log. DICOMweb is under /dicom-web.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    application.state.wiring = wiring
    application.state.probes = health.Probes(wiring)
    application.state.verifications = set()
    application.state.reading_turn = asyncio.Semaphore(1)
    for module in _MODULES:
        application.include_router(module.router)
    application.add_exception_handler(ProblemError, _problem)
    application.add_exception_handler(HTTPException, _http)
    for kind in _MEANINGS:
        application.add_exception_handler(kind, _meaning)
    application.add_middleware(Envelope)
    return application


async def _problem(_request: Request, error: Any) -> Response:  # noqa: ANN401 - Starlette's handler type
    return answer(error.problem)


async def _http(request: Request, error: Any) -> Response:  # noqa: ANN401
    found = problem(_BY_STATUS.get(error.status_code, "internal"))
    if error.status_code == 405:
        # A page has one route; of the API's, Starlette names the methods of the first alone
        found = found.with_header("Allow", _allowed(request.scope["path"]) or error.headers["Allow"])
    return answer(found)


async def _meaning(_request: Request, error: Any) -> Response:  # noqa: ANN401
    found = problem_of(error)
    if found is None:
        raise error
    return answer(found)


def problem_of(error: Exception) -> Problem | None:
    """What the error is to the caller; None for one that nobody foresaw."""
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, HTTPException):
        return problem(_BY_STATUS.get(error.status_code, "internal"))
    names = (_MEANINGS[kind] for kind in type(error).__mro__ if kind in _MEANINGS)
    return next((problem(name) for name in names), None)


def _allowed(path: str) -> str:
    """Every method that some route of the API serves at the path."""
    routes = [route for module in _MODULES for route in module.router.routes if isinstance(route, APIRoute)]
    return ", ".join(
        sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})
    )
