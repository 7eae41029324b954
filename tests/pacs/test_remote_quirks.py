"""How the adapter meets what archives get wrong, each shown once by a server that does just that."""

import json
from typing import Any

import pytest

from app.core.dicom.dicomjson import identity
from app.core.dicom.dicomweb import Level, Matching, Representation, Search
from app.core.identifiers import StudyUid, Subject
from app.pacs.http_client import HttpLimits, HttpOrigin
from app.pacs.origin import OriginUnavailableError
from app.pacs.remote import RemoteOrigin, SearchLimits
from tests.pacs.asking import FRAMES_AS_STORED, FRAMES_DECODED, fetched, retrieval
from tests.pacs.breaking_server import Exchange, Script, breaking_server

QUICK = HttpLimits(connect_s=0.5, first_byte_s=1.0, silence_s=1.0, idle_s=0.5)


def _answer(status: int, content_type: str, body: bytes, more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def _answering(decide: Any) -> Script:
    """``decide(target, accept)`` gives (status, content type, body) or (…, more header lines)."""

    async def script(exchange: Exchange) -> None:
        while head := await exchange.request():
            lines = head.decode().split("\r\n")
            accept = next(line[8:] for line in lines if line.startswith("Accept: "))
            await exchange.send(_answer(*decide(lines[0].split(" ")[1].removeprefix("/dicom-web"), accept)))

    return script


def _row(study: str, patient_id: str, character_set: str | None = None, **more: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "0020000D": {"vr": "UI", "Value": [study]},
        "00100020": {"vr": "LO", "Value": [patient_id]},
        **{tag: {"vr": "UI", "Value": [value]} for tag, value in more.items()},
    }
    if character_set is not None:
        row["00080005"] = {"vr": "CS", "Value": [character_set]}
    return row


def _json(rows: Any) -> tuple[int, str, bytes]:
    return 200, "application/dicom+json", json.dumps(rows).encode()


async def test_big_endian_frames_are_asked_for_again_without_naming_a_syntax():
    asked = []

    def decide(target: str, accept: str) -> tuple[int, str, bytes]:
        asked.append(accept)
        return (500, "text/plain", b"no") if "transfer-syntax=*" in accept else (200, "multipart/related", b"yes")

    async with breaking_server(_answering(decide)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        target = retrieval(Representation.FRAMES, "1.1", "1.2", "1.3", frames=(1,))
        status, _, body = await fetched(origin, target, FRAMES_AS_STORED)
        assert (status, body) == (200, b"yes")
        assert asked == [FRAMES_AS_STORED, FRAMES_DECODED]
        await origin.aclose()


@pytest.mark.parametrize(("frames", "expected"), [((3,), 404), ((2,), 400)])
async def test_a_bad_request_for_a_frame_past_the_last_is_not_found(frames, expected):
    def decide(target: str, accept: str) -> tuple[int, str, bytes]:
        if "/frames/" in target:
            return 400, "application/json", b"{}"
        row = _row("1.1", "A", **{"0020000E": "1.2", "00080018": "1.3"})
        return _json([row | {"00280008": {"vr": "IS", "Value": [2]}}])

    async with breaking_server(_answering(decide)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        target = retrieval(Representation.FRAMES, "1.1", "1.2", "1.3", frames=frames)
        assert (await fetched(origin, target, FRAMES_AS_STORED))[0] == expected
        await origin.aclose()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"GIF89arest", "image/gif"),
        (b"?", "image/png"),
    ],
)
async def test_a_picture_is_called_what_its_first_bytes_are(body, content_type):
    async with breaking_server(_answering(lambda target, accept: (200, "image/png", body))) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        found = await fetched(origin, retrieval(Representation.RENDERED, "1.1"), "image/png")
        assert found == (200, content_type, body)
        await origin.aclose()


