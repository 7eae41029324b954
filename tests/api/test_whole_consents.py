"""Care teams, study dates, sharing on, several grants by one signature, and "what if", on a running stack."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.commands.client import Client, sign_typed
from app.commands.output import CommandError
from tests.support.live import Live

_DAY_S = 86_400


def _until() -> int:
    return int(time.time()) + _DAY_S


def _asked(grantee: str, **terms: Any) -> dict[str, Any]:
    looking = {"actions": ["search", "view"], "purposes": ["TREAT"], "scope": "all", "valid_until": _until()}
    return {"grantee": grantee, **looking, **terms}


def _seen(live: Live, name: str) -> list[str]:
    rows = live.signed_in(name).get("/dicom-web/studies")
    return sorted(row["00080020"]["Value"][0] for row in rows)


@pytest.fixture
def clean(live: Live) -> Iterator[Live]:
    """Nothing of patient1's that the other tests left counts, and nothing of these stays."""
    _take_back_all(live)
    yield live
    _take_back_all(live)


def _take_back_all(live: Live) -> None:
    """Takes back what is there, and waits until that is final: a denial holds until then."""
    client = live.signed_in("patient1")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        left = [one for one in client.get("/api/consents")["consents"] if one["status"] in {"mined", "active"}]
        for consent in left:
            live.revoked("patient1", consent["consent_id"])
        answers = [
            client.get("/api/explain", actor=live.account(name).address, action="view")
            for name in ("physician1", "physician2")
        ]
        if not left and all(one.get("reason") == "no-consent" and not one["denied_by"] for one in answers):
            return
        time.sleep(0.2)
    raise AssertionError("consents that do not end")


def _changed(live: Live, who: str, team: str, account: str, part: str, until: int | None) -> str:
    """Signs a change of the team; the words."""
    client, asked = live.signed_in(who), {"account": account, "part": part, "valid_until": until}
    issued = client.post(f"/api/care-teams/{team}/parts/typed-data", asked)
    document = issued["typed_data"]
    body = {"typed_data": document, "signature": sign_typed(live.account(who), document)}
    client.post(f"/api/care-teams/{team}/parts", body)
    return str(issued["words"])


def _refusal(client: Client, path: str, body: dict[str, Any]) -> str:
    with pytest.raises(CommandError) as refused:
        client.post(path, body)
    return str(refused.value)


def test_a_care_team_is_let_in_as_long_as_one_is_a_member(clean: Live) -> None:
    live = clean
    registrar, lead, doctor = live.signed_in("registrar"), live.account("emergency"), live.account("physician2")
    founding = {"lead": lead.address, "valid_until": _until()}
    assert "forbidden" in _refusal(live.signed_in("physician2"), "/api/care-teams", founding)
    team = registrar.post("/api/care-teams", founding)["team"]
    path = f"/api/care-teams/{team}"
    registrar.until("/api/care-teams", lambda answer: team in {one["team"] for one in answer["teams"]}, 30)
    registrar.until(path, lambda view: [one["account"] for one in view["leads"]] == [lead.address], 30)

    member = {"account": doctor.address, "part": "member", "valid_until": _until()}
    assert "forbidden" in _refusal(live.signed_in("physician2"), f"{path}/parts/typed-data", member)
    assert "forbidden" in _refusal(registrar, f"{path}/parts/typed-data", member)
    words = _changed(live, "emergency", team, doctor.address, "member", _until())
    assert words.startswith(f"I make “Dr. Tomas Brandt, Harbour Clinic” a member of the care team {team}")
    view = registrar.until(path, lambda view: len(view["members"]) == 1, 30)
    assert view["members"][0]["name"] == "Dr. Tomas Brandt, Harbour Clinic"

    assert "invalid-request" in _refusal(
        live.signed_in("patient1"), "/api/consents/typed-data", _asked("0x" + "ab" * 32)
    )
    issued, answer = live.signed("patient1", _asked(team))
    assert issued["words"].startswith(f"I allow everyone in the care team {team} to find and view all my images")
    assert "20260105" in _seen(live, "physician2")
    assert live.signed_in("physician2").get(f"/api/consents/{answer['consent_id']}")["grantee"] == team
    _changed(live, "emergency", team, doctor.address, "member", None)
    registrar.until(path, lambda view: not view["members"], 30)
    assert "20260105" not in _seen(live, "physician2")


