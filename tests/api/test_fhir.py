"""Accesses and consents as FHIR R4: valid, as IHE's profiles ask, with links that page, and for nobody else."""

import json
import random
from base64 import b64decode
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.consent import Consent

from app.api.fhir.audit_event import audit_event
from app.api.fhir.bundle import bundle
from app.api.fhir.consent import consent_resource
from app.api.fhir.values import instant
from app.api.hexadecimal import checksum, to_hex
from app.core.consent.basis import GUARDIAN, SELF, UPLOADER
from app.core.consent.terms import Action, DateSpan, Deed, Effect, Modification, Purpose
from app.core.identifiers import BasisId, BlockHash, BlockRef, Grantee, TxHash, UnixTime
from app.core.record import canonical, commit
from app.store.accesses import Access, OnChain
from app.store.journal import Outcome
from tests.api.exporting import NAMES, PEOPLE, STUDY, TERMS, granted, in_directory, looked, revoked
from tests.api.in_process import (
    AUDITOR,
    CHAIN_ID,
    NOW,
    PATIENT,
    PATIENT_KEY,
    PHYSICIAN,
    STRANGER,
    InProcess,
)
from tests.support.accesses import random_record

ORIGIN = "https://images.hospital.example.org"
_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"


def access(rng: random.Random, action: Deed = Action.VIEW, **fields: Any) -> Access:
    record = replace(random_record(rng, patient=PATIENT_KEY, study=STUDY, at=UnixTime(NOW)), action=action)
    body, salt = canonical(record), bytes(32)
    made = Access(
        record_id=record.record_id,
        at=record.at,
        actor=record.actor,
        patient=record.patient,
        study=record.study,
        action=record.action,
        purpose=record.purpose,
        basis=record.basis,
        decided_at=record.block,
        salt=salt,
        body=body,
        commitment=commit(body, salt),
        outcome=Outcome(200, 10, complete=True),
        on_chain=None,
    )
    return replace(made, **fields)


def event(one: Access, name: str | None = "Dr. A, Klinik") -> dict[str, Any]:
    """The resource, held to FHIR's own model."""
    made = audit_event(one, name, ORIGIN, CHAIN_ID)
    AuditEvent.model_validate(made)
    return made


def coded(element: dict[str, Any]) -> tuple[str, str]:
    found = element["coding"][0] if "coding" in element else element
    return found["system"], found["code"]


def sliced(elements: list[dict[str, Any]], code: str) -> list[dict[str, Any]]:
    """The elements of a profile's slice: those of that type."""
    return [one for one in elements if coded(one["type"])[1] == code]


# What each BALP profile fixes: subtype, action, the agents' types (client, server, user), the role of what was asked.
PROFILES = [
    (Action.SEARCH, "PatientQuery", "search", "E", "110153", "110152", "IRCP", "24"),
    (Action.VIEW, "PatientRead", "read", "R", "110152", "110153", "IRCP", "4"),
    (Action.RETRIEVE, "PatientRead", "read", "R", "110152", "110153", "IRCP", "4"),
    (Modification.STORE, "PatientCreate", "create", "C", "110153", "110152", "AUT", "4"),
]


