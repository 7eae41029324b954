"""Who looked: every access, filtered as the reader likes, by week, and ready to be checked by their own browser."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from app.api.hexadecimal import address, checksum
from app.api.wiring import wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import GUARDIAN, SELF, person
from app.core.consent.terms import Action, Deed, Modification
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, StudyUid, UnixTime
from app.portal.page_route import page_router
from app.portal.patient.acting import Acting, ActingFor
from app.portal.patient.frame import record_page, titles_of
from app.portal.patient.sentences import ACTIONS, PURPOSES
from app.portal.patient.weeks import weeks_of
from app.portal.site import language_of, site_of
from app.portal.templating import READ, policy_for
from app.store.accesses import Access, AccessFilter

router = page_router()

_PAGE = 25
_LONGEST_UID = 64
# Who looked but the reader, whose own previews may be most of it.
_OTHERS = "others"
_DEEDS: dict[str, frozenset[Deed]] = {
    "search": frozenset({Action.SEARCH}),
    "view": frozenset({Action.VIEW}),
    "retrieve": frozenset({Action.RETRIEVE}),
    "stored": frozenset({Modification.STORE}),
}
_Cursor = Annotated[int | None, Query(ge=0, lt=1 << 63)]


@dataclass(frozen=True, slots=True)
class Asked:
    """The filter as it stands in the address; "" for what is not asked for."""

    who: str = ""
    study: str = ""
    action: str = ""
    since: str = ""
    until: str = ""

    @property
    def any(self) -> bool:
        return any((self.who, self.study, self.action, self.since, self.until))

    def query(self, carried: str, **more: object) -> str:
        """The address's query for the same filter. ``carried``: what the record's links carry."""
        fields = {name: getattr(self, name) for name in self.__slots__} | more
        parts = [carried.removeprefix("?"), urlencode({name: value for name, value in fields.items() if value})]
        return "?" + "&".join(part for part in parts if part)


@router.api_route("/patient/accesses", methods=READ)
async def who_looked(
    request: Request,
    acting: ActingFor,
    asked: Annotated[Asked, Depends()],
    cursor: _Cursor = None,
) -> Response:
    wiring, site = wiring_of(request), site_of(request)
    wanted = _filter(asked, acting.caller.actor)
    if not acting.caller.may_read_of(acting.patient.key):
        raise ProblemError(problem("forbidden"))
    found = await wiring.accesses.matching(acting.patient.key, wanted, _PAGE, cursor)
    weeks = await wiring.accesses.by_week(acting.patient.key, wanted)
    titles = titles_of(request, acting)
    names = {
        actor: await _name(request, acting, actor) for actor in await wiring.accesses.actors_of(acting.patient.key)
    }
    return record_page(
        request,
        acting,
        "accesses.html",
        policy=policy_for(site.browser_rpc_url),
        entries=[_entry(request, one, titles, names) for one in found.accesses],
        more=None if found.cursor is None else asked.query(acting.carried, cursor=found.cursor),
        first=cursor is None,
        asked=asked,
        people=sorted(((checksum(actor), name) for actor, name in names.items()), key=lambda pair: pair[1].casefold()),
        titles=titles,
        actions=[(name, ACTIONS[name]) for name in _DEEDS],
        chart=weeks_of(weeks, acting.caller.now, language_of(request)),
        contract=checksum(wiring.deployment.address("AccessLog")),
        chain_id=wiring.place.chain_id,
        rpc=site.browser_rpc_url,
    )


def _filter(asked: Asked, reader: Address) -> AccessFilter:
    """Raises 400 for what is no filter."""
    others = asked.who == _OTHERS
    actor = address(asked.who) if asked.who and not others else None
    try:
        since = _moment(date.fromisoformat(asked.since)) if asked.since else None
        until = _moment(date.fromisoformat(asked.until) + timedelta(days=1)) if asked.until else None
    except (ValueError, OverflowError):
        raise ProblemError(problem("invalid-parameter")) from None
    known = (not asked.who or others or actor is not None) and (not asked.action or asked.action in _DEEDS)
    if not known or len(asked.study) > _LONGEST_UID:
        raise ProblemError(problem("invalid-parameter"))
    return AccessFilter(
        actor=actor,
        besides=reader if others else None,
        study=StudyUid(asked.study) if asked.study else None,
        deeds=_DEEDS.get(asked.action),
        since=since,
        until=until,
    )


def _moment(day: date) -> UnixTime:
    return UnixTime(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))


async def _name(request: Request, acting: Acting, actor: Address) -> str:
    if actor == acting.caller.actor:
        return language_of(request).say("you")
    if actor == acting.patient.actor:
        return language_of(request).say("the patient")
    known = await grantee_name(wiring_of(request), acting.caller.standing, person(actor))
    return known or checksum(actor)


def _entry(request: Request, access: Access, titles: dict[str, str], names: dict[Address, str]) -> dict[str, Any]:
    """One access in words, and with what the browser compares the proof to."""
    language = language_of(request)
    deed = "stored" if isinstance(access.action, Modification) else str(access.action.name).lower()
    outcome = access.outcome
    return {
        "id": access.record_id.hex(),
        "at": access.at,
        "who": names.get(access.actor, checksum(access.actor)),
        "actor": checksum(access.actor),
        "study": access.study or "",
        "what": language.say("all images") if access.study is None else titles.get(access.study, access.study),
        "deed": language.say(ACTIONS[deed]),
        "action": deed,
        "purpose": access.purpose.name,
        "why": language.say(PURPOSES[access.purpose.name]),
        "basis": _basis(access),
        "emergency": access.purpose.name == "ETREAT",
        "ended": outcome is not None and outcome.complete,
        "on_chain": access.on_chain is not None,
        "forgotten": not access.body,
    }


def _basis(access: Access) -> str:
    if access.basis == SELF:
        return "self"
    return "guardian" if access.basis == GUARDIAN else "consent"
