"""Who may open the physician's pages, and what all of them show."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from app.api.caller import Caller
from app.api.oauth.programs import may_make
from app.core.consent.emergencies import PURPOSE
from app.core.consent.terms import Role
from app.core.http.problem import ProblemError, problem
from app.portal.templating import page
from app.portal.visitor import Reader


async def staff_of(caller: Reader) -> Caller:
    """Raises 403 for whoever holds neither role."""
    if not is_staff(caller):
        raise ProblemError(problem("forbidden"))
    return caller


async def maker_of(caller: Reader) -> Caller:
    """Raises 403 for whoever may make no token for a program: uploaders may, and no other page here is theirs."""
    if not may_make(caller):
        raise ProblemError(problem("forbidden"))
    return caller


Staff = Annotated[Caller, Depends(staff_of)]
TokenMaker = Annotated[Caller, Depends(maker_of)]


def is_staff(caller: Caller) -> bool:
    """Whether they look at images, with consent or in an emergency."""
    return caller.holds(Role.PHYSICIAN) or caller.holds(Role.EMERGENCY)


def staff_page(request: Request, caller: Caller, template: str, **values: object) -> HTMLResponse:
    """A page of the section. It says so while the session is one for emergency treatment."""
    in_emergency = caller.purpose is PURPOSE
    return page(request, f"physician/{template}", status=200, policy=None, emergency=in_emergency, **values)