@pytest.mark.parametrize(("deed", "expected"), [(row[0], row[1:]) for row in PROFILES])
def test_an_access_is_what_its_profile_asks_for(
    rng: random.Random, deed: Deed, expected: tuple[str, str, str, str, str, str, str]
) -> None:
    profile, subtype, action, client, server, user, role = expected
    one = access(rng, deed)
    made = event(one)
    assert made["meta"]["profile"] == [
        f"https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.{profile}"
    ]
    assert coded(made["type"]) == ("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest")
    assert [coded(found) for found in made["subtype"]] == [("http://hl7.org/fhir/restful-interaction", subtype)]
    assert (made["action"], made["outcome"]) == (action, "0")
    for code, system in ((client, "session"), (server, "gateway")):
        (agent,) = sliced(made["agent"], code)
        assert agent["who"]["identifier"]["system"] == f"urn:consentry:{system}", "not the one for the other"
        assert coded(agent["type"])[0] == _DCM
        assert agent["requestor"] is False
        assert {"who", "network"} <= set(agent)
        assert not {"role", "altId", "name", "location", "policy", "media", "purposeOfUse"} & set(agent)
    (person,) = sliced(made["agent"], user)
    assert person["requestor"] is True
    assert person["who"]["identifier"]["value"] == checksum(one.actor)
    assert (person["name"], person["who"]["display"]) == ("Dr. A, Klinik", "Dr. A, Klinik")
    assert coded(person["purposeOfUse"][0]) == (
        "http://terminology.hl7.org/CodeSystem/v3-ActReason",
        one.purpose.name,
    )
    assert not {"altId", "location", "policy", "media", "network"} & set(person)
    (asked,) = sliced(made["entity"], "2")
    assert coded(asked["role"])[1] == role
    assert not {"lifecycle", "name", "detail"} & set(asked)
    (whose,) = sliced(made["entity"], "1")
    assert coded(whose["role"])[1] == "1"
    assert whose["what"]["identifier"]["value"] == to_hex(PATIENT_KEY)
    assert whose["what"]["type"] == "Patient"
    assert not {"lifecycle", "securityLabel", "name", "query", "detail"} & set(whose)
    if deed is Action.SEARCH:
        assert "what" not in asked
        assert b64decode(asked["query"]) == b"GET /studies"
    else:
        assert asked["what"]["identifier"] == {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}
        assert "query" not in asked


@pytest.mark.parametrize(
    ("basis", "system", "value"),
    [
        (SELF, "urn:consentry:basis", "self"),
        (GUARDIAN, "urn:consentry:basis", "guardian"),
        (UPLOADER, "urn:consentry:basis", "uploader"),
        (BasisId(b"\x77" * 32), "urn:consentry:consent", "0x" + "77" * 32),
    ],
)
def test_the_basis_and_the_place_on_the_chain(rng: random.Random, basis: BasisId, system: str, value: str) -> None:
    place = OnChain(12, TxHash(b"\x0c" * 32), BlockRef(7, BlockHash(bytes(32))), final=True)
    one = access(rng, basis=basis, on_chain=place)
    why, where = sliced(event(one)["entity"], "4")
    assert why["what"]["identifier"] == {"system": system, "value": value}
    assert where["what"]["identifier"]["value"] == "0x" + "0c" * 32
    details = {detail["type"]: detail["valueString"] for detail in where["detail"]}
    assert details == {
        "chain": str(CHAIN_ID),
        "sequence": "12",
        "block": "7",
        "commitment": to_hex(one.commitment),
        "final": "true",
    }
    assert len(sliced(event(replace(one, on_chain=None))["entity"], "4")) == 1


def test_what_broke_off_claims_no_profile_of_success_and_what_has_not_ended_no_outcome(rng: random.Random) -> None:
    broken = event(access(rng, outcome=Outcome(200, 3, complete=False)))
    assert broken["outcome"] == "4"
    assert "meta" not in broken
    running = event(access(rng, outcome=None))
    assert "outcome" not in running
    assert "meta" in running


@pytest.mark.parametrize("deed", [Action.SEARCH, Action.VIEW])
def test_an_erased_patients_access_and_one_by_somebody_unknown(rng: random.Random, deed: Deed) -> None:
    erased = event(access(rng, deed, body=b"", salt=b"", study=None), None)
    assert str(STUDY) not in json.dumps(erased)
    (client,) = sliced(erased["agent"], "110153" if deed is Action.SEARCH else "110152")
    assert client["who"]["identifier"]["value"] == "erased"
    (person,) = sliced(erased["agent"], "IRCP")
    assert "name" not in person
    assert "display" not in person["who"]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "1970-01-01T00:00:00Z"), (NOW, "2026-09-21T14:13:20Z"), (1 << 47, "9999-12-31T23:59:59Z"), (-1, None)],
)
def test_how_times_are_written(seconds: int, written: str | None) -> None:
    assert instant(seconds) == (written or "1970-01-01T00:00:00Z")


# --- Consents --------------------------------------------------------------------------------------------------------

VIEW: dict[str, Any] = {
    "consent_id": "0x" + "aa" * 32,
    "patient_key": to_hex(PATIENT_KEY),
    "grantee": checksum(PHYSICIAN),
    "grantee_name": "Dr. A, Klinik",
    "effect": "permit",
    "actions": ["search", "view", "retrieve", "share"],
    "purposes": ["TREAT", "HRESCH"],
    "scope": "all",
    "share_depth": 0,
    "parent": None,
    "valid_from": NOW,
    "valid_until": NOW + 600,
    "status": "active",
    "words": None,
    "tx_hash": None,
}


