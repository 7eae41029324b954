"""STOW-RS through the gateway: who may, of whom, in which study; what is recorded, when, and what the archive gets."""

import asyncio
import logging
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from app.core.consent.basis import UPLOADER as BY_ROLE
from app.core.consent.basis import role_id
from app.core.consent.events import Event, PatientEnrolled, RoleSet, RoleWithdrawn
from app.core.consent.terms import Modification, Role, Window
from app.core.dicom import part10_structure
from app.core.dicom.storing import FailureReason, InstanceName, Refused
from app.core.dicom.storing import Stored as Accepted
from app.core.identifiers import Address, InstanceUid, SeriesUid, Subject, UnixTime
from app.gateway.ports import Alarm, GatewayLimits
from app.pacs.origin import OriginInvalidError, OriginTimeoutError, OriginUnavailableError
from app.store.journal import JournalUnavailableError
from tests.gateway.memory_origin import URL, MemoryOrigin, Stored
from tests.gateway.people import A1, ANNA, B1, BERT, BLANK, CARL, MIXED, archive
from tests.gateway.uploading import (
    CONTENT_TYPE,
    FAILED,
    OTHERS,
    RETRIEVE_URL,
    STORED,
    UPLOADER,
    Client,
    changed,
    envelope,
    in_pieces,
    may_upload,
    of_subject,
    reasons,
    stored_in,
    taken,
    upload,
)
from tests.gateway.world import ALWAYS, PHYSICIAN, PUBLIC_URL, Reply, World

NEW = "2.25.700"
NOT_AUTHORIZED, NOT_UNDERSTOOD = FailureReason.NOT_AUTHORIZED, FailureReason.NOT_UNDERSTOOD


@pytest.fixture
def origin() -> MemoryOrigin:
    return archive()


@pytest.fixture
async def world(make_world: Any, origin: MemoryOrigin) -> World:
    made: World = await make_world(origin)
    may_upload(made)
    await made.enrol(ANNA)
    await made.enrol(BERT)
    return made


@pytest.fixture
async def token(world: World) -> str:
    return await world.token(UPLOADER)


async def test_what_is_stored_is_said_recorded_and_there(world: World, origin: MemoryOrigin, token: str) -> None:
    one, other = taken(ANNA, NEW, 1), taken(ANNA, NEW, 2)
    reply = await upload(world, token, one.part10(), other.part10())
    assert (reply.status, reply.complete) == (200, True)
    assert reply.header("content-type") == "application/dicom+json"
    assert reply.header("cache-control") == "private, no-store"
    said = reply.json()
    assert said[RETRIEVE_URL] == {"vr": "UR", "Value": [f"{PUBLIC_URL}/studies/{NEW}"]}
    assert said[STORED] == {
        "vr": "SQ",
        "Value": [
            {
                "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
                "00081155": {"vr": "UI", "Value": [str(file.instance)]},
                "00081190": {"vr": "UR", "Value": [file.url.replace(URL, PUBLIC_URL)]},
            }
            for file in (one, other)
        ],
    }
    assert set(said) == {RETRIEVE_URL, STORED}
    assert origin.received == [one.part10(), other.part10()]
    records = world.journal.records
    assert [record.record_id.hex() for record in records] == reply.record_ids
    for record, file in zip(records, (one, other), strict=True):
        assert (record.action, record.basis, record.actor) == (Modification.STORE, BY_ROLE, UPLOADER)
        assert record.target == f"POST /studies/{NEW}/series/{file.series}/instances/{file.instance}"
        assert record.study == NEW
        known = world.patients.by_subject(ANNA)
        assert known is not None
        assert record.patient == known.key
        outcome = world.journal.outcomes[record.record_id]
        assert (outcome.status, outcome.body_bytes, outcome.complete) == (200, len(file.part10()), True)


async def test_who_may_finds_and_reads_it_at_once(world: World, token: str) -> None:
    """Also in a study that was known, and remembered, without it."""
    anna = world.patients.by_subject(ANNA)
    assert anna is not None
    world.grant(anna)
    reader = await world.token(PHYSICIAN)
    old = (await world.ask(f"/studies/{A1}/instances", reader)).json()
    assert (await world.ask(f"/studies/{A1}/metadata", reader)).status == 200
    for file in (taken(ANNA, NEW), taken(ANNA, A1)):
        assert (await world.ask(f"/studies/{NEW}", reader)).status in (200, 404)
        assert (await upload(world, token, file.part10())).status == 200
        got = await world.ask(f"/studies/{file.study}/series/{file.series}/instances/{file.instance}", reader)
        assert got.status == 200
        assert file.part10() in got.body
    found = (await world.ask("/studies", reader)).json()
    assert NEW in {row["0020000D"]["Value"][0] for row in found}
    assert len((await world.ask(f"/studies/{A1}/instances", reader)).json()) == len(old) + 1
    assert (await world.ask(f"/studies/{NEW}", token)).status == 404  # to store is not to see


