"""Odd identities over the API: who may look and say, what is refused, and that nobody else learns of it."""

import json
from typing import Any

import pytest

from app.api.hexadecimal import to_hex
from app.core.consent.basis import role_id
from app.core.consent.events import RoleSet
from app.core.consent.fold import fold
from app.core.consent.terms import Role, Window
from app.core.identifiers import Address, PatientKey, StudyUid, Subject, UnixTime
from app.core.oddities import Enrolled
from app.core.rulings import StudyRuling
from app.pacs.origin import OriginTooBroadError
from app.store.odd_studies import seen
from tests.api.in_process import AUDITOR, PATIENT, PATIENT_KEY, PHYSICIAN, STRANGER, InProcess
from tests.gateway.memory_origin import MemoryOrigin
from tests.gateway.people import BERT, stored

DESK = Address(bytes([0x0D]) * 20)
ANNA = Subject("P-1", "S")  # as InProcess enrols the patient
MIXED, BLANK, ALIKE, PLAIN, STRANGE = (StudyUid(f"1.2.{n}") for n in (20, 21, 22, 23, 24))
NO_SUCH = "0x" + "77" * 32


@pytest.fixture
def archive() -> MemoryOrigin:
    return MemoryOrigin(
        [
            stored(ANNA, MIXED, 1, 1),
            stored(BERT, MIXED, 2, 1),
            stored(Subject("", ""), BLANK, 1, 1),
            stored(Subject("p-1", "S"), ALIKE, 1, 1),
            stored(ANNA, PLAIN, 1, 1),
            stored(Subject("STRANGE", ""), STRANGE, 1, 1),
        ]
    )


@pytest.fixture
async def desk(api: InProcess, archive: MemoryOrigin) -> InProcess:
    """The API over that archive, with a registrar, after the archive was looked through."""
    api.origin.answers = archive
    api.state = fold(api.state, RoleSet(role_id(Role.REGISTRAR), DESK, Window(UnixTime(0), UnixTime(1 << 40))))
    await api.enrolled()
    looked_at = []
    for study in (MIXED, BLANK, ALIKE):
        answer = await archive.subjects_of(study)
        assert answer.accepted is not None
        oddity = Enrolled([ANNA]).oddity(answer.accepted.identities)
        looked_at.append(seen(study, oddity, answer.accepted, answer.instances))
    await api.wiring.identities.studies.note(looked_at)
    return api


async def fingerprint(archive: MemoryOrigin, study: StudyUid) -> str:
    accepted = (await archive.subjects_of(study)).accepted
    assert accepted is not None
    assert accepted.fingerprint is not None
    return to_hex(accepted.fingerprint)


def said(**fields: Any) -> dict[str, Any]:
    return {"patient_key": to_hex(PATIENT_KEY), "reason": "Compared with the requisition.", **fields}


ALIAS = said(kind="alias", patient_id="p-1", issuer="S")

