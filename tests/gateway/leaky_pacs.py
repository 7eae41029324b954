"""An archive that writes its own names wherever an answer can hold them: hosts, paths and headers, each a canary."""

import json
import re
from io import BytesIO
from random import Random
from typing import Any

from PIL import Image

from app.core.dicom.dicomweb import Level
from tests.gateway.memory_origin import Stored
from tests.pacs.breaking_server import Exchange

HOST = "pacs-canary.hospital.internal"
PATH = "canary-path"
HEADER = "canary-header-value"
CANARIES = (HOST.encode(), PATH.encode(), HEADER.encode())
ROOT = f"https://{HOST}:8443/{PATH}/rs"

# Elements that say where the archive keeps something.
LINKS = ("00081190", "0040E010", "00287FE0", "00404073", "00080408")
_HEADERS = (
    *("Server", "Via", "X-Powered-By", "X-Served-By", "Set-Cookie", "Location", "Content-Location", "Link", "ETag"),
    *("Warning", "Refresh", "Content-Disposition", "Access-Control-Allow-Origin", "Alt-Svc", "X-Canary", "Trailer"),
    *("WWW-Authenticate", "Content-Security-Policy", "Report-To", "SourceMap", "Retry-After", "Last-Modified"),
)
_ERRORS = (301, 302, 304, 400, 401, 403, 404, 406, 409, 410, 429, 500, 502, 503)
_TARGET = re.compile(
    r"(?:/studies/([0-9.]+))?(?:/series/([0-9.]+))?(?:/instances/([0-9.]+))?(?:/(metadata|rendered|frames|bulk))?.*"
)


