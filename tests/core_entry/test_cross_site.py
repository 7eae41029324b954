"""Whether the portal's cookie counts, by what the browser says of who made it ask (ADR 16)."""

import pytest

from app.core.http.cross_site import asked_by_own_page

OWN, OTHER = "https://gateway.example", "https://evil.example"
# (what the browser says of who asks, whether the cookie counts)
ASKED = [
    ([("Sec-Fetch-Site", "same-origin")], True),
    ([("Sec-Fetch-Site", "none")], True),
    ([("Sec-Fetch-Site", "same-site")], False),
    ([("Sec-Fetch-Site", "cross-site")], False),
    ([("Sec-Fetch-Site", "")], False),
    ([("Sec-Fetch-Site", "Same-Origin")], False),
    ([("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "same-origin")], False),
    ([("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-origin")], False),
    ([("Origin", OWN)], True),
    ([("Origin", OWN), ("Sec-Fetch-Site", "same-origin")], True),
    ([("Origin", OTHER)], False),
    ([("Origin", OTHER), ("Sec-Fetch-Site", "same-origin")], False),
    ([("Origin", OTHER), ("Sec-Fetch-Site", "none")], False),
    ([("Origin", "null"), ("Sec-Fetch-Site", "none")], False),
    ([("Origin", OWN + ".evil.example")], False),
    ([("Origin", OWN.upper())], False),
    ([("Origin", OWN), ("Origin", OTHER)], False),
    ([("Origin", OWN), ("Origin", OWN)], False),
    ([("Referer", OWN + "/viewer")], False),
    ([], False),
]


@pytest.mark.parametrize(("said", "counts"), ASKED)
def test_who_made_the_browser_ask(said: list[tuple[str, str]], *, counts: bool) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in said]
    assert asked_by_own_page(headers, frozenset({OWN.encode()})) is counts
