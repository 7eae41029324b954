"""Bulk data behind links of other forms than ours: found by its place, followed only where it may be."""

import json
from typing import Any

import pytest

from app.core.dicom.dicomjson import rewrite_links
from app.core.dicom.dicomweb import Representation, Retrieve
from app.core.dicom.dicomweb_grammar import parse
from app.pacs.bulk_links import bulk_target
from app.pacs.credentials import bearer_authorization
from app.pacs.http_client import HttpLimits, HttpOrigin
from app.pacs.origin import OriginInvalidError
from app.pacs.remote import RemoteOrigin
from tests.pacs.asking import BULK, datasets, fetched, parts_of, retrieval
from tests.pacs.breaking_server import Exchange, Script, breaking_server
from tests.pacs.conftest import Collection
from tests.support.dcm4chee import TOKEN, running_dcm4chee
from tests.support.dicom_files import read_quietly

LIMITS = HttpLimits(connect_s=0.5, first_byte_s=2.0, silence_s=2.0, idle_s=0.5)
INSTANCE = "/studies/1.1/series/1.2/instances/1.3"


def _asked(*place: str) -> Retrieve:
    return retrieval(Representation.BULKDATA, "1.1", "1.2", "1.3", bulk_path=place)


def _with(uri: object) -> dict[str, Any]:
    return {"00420011": {"vr": "OB", "BulkDataURI": uri}}


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        (f"http://pacs/dcm4chee-arc/aets/A/rs{INSTANCE}", INSTANCE),
        (f"https://pacs/rs{INSTANCE}/bulkdata/00420011", f"{INSTANCE}/bulkdata/00420011"),
        (f"https://pacs{INSTANCE}/bulk?offset=12&length=34", f"{INSTANCE}/bulk?offset=12&length=34"),
        (f"{INSTANCE}/blob/abc_D-1.bin", f"{INSTANCE}/blob/abc_D-1.bin"),
        ("bulkdata/7", f"{INSTANCE}/bulkdata/7"),
        ("../../../../bulkdata/9f86d0.gz", "/studies/1.1/bulkdata/9f86d0.gz"),
        # Elsewhere: another resource, another study, the archive's other doors, what a URL parser may be fooled with.
        ("http://pacs/studies/1.1/series/1.2/instances/1.33/bulk/1", None),
        ("http://pacs/studies/1.1/series/1.9/instances/1.3/bulk/1", None),
        ("http://pacs/studies/1.11/series/1.2/instances/1.3", None),
        ("http://pacs/studies/1.1", None),
        ("http://pacs/studies/1.1/metadata", None),
        ("http://pacs/studies/1.1/series/1.2", None),
        ("http://pacs/system", None),
        ("http://pacs" + INSTANCE + "/../../../../../system", None),
        ("http://pacs" + INSTANCE + "/%2e%2e/x", None),
        ("http://pacs" + INSTANCE + "/a//b", None),
        ("http://pacs" + INSTANCE + "/a b", None),
        ("http://pacs" + INSTANCE + "/a\r\nX: y", None),
        ("http://pacs" + INSTANCE + "/ä", None),
        ("http://pacs" + INSTANCE + "/a?x=%0d%0a", None),
        ("http://pacs" + INSTANCE + "/" + "a" * 2000, None),
        ("http://[", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_a_link_is_followed_only_below_its_instance_or_beside_the_series(uri: object, expected: str | None) -> None:
    assert bulk_target(_asked("00420011"), _with(uri)) == (None if expected is None else expected.encode())


def test_an_element_is_found_by_its_place() -> None:
    inner = _with(f"{INSTANCE}/bulkdata/inner")
    metadata: dict[str, Any] = {"00400275": {"vr": "SQ", "Value": [None, {"00400275": {"vr": "SQ", "Value": [inner]}}]}}
    place = ("00400275", "2", "00400275", "1", "00420011")
    assert bulk_target(_asked(*place), metadata) == f"{INSTANCE}/bulkdata/inner".encode()
    for wrong in (
        ("00420011",),
        ("00400275", "1", "00420011"),
        ("00400275", "3", "00420011"),
        ("00400275", "2", "00400275", "2", "00420011"),
        ("00400275",),
    ):
        assert bulk_target(_asked(*wrong), metadata) is None
    for odd in ({"00400275": 7}, {"00400275": {"Value": 7}}, {"00400275": {"Value": [7, 7]}}):
        assert bulk_target(_asked(*place), odd) is None


async def test_a_dcm4chees_bulk_data_is_found_by_our_links(wheel: Collection) -> None:
    """Nested in sequences too, where it counts items from 0: our links count from 1, and both name the same bytes."""
    with running_dcm4chee() as archive:
        archive.store([file.path for file in wheel.files])
        origin = RemoteOrigin(HttpOrigin(archive.url, bearer_authorization(TOKEN)), LIMITS)
        followed: dict[int, int] = {}
        for one in archive.holdings.instances:
            if one.path.stat().st_size > 400_000:
                continue
            target = retrieval(Representation.METADATA, one.study, one.series, one.uid)
            (metadata,) = await datasets(origin, target)
            encapsulated = one.dataset.file_meta.TransferSyntaxUID.is_encapsulated
            for place, link in list(_links(rewrite_links(metadata, ""), ()))[:4]:
                if encapsulated and place == ("7FE00010",):
                    continue  # given decompressed, or not at all
                asked = parse("GET", link.encode(), b"")
                assert isinstance(asked, Retrieve)
                status, content_type, body = await fetched(origin, asked, BULK)
                assert status == 200
                ((_, data),) = parts_of(content_type, body)
                expected = read_quietly(one.path)
                for tag, number in zip(place[:-1:2], place[1::2], strict=True):
                    expected = expected[int(tag, 16)].value[int(number) - 1]
                assert data == expected[int(place[-1], 16)].value, (one.path.name, place)
                followed[len(place)] = followed.get(len(place), 0) + 1
        assert followed.get(1, 0) > 10, followed
        assert followed.get(3, 0) > 0, "no bulk data in a sequence was followed"
        await origin.aclose()


def _links(dataset: dict[str, Any], above: tuple[str, ...]) -> Any:
    for tag, element in dataset.items():
        if "BulkDataURI" in element:
            yield (*above, tag), element["BulkDataURI"]
        for number, item in enumerate(element.get("Value", []) if element.get("vr") == "SQ" else [], 1):
            yield from _links(item, (*above, tag, str(number)))


def _scripted(link: str, answer: tuple[int, str, bytes], asked: list[str]) -> Script:
    uids = zip(("0020000D", "0020000E", "00080018"), ("1.1", "1.2", "1.3"), strict=True)
    metadata = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids} | _with(link)

    async def script(exchange: Exchange) -> None:
        while head := await exchange.request():
            target = head.decode().split(" ")[1].removeprefix("/dicom-web")
            asked.append(target)
            status, media_type, body = 404, "text/plain", b"no"
            if target.endswith("/metadata"):
                status, media_type, body = 200, "application/dicom+json", json.dumps([metadata]).encode()
            elif not target.endswith("/bulk/00420011"):
                status, media_type, body = answer
            said = f"HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
            await exchange.send(said.encode() + body)

    return script


