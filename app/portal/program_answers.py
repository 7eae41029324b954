"""What the pages about programs have in common: the question that is put to a person, and what they are told."""

from collections.abc import Mapping

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.api.oauth.asking import bounded
from app.core.http.credentials import SESSION_COOKIE
from app.core.http.problem import ProblemError, problem
from app.core.oauth.form import parameters
from app.core.oauth.redirects import origin_of
from app.portal.asked_programs import AskedProgram
from app.portal.navigation import N_
from app.portal.patient.sentences import PURPOSES
from app.portal.site import language_of
from app.portal.templating import PAGE_POLICY, page

ALLOW, DENY = "allow", "deny"
_NO_STORE = {"Cache-Control": "private, no-store"}


async def answer_of(request: Request, issuer: str) -> Mapping[str, str]:
    """The form that a person sent. Raises 403 for a form of another page: a cookie is sent whoever asks."""
    if request.headers.get("origin") != issuer:
        raise ProblemError(problem("forbidden"))
    return parameters(await bounded(request)) or {}


def is_allowed(given: Mapping[str, str]) -> bool:
    """Whether the person said yes. Raises 422 where they said neither yes nor no."""
    if given.get("answer") not in {ALLOW, DENY}:
        raise ProblemError(problem("invalid-request"))
    return given["answer"] == ALLOW


def question(request: Request, wanted: AskedProgram, action: str) -> Response:
    """The page that asks. ``action``: where its answer goes."""
    policy, origin = PAGE_POLICY.format(connect=""), origin_of(wanted.redirect_uri) if wanted.redirect_uri else ""
    if origin:
        # A browser follows a form's redirection only where the policy lets the form go. It has no word for [::1]
        goal = "http:" if "[" in origin else origin
        policy = policy.replace("form-action 'self'", f"form-action 'self' {goal}")
    return page(
        request,
        "program.html",
        policy=policy,
        name=wanted.client.name,
        client_id=wanted.client.client_id,
        origin=origin,
        code=wanted.code,
        abilities=wanted.abilities,
        withheld=wanted.withheld,
        purpose=PURPOSES[wanted.purpose.name],
        purpose_code=wanted.purpose.name,
        action=action,
    )


def said(  # noqa: PLR0913 - a page is made of as much
    request: Request,
    heading: str,
    text: str,
    *,
    name: str = "",
    status: int = 200,
    form: str = "",
    answer: str = "",
    button: str = "",
) -> Response:
    """A page with one thing to say, and one to do at the most. The texts are marked, not translated; ``name`` stands
    for ``%(name)s`` in ``text``.
    """
    language = language_of(request)
    return page(
        request,
        "program_said.html",
        status=status,
        heading=heading,
        told=language.say(text, name=name) if name else language.say(text),
        form=form,
        answer=answer,
        button=button,
        # What was asked wrongly is not said again, not even where the language is chosen
        **({"here": "/"} if status >= 400 else {}),
    )


def not_asked(request: Request) -> Response:
    """For a request that is not right, of a program that may be anybody's: nobody is sent anywhere."""
    text = N_(
        "The program that sent you here is not registered, or did not ask as it should, so nothing was allowed and you "
        "are not sent back. Whoever looks after it can compare its settings with those of this gateway."
    )
    return said(request, N_("This program cannot sign in here"), text, status=400)


def signed_out(request: Request) -> Response:
    return said(request, N_("You are signed out"), N_("Nothing that you let in can act for you any more."))


def address_of(request: Request) -> str:
    """Path and query as they were asked for."""
    query = request.scope["query_string"].decode("latin-1")
    return f"{request.scope['path']}?{query}" if query else str(request.scope["path"])


def led_to(where: str, *, leaving: bool = False) -> Response:
    """A GET of another page of ours. ``leaving``: without the session's cookie."""
    answer = RedirectResponse(where, 303, _NO_STORE)
    if leaving:
        answer.delete_cookie(SESSION_COOKIE, path="/", secure=True, httponly=True, samesite="strict")
    return answer
