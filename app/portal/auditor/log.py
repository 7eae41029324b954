"""The whole log, searched: who looked at whom, for what, on which basis, and each entry checked by the browser."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query, Request
from fastapi.responses import Response

from app.api.hexadecimal import address, checksum, identifier, to_hex, word
from app.api.wiring import Wiring, wiring_of
from app.api.wording import grantee_name
from app.core.consent.basis import GUARDIAN, SELF, UPLOADER, person
from app.core.consent.terms import Action, Deed, Modification, Purpose, Role
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import AccessRecordId, Address, PatientKey, UnixTime
from app.portal.navigation import N_
from app.portal.page_route import page_router
from app.portal.patient.sentences import ACTIONS, PURPOSES
from app.portal.site import language_of, site_of
from app.portal.templating import READ, page, policy_for
from app.portal.visitor import Reader
from app.store.accesses import Access, AccessFilter, Page

router = page_router()

_PAGE = 50
_DEEDS: dict[str, frozenset[Deed]] = {
    "search": frozenset({Action.SEARCH}),
    "view": frozenset({Action.VIEW}),
    "retrieve": frozenset({Action.RETRIEVE}),
    "stored": frozenset({Modification.STORE}),
}
_BASES = {SELF: N_("the patient's own"), GUARDIAN: N_("as guardian"), UPLOADER: N_("the role of an uploader")}
_Cursor = Annotated[int | None, Query(ge=0, lt=1 << 63)]


@dataclass(frozen=True, slots=True)
class Asked:
    """The search as it stands in the address; "" for what is not asked for."""

    who: str = ""
    patient: str = ""
    record: str = ""
    action: str = ""
    purpose: str = ""
    since: str = ""
    until: str = ""

    @property
    def any(self) -> bool:
        return any(getattr(self, name) for name in self.__slots__)

    def query(self, **more: object) -> str:
        """The address's query for the same search."""
        fields = {name: getattr(self, name) for name in self.__slots__} | more
        return "?" + urlencode({name: value for name, value in fields.items() if value})


@router.api_route("/auditor", methods=READ)
async def log(request: Request, caller: Reader, asked: Annotated[Asked, Depends()], cursor: _Cursor = None) -> Response:
    caller.must_hold(Role.AUDITOR)
    wiring, site = wiring_of(request), site_of(request)
    found = await _found(wiring, asked, cursor)
    actors = {one.actor for one in found.accesses}
    names = {actor: await grantee_name(wiring, caller.standing, person(actor)) for actor in actors}
    people = await wiring.directory.all(caller.standing.head.directory)
    return page(
        request,
        "auditor/log.html",
        policy=policy_for(site.browser_rpc_url),
        entries=[_entry(request, one, names[one.actor]) for one in found.accesses],
        more=None if found.cursor is None else asked.query(cursor=found.cursor),
        asked=asked,
        people=sorted(((checksum(one.address), one.name) for one in people), key=lambda pair: pair[1].casefold()),
        actions=[(name, ACTIONS[name]) for name in _DEEDS],
        purposes=list(PURPOSES.items()),
        contract=checksum(wiring.deployment.address("AccessLog")),
        chain_id=wiring.place.chain_id,
        rpc=site.browser_rpc_url,
    )


async def _found(wiring: Wiring, asked: Asked, cursor: int | None) -> Page:
    """Raises 400 for what is no search."""
    if asked.record:
        identity = identifier(asked.record)
        access = None if identity is None else await wiring.accesses.find(AccessRecordId(identity))
        return Page([] if access is None else [access], None)
    patient = word(asked.patient) if asked.patient else None
    if asked.patient and patient is None:
        raise ProblemError(problem("invalid-parameter"))
    key = None if patient is None else PatientKey(patient)
    return await wiring.accesses.matching(key, _filter(asked), _PAGE, cursor)


def _filter(asked: Asked) -> AccessFilter:
    actor: Address | None = address(asked.who) if asked.who else None
    try:
        since = _moment(date.fromisoformat(asked.since)) if asked.since else None
        until = _moment(date.fromisoformat(asked.until) + timedelta(days=1)) if asked.until else None
    except (ValueError, OverflowError):
        raise ProblemError(problem("invalid-parameter")) from None
    known = (not asked.who or actor is not None) and (not asked.action or asked.action in _DEEDS)
    if not known or (asked.purpose and asked.purpose not in Purpose.__members__):
        raise ProblemError(problem("invalid-parameter"))
    purpose = Purpose[asked.purpose] if asked.purpose else None
    return AccessFilter(actor=actor, deeds=_DEEDS.get(asked.action), since=since, until=until, purpose=purpose)


def _moment(day: date) -> UnixTime:
    return UnixTime(int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()))


def _entry(request: Request, access: Access, name: str | None) -> dict[str, Any]:
    """One access, and what the browser compares the proof to. The patient stays a key: an audit needs no name."""
    language = language_of(request)
    deed = "stored" if isinstance(access.action, Modification) else str(access.action.name).lower()
    own = _BASES.get(access.basis)
    if own is not None:
        basis = language.say(own)
    elif access.purpose is Purpose.ETREAT:
        basis = language.say("emergency or consent %(id)s", id=to_hex(access.basis)[:10] + "…")
    else:
        basis = language.say("consent %(id)s", id=to_hex(access.basis)[:10] + "…")
    on_chain, outcome = access.on_chain, access.outcome
    return {
        "id": access.record_id.hex(),
        "at": access.at,
        "who": name or checksum(access.actor),
        "actor": checksum(access.actor),
        "patient": to_hex(access.patient),
        "study": access.study or "",
        "action": deed,
        "deed": language.say(ACTIONS[deed]),
        "purpose": access.purpose.name,
        "why": language.say(PURPOSES[access.purpose.name]),
        "basis": basis,
        "emergency": access.purpose is Purpose.ETREAT,
        "seq": None if on_chain is None else on_chain.seq,
        "status": None if outcome is None else outcome.status,
        "complete": outcome is not None and outcome.complete,
        "forgotten": not access.body,
    }
