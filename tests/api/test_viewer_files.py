"""/viewer over HTTP: who is let to the page, what a file's answer says, and that no path leads outside. The viewer here
is a few made-up files; the real one is opened by tests/browser.
"""

import gzip
import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from app.api.application import create_application
from app.core.consent.terms import Purpose
from app.core.identifiers import Signer, UnixTime
from app.portal.pages import add_pages
from tests.api.in_process import PHYSICIAN, Answer, InProcess, asked

ORIGIN = "https://consentry.test"
_LEADING_ASTRAY = (
    "/viewer/1-a/unlisted.js",
    "/viewer/1-a/app.js.gz",
    "/viewer/1-a/../manifest.json",
    "/viewer/1-a/..%2fmanifest.json",
    "/viewer/1-a/%2e%2e/manifest.json",
    "/viewer/1-a//app.js",
    "/viewer/1-a/assets",
    "/viewer/1-a/%00app.js",
    "/viewer/1-a/..%5cmanifest.json",
    "/viewer/0-old/app.js",
    "/viewer/manifest.json",
)
SCRIPT = b"console.log('viewer');" * 50


def write_viewer(folder: Path, build: str = "1-a", **manifest: object) -> None:
    files = {"app.js": SCRIPT, "assets/icon.png": b"\x89PNG", "app.css": b"body{}", "codec.wasm": b"\0asm"}
    listed = {}
    for name, content in files.items():
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        squeezed = not name.endswith(".png")
        if squeezed:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
        listed[name] = {"sha256": name.encode().hex().ljust(64, "0"), "gzip": squeezed}
    (folder / "files" / "unlisted.js").write_text("secret")
    entry = {"script": "app.js", "style": "app.css", "icon": "assets/icon.png"}
    document = {"format": 1, "build": build, **entry, "files": listed, **manifest}
    (folder / "manifest.json").write_text(json.dumps(document))


class Portal:
    """The portal over a fresh store; ``folder`` is where the viewer is looked for."""

    def __init__(self, api: InProcess, folder: Path) -> None:
        self.api = api
        self.folder = folder
        self.application = create_application(api.wiring)
        add_pages(self.application, ORIGIN, folder)

    async def get(self, path: str, *, signed_in: bool = False, method: str = "GET", **headers: str) -> Answer:
        sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        if signed_in:
            token, _ = await self.api.wiring.sessions.create(
                Signer(PHYSICIAN), Purpose.TREAT, UnixTime(self.api.now + 600)
            )
            sent.append((b"cookie", f"__Host-consentry={token}".encode()))
        return await asked(self.application, method, path, sent)


@pytest.fixture
def portal(api: InProcess, tmp_path: Path) -> Portal:
    return Portal(api, tmp_path / "viewer")


async def test_the_page_wants_a_session(portal: Portal) -> None:
    write_viewer(portal.folder)
    for path in ("/viewer", "/viewer/", "/viewer/viewer?StudyInstanceUIDs=1.2"):
        answer = await portal.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/signin?next=%2Fviewer")
        signed_in = await portal.get(path, signed_in=True)
        assert signed_in.status_code == 200
        assert '<script src="/viewer/1-a/app.js" defer>' in signed_in.text
        assert signed_in.headers["cache-control"] == "private, no-store"


async def test_the_viewers_query_is_its_own_business(portal: Portal) -> None:
    write_viewer(portal.folder)
    studies = "StudyInstanceUIDs=1.2&StudyInstanceUIDs=1.3"
    for path in ("/viewer", "/viewer/viewer"):
        assert (await portal.get(f"{path}?{studies}", signed_in=True)).status_code == 200
    sent = await portal.get(f"/viewer/viewer?{studies}")
    assert (sent.status_code, sent.headers["location"]) == (
        303,
        "/signin?" + urlencode({"next": f"/viewer/viewer?{studies}"}),
    )
    for path in ("/signin", "/viewerx", "/api/viewer"):
        assert (await portal.get(f"{path}?{studies}", signed_in=True)).status_code == 400, path


async def test_a_navigation_from_another_site_is_made_again_from_here(portal: Portal) -> None:
    answer = await portal.get("/viewer/viewer?a=1&b=%22", sec_fetch_site="cross-site")
    assert answer.status_code == 200
    assert 'content="0; url=/viewer/viewer?a=1&amp;b=%22"' in answer.text


async def test_without_the_viewer_a_page_says_how_to_get_it(portal: Portal) -> None:
    answer = await portal.get("/viewer", signed_in=True)
    assert answer.status_code == 404
    assert "make viewer" in answer.text
    write_viewer(portal.folder, format=99)
    assert "make viewer" in (await portal.get("/viewer", signed_in=True)).text
    write_viewer(portal.folder)
    assert (await portal.get("/viewer", signed_in=True)).status_code == 200, "found without a restart"


async def test_the_policy_keeps_everything_else_out(portal: Portal) -> None:
    write_viewer(portal.folder)
    answer = await portal.get("/viewer", signed_in=True)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == policy["worker-src"] == "'self'"
    assert "'unsafe-inline'" not in policy["script-src"]
    allowed = {word for words in policy.values() for word in words.split()}
    assert allowed <= {"'none'", "'self'", "'unsafe-eval'", "'unsafe-inline'", "blob:", "data:"}, "no other origin"
    worker = (await portal.get("/viewer/1-a/app.js")).headers["content-security-policy"]
    assert "connect-src 'self'" in worker
    assert "default-src 'none'" in worker


