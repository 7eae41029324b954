"""XML answers: the same data sets as in JSON, one part each (PS3.18 §8.7.3.2, §10.4.4, §10.6.4)."""

import json
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest

from app.core.consent.terms import Action
from app.gateway.ports import Alarm
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import MemoryOrigin, Stored
from tests.gateway.people import A1, ANNA, BERT, CARL, archive
from tests.gateway.world import PUBLIC_URL, Reply, World
from tests.support.native_model import as_read, read

XML = ("Accept", 'multipart/related; type="application/dicom+xml"')
INSTANCE = f"/studies/{A1}/series/{A1}.1/instances/{A1}.1.1"
HOSTILE = '<x a="1">&amp;]]>\r\n--\x0b患者'


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(archive())
    world.grant(await world.enrol(ANNA))
    world.grant(await world.enrol(CARL))
    return world


def parts_of(reply: Reply) -> list[dict[str, Any]]:
    """The data sets of the parts, by a parser that is not ours."""
    content_type = reply.header("content-type")
    assert content_type is not None
    assert content_type.startswith('multipart/related; type="application/dicom+xml"; boundary=')
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + reply.body)
    assert message.defects == []
    datasets = []
    for part in message.get_payload():
        assert isinstance(part, Message)
        assert part.items() == [("Content-Type", "application/dicom+xml")]
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        datasets.append(read(payload))
    return datasets


@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("/studies", 3),
        ("/studies?includefield=all", 3),
        ("/studies?limit=1&offset=1", 1),
        (f"/studies/{A1}/series", 2),
        (f"/studies/{A1}/instances", 3),
        (f"/studies/{A1}/metadata", 3),
        (f"/studies/{A1}/series/{A1}.1/metadata", 2),
        (f"{INSTANCE}/metadata", 1),
    ],
)
async def test_xml_says_what_json_says(world: World, target: str, count: int) -> None:
    token = await world.token()
    in_json = await world.ask(target, token)
    in_xml = await world.ask(target, token, XML)
    assert in_xml.status == 200
    assert parts_of(in_xml) == [as_read(dataset) for dataset in in_json.json()]
    assert len(in_json.json()) == count
    assert in_xml.header("warning") == in_json.header("warning")
    assert in_xml.header("content-length") == str(len(in_xml.body))
    assert len(in_xml.record_ids) == len(in_json.record_ids) > 0
    assert b"archive.internal" not in in_xml.body
    assert PUBLIC_URL.encode() in in_xml.body
    assert b"canary-BERT" not in in_xml.body
    untyped = await world.ask(target, token, ("Accept", "multipart/related"))
    assert parts_of(untyped) == parts_of(in_xml)
    by_query = await world.ask(
        f"{target}{'&' if '?' in target else '?'}accept=multipart/related;type=%22application/dicom%2Bxml%22", token
    )
    assert parts_of(by_query) == parts_of(in_xml)


async def test_head_has_the_head_alone(world: World) -> None:
    reply = await world.ask("/studies", await world.token(), XML, method="HEAD")
    assert (reply.status, reply.body, reply.complete) == (200, b"", True)
    assert len(reply.record_ids) == 2


async def test_nothing_found_has_no_parts(world: World) -> None:
    token = await world.token()
    reply = await world.ask("/studies?PatientID=NOBODY", token, XML)
    assert (reply.status, reply.body, reply.complete, reply.header("content-type")) == (204, b"", True, None)
    assert reply.record_ids == []
    assert (await world.ask("/studies?PatientID=NOBODY", token)).body == b"[]"


async def test_one_data_set_may_come_without_an_envelope(world: World) -> None:
    token = await world.token()
    reply = await world.ask(f"{INSTANCE}/metadata", token, ("Accept", "application/dicom+xml"))
    assert reply.header("content-type") == "application/dicom+xml"
    assert [read(reply.body)] == [as_read(one) for one in (await world.ask(f"{INSTANCE}/metadata", token)).json()]
    several = await world.ask(f"/studies/{A1}/metadata", token, ("Accept", "application/dicom+xml"))
    assert several.problem == "not-acceptable"


async def test_no_text_breaks_out_of_its_element(make_world: MakeWorld) -> None:
    hostile = Stored(ANNA, A1, A1 + ".1", A1 + ".1.1", HOSTILE)  # type: ignore[arg-type]
    world = await make_world(MemoryOrigin([hostile]))
    world.grant(await world.enrol(ANNA))
    (dataset,) = parts_of(await world.ask(f"/studies/{A1}/metadata", await world.token(), XML))
    assert dataset["00204000"]["Value"] == [HOSTILE.replace("\x0b", "\ufffd")]
    assert dataset["00100010"]["Value"] == [{"Alphabetic": "Name^" + HOSTILE.replace("\x0b", "\ufffd")}]


async def test_what_json_would_pass_and_xml_cannot_hold_is_refused(make_world: MakeWorld) -> None:
    origin = archive()
    world = await make_world(origin)
    world.grant(await world.enrol(ANNA))
    row = origin.stored[0].metadata() | {"00104000": {"vr": 'LT"><x y="', "Value": ["z"]}}
    origin.answer_with = lambda _retrieve, _answer: origin.whole("application/dicom+json", json.dumps([row]).encode())
    reply = await world.ask(f"{INSTANCE}/metadata", await world.token(), XML)
    assert reply.problem == "upstream-invalid"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity"])
@pytest.mark.parametrize("accept", ["application/dicom+json", "application/dicom+xml"])
async def test_a_number_that_json_does_not_have_is_not_passed_on(
    make_world: MakeWorld, number: str, accept: str
) -> None:
    origin = archive()
    world = await make_world(origin)
    world.grant(await world.enrol(ANNA))
    row = origin.stored[0].metadata() | {"00281050": {"vr": "DS", "Value": ["PLACE"]}}
    body = json.dumps([row]).replace('"PLACE"', number).encode()
    origin.answer_with = lambda _retrieve, _answer: origin.whole("application/dicom+json", body)
    reply = await world.ask(f"{INSTANCE}/metadata", await world.token(), ("Accept", accept))
    assert (reply.status, reply.problem) == (502, "upstream-invalid")
    assert world.alarms == [Alarm.UPSTREAM_INVALID]


@pytest.mark.parametrize("accept", ["application/dicom+json", "application/dicom+xml"])
async def test_half_a_pair_is_no_character_in_either_form(make_world: MakeWorld, accept: str) -> None:
    hostile = Stored(ANNA, A1, A1 + ".1", A1 + ".1.1", "a\ud800b\udfffc")  # type: ignore[arg-type]
    world = await make_world(MemoryOrigin([hostile]))
    world.grant(await world.enrol(ANNA))
    reply = await world.ask(f"{INSTANCE}/metadata", await world.token(), ("Accept", accept))
    assert reply.status == 200
    assert "a\ufffdb\ufffdc" in reply.body.decode("utf-8")


async def test_xml_needs_the_same_consent(world: World) -> None:
    bert = await world.enrol(BERT)
    world.grant(bert, Action.SEARCH)
    token = await world.token()
    study = "1.2.3"
    assert len(parts_of(await world.ask("/studies", token, XML))) == 4
    refused = await world.ask(f"/studies/{study}/metadata", token, XML)
    assert refused.body == (await world.ask("/studies/1.2.999/metadata", token)).body
