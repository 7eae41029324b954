"""A DICOMweb server that answers as dcm4chee-arc-light does, from recorded shapes: the second PACS of the tests.

Below a base path of its own; 204 for nothing found; a limit of its own with ``Warning: 299``; JSON in chunks; multipart
with ``start``, Content-ID and Content-Location and without Content-Length; 206 where some of the frames asked for are
not there; error bodies in text/plain that name the host. Its own names stand wherever it writes a link.
"""

import http.server
import io
import json
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import numpy as np
from PIL import Image
from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID

from tests.support.dcm4chee_holdings import Holdings, Instance, matches, shown

BASE_PATH = "/dcm4chee-arc/aets/DCM4CHEE/rs"
# What it calls itself in links: another name than the one it is reached by, as behind a proxy.
OWN_URL = f"http://arc.hospital.internal:8080{BASE_PATH}"
MAX_RESULTS = 40
TOKEN = "keycloak-access-token"
_JSON = "application/dicom+json"
_INSTANCE = r"/studies/([0-9.]+)/series/([0-9.]+)/instances/([0-9.]+)"
_RESOURCE = r"/studies/([0-9.]+)(?:/series/([0-9.]+)(?:/instances/([0-9.]+))?)?"
_DATE = "Thu, 29 Feb 2024 10:11:12 GMT"


