"""What every page is made with, put together once when the gateway starts."""

from dataclasses import dataclass
from pathlib import Path

from fastapi import Request
from jinja2 import Environment

from app.portal.language import LANGUAGE_COOKIE, Language, Languages
from app.portal.navigation import Section
from app.portal.script_words import ScriptWords
from app.portal.static_parts import StaticParts

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Site:
    """``origin_url``: scheme and host as people reach this gateway. ``browser_rpc_url``: where their browsers ask a
    node of the chain, "" where they cannot. ``templates``: language tag → templates in that language.
    """

    origin_url: str
    browser_rpc_url: str
    sections: tuple[Section, ...]
    parts: StaticParts
    languages: Languages
    script_words: ScriptWords
    templates: dict[str, Environment]


def site_of(request: Request) -> Site:
    """The site that this request is for."""
    site: Site = request.app.state.site
    return site


def language_of(request: Request) -> Language:
    """The language of the answer to this request."""
    return site_of(request).languages.choose(
        request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", "")
    )