class LeakyPacs:
    """Answers about ``stored``. ``mood`` says what is wrong with an answer: "" for one that is right."""

    def __init__(self, stored: list[Stored], rng: Random) -> None:
        self.stored = stored
        self.rng = rng
        self.mood = ""
        jpeg = BytesIO()
        Image.new("L", (8, 8), 99).save(jpeg, "JPEG")
        self._picture = jpeg.getvalue()

    async def script(self, exchange: Exchange) -> None:
        """For a breaking_server."""
        while head := await exchange.request():
            target, accept = head.decode().split(" ", 2)[1], head.decode().partition("Accept: ")[2]
            await exchange.send(self.answer(target.removeprefix("/dicom-web"), accept))

    def answer(self, target: str, accept: str) -> bytes:
        path = target.partition("?")[0]
        found = _TARGET.fullmatch(path)
        assert found is not None
        search = re.fullmatch(r"(.*)/(studies|series|instances)", path)
        if search is not None:
            level = {"studies": Level.STUDY, "series": Level.SERIES, "instances": Level.INSTANCE}[search[2]]
            return self._json([self._leaky(row) for row in self._rows(level, search[1])], searched=True)
        if self.mood == "error":
            return self._said(self.rng.choice(_ERRORS), f"text/html; name={HEADER}", self._page())
        files = self._below(*found.groups()[:3])
        if not files:
            return self._said(404, "text/plain", self._page())
        match "rendered" if path.endswith("/rendered") else found[4]:
            case "metadata":
                return self._json([self._leaky(one.metadata()) for one in files], searched=False)
            case "rendered":
                return self._said(200, f"image/jpeg; name={HEADER}", self._picture)
            case "frames" | "bulk":
                parts = [("application/octet-stream", one.pixels()) for one in files[:1]]
            case _ if "octet-stream" in accept:
                parts = [("application/octet-stream", one.pixels()) for one in files]
            case _:
                parts = [("application/dicom", one.part10()) for one in files]
        return self._multipart(parts)

    def _below(self, *uids: str | None) -> list[Stored]:
        def fits(one: Stored) -> bool:
            return all(uid in (None, own) for uid, own in zip(uids, (one.study, one.series, one.instance), strict=True))

        return [one for one in self.stored if fits(one)]

    def _rows(self, level: Level, scope: str) -> list[dict[str, Any]]:
        found = _TARGET.fullmatch(scope)
        assert found is not None
        rows = {}
        for one in self._below(*found.groups()[:3]):
            rows[(one.study, one.series, one.instance)[:level]] = one.row(level)
        return list(rows.values())

    def _leaky(self, dataset: dict[str, Any]) -> dict[str, Any]:
        rng = self.rng
        link = rng.choice(
            (
                f"{ROOT}/studies/1.2.1",
                f"{ROOT}/studies/1.2.1/series/9/instances/{PATH}",
                f"http://{HOST}/wado?requestType=WADO&x={PATH}",
                f"//{HOST}/{PATH}",
                f"/{PATH}/studies/1.2.1/../{PATH}",
                f"../{PATH}/{HOST}",
                f"{ROOT}/studies/1.2.1?token={HEADER}#{HOST}",
                f"urn:{HOST}:{PATH}",
            )
        )
        leaky = dict(dataset)
        if "00080018" in leaky:
            leaky |= {"00280010": {"vr": "US", "Value": [8]}, "00280011": {"vr": "US", "Value": [8]}}
        for tag in LINKS:
            leaky[tag] = {"vr": "UR", "Value": [link]}
        bulk = {"vr": "OB", "BulkDataURI": link}
        leaky["00091002"] = bulk
        leaky["7FE00010"] = {"vr": "OW", "BulkDataURI": link}
        item = {"00081190": {"vr": "UR", "Value": [link, ROOT]}, "00420011": bulk}
        leaky["00081199"] = {"vr": "SQ", "Value": [item, {"00081115": {"vr": "SQ", "Value": [item]}}]}
        if self.mood == "names":  # names that no data set has
            leaky["00204000"] = leaky.get("00204000", {"vr": "LT"}) | {rng.choice(("href", HOST, PATH)): link}
        return leaky

    def _json(self, rows: list[dict[str, Any]], *, searched: bool) -> bytes:
        body = json.dumps(rows).encode()
        if self.mood == "cut" and not searched:
            body = body[: self.rng.randrange(len(body))] + self._page()
        return self._said(200, f"application/dicom+json; origin={HEADER}", body)

    def _multipart(self, parts: list[tuple[str, bytes]]) -> bytes:
        boundary = f"{HEADER}.{PATH}"
        inner = f"X-Canary: {HEADER}\r\nContent-Disposition: attachment; filename={PATH}\r\nContent-ID: <a@{HOST}>\r\n"
        body = self._page().replace(b"\n", b" ") + b"\r\n"
        for kind, content in parts:
            location = f"{ROOT}/studies/1.2.1/{PATH}"
            head = f"--{boundary}\r\nContent-Type: {kind}; name={HEADER}\r\nContent-Location: {location}\r\n{inner}\r\n"
            body += head.encode() + content + b"\r\n"
        if self.mood == "nested":
            body += f"--{boundary}\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nA: {HOST}\r\n".encode()
            body += b"\r\n--x--\r\n"
        if self.mood == "cut":
            body += f"--{boundary}\r\n{HOST}: {PATH}\r\n\r\n".encode()
        else:
            body += f"--{boundary}--\r\nepilogue of {HOST}".encode()
        kind = parts[0][0]
        return self._said(200, f'multipart/related; type="{kind}"; start="<{HOST}>"; boundary="{boundary}"', body)

    def _page(self) -> bytes:
        return f'<a href="{ROOT}">{HEADER}</a>\n{{"errorMessage": "{HOST} {PATH}"}}\n'.encode()

    def _said(self, status: int, content_type: str, body: bytes) -> bytes:
        told = {name: f"{HEADER} {ROOT}" for name in self.rng.sample(_HEADERS, 8) if name != "Warning"}
        lines = [f"HTTP/1.1 {status} {HEADER}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in told.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if status == 304 else body)