async def test_a_file_is_kept_for_ever_and_compressed_for_who_takes_it(portal: Portal) -> None:
    write_viewer(portal.folder)
    plain = await portal.get("/viewer/1-a/app.js")
    assert (plain.status_code, plain.body) == (200, SCRIPT)
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in plain.headers["cache-control"]
    assert plain.headers["vary"] == "Accept-Encoding"
    assert plain.headers["cross-origin-resource-policy"] == "same-origin"
    squeezed = await portal.get("/viewer/1-a/app.js", accept_encoding="br;q=1, gzip;q=0.8")
    assert squeezed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(squeezed.body) == SCRIPT
    assert "content-encoding" not in (await portal.get("/viewer/1-a/app.js", accept_encoding="gzip;q=0, br")).headers
    assert "content-encoding" not in (await portal.get("/viewer/1-a/assets/icon.png", accept_encoding="gzip")).headers
    head = await portal.get("/viewer/1-a/app.js", method="HEAD")
    assert (head.status_code, head.body, head.headers["content-length"]) == (200, b"", str(len(SCRIPT)))


async def test_each_coding_has_a_tag_of_its_own(portal: Portal) -> None:
    write_viewer(portal.folder)
    path = "/viewer/1-a/app.js"
    plain, squeezed = [(await portal.get(path, accept_encoding=coding)).headers["etag"] for coding in ("br", "gzip")]
    assert plain != squeezed
    for coding, tag, other in (("br", plain, squeezed), ("gzip", squeezed, plain)):
        had = await portal.get(path, accept_encoding=coding, if_none_match=tag)
        assert (had.status_code, had.headers["etag"], had.headers["vary"]) == (304, tag, "Accept-Encoding")
        assert (await portal.get(path, accept_encoding=coding, if_none_match=other)).status_code == 200
        # A part of one is never followed by a part of the other
        whole = await portal.get(path, accept_encoding=coding, range="bytes=9-", if_range=other)
        assert (whole.status_code, whole.headers["etag"]) == (200, tag)


async def test_whoever_may_read_a_page_may_ask_about_it(portal: Portal) -> None:
    write_viewer(portal.folder)
    for path in ("/about", "/signin", "/static/signin.js", "/viewer", "/viewer/", "/viewer/settings.js"):
        read = await portal.get(path, signed_in=True)
        head = await portal.get(path, signed_in=True, method="HEAD")
        assert (read.status_code, head.status_code) == (200, 200), path
        assert head.headers == read.headers, path
        refused = await portal.get(path, signed_in=True, method="DELETE")
        assert refused.status_code == 405
        assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}, path
    assert (await portal.get("/viewer", method="HEAD")).status_code == 303
    assert (await portal.get("/signout")).headers["allow"] == "POST"


async def test_what_a_browser_has_is_not_sent_again(portal: Portal) -> None:
    write_viewer(portal.folder)
    for path in ("/viewer/1-a/app.js", "/viewer/settings.js"):
        etag = (await portal.get(path)).headers["etag"]
        for told in (etag, f'"other", W/{etag}', "*"):
            answer = await portal.get(path, if_none_match=told)
            assert (answer.status_code, answer.body, answer.headers["etag"]) == (304, b"", etag)
        assert (await portal.get(path, if_none_match='"other"')).status_code == 200


async def test_media_types(portal: Portal) -> None:
    write_viewer(portal.folder)
    for name, media_type in (
        ("app.css", "text/css; charset=utf-8"),
        ("codec.wasm", "application/wasm"),
        ("assets/icon.png", "image/png"),
    ):
        assert (await portal.get(f"/viewer/1-a/{name}")).headers["content-type"] == media_type


async def test_only_what_is_listed_is_served(portal: Portal) -> None:
    write_viewer(portal.folder)
    for path in _LEADING_ASTRAY:
        answer = await portal.get(path, signed_in=True)
        assert answer.status_code == 404, path
        assert b"secret" not in answer.body
        assert answer.headers["content-type"] == "application/problem+json"


async def test_another_build_takes_the_place_of_the_first(portal: Portal) -> None:
    write_viewer(portal.folder)
    assert (await portal.get("/viewer/1-a/app.js")).status_code == 200
    write_viewer(portal.folder, build="2-b")
    assert (await portal.get("/viewer/2-b/app.js")).status_code == 200
    assert (await portal.get("/viewer/1-a/app.js")).status_code == 404


async def test_the_settings_name_this_gateway(portal: Portal) -> None:
    settings = (await portal.get("/viewer/settings.js")).text
    assert f'const home = "{ORIGIN}"' in settings


# --- Signing out ---------------------------------------------------------------------------------------------------


async def test_only_our_own_page_signs_out(portal: Portal) -> None:
    for headers in ({"origin": "https://elsewhere.test"}, {"origin": "null"}, {}):
        assert (await portal.get("/signout", method="POST", signed_in=True, **headers)).status_code == 403


async def test_signing_out_takes_the_cookie_away(portal: Portal) -> None:
    answer = await portal.get("/signout", method="POST", signed_in=True, origin=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert answer.headers["set-cookie"].startswith('__Host-consentry=""')
