"""How a page becomes bytes: Jinja2 templates that escape whatever they are given, under one strict policy."""

from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

# Nothing from elsewhere, nothing inline, in nobody's frame. Wallets bring their icons as data: addresses.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
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

# RFC 9110 §9.1: what can be had can be asked about.
READ = ["GET", "HEAD"]

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: object) -> str:
    """The template's text with every value escaped. Raises jinja2.UndefinedError for a value that is not given."""
    return _TEMPLATES.get_template(template).render(values)


def page(template: str, *, status: int = 200, policy: str = PAGE_POLICY, **values: object) -> HTMLResponse:
    """A page of the portal. It may say who is signed in, so nobody keeps it."""
    headers = {**GUARDING, "Content-Security-Policy": policy, "Cache-Control": "private, no-store", "Vary": "Cookie"}
    return HTMLResponse(render(template, **values), status, headers)
