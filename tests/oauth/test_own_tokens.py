"""Tokens that people make for programs themselves."""

import json
from typing import Any

import pytest

from app.core.consent.terms import Purpose
from app.core.identifiers import Address
from tests.api.in_process import Answer
from tests.oauth.program import Programs

WANTED = {"name": "Slicer in room 4", "lifetime_s": 1800}


async def make(programs: Programs, bearer: str = "", **changes: Any) -> Answer:
    body = json.dumps({k: v for k, v in (WANTED | changes).items() if v is not None})
    return await programs.post(
        "/api/programs/tokens",
        body,
        content_type="application/json",
        authorization="Bearer " + (bearer or programs.cookie),
    )


async def test_it_opens_dicomweb_alone_and_is_listed_by_its_name(programs: Programs) -> None:
    await programs.sign_in()
    answer = await make(programs, purpose="COC")
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    session = await programs.opens(told["token"])
    assert session is not None
    assert session.program is not None
    assert (session.reach.images, session.reach.storing, session.reach.api) == (True, False, False)
    assert (session.purpose, session.expires_at) == (Purpose.COC, told["ends_at"])
    assert told["ends_at"] == programs.api.now + 1800
    text = (await programs.get("/api/programs", programs.cookie)).text
    assert told["token"] not in text
    (listed,) = json.loads(text)["programs"]
    assert (listed["id"], listed["name"], listed["scope"], listed["purpose"], listed["ends_at"]) == (
        told["id"],
        WANTED["name"],
        "dicomweb",
        "COC",
        told["ends_at"],
    )
    assert (await programs.get("/api/programs", told["token"])).status_code == 403
    assert (await make(programs, told["token"])).status_code == 403, "a token makes no token"


async def test_it_is_ended_at_once_alone_or_with_the_sign_in(programs: Programs) -> None:
    session = await programs.sign_in()
    one, other = (await make(programs)).json(), (await make(programs)).json()
    ended = await programs.post(f"/api/programs/{one['id']}/end", "", authorization=f"Bearer {programs.cookie}")
    assert ended.status_code == 204
    assert await programs.opens(one["token"]) is None
    assert await programs.opens(other["token"]) is not None
    await programs.api.wiring.sessions.revoke(session.token_hash)
    assert await programs.opens(other["token"]) is None
    assert (await make(programs)).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"lifetime_s": 0},
        {"lifetime_s": -1},
        {"lifetime_s": 59},
        {"lifetime_s": 3_001},
        {"lifetime_s": "1800"},
        {"lifetime_s": 1800.5},
        {"lifetime_s": None},
        {"name": ""},
        {"name": " "},
        {"name": "a\nb"},
        {"name": "n" * 61},
        {"name": None},
        {"purpose": "ETREAT"},
        {"purpose": "none"},
        {"scope": "openid"},
        {"scope": "dicomweb.upload"},
        {"scope": "dicomweb  dicomweb.upload"},
        {"more": 1},
    ],
)
async def test_what_is_not_right_makes_none(programs: Programs, changes: dict[str, Any]) -> None:
    await programs.sign_in()
    answer = await make(programs, **changes)
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:consentry:problem:invalid-request"
    assert (await programs.get("/api/programs", programs.cookie)).json() == {"programs": []}


@pytest.mark.parametrize("scope", ["dicomweb dicomweb.upload", "dicomweb openid offline_access"])
async def test_the_scope_is_narrowed_to_what_they_may(programs: Programs, scope: str) -> None:
    await programs.sign_in()
    assert (await make(programs, scope=scope)).json()["scope"] == "dicomweb"


async def test_somebody_without_a_role_makes_none(programs: Programs) -> None:
    programs.actor = Address(b"n" * 20)
    await programs.sign_in()
    assert (await make(programs)).status_code == 403


async def test_the_longest_is_taken(programs: Programs) -> None:
    await programs.sign_in()
    assert (await make(programs, lifetime_s=3_000)).status_code == 201