@dataclass(frozen=True, slots=True)
class Part:
    media_type: str
    data: bytes
    location: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. Several parts make it multipart/related."""

    status: int
    media_type: str = ""
    body: bytes = b""
    parts: tuple[Part, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)


def _error(status: int, text: str) -> Said:
    return Said(status, "text/plain", json.dumps({"errorMessage": f"{text} at {OWN_URL}"}).encode())


class Dcm4chee:
    """The archive behind the server. ``asked``: every request line, in order."""

    def __init__(self) -> None:
        self.holdings = Holdings()
        self.asked: list[str] = []
        self.url = ""
        self._routes: tuple[tuple[re.Pattern[str], Callable[..., Said]], ...] = tuple(
            (re.compile(pattern), answer)
            for pattern, answer in (
                (r"(?:/studies/([0-9.]+))?(?:/series/([0-9.]+))?/(studies|series|instances)", self._search),
                (rf"{_RESOURCE}/metadata", self._metadata),
                (rf"{_INSTANCE}/frames/([0-9,]+)", self._frames),
                (rf"{_INSTANCE}/bulkdata/([0-9A-Fa-f/]+)", self._bulk),
                (rf"{_RESOURCE}(?:/frames/([0-9,]+))?/(rendered|thumbnail)", self._rendered),
                (_RESOURCE, self._dicom),
            )
        )

    def store(self, paths: Sequence[Path]) -> list[Path]:
        """Take files in; those that were taken."""
        return [path for path in paths if self.holdings.store(path)]

    def answer(self, target: str, accept: str) -> Said:
        """The answer to GET. ``target`` as on the wire."""
        self.asked.append(target)
        split = urlsplit(target)
        path = unquote(split.path)
        if not path.startswith(BASE_PATH):
            return _error(404, f"no such application: {path}")
        for pattern, answer in self._routes:
            found = pattern.fullmatch(path.removeprefix(BASE_PATH))
            if found is not None:
                given = tuple(group for group in found.groups() if group is not None)
                try:
                    return answer(given, parse_qsl(split.query, keep_blank_values=True), accept)
                except (RuntimeError, ValueError, AttributeError, NotImplementedError):
                    return _error(500, traceback.format_exc())  # pixels that nothing here decodes
        return _error(404, f"RESTEASY003210: Could not find resource for full path: {OWN_URL}")

    def _search(self, given: tuple[str, ...], query: list[tuple[str, str]], accept: str) -> Said:
        *scope, level = given
        if not re.search(r"json|\*/\*", accept):
            return _error(406, "not acceptable")
        keys = [(_tag(name), value) for name, value in query if name not in _OPTIONS]
        if any(tag is None for tag, _ in keys):
            return _error(400, "unknown attribute")
        named = {tag for tag, _ in keys if tag} | {
            tag for name, value in query if name == "includefield" for one in value.split(",") if (tag := _tag(one))
        }
        options = dict(query)
        rows = [
            row
            for row in self.holdings.rows(level, scope, OWN_URL)
            if all(matches(row, tag, value) for tag, value in keys if tag)
        ]
        offset, limit = int(options.get("offset", 0)), int(options.get("limit", 0))
        left = len(rows) - offset
        headers = {}
        if left > MAX_RESULTS and (limit == 0 or limit > MAX_RESULTS):
            limit = MAX_RESULTS
            headers["Warning"] = f'299 {OWN_URL} "There are {left - limit} additional results that can be requested"'
        rows = rows[offset:][: limit or None]
        if not rows:
            return Said(204)
        include_all = ("includefield", "all") in query
        found = [shown(row, level, len(scope), named, include_all=include_all) for row in rows]
        return Said(200, _JSON, json.dumps(found).encode(), headers=headers)

    def _metadata(self, given: tuple[str, ...], _query: object, accept: str) -> Said:
        found = self.holdings.below(*given)
        if not found:
            return _error(404, "No matches found.")
        if not re.search(r"json|\*/\*", accept):
            return _error(406, "not acceptable")
        return Said(200, _JSON, json.dumps([one.metadata(OWN_URL) for one in found]).encode())

    def _dicom(self, given: tuple[str, ...], _query: object, accept: str) -> Said:
        found = self.holdings.below(*given)
        if not found:
            return _error(404, "No matches found.")
        if "application/octet-stream" in accept and "multipart/related" in accept:
            parts = [Part("application/octet-stream", _pixels(one), OWN_URL + one.below) for one in found]
            return Said(200, parts=tuple(parts))
        if "multipart/related" not in accept or "application/dicom" not in accept:
            return _error(406, "not acceptable")
        files = [(one.dataset.file_meta.TransferSyntaxUID, one.path.read_bytes()) for one in found]
        return Said(200, parts=tuple(Part(f"application/dicom;transfer-syntax={uid}", data) for uid, data in files))

    def _frames(self, given: tuple[str, ...], _query: object, accept: str) -> Said:
        found = self.holdings.below(*given[:3])
        if not found:
            return _error(404, "No matches found.")
        (one,) = found
        if "multipart/related" not in accept:
            return _error(406, "not acceptable")
        wanted = [int(number) for number in given[3].split(",")]
        there = [number for number in wanted if number <= _frame_count(one)]
        if not there:
            return _error(404, "Frame length is zero.")
        pixels = _pixels(one)
        size = len(pixels) // _frame_count(one)
        parts = [
            Part(
                "application/octet-stream",
                pixels[(number - 1) * size : number * size],
                f"{OWN_URL}{one.below}/frames/{number}",
            )
            for number in there
        ]
        return Said(200 if there == wanted else 206, parts=tuple(parts))

    def _bulk(self, given: tuple[str, ...], _query: object, accept: str) -> Said:
        found = self.holdings.below(*given[:3])
        place = given[3].split("/")
        if not found or len(place) % 2 == 0:
            return _error(404, "No matches found.")
        element = found[0].element(place)
        if element is None or not isinstance(element.value, bytes):
            return _error(404, f"no bulk data {place}")
        if "multipart/related" not in accept:
            return _error(406, "not acceptable")
        location = f"{OWN_URL}{found[0].below}/bulkdata/{given[3]}"
        return Said(200, parts=(Part("application/octet-stream", element.value, location),))

    def _rendered(self, given: tuple[str, ...], query: list[tuple[str, str]], accept: str) -> Said:
        *uids, what = given
        frames = [int(number) for number in uids[3].split(",")] if len(uids) > 3 else []
        found = self.holdings.below(*uids[:3])
        if not found:
            return _error(404, "No matches found.")
        kind = next((kind for kind in ("jpeg", "gif", "png") if f"image/{kind}" in accept or "*/*" in accept), None)
        if kind is None or (what == "rendered" and len(found) > 1):
            return _error(406, "Not accepted instances present.")
        one = next((one for one in found if "PixelData" in one.dataset), None)
        if one is None or (frames and frames[0] > _frame_count(one)):
            return _error(404, "No matches found.")
        size = dict(query).get("viewport", "64,64" if what == "thumbnail" else "")
        return Said(200, f"image/{kind}", _picture(one, frames[0] if frames else 1, size, kind))


_OPTIONS = frozenset({"includefield", "limit", "offset", "fuzzymatching", "orderby"})


def _tag(name: str) -> str | None:
    last = name.rpartition(".")[2]
    if re.fullmatch(r"[0-9A-Fa-f]{8}", last):
        return last.upper()
    found = tag_for_keyword(last)
    return None if found is None else f"{found:08X}"


def _frame_count(one: Instance) -> int:
    return int(one.dataset.get("NumberOfFrames") or 1)


def _pixels(one: Instance) -> bytes:
    """The pixel data, decompressed: it has no other octets to give."""
    dataset = one.dataset
    if "PixelData" not in dataset:
        return b""
    if UID(dataset.file_meta.TransferSyntaxUID).is_encapsulated:
        return np.ascontiguousarray(dataset.pixel_array).tobytes()
    data: bytes = dataset.PixelData
    return data


def _picture(one: Instance, frame: int, size: str, kind: str) -> bytes:
    array = one.dataset.pixel_array
    if _frame_count(one) > 1:
        array = array[frame - 1]
    array = array.astype("float64")
    span = float(array.max() - array.min()) or 1.0
    shades = ((array - array.min()) * 255 / span).astype("uint8")
    image = Image.fromarray(shades).convert("RGB" if array.ndim == 3 else "L")
    if size:
        columns, rows = (int(float(number)) for number in size.split(",")[:2])
        image.thumbnail((columns, rows))
    out = io.BytesIO()
    image.save(out, kind.upper())
    return out.getvalue()


def multipart(parts: Sequence[Part]) -> tuple[str, bytes]:
    """(content type, body) in RESTEasy's writing: a bare boundary, a start, no blanks where others put them."""
    boundary = str(uuid.uuid4())
    ids = [f"<{uuid.uuid4()}@resteasy-multipart>" for _ in parts]
    body = bytearray()
    for part, content_id in zip(parts, ids, strict=True):
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        head = f"--{boundary}\r\nContent-Type: {part.media_type}\r\n{location}Content-ID: {content_id}\r\n\r\n"
        body += head.encode() + part.data + b"\r\n"
    body += f"--{boundary}--".encode()
    kind = parts[0].media_type.partition(";")[0]
    return f'multipart/related;start="{ids[0]}";type="{kind}";boundary={boundary}', bytes(body)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "WildFly/26"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        archive: Dcm4chee = self.server.archive  # type: ignore[attr-defined]
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            said = Said(401, headers={"WWW-Authenticate": 'Bearer realm="dcm4che", auth-server-url="http://keycloak"'})
        else:
            said = archive.answer(self.path, self.headers["Accept"] or "*/*")
        with suppress(ConnectionError):  # who asked may leave
            self._send(said)

    def _send(self, said: Said) -> None:
        media_type, body = (said.media_type, said.body) if not said.parts else multipart(said.parts)
        self.send_response(said.status)
        headers = {"X-Powered-By": "Undertow/1", "Last-Modified": _DATE, "ETag": '"-1"', "Cache-Control": "no-cache"}
        for name, value in (headers | said.headers).items():
            self.send_header(name, value)
        if media_type:
            self.send_header("Content-Type", media_type)
        if said.status == 204:
            self.end_headers()
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in _pieces(body):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that it has there
        """Say nothing."""


def _pieces(body: bytes) -> Iterator[bytes]:
    for at in range(0, len(body), 8000):
        yield body[at : at + 8000]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # Not the library's 5: a connection that finds the queue full is only tried again after seconds, up to a minute
    request_queue_size = 128


@contextmanager
def running_dcm4chee() -> Iterator[Dcm4chee]:
    """Serves on a free loopback port, in threads. Ask with ``Authorization: Bearer TOKEN``."""
    archive = Dcm4chee()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.archive = archive  # type: ignore[attr-defined]
    archive.url = f"http://127.0.0.1:{server.server_port}{BASE_PATH}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
