"""A PACS that holds one study and gets its answers wrong on demand, telling about its patient as it does."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pydicom

from tests.support.differential import Held

FAULTS = (
    *("none", "failure", "redirect", "refused", "garbage", "wrong patient", "not DICOM", "cut", "no length"),
    *("wrong type", "bad framing", "silence"),
)


@dataclass(slots=True)
class FaultyPacs:
    """``fault``: one of FAULTS, of the next answers. ``seen``: the credentials that came."""

    file: Held
    fault: str = "none"
    port: int = 0
    seen: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/dicom-web"

    def row(self) -> bytes:
        dataset = pydicom.dcmread(self.file.path, stop_before_pixels=True)
        rows = dataset.to_json_dict()
        rows |= {"00201206": {"vr": "IS", "Value": [1]}, "00201208": {"vr": "IS", "Value": [1]}}
        return json.dumps([rows]).encode()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type, body."""
        dicom = self.file.path.read_bytes()
        if self.fault == "wrong patient":
            dicom = dicom.replace(self.file.subject.patient_id.encode(), b"X" * len(self.file.subject.patient_id))
        name = self.file.path.read_bytes()[200:400]
        told = json.dumps({"error": f"patient {self.file.subject.patient_id} of {self.file.study}"}).encode()
        if self.fault == "failure":
            return 500, "application/json", told
        if self.fault == "refused":
            return 403, "application/json", told
        if self.fault == "garbage":
            return 200, "application/dicom+json", b"[" + told + name
        part = told if self.fault == "not DICOM" else dicom
        if path.endswith("/metadata"):
            return 200, "application/dicom+json", self.row() if self.fault == "none" else b"[" + told
        content_type = (
            "text/html" if self.fault == "wrong type" else 'multipart/related; type="application/dicom"; boundary=b'
        )
        return 200, content_type, b"--b\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n--b--\r\n"


@contextmanager
def faulty_pacs(file: Held) -> Iterator[FaultyPacs]:
    """Serves until the block ends. Searches are answered well unless the fault is ``failure`` or ``garbage``."""
    pacs = FaultyPacs(file)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            pacs.seen.add(self.headers.get("Authorization", ""))
            path = self.path.partition("?")[0]
            search = path.endswith(("/studies", "/series", "/instances"))
            if search and pacs.fault not in {"failure", "garbage", "refused"}:
                empty = "offset=0" not in self.path and "offset=" in self.path
                self._send(200, "application/dicom+json", b"[]" if empty else pacs.row())
            elif pacs.fault == "redirect":
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{pacs.port}/{pacs.file.subject.patient_id}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif pacs.fault == "bad framing":
                self.wfile.write(b"HTTP/1.1 200 " + pacs.file.subject.patient_id.encode() + b"\nno colon here\n\n")
                self.close_connection = True
            elif pacs.fault == "silence":
                self.close_connection = True
            else:
                self._send(*pacs.answer(path))

        def _send(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            if pacs.fault != "no length":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if pacs.fault == "cut" else body)
            self.close_connection = pacs.fault in {"cut", "no length"}

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature is the library's
            """Nothing: the test's output is not a log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        pacs.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield pacs
        finally:
            server.shutdown()
            thread.join()