ROUTES = [
    ("GET", "/api/identities", None),
    ("POST", "/api/identities/scan", None),
    ("GET", "/api/identities/scan", None),
    ("GET", "/api/identities/resolutions", None),
    ("POST", "/api/identities/resolutions", ALIAS),
    ("DELETE", "/api/identities/resolutions/" + "00" * 16, None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_registrars_alone(desk: InProcess, method: str, path: str, body: object) -> None:
    assert (await desk.call(None, method, path, body)).status_code == 401
    for who in (PATIENT, PHYSICIAN, AUDITOR, STRANGER):
        answer = await desk.call(who, method, path, body)
        assert answer.status_code == 403
        assert b"1.2.2" not in answer.body
        assert b"P-1" not in answer.body
    assert (await desk.call(DESK, method, path, body)).status_code != 403


async def test_what_is_odd_is_listed_with_whom_it_may_mean(desk: InProcess, archive: MemoryOrigin) -> None:
    await desk.wiring.identities.recount()
    answer = (await desk.call(DESK, "GET", "/api/identities")).json()
    assert answer["unresolved"] == 3
    assert answer["next"] is None
    listed = {one["study"]: one for one in answer["studies"]}
    assert list(listed) == [MIXED, BLANK, ALIKE]
    patient = {"patient_key": to_hex(PATIENT_KEY), "patient_id": "P-1", "issuer": "S"}
    assert listed[MIXED] | {"first_seen": 0, "last_seen": 0} == {
        "study": MIXED,
        "oddity": "several-patients",
        "state": "unresolved",
        "identities": [
            {"patient_ids": ["BERT-2"], "issuers": [], "instances": 1, "patient_key": None, "alike": []},
            {
                "patient_ids": ["P-1"],
                "issuers": ["S"],
                "instances": 1,
                "patient_key": to_hex(PATIENT_KEY),
                "alike": [],
            },
        ],
        "identity_count": 2,
        "instances": 2,
        "fingerprint": await fingerprint(archive, MIXED),
        "first_seen": 0,
        "last_seen": 0,
    }
    assert listed[BLANK]["oddity"] == "missing-id"
    assert listed[ALIKE]["oddity"] == "differs-by-case-or-space"
    assert listed[ALIKE]["identities"][0]["alike"] == [patient]


async def test_paging_and_filters(desk: InProcess) -> None:
    paged, after = [], ""
    while True:
        answer = (await desk.call(DESK, "GET", f"/api/identities?limit=1&after={after}")).json()
        paged += [one["study"] for one in answer["studies"]]
        after = answer["next"] or ""
        if not after:
            break
    assert paged == [MIXED, BLANK, ALIKE]
    made = await desk.call(DESK, "POST", "/api/identities/resolutions", ALIAS)
    assert made.status_code == 201
    for query, expected in (
        ("", [MIXED, BLANK]),
        ("?state=resolved", [ALIKE]),
        ("?state=all", [MIXED, BLANK, ALIKE]),
        ("?oddity=missing-id", [BLANK]),
        ("?oddity=differs-by-case-or-space", []),
        ("?oddity=differs-by-case-or-space&state=all", [ALIKE]),
    ):
        answer = (await desk.call(DESK, "GET", f"/api/identities{query}")).json()
        assert [one["study"] for one in answer["studies"]] == expected, query
    for query in ("?oddity=nonsense", "?state=nonsense", "?limit=0", "?limit=100000", "?limit=x"):
        answer = await desk.call(DESK, "GET", f"/api/identities{query}")
        assert (answer.status_code, "nonsense" in answer.text) == (400, False), query
    answer = await desk.call(DESK, "GET", "/api/identities/resolutions?after=nonsense")
    assert answer.status_code == 400


async def test_a_walk_is_asked_for_once(desk: InProcess) -> None:
    assert (await desk.call(DESK, "GET", "/api/identities/scan")).json() == {"state": "none"}
    first = await desk.call(DESK, "POST", "/api/identities/scan")
    assert (first.status_code, first.json()["state"], first.json()["done"]) == (202, "running", 0)
    again = await desk.call(DESK, "POST", "/api/identities/scan")
    assert again.json() == first.json() == (await desk.call(DESK, "GET", "/api/identities/scan")).json()


async def test_an_alias_and_back(desk: InProcess) -> None:
    made = await desk.call(DESK, "POST", "/api/identities/resolutions", ALIAS)
    assert made.status_code == 201
    one = made.json()
    assert (one["patient_id"], one["issuer"], one["study"], one["withdrawn_at"]) == ("p-1", "S", None, None)
    assert one["made_by"].lower() == to_hex(DESK)
    assert desk.wiring.identities.resolutions.rulings.aliases == {Subject("p-1", "S"): PATIENT_KEY}
    assert (await desk.call(DESK, "GET", "/api/identities/resolutions")).json() == {"resolutions": [one], "next": None}
    ended = await desk.call(DESK, "DELETE", f"/api/identities/resolutions/{one['id']}")
    assert (ended.status_code, ended.json()["withdrawn_by"]) == (200, one["made_by"])
    assert not desk.wiring.identities.resolutions.rulings.aliases
    again = await desk.call(DESK, "DELETE", f"/api/identities/resolutions/{one['id']}")
    assert again.status_code == 404
    for in_force, expected in (("true", []), ("false", [one["id"]])):
        answer = (await desk.call(DESK, "GET", f"/api/identities/resolutions?in_force={in_force}")).json()
        assert [found["id"] for found in answer["resolutions"]] == expected


async def test_a_study_as_it_was_looked_at(desk: InProcess, archive: MemoryOrigin) -> None:
    looked_at = await fingerprint(archive, BLANK)
    archive.stored.append(stored(Subject("", ""), BLANK, 1, 2))
    body = said(kind="study", study=BLANK, fingerprint=looked_at)
    refused = await desk.call(DESK, "POST", "/api/identities/resolutions", body)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:consentry:problem:conflict")
    assert not desk.wiring.identities.resolutions.rulings.studies
    # The list shows what there is now.
    listed = (await desk.call(DESK, "GET", "/api/identities?oddity=missing-id")).json()["studies"]
    assert listed[0]["instances"] == 2
    made = await desk.call(
        DESK, "POST", "/api/identities/resolutions", body | {"fingerprint": listed[0]["fingerprint"]}
    )
    assert made.status_code == 201
    ruling = StudyRuling(PATIENT_KEY, bytes.fromhex(listed[0]["fingerprint"][2:]))
    assert desk.wiring.identities.resolutions.rulings.studies == {BLANK: ruling}
    again = await desk.call(
        DESK, "POST", "/api/identities/resolutions", body | {"fingerprint": listed[0]["fingerprint"]}
    )
    assert again.status_code == 409


async def test_what_is_refused(desk: InProcess, archive: MemoryOrigin) -> None:
    mixed, plain = await fingerprint(archive, MIXED), await fingerprint(archive, PLAIN)
    table: list[tuple[int, dict[str, Any]]] = [
        (404, ALIAS | {"patient_key": NO_SUCH}),
        (404, said(kind="study", study="1.2.404", fingerprint=mixed)),
        (409, said(kind="study", study=PLAIN, fingerprint=plain)),  # plain, and the patient is enrolled
        (409, said(kind="study", study=MIXED, fingerprint=NO_SUCH)),
        (409, said(kind="alias", patient_id="P-1", issuer="S")),  # enrolled in their own name
        (422, said(kind="alias")),
        (422, said(kind="alias", patient_id="  ")),
        (422, said(kind="alias", patient_id="A\\B")),
        (422, said(kind="alias", patient_id="x" * 65)),
        (422, said(kind="alias", patient_id="p-1", study=MIXED)),
        (422, said(kind="study", study=MIXED)),
        (422, said(kind="study", study="1.2/../3", fingerprint=mixed)),
        (422, said(kind="study", study=MIXED, fingerprint=mixed, patient_id="p-1")),
        (422, said(kind="other", patient_id="p-1")),
        (422, ALIAS | {"reason": ""}),
        (422, ALIAS | {"reason": "seen\u202e"}),
        (422, ALIAS | {"more": 1}),
        (422, {key: value for key, value in ALIAS.items() if key != "reason"}),
    ]
    for status, body in table:
        answer = await desk.call(DESK, "POST", "/api/identities/resolutions", body)
        assert answer.status_code == status, body
        for value in ("p-1", "1.2.", "77" * 32):
            assert value not in answer.text
    for identity in ("", "zz", "00" * 16, "00" * 17):
        answer = await desk.call(DESK, "DELETE", f"/api/identities/resolutions/{identity}")
        assert answer.status_code in (404, 405), identity
    rulings = desk.wiring.identities.resolutions.rulings
    assert not rulings.aliases
    assert not rulings.studies


async def test_an_archive_that_cannot_tell(desk: InProcess, archive: MemoryOrigin) -> None:
    body = said(kind="study", study=MIXED, fingerprint=await fingerprint(archive, MIXED))
    archive.fail_with = OriginTooBroadError()
    answer = await desk.call(DESK, "POST", "/api/identities/resolutions", body)
    assert (answer.status_code, json.loads(answer.body)["type"][-16:]) == (413, "search-too-broad")


async def test_a_patient_knows_the_studies_that_were_said_to_be_theirs(desk: InProcess, archive: MemoryOrigin) -> None:
    """The words of a consent name them."""
    from app.api.wording import studies_of  # noqa: PLC0415 - not an API of its own

    patient = desk.wiring.patients.by_key(PATIENT_KEY)
    assert patient is not None
    before = await studies_of(desk.wiring, patient)
    assert {one.uid for one in before} == {MIXED, PLAIN}  # her name is on it: what she may see is another matter
    await desk.call(DESK, "POST", "/api/identities/resolutions", ALIAS)
    body = said(kind="study", study=BLANK, fingerprint=await fingerprint(archive, BLANK))
    await desk.call(DESK, "POST", "/api/identities/resolutions", body)
    found = {one.uid for one in await studies_of(desk.wiring, patient)}
    assert found == {MIXED, PLAIN, ALIKE, BLANK}
    archive.stored.append(stored(Subject("", ""), BLANK, 1, 2))
    found = {one.uid for one in await studies_of(desk.wiring, patient)}
    assert found == {MIXED, PLAIN, ALIKE}
    assert PatientKey(PATIENT_KEY) == patient.key


async def test_metrics_tell_the_number_and_no_name(desk: InProcess) -> None:
    await desk.wiring.identities.recount()
    from app.api.metrics import exposition  # noqa: PLC0415
    from app.api.wiring import Condition  # noqa: PLC0415

    condition = Condition(None, None, None, 0, 0, 0, False, (), 0, 0)
    shown = exposition(condition, standing_known=True, unresolved=desk.wiring.identities.unresolved).decode()
    assert "consentry_unresolved_studies 3.0" in shown
    assert "1.2.2" not in shown
    none = exposition(condition, standing_known=True, unresolved=None).decode()
    assert "consentry_unresolved_studies" not in none