async def test_an_archive_that_files_it_under_somebody_else_too_is_believed_at_once(
    world: World, origin: MemoryOrigin, token: str
) -> None:
    """What was remembered of the study ends with the store: whose it is now, the archive says."""
    anna = world.patients.by_subject(ANNA)
    assert anna is not None
    world.grant(anna)
    reader = await world.token(PHYSICIAN)
    assert (await world.ask(f"/studies/{A1}/metadata", reader)).status == 200

    def misread(_name: InstanceName) -> None:
        origin.stored.append(taken(BERT, A1, 8))

    origin.store_with = misread
    assert (await upload(world, token, taken(ANNA, A1).part10())).status == 200
    assert (await world.ask(f"/studies/{A1}/metadata", reader)).status == 404


# Who may.

LATER, BEFORE = Window(UnixTime(2**39), UnixTime(2**40)), Window(UnixTime(0), UnixTime(10))


def _set(role: Role, window: Window) -> RoleSet:
    return RoleSet(role_id(role), UPLOADER, window)


# What happens before a block that is final, and after it.
ROLES: dict[str, tuple[list[Event], list[Event]]] = {
    "nobody": ([], []),
    "a physician": ([_set(Role.PHYSICIAN, ALWAYS)], []),
    "no more": ([_set(Role.UPLOADER, BEFORE)], []),
    "not yet": ([_set(Role.UPLOADER, LATER)], []),
    "not finally": ([], [_set(Role.UPLOADER, ALWAYS)]),
    "withdrawn at the head": (
        [_set(Role.UPLOADER, ALWAYS)],
        [RoleWithdrawn(role_id(Role.UPLOADER), UPLOADER)],
    ),
}


@pytest.mark.parametrize("role", ROLES)
async def test_who_may_not_store_is_told_before_a_byte_is_read(
    make_world: Any, origin: MemoryOrigin, role: str
) -> None:
    world = await make_world(origin)
    await world.enrol(ANNA)
    final, pending = ROLES[role]
    for event in final:
        world.happens(event)
    world.final = world.state
    for event in pending:
        world.happens(event)
    reply = Reply()
    for target in ("/studies", f"/studies/{A1}", f"/studies/{NEW}"):
        client = Client(world, [envelope(taken(ANNA, NEW).part10())])
        reply = await client.post(await world.token(UPLOADER), target)
        assert (reply.status, reply.problem, client.read) == (403, "forbidden", 0)
    assert (origin.calls, world.journal.entries, reply.record_ids) == ([], [], [])


async def test_without_a_session_or_a_known_chain_nothing_is_read(world: World, token: str) -> None:
    for given, status in ((None, 401), ("x" * 43, 401)):
        client = Client(world, [b"x"])
        assert ((await client.post(given)).status, client.read) == (status, 0)
    world.known = False
    client = Client(world, [b"x"])
    assert ((await client.post(token)).status, client.read) == (503, 0)


async def test_a_role_withdrawn_in_the_middle_ends_it_there(world: World, origin: MemoryOrigin, token: str) -> None:
    def withdrawn(_name: InstanceName) -> None:
        if len(origin.received) == 1:
            world.happens(RoleWithdrawn(role_id(Role.UPLOADER), UPLOADER))

    origin.store_with = withdrawn
    files = [taken(ANNA, NEW, number) for number in (1, 2, 3)]
    reply = await upload(world, token, *(file.part10() for file in files))
    assert reply.status == 202
    assert stored_in(reply) == [files[0].instance]
    assert reasons(reply) == {file.instance: NOT_AUTHORIZED for file in files[1:]}
    assert (len(origin.received), len(world.journal.entries)) == (1, 1)


async def test_a_session_that_ends_in_the_middle_ends_it_there(world: World, origin: MemoryOrigin, token: str) -> None:
    began = world.now()

    def ended(_name: InstanceName) -> None:
        if len(origin.received) == 1:
            world.now = lambda: began + 3600

    origin.store_with = ended
    files = [taken(ANNA, NEW, number) for number in (1, 2)]
    reply = await upload(world, token, *(file.part10() for file in files))
    assert (stored_in(reply), reasons(reply)) == ([files[0].instance], {files[1].instance: NOT_AUTHORIZED})
    assert (len(origin.received), len(world.journal.entries)) == (1, 1)


# Of whom, in which study.

