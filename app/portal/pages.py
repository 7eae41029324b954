"""The portal: every page that people open in a browser, and what pages are made of."""

from dataclasses import replace
from functools import cache
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.portal.claim import router as claim
from app.portal.join import router as join
from app.portal.language import SOURCE, Languages
from app.portal.recover import router as recover
from app.portal.script_words import ScriptWords
from app.portal.sections import SECTIONS
from app.portal.site import HERE, Site, site_of
from app.portal.start import router as start
from app.portal.static_parts import MOUNT, read_parts
from app.portal.templating import GUARDING, READ, environment
from app.portal.viewer import viewer
from app.portal.viewer_files import ViewerFolder

_FOR_EVER = "public, max-age=31536000, immutable"


def add_pages(application: FastAPI, origin_url: str, viewer_dir: Path, browser_rpc_url: str = "") -> None:
    """Adds the portal to the API's application.

    ``origin_url``: scheme and host as people reach this gateway. ``viewer_dir``: what ``make viewer`` fills.
    ``browser_rpc_url``: a node of the chain as browsers reach it, "" for none.
    """
    application.state.site = replace(_written(), origin_url=origin_url, browser_rpc_url=browser_rpc_url)
    application.include_router(start)
    application.include_router(claim)
    application.include_router(recover)
    application.include_router(join)
    application.add_api_route(MOUNT + "/{path:path}", _part, methods=READ, include_in_schema=False)
    for section in SECTIONS:
        application.include_router(section.router)
    settings = application.state.site.templates[SOURCE].get_template("viewer-settings.js").render(origin=origin_url)
    application.include_router(viewer(settings.encode(), ViewerFolder(viewer_dir)))


@cache
def _written() -> Site:
    """The site as our own files say it, nowhere yet: read once, whatever number of applications a process makes."""
    parts = read_parts({"": HERE / "static", **{f"{one.name}/": one.folder / "static" for one in SECTIONS}})
    languages = Languages([HERE, *(one.folder for one in SECTIONS)])
    return Site(
        origin_url="",
        browser_rpc_url="",
        # What has no page yet is nobody's section
        sections=tuple(one for one in SECTIONS if one.entries),
        parts=parts,
        languages=languages,
        script_words=ScriptWords(parts),
        templates={tag: environment(language, SECTIONS) for tag, language in languages.by_tag.items()},
    )


async def _part(request: Request, path: str) -> Response:
    part, of_this_build = site_of(request).parts.find(path)
    if part is None:
        raise HTTPException(404)
    # During an upgrade a page of one gateway asks another: it gets what there is, and does not keep it
    cache = _FOR_EVER if of_this_build else "no-cache"
    headers = {
        **GUARDING,
        "Content-Security-Policy": "default-src 'none'",
        "Cache-Control": cache,
        "ETag": f'"{part.etag}"',
    }
    if f'"{part.etag}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(part.content, 200, headers, part.media_type)
