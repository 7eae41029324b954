"""Which pages of other origins may read what: the CORS protocol as a truth table (Fetch §3.2)."""

import itertools

import pytest

from app.core.http.cors import ANY, CorsRules

VIEWER, OTHER = b"https://viewer.example", b"https://evil.example"
LISTED = CorsRules(frozenset({VIEWER, b"http://localhost:3000"}))
TRUSTED = CorsRules(frozenset({VIEWER}), credentials=True)
EVERYBODY = CorsRules(frozenset({ANY}))
NOBODY = CorsRules(frozenset())
RULES = {"listed": LISTED, "trusted": TRUSTED, "everybody": EVERYBODY, "nobody": NOBODY}
ORIGINS = {
    "none": [],
    "viewer": [VIEWER],
    "local": [b"http://localhost:3000"],
    "other": [OTHER],
    "null": [b"null"],
    "any": [b"*"],
    "longer": [VIEWER + b".evil.example"],
    "port": [VIEWER + b":8443"],
    "plain": [b"http://viewer.example"],
    "case": [b"https://VIEWER.example"],
    "slash": [VIEWER + b"/"],
    "empty": [b""],
    "twice": [VIEWER, VIEWER],
}
# (rules, origin) → what the page may do: read, and with the cookie too
MAY = {
    ("listed", "viewer"): (VIEWER, False),
    ("listed", "local"): (b"http://localhost:3000", False),
    ("trusted", "viewer"): (VIEWER, True),
    **{("everybody", origin): (ANY, False) for origin in ORIGINS if origin not in {"none", "twice"}},
}


@pytest.mark.parametrize(("rules", "origin"), list(itertools.product(RULES, ORIGINS)))
def test_who_may_read(rules: str, origin: str) -> None:
    headers = [(b"origin", one) for one in ORIGINS[origin]]
    granted = dict(RULES[rules].granted(headers))
    asking = [*headers, (b"access-control-request-method", b"GET")]
    preflight = RULES[rules].preflight("OPTIONS", asking)
    expected = MAY.get((rules, origin))
    if expected is None:
        assert granted == {}
        assert preflight is None
        return
    allowed, credentials = expected
    assert granted[b"access-control-allow-origin"] == allowed
    assert granted.get(b"access-control-allow-credentials") == (b"true" if credentials else None)
    exposed = granted[b"access-control-expose-headers"].split(b", ")
    assert {b"Access-Record-Id", b"Warning", b"Content-Location", b"Content-Range", b"WWW-Authenticate"} <= set(exposed)
    assert {b"Accept-Ranges", b"Allow", b"Content-Encoding", b"Content-Length", b"ETag", b"Retry-After"} <= set(exposed)
    assert preflight is not None
    told = dict(preflight)
    assert len(told) == len(preflight)
    assert told[b"access-control-allow-origin"] == allowed
    assert told.get(b"access-control-allow-credentials") == (b"true" if credentials else None)
    asked_with = {b"Accept", b"Accept-Encoding", b"Authorization", b"Content-Type", b"If-Range", b"Range"}
    assert asked_with <= set(told[b"access-control-allow-headers"].split(b", "))
    assert int(told[b"access-control-max-age"]) == 600
    assert {b"GET", b"HEAD", b"POST", b"OPTIONS"} <= set(told[b"access-control-allow-methods"].split(b", "))
    assert b"*" not in told[b"access-control-allow-headers"]
    assert b"access-control-expose-headers" not in told


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", [(b"origin", VIEWER), (b"access-control-request-method", b"GET")]),
        ("POST", [(b"origin", VIEWER), (b"access-control-request-method", b"GET")]),
        ("OPTIONS", [(b"origin", VIEWER)]),
        ("OPTIONS", [(b"access-control-request-method", b"GET")]),
        ("OPTIONS", [(b"origin", VIEWER), *[(b"access-control-request-method", b"GET")] * 2]),
    ],
)
def test_what_is_no_preflight_is_left_alone(method: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert LISTED.preflight(method, headers) is None


def test_any_page_never_acts_for_the_user() -> None:
    assert ANY == b"*", "as browsers read it"
    with pytest.raises(ValueError, match="any page"):
        CorsRules(frozenset({ANY, VIEWER}), credentials=True)