TWO_IDS = "ANNA-1\\BERT-2"
IDENTITIES: dict[str, tuple[dict[str, Any], FailureReason | None]] = {
    "enrolled": ({}, None),
    "not enrolled": ({"PatientID": "DORA-4"}, NOT_AUTHORIZED),
    "another issuer's": ({"IssuerOfPatientID": "HOSP-B"}, NOT_AUTHORIZED),
    "without its issuer": ({"IssuerOfPatientID": None}, NOT_AUTHORIZED),
    "no PatientID": ({"PatientID": None}, NOT_AUTHORIZED),
    "empty": ({"PatientID": ""}, NOT_AUTHORIZED),
    "blank": ({"PatientID": "   "}, NOT_AUTHORIZED),
    "two": ({"PatientID": ["ANNA-1", "BERT-2"]}, NOT_AUTHORIZED),
    "case": ({"PatientID": "anna-1"}, NOT_AUTHORIZED),
    "wildcard": ({"PatientID": "ANNA-*"}, NOT_AUTHORIZED),
    "an instance UID that is none": ({"SOPInstanceUID": "1..2"}, NOT_UNDERSTOOD),
    "a study UID that climbs": ({"StudyInstanceUID": "../../etc"}, NOT_UNDERSTOOD),
    "no series": ({"SeriesInstanceUID": None}, NOT_UNDERSTOOD),
    "no class": ({"SOPClassUID": None}, NOT_UNDERSTOOD),
    "a private class": ({"SOPClassUID": "1.3.46.670589.11.0.0.12.1"}, None),
}
STUDIES: dict[str, tuple[Stored, bool]] = {
    "new": (taken(ANNA, NEW), True),
    "her own": (taken(ANNA, A1), True),
    "a series of her own": (taken(ANNA, A1, 9, series=f"{A1}.1"), True),
    "another patient's": (taken(ANNA, B1), False),
    "of two patients": (taken(ANNA, MIXED), False),
    "nobody's": (taken(ANNA, BLANK), False),
    "a series of another study": (taken(ANNA, NEW, 5, series=f"{B1}.1"), False),
    "a series of another study of hers": (taken(ANNA, NEW, 5, series=f"{A1}.1"), False),
    "an instance of another study": (replace(taken(ANNA, NEW), instance=InstanceUid(f"{B1}.1.1")), False),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("study", STUDIES)
async def test_the_truth_table(world: World, origin: MemoryOrigin, token: str, study: str) -> None:
    """Stored exactly where a holder of the role sends an enrolled patient's image into what is hers or nobody's."""
    file, is_free = STUDIES[study]
    before = list(origin.stored)
    for identity, (values, flaw) in IDENTITIES.items():
        origin.stored = list(before)
        origin.received.clear()
        world.journal.entries.clear()
        sent = changed(file.part10(), **values)
        reply = await upload(world, token, sent)
        if flaw is None and is_free:
            assert (reply.status, origin.received) == (200, [sent]), identity
            assert len(world.journal.records) == 1
            continue
        assert (reply.status, list(reasons(reply).values())) == (409, [flaw or NOT_AUTHORIZED]), identity
        assert (origin.received, origin.stored) == ([], before)
        assert (world.journal.entries, reply.record_ids) == ([], [])
        assert reply.json()[RETRIEVE_URL] == {"vr": "UR"}


async def test_a_patient_whom_the_chain_does_not_know_yet(world: World, token: str) -> None:
    """Enrolled here, but not in the finalized state: nothing could be put on the chain under that key."""
    world.final = world.state
    await world.enrol(CARL)
    assert reasons(await upload(world, token, taken(CARL, NEW).part10())) == {f"{NEW}.7.1": NOT_AUTHORIZED}
    world.final = world.state
    assert (await upload(world, token, taken(CARL, NEW).part10())).status == 200


async def test_a_patient_who_has_not_claimed_yet_is_stored_for(world: World, token: str) -> None:
    dora = Subject("DORA-4", "")
    known = await world.enrol(dora)
    other = world.state.patients[known.key]
    assert other.actor is not None
    salt_key = replace(known, key=type(known.key)(b"\x99" * 32), subject=Subject("EVA-5", ""))
    world.happens(PatientEnrolled(salt_key.key, Address(b"\x98" * 20), UnixTime(2**40)))
    await world.patients.enrol(salt_key.subject, salt_key.key, salt_key.salt)
    assert (await upload(world, token, taken(Subject("EVA-5", ""), NEW).part10())).status == 200


async def test_all_of_it_belongs_to_the_study_in_the_path(world: World, origin: MemoryOrigin, token: str) -> None:
    own, other = taken(ANNA, NEW), taken(ANNA, A1)
    reply = await upload(world, token, own.part10(), other.part10(), target=f"/studies/{NEW}")
    assert (reply.status, stored_in(reply)) == (202, [own.instance])
    assert reasons(reply) == {other.instance: FailureReason.OTHER_STUDY}
    assert reply.json()[RETRIEVE_URL]["Value"] == [f"{PUBLIC_URL}/studies/{NEW}"]
    assert len(origin.received) == 1


async def test_several_studies_have_no_common_link(world: World, token: str) -> None:
    reply = await upload(world, token, taken(ANNA, NEW).part10(), taken(BERT, f"{NEW}.1").part10())
    assert (reply.status, reply.json()[RETRIEVE_URL]) == (200, {"vr": "UR"})
    assert len({record.patient for record in world.journal.records}) == 2


async def test_the_same_again_is_as_good_as_stored_and_another_in_its_place_is_not(
    world: World, origin: MemoryOrigin, token: str
) -> None:
    file = taken(ANNA, NEW)
    again = await upload(world, token, file.part10(), file.part10())
    assert (again.status, stored_in(again)) == (200, [file.instance] * 2)
    other = changed(file.part10(), Rows=9)
    reply = await upload(world, token, file.part10(), other)
    assert (reply.status, stored_in(reply)) == (202, [file.instance])
    assert reasons(reply) == {file.instance: FailureReason.DUPLICATE}
    assert (origin.received, len(world.journal.entries)) == ([file.part10()], 1)
    assert reply.record_ids == []


async def test_two_patients_never_meet_in_a_new_study(make_world: Any, rng: random.Random) -> None:
    """Two devices with one StudyInstanceUID, at the same time."""
    for _ in range(6):
        origin = archive()
        world = await make_world(origin)
        may_upload(world)
        await world.enrol(ANNA)
        await world.enrol(BERT)
        token = await world.token(UPLOADER)
        of_anna = [taken(ANNA, NEW, number) for number in (1, 2)]
        of_bert = [of_subject(taken(BERT, NEW, number), BERT) for number in (3, 4)]
        clients = [
            Client(world, in_pieces(envelope(*(one.part10() for one in files)), rng, 400)).post(token)
            for files in (of_anna, of_bert)
        ]
        replies = await asyncio.gather(*clients)
        assert sorted(reply.status for reply in replies) == [200, 409]
        assert len({one.subject for one in origin.stored if one.study == NEW}) == 1


@pytest.mark.parametrize("is_one_instance", [True, False])
async def test_a_series_and_an_instance_never_come_to_stand_in_two_studies(
    make_world: Any, rng: random.Random, *, is_one_instance: bool
) -> None:
    """Two devices with one SeriesInstanceUID or SOPInstanceUID, at the same time."""
    for _ in range(6):
        origin = archive()
        world = await make_world(origin)
        may_upload(world)
        await world.enrol(ANNA)
        await world.enrol(BERT)
        token = await world.token(UPLOADER)
        files = [taken(ANNA, f"{NEW}.1", 1, series="2.25.8"), taken(BERT, f"{NEW}.2", 2, series="2.25.8")]
        if is_one_instance:
            uid = files[0].instance
            files = [replace(one, series=SeriesUid(f"2.25.8.{at}"), instance=uid) for at, one in enumerate(files)]
        clients = [Client(world, in_pieces(envelope(one.part10()), rng, 400)).post(token) for one in files]
        replies = await asyncio.gather(*clients)
        assert sorted(reply.status for reply in replies) == [200, 409]
        assert len(origin.received) == len(world.journal.entries) == 1


# The record first, and the archive's trouble.


async def test_the_record_is_on_the_disk_before_the_archive_is_sent_a_byte(
    world: World, origin: MemoryOrigin, token: str
) -> None:
    seen = []
    origin.store_with = lambda _name: seen.append(world.journal.committed)
    files = [taken(ANNA, NEW, number).part10() for number in (1, 2, 3)]
    assert (await upload(world, token, *files)).status == 200
    assert seen == [1, 2, 3]
    world.journal.gate = asyncio.Event()
    waiting = asyncio.create_task(upload(world, token, taken(ANNA, NEW, 4).part10()))
    await asyncio.sleep(0.05)
    assert (len(origin.received), waiting.done()) == (3, False)
    world.journal.gate.set()
    assert (await waiting).status == 200
    assert len(origin.received) == 4


async def test_what_cannot_be_recorded_does_not_reach_the_archive(
    world: World, origin: MemoryOrigin, token: str
) -> None:
    world.journal.error = JournalUnavailableError("disk")
    reply = await upload(world, token, taken(ANNA, NEW).part10())
    assert (reply.status, reply.problem, origin.received) == (503, "log-unavailable", [])
    assert (reply.record_ids, world.journal.outcomes) == ([], {})

    def then_fails(_name: InstanceName) -> None:
        world.journal.error = JournalUnavailableError("disk")

    world.journal.error = None
    origin.store_with = then_fails
    reply = await upload(world, token, taken(ANNA, NEW, 1).part10(), taken(ANNA, NEW, 2).part10())
    assert (reply.status, len(origin.received)) == (503, 1)
    assert reply.record_ids == [world.journal.records[0].record_id.hex()]  # what had been stored before


TROUBLE = {
    "down": (OriginUnavailableError("down"), 502, "upstream-unavailable", 502),
    "slow": (OriginTimeoutError("slow"), 504, "upstream-timeout", 504),
    "odd": (OriginInvalidError("odd"), 502, "upstream-invalid", 0),
}


@pytest.mark.parametrize("kind", TROUBLE)
@pytest.mark.parametrize("at", [0, 1, 2])
async def test_an_archive_that_fails_on_the_way(
    world: World, origin: MemoryOrigin, token: str, kind: str, at: int
) -> None:
    """The whole request while nothing has been stored; after that what was stored is said, and no more is tried."""
    error, status, name, outcome = TROUBLE[kind]

    def fails(_name: InstanceName) -> None:
        if len(origin.received) == at + 1:
            raise error

    origin.store_with = fails
    files = [taken(ANNA, NEW, number) for number in (1, 2, 3, 4)]
    reply = await upload(world, token, *(file.part10() for file in files))
    if at == 0:
        assert (reply.status, reply.problem) == (status, name)
    else:
        assert reply.status == 202
        assert stored_in(reply) == [file.instance for file in files[:at]]
        rest = dict.fromkeys([file.instance for file in files[at + 1 :]], FailureReason.OUT_OF_RESOURCES)
        assert reasons(reply) == {files[at].instance: FailureReason.PROCESSING, **rest}
    assert len(origin.received) == at + 1
    outcomes = [world.journal.outcomes[record.record_id] for record in world.journal.records]
    assert [one.complete for one in outcomes] == [True] * at + [False]
    assert (outcomes[-1].status, outcomes[-1].body_bytes) == (outcome, 0)
    assert len(reply.record_ids) == at + 1
    assert world.alarms == ([Alarm.UPSTREAM_INVALID] if kind == "odd" else [])


async def test_an_archive_that_is_down_when_it_is_asked_whose_the_study_is(
    world: World, origin: MemoryOrigin, token: str
) -> None:
    origin.fail_with = OriginUnavailableError("down")
    reply = await upload(world, token, taken(ANNA, NEW).part10())
    assert (reply.status, world.journal.entries) == (502, [])


async def test_what_the_archive_says_of_an_instance_is_passed_on_in_our_words(
    world: World, origin: MemoryOrigin, token: str
) -> None:
    one, other = taken(ANNA, NEW, 1), taken(ANNA, NEW, 2)

    def answer(name: InstanceName) -> Any:
        if name.instance == one.instance:
            return Accepted(name, 0xB000)
        return Refused(name, FailureReason.UNKNOWN_CLASS)

    origin.store_with = answer
    reply = await upload(world, token, one.part10(), other.part10())
    assert reply.status == 202
    assert reply.json()[STORED]["Value"][0]["00081196"] == {"vr": "US", "Value": [0xB000]}
    assert reasons(reply) == {other.instance: FailureReason.UNKNOWN_CLASS}
    outcomes = [world.journal.outcomes[record.record_id] for record in world.journal.records]
    assert [(one.status, one.complete) for one in outcomes] == [(200, True), (409, False)]


# The body.

BODIES: dict[str, tuple[str | None, bytes, tuple[tuple[str, str], ...], int, str]] = {
    "no type": (None, b"", (), 415, "unsupported-media-type"),
    "JSON": ("application/json", b"{}", (), 415, "unsupported-media-type"),
    "a bare file": ("application/dicom", b"", (), 415, "unsupported-media-type"),
    "metadata with bulk data": (
        'multipart/related; type="application/dicom+json"; boundary=x', b"", (), 415, "unsupported-media-type",
    ),
    "metadata as XML": (
        'multipart/related; type="application/dicom+xml"; boundary=x', b"", (), 415, "unsupported-media-type",
    ),
    "two types": (
        'multipart/related; type="application/dicom"; type="text/html"; boundary=x', b"", (), 415,
        "unsupported-media-type",
    ),
    "coded": (CONTENT_TYPE, b"", (("Content-Encoding", "gzip"),), 415, "unsupported-media-type"),
    "no boundary": ('multipart/related; type="application/dicom"', b"", (), 400, "invalid-multipart"),
    "two boundaries": (CONTENT_TYPE + "; boundary=y", b"", (), 400, "invalid-multipart"),
    "an empty body": (CONTENT_TYPE, b"", (), 400, "invalid-multipart"),
    "no part": (CONTENT_TYPE, envelope(), (), 400, "invalid-multipart"),
    "no end": (CONTENT_TYPE, envelope(b"x", end=b""), (), 400, "invalid-multipart"),
    "another boundary": (CONTENT_TYPE, envelope(b"x").replace(b"upload", b"other"), (), 400, "invalid-multipart"),
    "a bad part head": (CONTENT_TYPE, envelope(b"x", head=b"no colon\r\n"), (), 400, "invalid-multipart"),
    "a long part head": (
        CONTENT_TYPE, envelope(b"x", head=b"A: " + b"x" * 9000 + b"\r\n"), (), 400, "invalid-multipart",
    ),
    "nothing acceptable": (CONTENT_TYPE, b"", (("Accept", "image/png"),), 406, "not-acceptable"),
    "a length beyond the limit": (CONTENT_TYPE, b"", (("Content-Length", "20001"),), 413, "payload-too-large"),
    "a body beyond the limit": (CONTENT_TYPE, envelope(*[b"x" * 900] * 25), (), 413, "payload-too-large"),
    "a file beyond the limit": (CONTENT_TYPE, envelope(b"x" * 8001), (), 413, "payload-too-large"),
    "more files than the limit": (CONTENT_TYPE, envelope(*[b"x"] * 51), (), 413, "payload-too-large"),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
async def test_a_request_that_is_none(make_world: Any, origin: MemoryOrigin, case: str) -> None:
    content_type, body, headers, status, name = BODIES[case]
    limits = GatewayLimits(
        denial_step_s=0, upload_instances=50, upload_instance_bytes=8_000, upload_request_bytes=20_000
    )
    world = await make_world(origin, limits)
    may_upload(world)
    client = Client(world, [body])
    reply = await client.post(await world.token(UPLOADER), "/studies", *headers, content_type=content_type)
    assert (reply.status, reply.problem) == (status, name)
    # Whatever the head tells is told from the head.
    assert client.read == (0 if not body or "type" in name else 1) or case == "an empty body"
    assert (origin.received, world.journal.entries) == ([], [])


async def test_what_was_stored_before_the_body_broke_is_named(world: World, origin: MemoryOrigin, token: str) -> None:
    body = envelope(taken(ANNA, NEW).part10(), b"cut short")[:-30]
    reply = await Client(world, [body]).post(token)
    assert (reply.status, reply.problem, len(origin.received)) == (400, "invalid-multipart", 1)
    assert reply.record_ids == [record.record_id.hex() for record in world.journal.records]


async def test_one_upload_too_many_is_told_to_come_again(make_world: Any, origin: MemoryOrigin) -> None:
    world = await make_world(origin, GatewayLimits(denial_step_s=0, uploads=2))
    may_upload(world)
    await world.enrol(ANNA)
    token = await world.token(UPLOADER)
    world.journal.gate = asyncio.Event()
    running = [asyncio.create_task(upload(world, token, taken(ANNA, f"{NEW}.{n}").part10())) for n in (1, 2)]
    await asyncio.sleep(0.05)
    client = Client(world, [envelope(taken(ANNA, NEW).part10())])
    reply = await client.post(token)
    assert (reply.status, reply.problem, client.read) == (429, "too-many-requests", 0)
    assert reply.header("retry-after") == "5"
    world.journal.gate.set()
    assert [(await one).status for one in running] == [200, 200]
    assert (await upload(world, token, taken(ANNA, NEW).part10())).status == 200


async def test_the_answer_in_xml(world: World, token: str) -> None:
    file, bad = taken(ANNA, NEW), taken(CARL, f"{NEW}.1")
    client = Client(world, [envelope(file.part10(), bad.part10())])
    reply = await client.post(token, "/studies", ("Accept", "application/dicom+xml"))
    assert (reply.status, reply.header("content-type")) == (202, "application/dicom+xml")
    text = reply.body.decode()
    assert ET.fromstring(reply.body).tag.endswith("NativeDicomModel")
    for wanted in ("RetrieveURL", f"{PUBLIC_URL}/studies/{NEW}", str(file.instance), str(bad.instance), "292"):
        assert wanted in text
    asked = await Client(world, [envelope(file.part10())]).post(token, "/studies?accept=application/dicom%2Bxml")
    assert asked.header("content-type") == "application/dicom+xml"


async def test_parts_that_are_no_instance_are_told_apart_from_those_that_are(
    world: World, origin: MemoryOrigin, token: str
) -> None:
    file = taken(ANNA, NEW)
    bodies = envelope(b"<html>", end=b"")[: -len(b"--upload-boundary")]
    text = envelope(file.part10(), head=b"Content-Type: text/plain\r\n", end=b"")[: -len(b"--upload-boundary")]
    reply = await Client(world, [bodies + text + envelope(file.part10(), head=b"")]).post(token)
    assert (reply.status, stored_in(reply), len(origin.received)) == (202, [file.instance], 1)
    assert reply.json()[OTHERS]["Value"] == [{"00081197": {"vr": "US", "Value": [NOT_UNDERSTOOD]}}] * 2
    assert FAILED not in reply.json()


# Hostile files.


def _element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def _sequences(depth: int) -> bytes:
    opened = struct.pack("<HH2sHL", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 2**32 - 1
    )
    return opened * depth + struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0) * depth


def _deflated(file: bytes, tail: bytes) -> bytes:
    """The file as deflated explicit little endian, with more behind its data set."""
    at = file.index(b"\x08\x00\x16\x00UI")
    meta = file[132:at].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    meta = meta.replace(b"\x02\x00\x10\x00UI\x14\x00", b"\x02\x00\x10\x00UI\x16\x00")
    meta = meta[:8] + struct.pack("<L", len(meta) - 12) + meta[12:]
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = squeezed.compress(file[at:]) + squeezed.compress(tail) + squeezed.flush()
    return file[:132] + meta + body


def _tail(file: bytes) -> bytes:
    """Up to the pixel data, so that more can be put behind."""
    return file[: file.index(b"\xe0\x7f\x10\x00")]


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda file: file[:-3],
    "a length past the end": lambda file: _tail(file) + struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 1 << 30),
    "no length where there must be one": lambda file: (
        _tail(file) + struct.pack("<HH2sHL", 0x7FDF, 0x10, b"UT", 0, 2**32 - 1)
    ),
    "nested too deep": lambda file: _tail(file) + _sequences(65),
    "a patient said twice": lambda file: _tail(file) + _element(0x0010, 0x0020, b"LO", b"BERT-2"),
    "a study said twice": lambda file: _tail(file) + _element(0x0020, 0x000D, b"UI", b"1.2.3\0"),
    "meta information again": lambda file: _tail(file) + _element(0x0002, 0x0010, b"UI", b"1.2.840.10008.1.2\0"),
    "a value representation that is none": lambda file: _tail(file) + _element(0x0040, 0x0010, b"ZZ", b"xx"),
    "a bomb": lambda file: _deflated(file, bytes(20 * 1024 * 1024)),
    "a deflated file cut short": lambda file: _deflated(file, b"")[:-5],
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_file_is_refused_by_its_name(
    world: World, origin: MemoryOrigin, token: str, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(part10_structure, "MAX_INFLATED_BYTES", 16 * 1024 * 1024)
    file = taken(ANNA, NEW)
    reply = await upload(world, token, HOSTILE[case](file.part10()))
    assert (reply.status, reasons(reply)) == (409, {file.instance: NOT_UNDERSTOOD})
    assert (origin.received, world.journal.entries) == ([], [])


@pytest.mark.parametrize("depth", [1, 64])
async def test_files_that_are_only_odd_pass(world: World, origin: MemoryOrigin, token: str, depth: int) -> None:
    plain = taken(ANNA, NEW).part10()
    nested = _tail(plain) + _sequences(depth)
    deflated = _deflated(taken(ANNA, NEW, 2).part10(), b"")
    reply = await upload(world, token, nested, deflated)
    assert reply.status == 200
    assert origin.received == [nested, deflated]


# Pieces, leaving, mutations.


def _mixed_bag() -> list[bytes]:
    files = [
        taken(ANNA, NEW, 1).part10(),
        taken(BERT, NEW, 2).part10(),
        HOSTILE["a patient said twice"](taken(ANNA, NEW, 3).part10()),
        HOSTILE["nested too deep"](taken(ANNA, NEW, 4).part10()),
        b"no file at all",
        taken(ANNA, f"{NEW}.1", 5).part10(),
        changed(taken(ANNA, NEW, 6).part10(), PatientID=""),
        taken(ANNA, NEW, 1).part10(),
        _deflated(taken(ANNA, NEW, 8).part10(), b""),
        HOSTILE["cut short"](taken(ANNA, NEW, 9).part10()),
    ]
    large = replace(taken(ANNA, NEW, 10), canary="large").part10()
    return [*files, _tail(large) + struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 1_500_000) + bytes(1_500_000)]


