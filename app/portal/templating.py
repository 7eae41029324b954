"""How a page becomes bytes: Jinja2 templates that escape whatever they are given, in one language, under one strict
policy.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup, escape

from app.core.consent.basis import ADDRESS_BYTES
from app.core.signing.words import LAST_DATE
from app.portal.language import Language
from app.portal.navigation import Section, current
from app.portal.site import HERE, Site, language_of, site_of

# Nothing from elsewhere, nothing inline, in nobody's frame. Wallets bring their icons as data: addresses.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{connect}; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# What holds for everything a browser is given, pages and their parts.
GUARDING = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not no-referrer: with it a browser sends `Origin: null` even to ourselves, and a form would look foreign
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}

# How templates are read, here and (as Babel's method for Jinja2 takes it) by whoever collects their texts.
_SYNTAX: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "extensions": ["jinja2.ext.i18n"]}
EXTRACTION = {
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "trimmed": "true",
    "newstyle_gettext": "true",
    "silent": "false",
}

# RFC 9110 §9.1: what can be had can be asked about.
READ = ["GET", "HEAD"]


def environment(language: Language, sections: Sequence[Section]) -> Environment:
    """The templates of the portal and, as ``<section>/<name>``, those of its sections, in one language."""
    made = Environment(
        **_SYNTAX,
        loader=ChoiceLoader(
            [
                FileSystemLoader(HERE / "templates"),
                PrefixLoader({one.name: FileSystemLoader(one.folder / "templates") for one in sections}),
            ]
        ),
        autoescape=True,
        undefined=StrictUndefined,
    )
    # newstyle: values are put in, and escaped, after translation
    made.install_gettext_translations(language.translations, newstyle=True)  # type: ignore[attr-defined]
    made.policies["ext.i18n.trimmed"] = True

    def moment(at: int) -> Markup:
        """A time (Unix seconds) in UTC, which scripts then say in the reader's own time."""
        if at > LAST_DATE:
            return escape(language.moment(at))
        return Markup('<time datetime="{}" data-at="{}">{}</time>').format(_iso(at), at, language.moment(at))

    def day(value: date) -> str:
        return language.day(value)

    # Of texts that are given to a template; `_` takes what stands in it, and would not escape what is given
    made.filters.update(said=language.say, moment=moment, day=day, number=language.number, listed=language.listed)
    made.globals["language"] = language
    return made


def policy_for(browser_rpc_url: str) -> str:
    """The pages' policy, with the one other place that a page's scripts may ask: a node of the chain; "" for none."""
    parts = urlsplit(browser_rpc_url)
    return PAGE_POLICY.format(connect=f" {parts.scheme}://{parts.netloc}" if browser_rpc_url else "")


def page(
    request: Request, template: str, *, status: int = 200, policy: str | None = None, **values: object
) -> HTMLResponse:
    """A page of the portal. It may say who is signed in, so nobody keeps it.

    ``policy``: another one than the pages' own. Raises jinja2.UndefinedError for a value that is not given.
    """
    text = render(request, template, **values)
    headers = {
        **GUARDING,
        "Content-Security-Policy": PAGE_POLICY.format(connect="") if policy is None else policy,
        "Cache-Control": "private, no-store",
        "Vary": "Cookie, Accept-Language",
    }
    return HTMLResponse(text, status, headers)


def render(request: Request, template: str, **values: object) -> str:
    """The template's text for this request's reader, every value escaped."""
    site, language = site_of(request), language_of(request)
    return (
        site.templates[language.tag]
        .get_template(template)
        .render(_frame(request, site, language) | {"own_scripts": (), **values})
    )


def _frame(request: Request, site: Site, language: Language) -> dict[str, object]:
    """What the frame around every page needs."""
    path = request.scope["path"]
    caller = getattr(request.state, "caller", None)
    session = getattr(request.state, "session", None)
    sections = [one for one in site.sections if caller is not None and one.is_for(caller)]
    section = next((one for one in sections if one.holds(path)), None)

    def scripts(*names: str) -> Markup:
        """The tags that load the scripts, and what they say, as data."""
        tags = [Markup('<script type="module" src="{}"></script>').format(site.parts.address(one)) for one in names]
        return Markup("\n").join([_data("script-words", site.script_words.said(names, language)), *tags])

    return {
        "site": site,
        "languages": list(site.languages.by_tag.values()),
        "account": "" if session is None else short_address(session.actor),
        # How the session's account signs: branches on it stand in static/sign.js alone
        "signer": "wallet" if session is None or len(session.signer) == ADDRESS_BYTES else "passkey",
        # What the pages of a section hand on to each other in their addresses
        "carried": "",
        "own_signer": "" if session is None else f"0x{session.signer.hex()}",
        "actor": "" if session is None else f"0x{session.actor.hex()}",
        "sections": sections,
        "section": section,
        "caller": caller,
        "entry": None if section is None else current(section, path),
        "here": path + (f"?{query}" if (query := request.scope["query_string"].decode("latin-1")) else ""),
        "asset": site.parts.address,
        "scripts": scripts,
    }


def _data(name: str, value: object) -> Markup:
    """Data for scripts: not run by browsers, and so allowed by the policy."""
    return Markup('<script type="application/json" id="{}">{}</script>').format(name, htmlsafe_json_dumps(value))


def short_address(actor: bytes) -> str:
    """An account, short enough to be compared by eye."""
    digits = actor.hex()
    return f"0x{digits[:6]}…{digits[-4:]}"


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