def resource(**changed: Any) -> dict[str, Any]:
    made = consent_resource({**VIEW, **changed})
    Consent.model_validate(made)
    return made


def test_what_a_consent_says() -> None:
    made = resource()
    assert made["id"] == "aa" * 32
    assert made["identifier"] == [{"system": "urn:consentry:consent", "value": VIEW["consent_id"]}]
    assert coded(made["scope"])[1] == "patient-privacy"
    assert coded(made["policyRule"])[1] == "OPTIN"
    provision = made["provision"]
    assert provision["type"] == "permit"
    assert provision["period"] == {"start": "2026-09-21T14:13:20Z", "end": "2026-09-21T14:23:20Z"}
    ((actor),) = provision["actor"]
    assert actor["reference"]["identifier"] == {"system": "urn:consentry:account", "value": checksum(PHYSICIAN)}
    assert actor["reference"]["display"] == "Dr. A, Klinik"
    actions = [[code["code"] for code in one["coding"]] for one in provision["action"]]
    assert actions == [["access", "search"], ["access", "view"], ["access", "retrieve"], ["disclose", "share"]]
    assert [one["code"] for one in provision["purpose"]] == ["TREAT", "HRESCH"]
    assert not {"data", "dataPeriod"} & set(provision)
    assert not {"text", "sourceReference", "extension"} & set(made)


@pytest.mark.parametrize(
    ("status", "written"),
    [
        ("submitted", "proposed"),
        ("mined", "proposed"),
        ("active", "active"),
        ("revoked", "inactive"),
        ("expired", "inactive"),
        ("failed", "rejected"),
    ],
)
def test_how_far_it_has_come(status: str, written: str) -> None:
    assert resource(status=status)["status"] == written


def test_a_denial_a_team_studies_dates_and_sharing_on() -> None:
    denial = resource(effect="deny")
    assert (denial["provision"]["type"], coded(denial["policyRule"])[1]) == ("deny", "OPTOUT")
    team = resource(grantee="0x" + "71" * 32, grantee_name=None)["provision"]["actor"][0]["reference"]
    assert team == {"type": "CareTeam", "identifier": {"system": "urn:consentry:care-team", "value": "0x" + "71" * 32}}
    key = "0x" + "05" * 32
    scope = {"studies": [STUDY, key], "from_date": "2020-02-29", "to_date": None}
    provision = resource(scope=scope)["provision"]
    assert [one["reference"]["identifier"]["value"] for one in provision["data"]] == [f"urn:oid:{STUDY}", key]
    assert provision["dataPeriod"] == {"start": "2020-02-29"}
    odd = resource(scope={"from_date": "00000007", "to_date": "2021-01-01"})["provision"]
    assert odd["dataPeriod"] == {"end": "2021-01-01"}
    assert "dataPeriod" not in resource(scope={"from_date": "00000007", "to_date": None})["provision"]
    shared = resource(share_depth=2, parent="0x" + "bb" * 32, tx_hash="0x" + "0c" * 32)
    assert shared["extension"] == [{"url": "urn:consentry:fhir:share-depth", "valueInteger": 2}]
    assert shared["sourceReference"]["identifier"]["value"] == "0x" + "bb" * 32
    assert shared["identifier"][1] == {"system": "urn:consentry:transaction", "value": "0x" + "0c" * 32}


def test_hostile_words_are_text() -> None:
    made = resource(words='Let <script>alert("1")</script> & "them"\n\nview')
    assert "<script>" not in made["text"]["div"]
    assert made["text"]["div"].count("<p>") == 2
    assert "&lt;script&gt;" in made["text"]["div"]


# --- The answers -----------------------------------------------------------------------------------------------------


