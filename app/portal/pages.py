"""The pages people open in a browser. For now one: what this is, whether it serves, and where programs connect."""

import html
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.responses import FileResponse

_STATIC = Path(__file__).parent / "static"

# Nothing from elsewhere, nothing inline, in nobody's frame.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Consentry</title>
<link rel="stylesheet" href="/static/consentry.css">
</head>
<body>
<main>
<h1>Consentry</h1>
<p>This gateway stands in front of a picture archive. It shows an image only to somebody whom the patient let in,
and writes every look down where the patient can check it.</p>
<dl>
<dt>Viewers and programs connect to</dt>
<dd><code>{origin}/dicom-web</code></dd>
<dt>They sign in with a wallet</dt>
<dd><code>consentry token --gateway {origin}</code></dd>
<dt>Is it ready?</dt>
<dd><a href="/readyz">readiness</a>, <a href="/metrics">metrics</a></dd>
<dt>For developers</dt>
<dd><a href="/openapi.json">the JSON API</a></dd>
</dl>
</main>
</body>
</html>
"""


def pages(origin_url: str) -> APIRouter:
    """The routes of the pages. ``origin_url``: scheme and host as people reach this gateway."""
    router = APIRouter(include_in_schema=False)
    page = _PAGE.format(origin=html.escape(origin_url))

    @router.get("/")
    async def start() -> HTMLResponse:
        return HTMLResponse(page, headers=HEADERS)

    @router.get("/static/consentry.css")
    async def style() -> FileResponse:
        return FileResponse(_STATIC / "consentry.css", media_type="text/css", headers=HEADERS)

    return router
