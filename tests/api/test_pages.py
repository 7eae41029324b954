"""The pages: nothing from elsewhere, nothing inline, in nobody's frame, and whatever they are given shown as text."""

import re
from pathlib import Path

import pytest
import requests

from app.api.application import create_application
from app.portal.pages import add_pages
from app.portal.visitor import local_path
from tests.api.in_process import InProcess, asked
from tests.support.live import Live


@pytest.mark.parametrize("path", ["/", "/signin", "/signin?next=/viewer", "/contact"])
def test_a_page_says_where_it_is_and_loads_nothing_from_elsewhere(live: Live, path: str) -> None:
    answer = requests.get(live.url + path, timeout=30)
    assert answer.status_code == 200
    assert live.document["gateway_url"] in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script>|<style|style=|\son[a-z]+=", answer.text)
    links = re.findall(r'(?:href|src)="([^"]*)"', answer.text)
    assert links
    for link in links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in answer.text
            continue
        assert link.startswith("/"), "a page loads nothing from elsewhere"
        assert requests.get(live.url + link, timeout=30).status_code == 200


async def test_what_a_page_is_given_is_shown_as_text(api: InProcess, tmp_path: Path) -> None:
    application = create_application(api.wiring)
    add_pages(application, "https://x/<script>alert(1)</script>", tmp_path)
    for path in ("/", "/signin", "/contact"):
        text = (await asked(application, "GET", path)).text
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
    settings = (await asked(application, "GET", "/viewer/settings.js")).text
    assert "</script>" not in settings
    marked = (await asked(application, "GET", '/signin?next=/"><b>')).text
    assert "<b>" not in marked


@pytest.mark.parametrize("path", ["/", "/viewer", "/viewer/viewer?StudyInstanceUIDs=1.2,3&x=%2F", "/a#b"])
def test_a_path_of_this_host_is_kept(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "viewer",
        "//x",
        "/\\x",
        "https://x",
        "javascript:1",
        "/a\\b",
        "/a b",
        "/a\nb",
        "/\tx",
        "/ü",
        "/" + "a" * 5000,
    ],
)
def test_anything_else_leads_to_the_start(path: str) -> None:
    assert local_path(path) == "/"


def test_only_parts_of_pages_are_static(live: Live) -> None:
    for name in ("../pages.py", "%2e%2e/pages.py", "nothing.js", ""):
        assert requests.get(f"{live.url}/static/{name}", timeout=30).status_code == 404