async def bundled(api: InProcess, who: Any, path: str) -> dict[str, Any]:
    answer = await api.call(who, "GET", path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.headers["cache-control"] == "private, no-store"
    document: dict[str, Any] = answer.json()
    Bundle.model_validate(document)
    return document


def resources(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in document.get("entry", [])]


async def test_pages_of_accesses_are_linked_and_hold_what_the_json_holds(api: InProcess, rng: random.Random) -> None:
    for who, name in zip(PEOPLE, NAMES, strict=True):
        await in_directory(api, who, name)
    await looked(api, rng, 12)
    listed = (await api.call(PATIENT, "GET", "/api/accesses")).json()["accesses"]
    found: list[dict[str, Any]] = []
    path = f"/api/accesses?format=fhir&limit=5&patient_key={to_hex(PATIENT_KEY)}"
    pages = 0
    while path:
        document = await bundled(api, PATIENT, path)
        pages += 1
        found += resources(document)
        links = {link["relation"]: link["url"] for link in document["link"]}
        assert set(urlsplit(links["self"]).query.split("&")) == set(urlsplit(path).query.split("&"))
        following = urlsplit(links.get("next", ""))
        path = f"{following.path}?{following.query}" if following.path else ""
    assert pages == 3
    assert [one["id"] for one in found] == [one["id"] for one in listed]
    names = {one["agent"][2]["name"] for one in found}
    assert names == {f"{name}, Klinikum" for name in NAMES}


async def test_an_empty_answer_is_a_bundle_without_entries(api: InProcess) -> None:
    assert "entry" not in await bundled(api, PATIENT, "/api/accesses?format=fhir")
    assert "entry" not in await bundled(api, PATIENT, "/api/consents?format=fhir")


@pytest.mark.parametrize("form", ["json", "fhir", "pdf"])
async def test_every_format_is_for_those_the_json_is_for(api: InProcess, rng: random.Random, form: str) -> None:
    await looked(api, rng, 2)
    granted(api)
    path = f"/api/accesses?format={form}&patient_key={to_hex(PATIENT_KEY)}"
    statuses = {who: (await api.call(who, "GET", path)).status_code for who in (PATIENT, AUDITOR, PHYSICIAN, STRANGER)}
    assert statuses == {PATIENT: 200, AUDITOR: 200, PHYSICIAN: 404, STRANGER: 404}
    for kind in ("accesses", "consents"):
        assert (await api.call(None, "GET", f"/api/{kind}?format={form}")).status_code == 401
    if form == "fhir":
        assert resources(await bundled(api, STRANGER, "/api/accesses?format=fhir")) == []
        assert resources(await bundled(api, STRANGER, path.replace("accesses", "consents"))) == []


@pytest.mark.parametrize(
    "query", ["format=xml", "format=FHIR", "language=fr&format=pdf", "limit=0", "format=fhir&limit=1001", "cursor=-1"]
)
async def test_what_cannot_be_asked_is_refused(api: InProcess, query: str) -> None:
    answer = await api.call(PATIENT, "GET", f"/api/accesses?{query}")
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:consentry:problem:invalid-parameter")


async def test_consents_hold_what_the_json_holds(api: InProcess) -> None:
    await in_directory(api, PHYSICIAN, '<b>"Dr. X"</b>')
    granted(api)
    other = granted(
        api, replace(TERMS, consent_nonce=b"\x01" * 32, effect=Effect.DENY, share_depth=0, actions=Action.VIEW)
    )
    revoked(api, other)
    granted(
        api,
        replace(
            TERMS,
            consent_nonce=b"\x02" * 32,
            grantee=Grantee(b"\x00" * 12 + PHYSICIAN),
            studies=(),
            dates=DateSpan(),
            purposes=1 << Purpose.TREAT,
            epoch=1,
        ),
    )
    path = f"/api/consents?patient_key={to_hex(PATIENT_KEY)}"
    listed = (await api.call(PATIENT, "GET", path)).json()["consents"]
    found = resources(await bundled(api, PATIENT, f"{path}&format=fhir"))
    assert [f"0x{one['id']}" for one in found] == [one["consent_id"] for one in listed]
    assert len(found) == 3
    assert {one["status"] for one in found} == {"active", "inactive"}
    theirs = resources(await bundled(api, PHYSICIAN, f"{path}&format=fhir"))
    assert theirs
    assert not any("text" in one for one in theirs), "the words are for those who act for the patient"


def test_an_entry_has_one_address_for_ever() -> None:
    one = {"resourceType": "Consent", "id": "aa"}
    first, second = (json.loads(bytes(bundle([one], "https://x/", {}).body)) for _ in range(2))
    assert first == second
    assert first["entry"][0]["fullUrl"].startswith("urn:uuid:")
