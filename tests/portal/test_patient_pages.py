"""A patient's pages without a browser: whose they are, what they say of hostile names, and what they say when something
is away.
"""

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from app.core.consent.basis import person
from app.core.consent.consent_id import consent_id
from app.core.consent.events import (
    ConsentGranted,
    DirectoryEntrySet,
    Event,
    GuardianSet,
    MoveStarted,
    PatientClaimed,
    PatientEnrolled,
)
from app.core.consent.fold import fold_all
from app.core.consent.state import GENESIS
from app.core.consent.terms import Action, Capacity, Effect, Purpose, Terms, Window
from app.core.directory import entry_hash
from app.core.identifiers import Address, PatientKey, Signer, StudyUid, Subject, UnixTime
from app.portal.patient.studies import person_name
from app.store.directory import DirectoryEntry
from app.store.journal import Journal
from tests.api.in_process import CHAIN_ID, DEPLOYMENT, NOW, PATIENT, PATIENT_KEY, PHYSICIAN, STRANGER
from tests.portal.opened import Portal, study
from tests.support.accesses import random_entry
from tests.support.stores import opened_sqlite

PAGES = (
    "/patient",
    "/patient/consents",
    "/patient/consents/new",
    "/patient/requests",
    "/patient/accesses",
    "/patient/record",
)
MARKUP = "<script>alert(1)</script>"
HIDDEN = "&lt;script&gt;alert(1)"
CHILD_KEY = PatientKey(bytes([8]) * 32)
LATER = UnixTime(NOW + 86400)
RPC = "https://node.example.org/key/v3"


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    database = opened_sqlite(tmp_path / "store.db")
    opened = Portal(database, tmp_path, browser_rpc=RPC)
    opened.archive.rows = [study("1.2.3", "MR knee", "20260301"), study("1.2.4")]
    yield opened
    database.close()


def happened(portal: Portal, *events: Event) -> None:
    portal.api.state = fold_all(portal.api.state, events)


async def named(portal: Portal, account: Address, name: str, organisation: str = "", registration: str = "") -> None:
    """In the directory, and vouched for by the chain."""
    hashed = entry_hash(bytes(32), name, organisation, registration)
    await portal.api.wiring.directory.put(DirectoryEntry(account, name, organisation, registration, bytes(32), hashed))
    happened(portal, DirectoryEntrySet(account, hashed))


def granted(grantee: Address = PHYSICIAN, patient: PatientKey = PATIENT_KEY) -> ConsentGranted:
    terms = Terms(
        patient=patient,
        grantee=person(grantee),
        effect=Effect.PERMIT,
        actions=Action.SEARCH | Action.VIEW,
        purposes=1 << Purpose.TREAT,
        window=Window(UnixTime(0), LATER),
        studies=(),
        epoch=0,
        consent_nonce=bytes(32),
    )
    identity = consent_id(terms, CHAIN_ID, DEPLOYMENT.address("ConsentRegistry"))
    return ConsentGranted(identity, terms, PATIENT, Capacity.CONTROLLER)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_for_whoever_acts_for_the_patient(portal: Portal, path: str) -> None:
    await portal.api.enrolled()
    assert (await portal.open(path)).status_code == 303, "signed in first"
    mine = await portal.open(path, PATIENT)
    assert mine.status_code == 200
    assert "Record of <strong>Eva Lind</strong>" in mine.text
    assert (await portal.open(path, STRANGER)).status_code == 403
    others = await portal.open(f"{path}?of=0x{CHILD_KEY.hex()}", PATIENT)
    assert others.status_code == 403
    assert "This is not yours to do" in others.text
    assert (await portal.open(f"{path}?of=nonsense", PATIENT)).status_code == 403


