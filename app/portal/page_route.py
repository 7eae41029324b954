"""Routes whose answers are pages: what goes wrong is a page too, in words, with the status it would have as a
problem.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from app.api.application import problem_of
from app.api.envelope import report
from app.core.http.problem import Problem, problem
from app.portal.navigation import N_
from app.portal.templating import page
from app.portal.visitor import NotSignedInError, without_session

# Problem → what happened, and what to do. Whatever is not here is the last one.
_WORDS = {
    "not-found": (N_("There is nothing here"), N_("The page may have moved, or it is not yours to see.")),
    "forbidden": (
        N_("This is not yours to do"),
        N_("It needs a role or a record that this account does not hold. Is it the right account?"),
    ),
    "chain-unavailable": (
        N_("The chain cannot be read just now"),
        N_(
            "Consents and roles are kept on a chain. While this gateway does not know its newest state it lets nobody "
            "in, so that nothing is shown that was taken back. It tries again by itself: please load this page again "
            "in a minute."
        ),
    ),
    "log-unavailable": (
        N_("The gateway's own store cannot be used just now"),
        N_("Nothing is shown that could not be written down. Please load this page again in a minute."),
    ),
    "upstream-unavailable": (
        N_("The picture archive does not answer"),
        N_("Your consents are safe and hold as they are. Please load this page again in a minute."),
    ),
    "upstream-timeout": (
        N_("The picture archive takes too long"),
        N_("Your consents are safe and hold as they are. Please load this page again in a minute."),
    ),
    "conflict": (
        N_("This was decided already"),
        N_("Perhaps in another tab, or by somebody who acts for the same record. Begin again from the start."),
    ),
    "too-many-requests": (N_("That was a little too often"), N_("Please wait a minute, then try again.")),
    "invalid-parameter": (
        N_("This address cannot be understood"),
        N_("Something is missing in it, or does not belong there. Please begin again from the start."),
    ),
}
_OTHERWISE = (
    N_("Something went wrong here"),
    N_("It is not your fault, and nothing was changed. Please try again; if it stays, tell whoever runs this gateway."),
)


class PageRoute(APIRoute):
    """A route of a page. Nothing that it raises becomes JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except NotSignedInError:
                return without_session(request)
            except ClientDisconnect:
                raise  # nobody is there to read a page
            except Exception as error:  # noqa: BLE001 - whatever it is, a person reads a page
                found = problem_of(error)
                if found is None:
                    report(error, request.scope)
                return problem_page(request, found or problem("internal"))

        return answered


def page_router() -> APIRouter:
    """A router for pages, which are no part of the API's description."""
    return APIRouter(include_in_schema=False, route_class=PageRoute)


def problem_page(request: Request, found: Problem) -> Response:
    """What went wrong, as a person would say it."""
    title, text = _WORDS.get(found.name, _OTHERWISE)
    answer = page(request, "problem.html", status=found.status, title=title, text=text)
    for name, value in found.headers:
        answer.headers[name] = value
    return answer