def test_studies_from_a_date_on(clean: Live) -> None:
    live, doctor = clean, clean.account("physician2").address
    issued, answer = live.signed("patient1", _asked(doctor, scope={"from_date": "2026-06-18"}))
    assert "all my images of studies dated 18 June 2026 or later" in issued["words"]
    seen = _seen(live, "physician2")
    assert "20260618" in seen
    assert "20260105" not in seen
    view = live.signed_in("patient1").get(f"/api/consents/{answer['consent_id']}")
    assert view["scope"] == {"from_date": "2026-06-18", "to_date": None}
    studies = {
        row["00080020"]["Value"][0]: row for row in live.signed_in("patient1", "PATRQT").get("/dicom-web/studies")
    }
    client = live.signed_in("physician2")
    for date, found in (("20260618", True), ("20260105", False)):
        path = f"/dicom-web/studies/{studies[date]['0020000D']['Value'][0]}/series"
        if found:
            assert client.get(path)
        else:
            with pytest.raises(CommandError, match="not-found"):
                client.get(path)
    for wrong in ({"from_date": "2026-02-30"}, {"from_date": "2026-06-18", "to_date": "2026-06-17"}, {}):
        asked = _asked(doctor, scope=wrong)
        assert "invalid-request" in _refusal(live.signed_in("patient1"), "/api/consents/typed-data", asked)


def test_a_physician_shares_on_and_the_patient_ends_it(clean: Live) -> None:
    live = clean
    first, second = (live.account(name).address for name in ("physician1", "physician2"))
    shareable = _asked(first, actions=["search", "view", "share"], share_depth=1)
    _, given = live.signed("patient1", shareable)
    parent = given["consent_id"]
    view = live.signed_in("physician1").get(f"/api/consents/{parent}")
    onward = _asked(second, parent=parent, valid_until=view["valid_until"])
    assert "forbidden" in _refusal(live.signed_in("physician2"), "/api/consents/typed-data", onward)
    wider = {**onward, "actions": ["search", "retrieve"]}
    assert "invalid-request" in _refusal(live.signed_in("physician1"), "/api/consents/typed-data", wider)
    issued, shared = live.signed("physician1", onward)
    assert issued["words"].startswith(
        "I share on what the consent “for Dr. Ines Castellan, St. Elsewhere Hospital until"
    )
    assert "all the patient's images" in issued["words"]
    child = live.signed_in("patient1").get(f"/api/consents/{shared['consent_id']}")
    assert child["parent"] == parent
    assert "20260105" in _seen(live, "physician2")
    live.revoked("patient1", parent)  # enforced here before any block holds it
    assert "20260105" not in _seen(live, "physician2")


def test_several_grants_by_one_signature(clean: Live) -> None:
    live = clean
    first, second = (live.account(name).address for name in ("physician1", "physician2"))
    issued, answer = live.signed("patient1", {**_asked(first), "also": [_asked(second, effect="deny")]})
    assert issued["words"].startswith("I agree to these 2 things, all or none of them. (1) I allow “Dr. Ines Castellan")
    assert " (2) I forbid “Dr. Tomas Brandt, Harbour Clinic” to find or view (and so download) all" in issued["words"]
    assert len(set(answer["consent_ids"])) == 2
    views = {one["consent_id"]: one for one in live.signed_in("patient1").get("/api/consents")["consents"]}
    assert [views[one]["effect"] for one in answer["consent_ids"]] == ["permit", "deny"]
    client, document = live.signed_in("patient1"), issued["typed_data"]
    again = {"typed_data": document, "signature": sign_typed(live.account("patient1"), document)}
    assert "nonce-conflict" in _refusal(client, "/api/consents", again)


def test_what_a_consent_would_change_before_it_is_signed(clean: Live) -> None:
    live, doctor = clean, clean.account("physician2").address
    client = live.signed_in("patient1")
    question = {"actor": doctor, "action": "view", "consent": _asked(doctor)}
    answer = client.post("/api/explain", question)
    assert (answer["now"]["verdict"], answer["now"]["reason"]) == ("deny", "no-consent")
    assert (answer["then"]["verdict"], answer["then"]["basis"]) == ("permit", "this consent")
    _, granted = live.signed("patient1", _asked(doctor))
    denying = client.post("/api/explain", {**question, "consent": _asked(doctor, effect="deny")})
    assert denying["now"]["basis"] == granted["consent_id"]
    assert (denying["then"]["verdict"], denying["then"]["denied_by"]) == ("deny", ["this consent"])
    _, deny = live.signed("patient1", _asked(doctor, effect="deny", actions=["view"]))
    asked = client.get("/api/explain", actor=doctor, action="view")
    assert (asked["verdict"], asked["denied_by"]) == ("deny", [deny["consent_id"]])
    assert "forbidden" in _refusal(live.signed_in("physician1"), "/api/explain", question)