async def test_any_pieces_give_the_same(
    make_world: Any, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    body = envelope(*_mixed_bag())
    expected = None
    for most in (len(body), 1 << 16, *([700, 4000, 300_000] * run_size(1, 50))):
        origin = archive()
        world = await make_world(origin)
        may_upload(world)
        await world.enrol(ANNA)
        await world.enrol(BERT)
        reply = await Client(world, in_pieces(body, rng, most)).post(await world.token(UPLOADER))
        got = (reply.status, reply.body, origin.received, [record.target for record in world.journal.records])
        expected = expected or got
        assert got == expected
    assert expected is not None
    assert (expected[0], len(expected[2])) == (202, 4)


async def test_a_small_mixed_bag_byte_by_byte(make_world: Any) -> None:
    answers = []
    for step in (1, 7, 1 << 20):
        origin = archive()
        world = await make_world(origin)
        may_upload(world)
        await world.enrol(ANNA)
        body = envelope(taken(ANNA, NEW).part10(), HOSTILE["cut short"](taken(ANNA, NEW, 2).part10()))
        pieces = [body[at : at + step] for at in range(0, len(body), step)]
        reply = await Client(world, pieces).post(await world.token(UPLOADER))
        answers.append((reply.status, reply.body, origin.received))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 202


async def test_a_client_that_leaves_has_stored_only_what_was_whole(
    make_world: Any, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    files = [taken(ANNA, NEW, number).part10() for number in (1, 2, 3)]
    body = envelope(*files)
    ends = [len(envelope(*files[: count + 1], end=b"")) for count in range(3)]
    for cut in sorted(rng.sample(range(1, len(body)), run_size(12, 400))):
        origin = archive()
        world = await make_world(origin)
        may_upload(world)
        await world.enrol(ANNA)
        client = Client(world, in_pieces(body[:cut], rng, 900), leaves=True)
        reply = await client.post(await world.token(UPLOADER))
        assert reply.status == 0
        whole = sum(cut >= end for end in ends)
        assert origin.received == files[:whole]
        assert len(world.journal.entries) == whole
        assert all(outcome.complete for outcome in world.journal.outcomes.values())


async def test_mutated_bodies_store_nothing_of_anybody_else(
    make_world: Any, rng: random.Random, run_size: Callable[[int, int], int]
) -> None:
    """Bits flipped, bytes dropped and doubled anywhere: an answer of ours, and whatever was stored is Anna's, whole."""
    body = envelope(taken(ANNA, NEW, 1).part10(), taken(ANNA, NEW, 2).part10())
    origin = archive()
    world = await make_world(origin)
    may_upload(world)
    await world.enrol(ANNA)
    token = await world.token(UPLOADER)
    for _ in range(run_size(150, 20_000)):
        mutated = bytearray(body)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(mutated))
            match rng.randrange(3):
                case 0:
                    mutated[at] ^= 1 << rng.randrange(8)
                case 1:
                    del mutated[at : at + rng.randint(1, 20)]
                case _:
                    mutated[at:at] = mutated[at : at + rng.randint(1, 20)]
        origin.received.clear()
        origin.store_with = lambda name: Refused(name, FailureReason.PROCESSING)
        reply = await Client(world, in_pieces(bytes(mutated), rng, 500)).post(token)
        assert reply.status in (200, 202, 400, 409), reply.status
        assert reply.complete
        for file in origin.received:
            assert b"ANNA-1" in file
    assert all(record.basis == BY_ROLE for record in world.journal.records)


async def test_methods_that_are_served_where(world: World, token: str) -> None:
    for path, allowed in (
        ("/studies", True),
        (f"/studies/{A1}", True),
        ("/series", False),
        (f"/studies/{A1}/series", False),
    ):
        reply = await Client(world, [envelope(taken(ANNA, NEW).part10())]).post(token, path)
        assert (reply.status != 405) == allowed
        put = await world.ask(path, token, method="PUT")
        assert put.status == 405
        assert ("POST" in (put.header("allow") or "")) == allowed


async def test_nothing_of_a_patient_goes_into_the_log(
    world: World, origin: MemoryOrigin, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    odd = Subject("CANARY-ID-77", "CANARY-ISSUER")
    await world.enrol(odd)
    origin.store_with = lambda _name: (_ for _ in ()).throw(RuntimeError(f"{odd}"))
    files = [taken(odd, NEW, canary="CANARYNAME").part10(), HOSTILE["cut short"](taken(odd, NEW, 2).part10())]
    for file in files:
        reply = await upload(world, token, file)
        assert reply.status in (409, 500)
        assert b"CANARY" not in reply.body
    assert "CANARY" not in caplog.text
    assert str(NEW) not in caplog.text
