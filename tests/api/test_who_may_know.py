"""What the API tells whom about consents, studies and requests; and that it tells nobody who only asks well."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from app.api.hexadecimal import to_hex
from app.api.siwe_message import MAX_AGE_S, compose
from app.core.consent.basis import person
from app.core.consent.consent_id import consent_id
from app.core.consent.events import ConsentGranted, ConsentRevoked, DirectoryEntrySet
from app.core.consent.fold import fold, fold_all
from app.core.consent.state import GENESIS
from app.core.consent.terms import Action, Capacity, Effect, Purpose, Terms, Window
from app.core.directory import entry_hash
from app.core.http.problem import problem
from app.core.identifiers import Address, ConsentId, StudyKey, UnixTime
from app.core.signing.messages import ConsentOffer
from app.core.signing.typed_data import payload
from app.core.signing.words import Names, words_for
from app.store.accesses import Page
from app.store.consents import GRANT, REVOKE, SignedMessage
from app.store.directory import DirectoryEntry
from app.store.outbox import NewCall
from tests.api.in_process import (
    AUDITOR,
    BEFORE,
    CHAIN_ID,
    DEPLOYMENT,
    NOW,
    PATIENT,
    PATIENT_KEY,
    PHYSICIAN,
    STRANGER,
    InProcess,
)

_STUDY = StudyKey(bytes([5]) * 32)
_LABEL = "Oncology follow-up of 2026-03-14"
_TERMS = Terms(
    patient=PATIENT_KEY,
    grantee=person(PHYSICIAN),
    effect=Effect.PERMIT,
    actions=Action.VIEW,
    purposes=1 << Purpose.TREAT,
    window=Window(NOW, UnixTime(NOW + 600)),
    studies=(_STUDY,),
    epoch=0,
    consent_nonce=bytes(32),
)
_DENIAL = replace(_TERMS, effect=Effect.DENY)


def _document(api: InProcess, terms: Terms = _TERMS, label: str = _LABEL) -> dict[str, Any]:
    offer = ConsentOffer(terms, UnixTime(NOW + 60))
    return payload(offer, words_for(offer, Names(studies={_STUDY: label})), api.wiring.domains)


async def _granted(api: InProcess, terms: Terms) -> ConsentId:
    """Handed in here, and on the chain."""
    identity = consent_id(terms, CHAIN_ID, DEPLOYMENT.address("ConsentRegistry"))
    message = SignedMessage(identity, PATIENT_KEY, json.dumps(_document(api, terms)), PATIENT, b"\x01")  # type: ignore[arg-type]
    await api.wiring.consents.submit_grant(message, NewCall(STRANGER, GRANT, identity, STRANGER, b""))
    api.state = fold(api.state, ConsentGranted(identity, terms, PATIENT, Capacity.CONTROLLER))
    return identity


@pytest.mark.parametrize("label", [_LABEL, "something else"])
async def test_nobody_can_try_words_on_another_patients_studies(api: InProcess, label: str) -> None:
    await api.enrolled()
    body = {"typed_data": _document(api, label=label), "signature": "0x" + "11" * 65}
    answer = await api.call(STRANGER, "POST", "/api/consents", body)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:consentry:problem:forbidden")
    assert api.origin.asked == 0, "the archive is not asked on a stranger's behalf"


async def test_a_grantee_reads_no_words(api: InProcess) -> None:
    identity = await _granted(api, _TERMS)
    for who, reads in ((PHYSICIAN, False), (PATIENT, True), (AUDITOR, True)):
        answer = await api.call(who, "GET", f"/api/consents?patient_key={to_hex(PATIENT_KEY)}")
        (view,) = answer.json()["consents"]
        assert view["consent_id"] == to_hex(identity)
        assert (view["words"] is not None) == reads
        assert (_LABEL in answer.text) == reads


async def test_a_denial_is_nothing_to_whom_it_denies(api: InProcess) -> None:
    identity = await _granted(api, _DENIAL)
    for who, seen in ((PHYSICIAN, 0), (PATIENT, 1), (AUDITOR, 1)):
        answer = await api.call(who, "GET", f"/api/consents?patient_key={to_hex(PATIENT_KEY)}")
        assert len(answer.json()["consents"]) == seen
    assert (await api.call(PHYSICIAN, "GET", "/api/consents")).json() == {"consents": []}
    one = await api.call(PHYSICIAN, "GET", f"/api/consents/{to_hex(identity)}")
    assert (one.status_code, one.json()["type"]) == (404, "urn:consentry:problem:not-found")


async def test_p06_a_claim_that_is_not_final_reads_nothing(api: InProcess) -> None:
    await api.enrolled()
    identity = await _granted(api, _TERMS)
    paths = (f"/api/accesses?patient_key={to_hex(PATIENT_KEY)}", f"/api/consents/{to_hex(identity)}")
    body = {
        "grantee": "0x" + STRANGER.hex(),
        "scope": {"studies": ["1.2.3"]},
        "actions": ["view"],
        "purposes": ["TREAT"],
        "valid_until": NOW + 60,
    }
    api.final = fold_all(GENESIS, BEFORE[:-1])  # enrolled, not claimed
    accesses, consent = [await api.call(PATIENT, "GET", path) for path in paths]
    assert accesses.status_code == 404
    assert (consent.status_code, consent.json()["words"]) == (200, None)
    assert api.origin.asked == 0
    assert (await api.call(PATIENT, "POST", "/api/consents/typed-data", body)).status_code == 409
    everything = await api.call(PATIENT, "POST", "/api/consents/typed-data", body | {"scope": "all"})
    assert everything.status_code == 200
    api.final = None
    accesses, consent = [await api.call(PATIENT, "GET", path) for path in paths]
    assert accesses.status_code == 200
    assert _LABEL in consent.json()["words"]


async def test_a_patient_who_is_a_physician_too_sees_both_sides(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[bytes], Address]] = []

    async def concerning(patients: list[bytes], actor: Address, *_page: object) -> Page:
        asked.append((patients, actor))
        return Page([], None)

    monkeypatch.setattr(api.wiring.accesses, "concerning", concerning)
    for who in (PATIENT, PHYSICIAN):
        assert (await api.call(who, "GET", "/api/accesses")).json() == {"accesses": [], "next": None}
    assert asked == [([PATIENT_KEY], PATIENT), ([], PHYSICIAN)]


async def test_consents_are_listed_while_the_archive_is_silent(api: InProcess) -> None:
    await api.enrolled()
    await _granted(api, _TERMS)
    (view,) = (await api.call(PATIENT, "GET", "/api/consents")).json()["consents"]
    assert api.origin.asked == 1
    assert view["scope"] == {"studies": [to_hex(_STUDY)]}


async def test_what_an_erased_patient_was_asked_and_signed_is_gone_and_answers(api: InProcess) -> None:
    await api.enrolled()
    await _granted(api, _TERMS)
    asked = await api.call(
        PHYSICIAN, "POST", "/api/access-requests", {"patient_id": "P-1", "issuer": "S", "reason": "r"}
    )
    assert asked.status_code == 202
    before = await api.call(PHYSICIAN, "GET", "/api/access-requests")
    await api.wiring.erasures.finish(PATIENT_KEY)
    assert (await api.call(PHYSICIAN, "GET", "/api/access-requests")).body == before.body, "nobody was there, it seems"
    assert (await api.call(PATIENT, "GET", "/api/access-requests")).json() == {"requests": []}
    for who in (PHYSICIAN, PATIENT, AUDITOR):
        answer = await api.call(who, "GET", f"/api/consents?patient_key={to_hex(PATIENT_KEY)}")
        assert answer.status_code == 200
        assert [view["words"] for view in answer.json()["consents"]] == [None]


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "a\u0000b"},
        {"reason": "a\u202eb"},
        {"reason": "a\u0085b"},
        {"actions": []},
        {"actions": ["view"] * 5},
    ],
)
async def test_requests_that_a_patient_could_not_read_are_refused(api: InProcess, change: dict[str, Any]) -> None:
    body = {"patient_id": "P-1", "reason": "Second opinion,\nplease"}
    assert (await api.call(PHYSICIAN, "POST", "/api/access-requests", body)).status_code == 202
    answer = await api.call(PHYSICIAN, "POST", "/api/access-requests", body | change)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:consentry:problem:invalid-request")


@pytest.mark.parametrize(
    "path",
    [
        "/api/explain?actor=0x" + "ab" * 19 + "%20%20",
        "/api/consents?patient_key=0x" + "ab" * 31 + "%20%20",
        "/api/accesses?patient_key=0x" + "ab" * 31 + "%20%20",
        "/api/accesses?cursor=99999999999999999999",
        "/api/accesses?cursor=-1",
        "/api/accesses/export?cursor=99999999999999999999",
    ],
)
async def test_numbers_and_hex_that_are_none(api: InProcess, path: str) -> None:
    answer = await api.call(AUDITOR, "GET", path)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:consentry:problem:invalid-parameter")


async def test_an_id_has_one_spelling(api: InProcess) -> None:
    asked = (await api.call(PHYSICIAN, "POST", "/api/access-requests", {"patient_id": "P-1", "reason": "r"})).json()
    found = await api.call(PHYSICIAN, "GET", f"/api/access-requests/{asked['id']}")
    assert found.status_code == 200
    spaced = await api.call(PHYSICIAN, "GET", f"/api/access-requests/{asked['id'][:2]}%20{asked['id'][2:]}")
    assert spaced.status_code == 404


async def test_a_nonce_that_waited_is_worth_nothing(api: InProcess) -> None:

    account = Account.create()
    address = Address(bytes.fromhex(account.address[2:]))
    for waited_s, status in ((MAX_AGE_S, 200), (MAX_AGE_S + 1, 401)):
        nonce = (await api.call(None, "POST", "/auth/siwe/nonce", {"address": account.address})).json()["nonce"]
        api.now = UnixTime(api.now + waited_s)
        message = compose(api.wiring.place, address, nonce, api.now)
        signature = account.sign_message(encode_defunct(text=message)).signature.hex()
        answer = await api.call(None, "POST", "/auth/siwe/verify", {"message": message, "signature": "0x" + signature})
        assert answer.status_code == status


async def test_a_name_counts_while_the_chain_vouches_for_it(api: InProcess) -> None:
    await api.enrolled()
    asked = {"patient_key": to_hex(PATIENT_KEY), "reason": "r"}
    assert (await api.call(PHYSICIAN, "POST", "/api/access-requests", asked)).status_code == 202
    salt, name = bytes(32), ("Dr. Ines Castellan", "St. Elsewhere Hospital", "GMC 7000001")
    hashed = entry_hash(salt, *name)

    async def shown() -> str | None:
        (one,) = (await api.call(PATIENT, "GET", "/api/access-requests")).json()["requests"]
        return str(one["requester_name"]) if one["requester_name"] else None

    await api.wiring.directory.put(DirectoryEntry(PHYSICIAN, *name, salt, hashed))
    assert await shown() is None, "nobody on the chain has said so"
    api.state = fold(api.state, DirectoryEntrySet(PHYSICIAN, hashed))
    assert await shown() == "Dr. Ines Castellan, St. Elsewhere Hospital"
    # Whoever writes the database may also write the hash beside the name.
    await api.wiring.directory.put(DirectoryEntry(PHYSICIAN, "Dr. Good", *name[1:], salt, hashed))
    assert await shown() is None


@pytest.mark.parametrize(("patient_id", "issuer"), [("P-1", "S"), (" P-1", "S "), ("P-1  ", " S")])
async def test_spaces_around_a_patient_id_do_not_matter(api: InProcess, patient_id: str, issuer: str) -> None:
    await api.enrolled()
    asked = {"patient_id": patient_id, "issuer": issuer, "reason": "r"}
    assert (await api.call(PHYSICIAN, "POST", "/api/access-requests", asked)).status_code == 202
    assert len((await api.call(PATIENT, "GET", "/api/access-requests")).json()["requests"]) == 1


async def test_no_node_is_asked_about_a_message_without_our_nonce(api: InProcess) -> None:
    message = compose(api.wiring.place, STRANGER, "a" * 32, api.now)
    body = {"message": message, "signature": "0x" + "11" * 65}
    answer = await api.call(None, "POST", "/auth/siwe/verify", body)  # there is no node here: asking one fails
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:consentry:problem:siwe-expired")


async def test_asking_for_nonces_takes_one_turn_at_a_time(api: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    writing, most, write = 0, 0, api.database.writing

    async def counted(work: Any) -> Any:
        nonlocal writing, most
        writing += 1
        most = max(most, writing)
        done = await write(work)
        writing -= 1
        return done

    monkeypatch.setattr(api.database, "writing", counted)
    nonces = await asyncio.gather(*(api.wiring.siwe_nonces.issue(STRANGER, NOW) for _ in range(5)))
    assert len(set(nonces)) == 5
    assert most == 1


async def test_sign_in_messages_are_read_one_at_a_time(api: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, most = 0, 0

    def slow(_text: str, _place: object, _now: int) -> object:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        time.sleep(0.02)
        reading -= 1
        return problem("siwe-malformed")

    monkeypatch.setattr("app.api.signin.read", slow)
    body = {"message": "m", "signature": "0x11"}
    answers = await asyncio.gather(*(api.call(None, "POST", "/auth/siwe/verify", body) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [400] * 5
    assert most == 1


async def test_final_is_said_of_what_the_status_says(api: InProcess) -> None:
    """A revocation that only this gateway knows, or that stands at the head alone, is not final yet."""
    before = api.state
    identity = await _granted(api, _TERMS)
    granted = api.state

    async def seen() -> tuple[str, bool]:
        view = (await api.call(PATIENT, "GET", f"/api/consents/{to_hex(identity)}")).json()
        return view["status"], view["final"]

    api.final = before
    assert await seen() == ("mined", False)
    api.final = granted
    assert await seen() == ("active", True)
    message = SignedMessage(identity, PATIENT_KEY, "{}", PATIENT, b"\x01")  # type: ignore[arg-type]
    await api.wiring.consents.submit_revocation(message, NewCall(STRANGER, REVOKE, identity, STRANGER, b""))
    assert await seen() == ("revoked", False)
    api.state = fold(granted, ConsentRevoked(PATIENT_KEY, identity, PATIENT, Capacity.CONTROLLER, 1))
    assert await seen() == ("revoked", False)
    api.final = api.state
    assert await seen() == ("revoked", True)