@pytest.mark.parametrize("path", PAGES)
async def test_hostile_names_are_text_on_every_page(portal: Portal, path: str) -> None:
    await portal.api.enrolled()
    portal.archive.rows = [study("1.2.3", MARKUP, "20260301", name=f"{MARKUP}^Bo"), study('1.2.4"><b>', MARKUP)]
    await named(portal, PHYSICIAN, MARKUP, f"Clinic {MARKUP}", MARKUP)
    happened(portal, granted())
    await portal.api.wiring.access_requests.ask(
        PATIENT_KEY, PHYSICIAN, json.dumps({"actions": ["view"], "purposes": ["TREAT"], "days": 3}), f"Please {MARKUP}"
    )
    await looked(portal, purpose=Purpose.ETREAT, at=UnixTime(NOW - 100), actor=PHYSICIAN, study=StudyUid("1.2.3"))
    happened(portal, MoveStarted(PATIENT_KEY, Signer(STRANGER), LATER))
    text = (await portal.open(path, PATIENT)).text
    assert MARKUP not in text
    assert "<b>" not in text
    assert HIDDEN in text
    asked = await portal.api.wiring.access_requests.of_patients([PATIENT_KEY])
    filled = (await portal.open(f"/patient/consents/new?request={asked[0].request_id.hex()}", PATIENT)).text
    assert MARKUP not in filled
    assert HIDDEN in filled


async def test_whoever_acts_for_several_chooses_and_is_told_for_whom(portal: Portal) -> None:
    await portal.api.enrolled()
    await portal.api.wiring.patients.enrol(Subject("P-2", "S"), CHILD_KEY, bytes(32))
    happened(
        portal,
        PatientEnrolled(CHILD_KEY, Address(bytes([9]) * 20), LATER),
        PatientClaimed(CHILD_KEY, STRANGER, Signer(STRANGER)),
        GuardianSet(CHILD_KEY, PATIENT, Signer(PATIENT), LATER),
    )
    portal.archive.rows = [study("1.2.3"), study("1.2.9", name="Lind^Ida", **{"00100020": "P-2"})]
    for path in PAGES:
        own = (await portal.open(path, PATIENT)).text
        assert "Record of <strong>Eva Lind</strong>" in own
        assert f"{path if path != '/patient/consents/new' else '/patient/consents'}?of=0x{CHILD_KEY.hex()}" in own
        theirs = (await portal.open(f"{path}?of=0x{CHILD_KEY.hex()}", PATIENT)).text
        assert "You act for <strong>Ida Lind</strong>, as guardian" in theirs
        assert f'href="/patient/consents?of=0x{CHILD_KEY.hex()}"' in theirs, "the links stay with the record"
    overview = (await portal.open(f"/patient?of=0x{CHILD_KEY.hex()}", PATIENT)).text
    assert "StudyInstanceUIDs=1.2.9" in overview
    assert "1.2.3" not in overview
    assert "/thumbnail" not in overview, "signed in for the own record: the gateway would refuse them"
    assert "signed in for another purpose" in overview
    assert "/dicom-web/studies/1.2.3/thumbnail" in (await portal.open("/patient", PATIENT)).text
    record = (await portal.open(f"/patient/record?of=0x{CHILD_KEY.hex()}", PATIENT)).text
    assert "guardian-form" not in record, "only who controls the record names a guardian"


async def test_a_claim_that_is_not_final_opens_no_name(portal: Portal) -> None:
    await portal.api.enrolled()
    assert "Eva Lind" in (await portal.open("/patient", PATIENT)).text
    portal.api.final = GENESIS
    text = (await portal.open("/patient", PATIENT)).text
    assert "Eva Lind" not in text
    assert (await portal.open("/patient/accesses", PATIENT)).status_code == 403


async def test_an_archive_that_is_away_leaves_consents_as_they_are(portal: Portal) -> None:
    await portal.api.enrolled()
    portal.archive.rows = None
    happened(portal, granted())
    assert "The picture archive does not answer" in (await portal.open("/patient", PATIENT)).text
    consents = await portal.open("/patient/consents", PATIENT)
    assert "may view all images" in consents.text
    assert 'class="danger revoke"' in consents.text


async def test_the_chain_being_away_is_said_in_words(portal: Portal) -> None:
    portal.api.wiring.standing = lambda: None  # type: ignore[misc]
    for path in PAGES:
        answer = await portal.open(path, PATIENT, accept_language="de")
        assert answer.status_code == 503
        assert "Die Chain lässt sich gerade nicht lesen" in answer.text


