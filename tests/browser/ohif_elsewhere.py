"""OHIF as published, on an origin of its own, with the settings of docs/VIEWERS.md."""

import json
import mimetypes
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.needs import PROJECT

_VIEWER = PROJECT / "viewer"
_MOUNT = "/viewer"


def settings_of_the_page() -> str:
    """The block of docs/VIEWERS.md for a stand-alone OHIF."""
    page = (PROJECT / "docs" / "VIEWERS.md").read_text(encoding="utf-8")
    section = page.split("## OHIF, of your own on another origin\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```js\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return str(block)


@contextmanager
def served(gateway: str) -> Iterator[str]:
    """The origin that serves it, on an address that is another site than localhost."""
    manifest = json.loads((_VIEWER / "manifest.json").read_text())
    base = f"{_MOUNT}/{manifest['build']}/"
    settings = f"""
      window.PUBLIC_URL = {json.dumps(base)};
      window.browserImportFunction = (name) => import(name.startsWith("/") ? {json.dumps(base)} + name.slice(1) : name);
      window.config = {{ routerBasename: {json.dumps(_MOUNT)}, extensions: [], modes: [], customizationService: {{}},
        showStudyList: true, investigationalUseDialog: {{ option: "never" }} }};
      {settings_of_the_page().replace("http://localhost:8080", gateway)}
    """
    page = f"""<!doctype html><html><head><meta charset="utf-8"><link rel="icon" href="data:,">
      <link rel="stylesheet" href="{base}{manifest["style"]}"><script src="/app-config.js"></script>
      <script src="{base}{manifest["script"]}" defer></script></head>
      <body><div id="react-portal"></div><div id="root"></div></body></html>"""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/app-config.js":
                self._answer("text/javascript", settings.encode())
            elif path.startswith(base):
                file = _VIEWER / "files" / Path(path.removeprefix(base)).name
                self._answer(mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes())
            else:
                self._answer("text/html", page.encode())

        def _answer(self, media_type: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
