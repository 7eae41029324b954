"""The FastAPI application: sign-in and the JSON API. Every error leaves it as a problem of ``app.core.problem``."""

import logging
import traceback
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.api import access_requests, accesses, consents, enrolments, explain, health, signin
from app.api.wiring import Wiring
from app.chain.rpc import RpcError
from app.core.problem import MEDIA_TYPE, Problem, ProblemError, problem
from app.pacs.origin import OriginInvalidError, OriginTimeoutError, OriginUnavailableError
from app.store.engine import StoreUnavailableError

_LOG = logging.getLogger(__name__)
_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 400: "invalid-request", 413: "payload-too-large"}


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
    for module in (signin, consents, enrolments, access_requests, accesses, explain, health):
        application.include_router(module.router)
    application.add_exception_handler(ProblemError, _problem)
    application.add_exception_handler(HTTPException, _http)
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(RpcError, _chain)
    application.add_exception_handler(StoreUnavailableError, _store)
    application.add_exception_handler(OriginTimeoutError, _origin_slow)
    application.add_exception_handler(OriginUnavailableError, _origin)
    application.add_exception_handler(OriginInvalidError, _origin_invalid)
    application.add_exception_handler(Exception, _unexpected)
    return application


def answer(what: Problem) -> Response:
    """A problem as a response."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **dict(what.headers)}
    return Response(what.body(), what.status, headers, MEDIA_TYPE)


async def _problem(_request: Request, error: Any) -> Response:  # noqa: ANN401 - Starlette's handler type
    return answer(error.problem)


async def _http(_request: Request, error: Any) -> Response:  # noqa: ANN401
    found = problem(_BY_STATUS.get(error.status_code, "internal"))
    for name, value in (error.headers or {}).items():
        if name.lower() == "allow":
            found = found.with_header("Allow", value)
    return answer(found)


async def _invalid(_request: Request, _error: Any) -> Response:  # noqa: ANN401
    return answer(problem("invalid-parameter"))


async def _chain(_request: Request, _error: Any) -> Response:  # noqa: ANN401
    return answer(problem("chain-unavailable"))


async def _store(_request: Request, _error: Any) -> Response:  # noqa: ANN401
    return answer(problem("log-unavailable"))


async def _origin(_request: Request, _error: Any) -> Response:  # noqa: ANN401
    return answer(problem("upstream-unavailable"))


async def _origin_slow(_request: Request, _error: Any) -> Response:  # noqa: ANN401
    return answer(problem("upstream-timeout"))


async def _origin_invalid(_request: Request, _error: Any) -> Response:  # noqa: ANN401
    return answer(problem("upstream-invalid"))


async def _unexpected(request: Request, error: Any) -> Response:  # noqa: ANN401
    # An exception's text may quote what it choked on; where it happened is enough to find it.
    where = traceback.extract_tb(error.__traceback__)[-1]
    route = getattr(request.scope.get("route"), "path", "?")
    _LOG.error("%s in %s line %s while answering %s", type(error).__name__, where.name, where.lineno, route)
    return answer(problem("internal"))
