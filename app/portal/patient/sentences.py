"""Consents and accesses in the reader's own language, from the same terms that the signed words say in English."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from app.portal.language import Language
from app.portal.navigation import N_

PURPOSES: Mapping[str, str] = {
    "TREAT": N_("treatment"),
    "ETREAT": N_("emergency treatment"),
    "HPAYMT": N_("payment for care"),
    "HOPERAT": N_("running the hospital"),
    "HRESCH": N_("research"),
    "PATRQT": N_("a request of the patient"),
    "FAMRQT": N_("a request of the family"),
    "PWATRNY": N_("a request under a power of attorney"),
    "PUBHLTH": N_("public health"),
    "COC": N_("coordination of care"),
    "CAREMGT": N_("management of care"),
    "HQUALIMP": N_("improving the quality of care"),
}
_DEEDS: Mapping[str, str] = {
    "search": N_("find"),
    "view": N_("view"),
    "retrieve": N_("download"),
    "share": N_("share on"),
}
# What is asked for; finding goes with the rest.
ASKED: Mapping[str, str] = {action: deed for action, deed in _DEEDS.items() if action != "search"}
# What was done, in the past: who looked.
ACTIONS: Mapping[str, str] = {
    "search": N_("searched"),
    "view": N_("viewed"),
    "retrieve": N_("downloaded"),
    "share": N_("shared on"),
    "stored": N_("stored images"),
}
# Days that a grant is offered for, and how people say them.
SPANS = (
    (1, N_("one day")),
    (7, N_("one week")),
    (30, N_("30 days")),
    (90, N_("90 days")),
    (365, N_("one year")),
    (1825, N_("five years")),
)
STATUS: Mapping[str, tuple[str, str]] = {
    "submitted": (N_("on its way to the chain"), "warn"),
    "mined": (N_("on the chain, not final yet"), "warn"),
    "active": (N_("in force"), "good"),
    "revoked": (N_("taken back"), "off"),
    "expired": (N_("over"), "off"),
    "failed": (N_("did not come to be"), "bad"),
}


def consent_sentence(language: Language, consent: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """Who may do what with which images, and for what. ``consent`` is as the API shows it; ``titles``: UID → what the
    study is called.
    """
    deeds = [deed for action, deed in _DEEDS.items() if action in consent["actions"]]
    if len(deeds) > 1 and deeds[0] == _DEEDS["search"]:
        deeds = deeds[1:]  # whoever may view may find
    permits = consent["effect"] == "permit"
    values = {
        "who": who(language, consent),
        "deeds": language.listed([language.say(deed) for deed in deeds], "and" if permits else "or"),
        "what": _what(language, consent["scope"], titles),
        "why": language.listed([language.say(PURPOSES[code]) for code in consent["purposes"]], "or"),
    }
    said = (
        language.say("%(who)s may %(deeds)s %(what)s, for %(why)s.", **values)
        if permits
        else language.say("%(who)s may not %(deeds)s %(what)s, for %(why)s. This wins over anything allowed.", **values)
    )
    return said[:1].upper() + said[1:]


def who(language: Language, consent: Mapping[str, Any]) -> str:
    """The grantee by name; by the account where the directory knows none."""
    name, grantee = consent["grantee_name"], str(consent["grantee"])
    team = len(grantee) == 66
    if name is None:
        if team:
            return language.say("a care team that the directory does not know")
        return language.say("an account that the directory does not know (%(account)s)", account=grantee)
    return language.say("the care team %(name)s", name=name) if team else str(name)


def span_text(language: Language, days: int) -> str:
    """How long, as people say it."""
    named = dict(SPANS).get(days)
    return language.count("%(number)s day", "%(number)s days", days) if named is None else language.say(named)


def _what(language: Language, scope: str | Mapping[str, Any], titles: Mapping[str, str]) -> str:
    if isinstance(scope, str):  # "all"
        return language.say("all images, also those still to be made")
    between = _between(language, scope.get("from_date"), scope.get("to_date"))
    studies: Sequence[str] = scope.get("studies", ())
    if not studies:
        return language.say("all images %(between)s", between=between)
    named = language.listed([titles.get(uid, uid) for uid in studies])
    one = language.count(
        "the images of one study: %(named)s", "the images of %(number)s studies: %(named)s", len(studies), named=named
    )
    return f"{one} ({between})" if between else one


def _between(language: Language, first: str | None, last: str | None) -> str:
    days = {name: language.day(date.fromisoformat(text)) for name, text in (("first", first), ("last", last)) if text}
    if first and last:
        return language.say("dated from %(first)s to %(last)s", **days)
    if first:
        return language.say("dated %(first)s or later", **days)
    return language.say("dated %(last)s or earlier", **days) if last else ""
