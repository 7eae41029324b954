"""Whatever the archive answers, no host, path or header of it reaches the client; what is the patient's does."""

import logging
import re
from collections import Counter
from random import Random

import pytest

from app.core.dicom.dicomweb_grammar import ROUTES
from app.gateway.ports import Alarm
from app.pacs.http_client import HttpLimits, HttpOrigin
from app.pacs.remote import RemoteOrigin
from tests.gateway.conftest import MakeWorld
from tests.gateway.leaky_pacs import CANARIES, HOST, LeakyPacs
from tests.gateway.people import A1, ANNA, stored
from tests.gateway.world import PUBLIC_URL, Reply
from tests.pacs.breaking_server import Exchange, breaking_server

_QUICK = HttpLimits(connect_s=2.0, first_byte_s=5.0, silence_s=5.0)
_UIDS = {"study": A1, "series": f"{A1}.1", "instance": f"{A1}.1.1", "frames": "1", "bulk": "7fe00010"}
_ACCEPTS = (
    *("*/*", "application/dicom+json", 'multipart/related; type="application/dicom+xml"', "image/jpeg"),
    *('multipart/related; type="application/dicom"; transfer-syntax=*', "application/dicom; transfer-syntax=*"),
    *('multipart/related; type="application/octet-stream"; transfer-syntax=*', "application/octet-stream"),
)
_MOODS = ("", "", "", "error", "cut", "nested", "names")


def _told(reply: Reply) -> bytes:
    return reply.body + b"\n".join(name + b": " + value for name, value in reply.headers)


async def test_no_host_path_or_header_of_the_archive_reaches_anyone(
    make_world: MakeWorld, rng: Random, run_size, caplog: pytest.LogCaptureFixture
) -> None:
    pacs = LeakyPacs([stored(ANNA, A1, 1, 1), stored(ANNA, A1, 1, 2), stored(ANNA, A1, 2, 1)], rng)
    routes = sorted({route.template for route in ROUTES})
    async with breaking_server(pacs.script) as server:
        world = await make_world(RemoteOrigin(HttpOrigin(server.url), _QUICK))
        patient = await world.enrol(ANNA)
        world.grant(patient)
        token = await world.token()
        answered: Counter[tuple[str, bool]] = Counter()
        with caplog.at_level(logging.DEBUG):
            for number in range(run_size(400, 20_000)):
                route, turn = routes[number % len(routes)], number // len(routes)
                first = turn < len(_ACCEPTS)  # each route with each type, rightly answered
                pacs.mood = "" if first else rng.choice(_MOODS)
                target, accept = route.format(**_UIDS), _ACCEPTS[turn] if first else rng.choice(_ACCEPTS)
                reply = await world.ask(target, token, ("Accept", accept))
                told = _told(reply)
                assert not any(canary in told for canary in CANARIES), (pacs.mood, target, accept, reply)
                answered[route, reply.status == 200] += 1
        logged = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("asyncio"))
        assert not any(canary.decode() in logged for canary in CANARIES)
        unanswered = [route for route in routes if not answered[route, True]]
        assert unanswered == [], "never answered with 200: nothing was shown of these"
        await world.origin.aclose()


async def test_what_is_the_patients_comes_through(make_world: MakeWorld, rng: Random) -> None:
    """The archive's host in a comment is what somebody wrote about the patient, and a link is ours."""
    one = stored(ANNA, A1, 1, 1, canary=f"see {HOST}")
    pacs = LeakyPacs([one], rng)
    async with breaking_server(pacs.script) as server:
        world = await make_world(RemoteOrigin(HttpOrigin(server.url), _QUICK))
        world.grant(await world.enrol(ANNA))
        reply = await world.ask(f"/studies/{A1}/metadata", await world.token(), ("Accept", "application/dicom+json"))
        (dataset,) = reply.json()
        assert dataset["00204000"]["Value"] == [f"see {HOST}"]
        links = re.findall(r'"BulkDataURI":"([^"]*)"', reply.body.decode())
        own = f"{PUBLIC_URL}/studies/{A1}/series/{one.series}/instances/{one.instance}/bulk"
        assert f"{own}/7fe00010" in links
        assert f"{own}/00081199/2/00081115/1/00420011" in links
        await world.origin.aclose()


@pytest.mark.parametrize("status", [401, 403])
async def test_an_archive_that_refuses_our_credentials_is_an_alarm(make_world: MakeWorld, status: int) -> None:
    async def script(exchange: Exchange) -> None:
        while await exchange.request():
            await exchange.send(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    async with breaking_server(script) as server:
        world = await make_world(RemoteOrigin(HttpOrigin(server.url, "Bearer x"), _QUICK))
        world.grant(await world.enrol(ANNA))
        reply = await world.ask(f"/studies/{A1}/metadata", await world.token())
        assert (reply.status, reply.problem) == (502, "upstream-unavailable")
        assert set(world.alarms) == {Alarm.CREDENTIALS_REFUSED}
        await world.origin.aclose()