async def test_who_is_not_vouched_for_is_not_called_by_name(portal: Portal) -> None:
    await portal.api.enrolled()
    await named(portal, PHYSICIAN, "Dr. Ines Castellan", "St. Elsewhere", "GMC 7")
    happened(portal, granted())
    await portal.api.wiring.access_requests.ask(PATIENT_KEY, PHYSICIAN, "{}", "Hello")
    said = (await portal.open("/patient/requests", PATIENT)).text
    assert "Dr. Ines Castellan" in said
    assert "GMC 7" in said
    assert "verified by nobody" not in said
    entry = DirectoryEntry(PHYSICIAN, "Dr. Forged", "Elsewhere", "", bytes(32), bytes(32))
    await portal.api.wiring.directory.put(entry)
    said = (await portal.open("/patient/requests", PATIENT)).text
    assert "Dr. Ines Castellan" in said, "another text beside it takes nothing away"
    assert "Forged" not in said
    # In the very place of the one that the chain vouches for
    vouched = portal.api.state.directory[PHYSICIAN]
    await portal.api.wiring.directory.put(replace(entry, entry_hash=vouched))
    for path in ("/patient/requests", "/patient/consents", "/patient/consents/new?to=0x" + PHYSICIAN.hex()):
        assert "Forged" not in (await portal.open(path, PATIENT)).text
    assert "verified by nobody" in (await portal.open("/patient/requests", PATIENT)).text
    found = (await portal.open("/patient/people?q=forged", PATIENT)).json()
    assert found == {"people": []}


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("", ["Dr. Ärmel"]),
        ("armel", ["Dr. Ärmel"]),
        ("ÄRMEL clinic", ["Dr. Ärmel"]),
        ("ärmel hospital", []),
        ("nobody", []),
        ("auditor", []),
    ],
)
async def test_people_are_found_by_parts_of_name_and_organisation(portal: Portal, typed: str, names: list[str]) -> None:
    await portal.api.enrolled()
    await named(portal, PHYSICIAN, "Dr. Ärmel", "Harbour Clinic")
    await named(portal, STRANGER, "An auditor", "Harbour Clinic")
    found = (await portal.open("/patient/people?" + urlencode({"q": typed}), PATIENT)).json()
    assert [one["name"] for one in found["people"]] == names
    assert (await portal.open("/patient/people?q=" + "a" * 101, PATIENT)).status_code == 400


async def looked(portal: Portal, **fields: object) -> None:
    journal = Journal(portal.api.database)
    await asyncio.to_thread(journal.start)
    rng = random.Random(7)
    await journal.append([random_entry(rng, patient=PATIENT_KEY, **fields)])
    await asyncio.to_thread(journal.stop)


async def test_who_looked_names_the_node_in_its_policy_alone(portal: Portal) -> None:
    await portal.api.enrolled()
    await looked(portal, actor=PHYSICIAN, at=UnixTime(NOW - 86400), study=StudyUid("1.2.3"), action=Action.VIEW)
    answer = await portal.open("/patient/accesses", PATIENT)
    assert "connect-src 'self' https://node.example.org;" in answer.headers["content-security-policy"]
    assert f'data-rpc="{RPC}"' in answer.text
    assert "viewed: MR knee of 1 March 2026" in answer.text
    assert "In the last half year there was 1 access." in answer.text
    for path in PAGES:
        if path != "/patient/accesses":
            other = await portal.open(path, PATIENT)
            assert "connect-src 'self';" in other.headers["content-security-policy"]


@pytest.mark.parametrize(
    "query", ["who=0x12", "action=all", "since=yesterday", "until=9999-12-31", "cursor=-1", "study=" + "1" * 65]
)
async def test_a_filter_that_is_none_is_refused_in_words(portal: Portal, query: str) -> None:
    await portal.api.enrolled()
    answer = await portal.open(f"/patient/accesses?{query}", PATIENT)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "This address cannot be understood" in answer.text


async def test_a_request_of_somebody_elses_patient_fills_no_form(portal: Portal) -> None:
    await portal.api.enrolled()
    foreign = await portal.api.wiring.access_requests.ask(CHILD_KEY, PHYSICIAN, "{}", "Hello")
    for request in (foreign.request_id.hex(), "00" * 16, "nonsense"):
        assert (await portal.open(f"/patient/consents/new?request={request}", PATIENT)).status_code == 404
    assert (await portal.open("/patient/consents/new?to=nobody", PATIENT)).status_code == 400


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Lind^Eva", "Eva Lind"),
        ("Lind^Eva^Maria^Dr.^jr.", "Dr. Eva Maria Lind jr."),
        ("Lind", "Lind"),
        ("", ""),
        ("^^^^^^", ""),
        (" Lind ^ Eva ", "Eva Lind"),
    ],
)
def test_names_are_said_as_people_say_them(written: str, said: str) -> None:
    assert person_name(written) == said