async def test_rows_in_a_character_set_that_loses_characters_are_checked_against_a_file():
    """Two patients look the same in Latin-1; their files know better."""
    truth = {"1.1": "患者-7", "1.2": "-7", "1.3": "somebody else"}

    def decide(target: str, accept: str) -> tuple[int, str, bytes]:
        if "includefield=00080005" in target:
            return 400, "application/json", b"{}"
        study = next((uid for uid in truth if f"{uid}/" in target or f"={uid}" in target), None)
        if target.endswith("/metadata"):
            return _json([_row(str(study), truth[str(study)], "ISO_IR 192", **{"0020000E": "2.1", "00080018": "2.2"})])
        if "/instances" in target:
            return _json([_row(str(study), "-7", "ISO_IR 100", **{"0020000E": "2.1", "00080018": "2.2"})])
        return _json([_row(uid, "-7", "ISO_IR 100") for uid in truth if study in (None, uid)])

    async with breaking_server(_answering(decide)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        rows = await origin.search(Search(Level.STUDY))
        # The third file contradicts its row: nobody's, until the archive makes up its mind.
        assert [identity(row).patient_id for row in rows] == ["患者-7", "-7", ""]
        assert (await origin.subjects_of(StudyUid("1.1"))).subjects == {Subject("患者-7", "")}
        await origin.aclose()


async def test_one_studys_character_sets_change_no_other_studys_rows():
    """The search that touches 1.9 is refused; the rows of 1.1 are what they are without it."""

    def decide(target: str, accept: str) -> tuple[int, str, bytes]:
        named = "includefield=00080005" in target
        if named and "1.9" in target:
            return 400, "application/json", b"{}"
        if target.endswith("/metadata") or "/instances" in target:
            return _json([_row("1.9", "K", **{"0020000E": "2.1", "00080018": "2.2"})])
        studies = [uid for uid in ("1.1", "1.9") if uid in target]
        if named:
            return _json([_row(uid, "患者-7", "ISO_IR 192", **{"00081030": "膝"}) for uid in studies])
        return _json([_row(uid, "-7" if uid == "1.1" else "K", "ISO_IR 100", **{"00081030": ""}) for uid in studies])

    async with breaking_server(_answering(decide)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        alone = await origin.search(Search(Level.STUDY, matching=(Matching(("0020000D",), "1.1"),)))
        both = await origin.search(Search(Level.STUDY, matching=(Matching(("0020000D",), "1.1,1.9"),)))
        assert both[:1] == alone
        assert [identity(row).patient_id for row in both] == ["患者-7", "K"]
        await origin.aclose()


async def test_two_rows_for_one_study_are_two_patients_even_if_they_look_alike():
    def decide(target: str, accept: str) -> tuple[int, str, bytes]:
        if "/instances" in target:
            return _json([_row("1.1", "-7", **{"0020000E": "2.1", "00080018": "2.2"})])
        return _json([_row("1.1", "-7"), _row("1.1", "-7")])

    async with breaking_server(_answering(decide)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        assert len((await origin.subjects_of(StudyUid("1.1"))).subjects) == 2
        await origin.aclose()


async def test_a_filter_that_the_archive_ignores_finds_no_other_studys_patient():
    def decide(target: str, accept: str) -> tuple[int, str, bytes]:
        return _json([_row("1.9", "OTHER")] if "/instances" not in target else [])

    async with breaking_server(_answering(decide)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        assert (await origin.subjects_of(StudyUid("1.1"))).subjects == frozenset()
        await origin.aclose()


async def test_a_page_that_was_cut_short_is_gone_on_from():
    """PS3.18 §8.3.4.4: an archive with a limit of its own says so with a Warning."""
    studies = [f"1.{number}" for number in range(1, 8)]

    def decide(target: str, accept: str) -> tuple[int, str, bytes, str]:
        offset = int(target.partition("offset=")[2] or 0)
        page = studies[offset : offset + 3]
        more = 'Warning: 299 s "There are additional results"\r\n' if offset + 3 < len(studies) else ""
        return (*_json([_row(uid, "A") for uid in page]), more)

    async with breaking_server(_answering(decide)) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK, SearchLimits(page_rows=5))
        rows = await origin.search(Search(Level.STUDY))
        assert [row["0020000D"]["Value"][0] for row in rows] == studies
        assert len(await origin.search(Search(Level.STUDY, limit=4))) == 4
        await origin.aclose()


async def test_nothing_found_may_be_no_content():
    async with breaking_server(_answering(lambda target, accept: (204, "text/plain", b""))) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        assert await origin.search(Search(Level.STUDY)) == []
        await origin.check()
        await origin.aclose()


async def test_a_check_of_a_failing_archive_fails():
    async with breaking_server(_answering(lambda target, accept: (404, "text/plain", b"no such service"))) as server:
        origin = RemoteOrigin(HttpOrigin(server.url), QUICK)
        with pytest.raises(OriginUnavailableError):
            await origin.check()
        await origin.aclose()
