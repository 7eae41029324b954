"""OHIF at ``/viewer``, for somebody who is signed in. Each build has an address of its own, so that browsers keep its
files.
"""

import hashlib
import re
from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from app.portal.templating import GUARDING, READ, page
from app.portal.viewer_files import ViewerFile, ViewerFolder
from app.portal.visitor import session_of, without_session

MOUNT = "/viewer"
# As tight as OHIF 3.13 runs with; each grant that a page of ours would not have is explained in docs/adr/0019.
VIEWER_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; object-src 'self' blob:; "
    "frame-src blob:; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# A worker has the policy of its own script, not that of the page that starts it.
WORKER_POLICY = "default-src 'none'; script-src 'self' 'unsafe-eval'; connect-src 'self'"
_FOR_EVER = "public, max-age=31536000, immutable"


def viewer(settings: bytes, folder: ViewerFolder) -> APIRouter:
    """The routes below ``/viewer``. ``settings``: the script that OHIF is configured by."""
    router = APIRouter(include_in_schema=False)
    settings_tag = hashlib.sha256(settings).hexdigest()[:32]

    @router.api_route(MOUNT + "/settings.js", methods=READ)
    async def viewer_settings(request: Request) -> Response:
        if _has(request, settings_tag):
            return _not_modified(settings_tag, "no-cache")
        headers = {**GUARDING, "Cache-Control": "no-cache", "ETag": f'"{settings_tag}"'}
        return Response(settings, 200, headers, "text/javascript")

    @router.api_route(MOUNT + "/{path:path}", methods=READ)
    async def part(request: Request, path: str) -> Response:
        build = folder.build()
        if build is not None and path.startswith(build.name + "/"):
            file = build.files.get(path.removeprefix(build.name + "/"))
            if file is None:
                raise HTTPException(404)
            return _file(request, file)
        # A file of a build that is gone, or no page's address: pages of the viewer have no dot in their last part.
        if "." in path.rpartition("/")[2]:
            raise HTTPException(404)
        return await viewer_page(request)

    @router.api_route(MOUNT, methods=READ)
    async def viewer_page(request: Request) -> Response:
        if await session_of(request) is None:
            return without_session(request)
        build = folder.build()
        if build is None:
            return page(request, "viewer_missing.html", status=404)
        base = f"{MOUNT}/{build.name}/"
        return page(
            request,
            "viewer.html",
            policy=VIEWER_POLICY,
            settings=f"{MOUNT}/settings.js",
            base=base,
            script=base + build.script,
            style=base + build.style,
            icon=base + build.icon,
        )

    return router


def _file(request: Request, file: ViewerFile) -> Response:
    path, etag, headers = file.path, file.etag, {"Vary": "Accept-Encoding"}
    if file.compressed is not None and _takes_gzip(request):
        # Other bytes, another tag (RFC 9110 §8.8.3.3): whoever has a part of one must not go on with the other
        path, etag = file.compressed, f"{file.etag}-gzip"
        headers["Content-Encoding"] = "gzip"
    if _has(request, etag):
        return _not_modified(etag, _FOR_EVER, {"Vary": "Accept-Encoding"})
    headers |= {**GUARDING, "Cache-Control": _FOR_EVER, "ETag": f'"{etag}"'}
    if file.media_type.startswith("text/javascript"):
        headers["Content-Security-Policy"] = WORKER_POLICY
    return FileResponse(path, headers=headers, media_type=file.media_type)


def _has(request: Request, etag: str) -> bool:
    """RFC 9110 §13.1.2, with weak comparison."""
    told = request.headers.get("if-none-match", "")
    return etag in re.findall(r'(?:W/)?"([^"]*)"', told) or told.strip() == "*"


def _not_modified(etag: str, cache: str, more: Mapping[str, str] | None = None) -> Response:
    headers = {**GUARDING, "Cache-Control": cache, "ETag": f'"{etag}"', **(more or {})}
    return Response(status_code=304, headers=headers)


def _takes_gzip(request: Request) -> bool:
    """RFC 9110 §12.5.3: named, and not with a weight of nothing."""
    for coding in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in {"gzip", "*"}:
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
    return False
