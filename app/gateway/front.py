"""Which application answers: the DICOMweb data path, or everything else. Judged on the raw path, before decoding."""

from starlette.types import ASGIApp, Receive, Scope, Send

MOUNT = b"/dicom-web"
WADO = b"/wado"


class Front:
    """The outermost ASGI application. A DICOMweb request passes no middleware and no router.

    ``dicomweb`` sees ``scope["raw_path"]`` whole, mount point included.
    """

    def __init__(self, dicomweb: ASGIApp, rest: ASGIApp) -> None:
        self._dicomweb = dicomweb
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _of_images(scope["raw_path"]):
            await self._dicomweb(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


def _of_images(raw_path: bytes) -> bool:
    if raw_path.startswith(MOUNT):
        return len(raw_path) == len(MOUNT) or raw_path[len(MOUNT)] == 0x2F
    return raw_path == WADO
