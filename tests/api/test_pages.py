"""The pages: nothing from elsewhere, nothing inline, in nobody's frame, and hostile addresses shown as text."""

import re
from typing import Any

import requests

from app.portal.pages import pages
from tests.support.live import Live


def test_the_start_page_says_where_to_connect(live: Live) -> None:
    answer = requests.get(live.url + "/", timeout=30)
    assert answer.status_code == 200
    assert live.document["gateway_url"] + "/dicom-web" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script|<style|style=|\son[a-z]+=|src=", answer.text)
    links = re.findall(r'href="([^"]*)"', answer.text)
    assert links
    for link in links:
        assert link.startswith("/"), "a page loads nothing from elsewhere"
        assert requests.get(live.url + link, timeout=30).status_code == 200


async def test_an_address_is_shown_as_text() -> None:
    start: Any = pages("https://x/<script>alert(1)</script>").routes[0]
    text = (await start.endpoint()).body.decode()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