async def test_only_the_one_origin_is_asked() -> None:
    """The link names another host; the same path is asked for where we always ask."""
    asked: list[str] = []
    script = _scripted(f"http://192.0.2.1{INSTANCE}/b/7", (200, "multipart/related; boundary=x", b"yes"), asked)
    async with breaking_server(script) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), LIMITS)
        assert await fetched(origin, _asked("00420011"), BULK) == (200, "multipart/related; boundary=x", b"yes")
        assert asked == [f"{INSTANCE}/bulk/00420011", f"{INSTANCE}/metadata", f"{INSTANCE}/b/7"]
        await origin.aclose()


@pytest.mark.parametrize("link", ["http://192.0.2.1/system", f"http://pacs{INSTANCE}/bulk/00420011"])
async def test_a_link_that_leads_nowhere_else_is_not_found(link: str) -> None:
    asked: list[str] = []
    async with breaking_server(_scripted(link, (200, "text/plain", b"no"), asked)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), LIMITS)
        assert (await fetched(origin, _asked("00420011"), BULK))[::2] == (404, b"")
        assert asked == [f"{INSTANCE}/bulk/00420011", f"{INSTANCE}/metadata"]
        await origin.aclose()


async def test_files_where_one_value_was_asked_for_are_refused() -> None:
    answer = (200, 'multipart/related; type="application/dicom"; boundary=x', b"--x")
    async with breaking_server(_scripted(INSTANCE, answer, [])) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), LIMITS)
        with pytest.raises(OriginInvalidError):
            await origin.retrieve(_asked("00420011"), BULK)
        await origin.aclose()
