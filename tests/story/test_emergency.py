"""Breaking the glass on a running stack: without the patient's consent, against a deny, and while the chain is away."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.commands.audit import verify_chain
from app.commands.client import Client, sign_typed
from app.commands.output import CommandError
from app.core.exported import to_line
from tests.support.live import Live, live_stack

REASON = "Unconscious after a fall, canary-7f3a; no relative can be reached"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_stack(tmp_path_factory.mktemp("emergency")) as running:
        yield running


def _patient(stack: Live, account: str) -> dict[str, Any]:
    return next(one for one in stack.document["patients"] if one["account"] == account)


def _prepared(stack: Live, client: Client, patient: dict[str, Any], reason: str = REASON) -> dict[str, Any]:
    """What is to be handed in to open an emergency for the patient."""
    asked = {"patient_id": patient["patient_id"], "issuer": patient["issuer"], "reason": reason}
    issued = client.post("/api/emergency-access/typed-data", asked)
    assert reason in issued["words"]
    assert patient["patient_id"] in issued["words"]
    document = issued["typed_data"]
    signature = sign_typed(stack.account("emergency"), document)
    return asked | {"reason_salt": issued["reason_salt"], "typed_data": document, "signature": signature}


def _opened(stack: Live, patient: dict[str, Any]) -> tuple[str, Client]:
    client = stack.signed_in("emergency", "ETREAT")
    answer = client.post("/api/emergency-access", _prepared(stack, client, patient))
    return answer["emergency_id"], Client(stack.url, answer["access_token"])


def _status(client: Client, path: str) -> int:
    headers = {"Authorization": f"Bearer {client.token}"}
    return requests.get(client.gateway + path, headers=headers, timeout=30).status_code


def _refusal(client: Client, path: str, body: dict[str, Any]) -> str:
    with pytest.raises(CommandError) as refused:
        client.post(path, body)
    return str(refused.value)


def _studies_of(client: Client) -> list[str]:
    return [row["0020000D"]["Value"][0] for row in client.get("/dicom-web/studies")]


def _until_unknown(stack: Live) -> None:
    deadline = time.monotonic() + 60
    while requests.get(stack.url + "/readyz", timeout=30).json()["chain"]["standing"] == "known":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _audited(stack: Live) -> str:
    """What the replay says, once everything is on the chain."""
    auditor = stack.signed_in("auditor")

    def all_logged(page: dict[str, Any]) -> bool:
        return all(one["seq"] is not None for one in page["accesses"])

    auditor.until("/api/accesses?limit=1000", all_logged, 120)
    records = stack.folder / "records.jsonl"
    page = auditor.get("/api/accesses/export", limit=1000)["records"]
    lines = [to_line(bytes.fromhex(one["record"][2:]), bytes.fromhex(one["salt"][2:])) for one in reversed(page)]
    records.write_text("".join(line + "\n" for line in lines))
    report = verify_chain(stack.rpc_url, stack.folder / "deployment.json", records)
    assert report.good, report.lines()
    return "\n".join(report.lines())


def test_it_opens_at_once_is_told_and_is_reviewed_by_somebody_else(stack: Live) -> None:
    patient = _patient(stack, "patient1")
    stack.granted("patient1", "emergency", effect="deny", actions=["search", "view"], purposes=["ETREAT", "TREAT"])
    before = stack.signed_in("emergency", "ETREAT")
    assert _studies_of(before) == []
    emergency, client = _opened(stack, patient)
    studies = _studies_of(client)
    assert studies, "before it is mined, and against the patient's own deny"
    study = f"/dicom-web/studies/{studies[0]}"
    assert (_status(client, study), _status(client, f"{study}/rendered")) == (200, 200)
    assert set(_studies_of(before)) == set(studies), "for every session of that purpose"
    assert _studies_of(stack.signed_in("emergency", "TREAT")) == []

    owner = stack.signed_in("patient1")
    told = owner.until("/api/emergency-access", lambda found: found["emergencies"][0]["status"] == "final", 60)
    view = told["emergencies"][0]
    assert (view["id"], view["reason"], view["state"], view["review"]) == (emergency, REASON, "open", None)
    assert view["actor_name"].startswith("Dr. Mina Sato")
    assert stack.signed_in("patient2").get("/api/emergency-access")["emergencies"] == []
    looked = [one for one in owner.get("/api/accesses")["accesses"] if one["basis"] == emergency]
    whole = owner.get(f"/api/emergency-access/{emergency}")
    assert set(whole["accesses"]) == {one["id"] for one in looked}
    assert {one["purpose"] for one in looked} == {"ETREAT"}

    review = f"/api/emergency-access/{emergency}/review"
    asked = {"finding": "justified", "note": "Seen with the family."}
    for nobody in ("emergency", "physician1", "patient1"):
        assert "forbidden" in _refusal(stack.signed_in(nobody), f"{review}/typed-data", asked)
    auditor = stack.signed_in("auditor")
    issued = auditor.post(f"{review}/typed-data", asked)
    assert "Seen with the family." in issued["words"]
    signed = {
        "typed_data": issued["typed_data"],
        "signature": sign_typed(stack.account("auditor"), issued["typed_data"]),
    }
    for wrong in ({"note": "other"}, {"note_salt": "0x" + "00" * 32}, {"note": "", "note_salt": None}):
        given = signed | {"note": asked["note"], "note_salt": issued["note_salt"]} | wrong
        assert "invalid-typed-data" in _refusal(auditor, review, given)
    auditor.post(review, signed | {"note": asked["note"], "note_salt": issued["note_salt"]})
    closed = owner.until(
        f"/api/emergency-access/{emergency}", lambda one: (one["review"] or {}).get("status") == "mined", 60
    )
    assert (closed["state"], closed["review"]["finding"], closed["review"]["note"]) == (
        "reviewed",
        "justified",
        "Seen with the family.",
    )
    assert "conflict" in _refusal(auditor, f"{review}/typed-data", asked), "once"
    assert "break-glass" in _audited(stack)
    assert "canary-7f3a" not in stack.log.read_text(), "the reason is nobody's log's"


def test_what_is_refused(stack: Live) -> None:
    patient, other = _patient(stack, "patient2"), _patient(stack, "patient1")
    client = stack.signed_in("emergency", "ETREAT")
    good = _prepared(stack, client, patient)
    for nobody in ("physician1", "auditor", "patient2"):
        who = stack.signed_in(nobody)
        assert "forbidden" in _refusal(who, "/api/emergency-access/typed-data", {"patient_id": "X", "reason": REASON})
        assert "forbidden" in _refusal(who, "/api/emergency-access", good)
    message = good["typed_data"]["message"]

    def with_message(**changed: object) -> dict[str, Any]:
        document = good["typed_data"] | {"message": message | changed}
        return good | {"typed_data": document, "signature": sign_typed(stack.account("emergency"), document)}

    for name, wrong in {
        "another patient": good | {"patient_id": other["patient_id"], "issuer": other["issuer"]},
        "nobody": good | {"patient_id": "nobody-at-all"},
        "another reason": good | {"reason": REASON + "!"},
        "another salt": good | {"reason_salt": "0x" + "11" * 32},
        "other words": with_message(words="I look at nothing."),
        "too long": with_message(validUntil=message["validFrom"] + 14_401),
        "too old": with_message(validFrom=message["validFrom"] - 301),
        "not yet": with_message(validFrom=message["validFrom"] + 60),
    }.items():
        assert "invalid-typed-data" in _refusal(client, "/api/emergency-access", wrong), name
    by_another = good | {"signature": sign_typed(stack.account("physician1"), good["typed_data"])}
    assert "bad-signature" in _refusal(client, "/api/emergency-access", by_another)
    for bad in ("short", "x" * 501, "line\nbreak in it", ""):
        asked = {"patient_id": patient["patient_id"], "issuer": patient["issuer"], "reason": bad}
        assert "invalid-request" in _refusal(client, "/api/emergency-access/typed-data", asked)
    assert _status(client, "/dicom-web/studies") == 200
    assert not set(_studies_of(client)) & set(_studies_of(stack.signed_in("patient2", "PATRQT")))


def test_one_found_unjustified_ends_at_once(stack: Live) -> None:
    emergency, client = _opened(stack, _patient(stack, "patient2"))
    mine = set(_studies_of(stack.signed_in("patient2", "PATRQT")))
    assert mine <= set(_studies_of(client))
    auditor = stack.signed_in("auditor")
    path = f"/api/emergency-access/{emergency}"
    auditor.until(path, lambda one: one["status"] != "submitted", 60)
    document = auditor.post(f"{path}/review/typed-data", {"finding": "unjustified"})["typed_data"]
    auditor.post(
        f"{path}/review", {"typed_data": document, "signature": sign_typed(stack.account("auditor"), document)}
    )
    assert not mine & set(_studies_of(client))
    auditor.until(path, lambda one: one["review"]["status"] == "mined", 60)
    assert not mine & set(_studies_of(client))
    _audited(stack)


def test_somebody_whom_nobody_enrolled(stack: Live) -> None:
    """Enrolled on the spot, so that there is a key to record under."""
    _, client = _opened(stack, {"patient_id": "NOT-IN-ANY-BOOK", "issuer": ""})
    registrar = stack.signed_in("registrar")

    def there(answer: dict[str, Any]) -> bool:
        return any(p["patient_id"] == "NOT-IN-ANY-BOOK" and p["status"] == "enrolled" for p in answer["patients"])

    registrar.until("/api/patients", there, 60)
    auditor = stack.signed_in("auditor")
    auditor.until("/api/emergency-access", lambda a: all(e["status"] == "final" for e in a["emergencies"]), 60)
    assert _status(client, "/dicom-web/studies") == 200
    _audited(stack)


def test_p08_while_the_chain_is_away_only_the_glass_can_be_broken_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    with live_stack(tmp_path, CONSENTRY_STANDING_MAX_AGE_S="2") as stack:
        patient = _patient(stack, "patient1")
        physician, opened_before = stack.signed_in("physician1"), stack.signed_in("emergency", "TREAT")
        os.kill(stack.pids["chain"], signal.SIGSTOP)
        _until_unknown(stack)
        assert "chain-unavailable" in _refusal_to_sign_in(stack, "physician1", "TREAT")
        assert "chain-unavailable" in _refusal_to_sign_in(stack, "physician1", "ETREAT")
        assert "chain-unavailable" in _refusal_to_sign_in(stack, "emergency", "TREAT")
        emergency, client = _opened(stack, patient)
        studies = _studies_of(client)
        assert studies
        assert _status(client, f"/dicom-web/studies/{studies[0]}") == 200
        assert _status(physician, "/dicom-web/studies") == 503
        assert _status(opened_before, "/dicom-web/studies") == 503
        # A power cut before any of it is on the chain
        stack.kill()
        stack.start()
        assert _studies_of(client) == studies, "it still counts"
        auditor = stack.signed_in("auditor")
        view = auditor.until(f"/api/emergency-access/{emergency}", lambda one: one["status"] == "final", 120)
        assert view["snapshot_age_s"] >= 1
        assert "stale" in _audited(stack)


def _refusal_to_sign_in(stack: Live, who: str, purpose: str) -> str:
    with pytest.raises(CommandError) as refused:
        stack.signed_in(who, purpose)
    return str(refused.value)


def test_the_quota(tmp_path: Path) -> None:
    with live_stack(tmp_path) as stack:
        client = stack.signed_in("emergency", "ETREAT")
        patient = _patient(stack, "patient1")
        ready = _prepared(stack, client, patient)
        for _ in range(10):
            _opened(stack, patient)
        assert "emergency-quota" in _refusal(client, "/api/emergency-access", ready)
        asked = {"patient_id": patient["patient_id"], "issuer": patient["issuer"], "reason": REASON}
        deadline = time.monotonic() + 60
        while "emergency-quota" not in _refusal_or_none(client, asked):
            assert time.monotonic() < deadline, "what has landed counts before anything is signed"
            time.sleep(0.2)


def _refusal_or_none(client: Client, asked: dict[str, Any]) -> str:
    try:
        client.post("/api/emergency-access/typed-data", asked)
    except CommandError as refused:
        return str(refused)
    return ""
