"""Who looked and who may look as PDF: readable in every script, markup as text, bounded, off the event loop."""

import asyncio
import random
import re
import time
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from app.api.hexadecimal import checksum, to_hex
from app.api.reports import typesetting
from app.api.reports.accesses import MOST_ROWS
from app.api.reports.typesetting import Report, Typesetter, TypesettingError
from app.api.reports.words import report_words
from app.core.consent.basis import GUARDIAN, SELF, UPLOADER
from app.core.consent.terms import Action, DateSpan, Effect, Modification, Purpose
from app.core.identifiers import BasisId, Grantee
from tests.api.exporting import NAMES, PEOPLE, TERMS, granted, in_directory, looked, revoked
from tests.api.in_process import PATIENT, PATIENT_KEY, PHYSICIAN, InProcess

LOOKED = f"/api/accesses?format=pdf&patient_key={to_hex(PATIENT_KEY)}"
MAY = f"/api/consents?format=pdf&patient_key={to_hex(PATIENT_KEY)}"
# Scripts whose letters stand in the order they are read; the others come out of a PDF in the order they are drawn.
LEFT_TO_RIGHT = [name for name in NAMES if name not in {"محمد علي", "משה כהן"}]


async def read(api: InProcess, path: str, who: Any = PATIENT) -> PdfReader:
    answer = await api.call(who, "GET", path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-disposition"].startswith("attachment; ")
    return PdfReader(BytesIO(answer.body))


def text_of(document: PdfReader) -> str:
    """All of it, without the places where lines end."""
    return re.sub(r"[\s\u200b]+", "", "".join(page.extract_text() for page in document.pages))


def squeezed(text: str) -> str:
    return re.sub(r"[\s\u200b]+", "", text)


async def test_who_looked_says_when_who_what_why_and_where_it_is_on_the_chain(
    api: InProcess, rng: random.Random
) -> None:
    for who, name in zip(PEOPLE, NAMES, strict=True):
        await in_directory(api, who, name)
    await looked(api, rng, len(PEOPLE), basis=BasisId(granted(api)))
    document = await read(api, LOOKED)
    text = text_of(document)
    assert document.metadata is not None
    assert document.metadata.title == "Who looked"
    for said in (
        "Who looked",
        f"Patient key on the chain: {to_hex(PATIENT_KEY)}",
        f"{len(PEOPLE)} accesses from 2026-09-21 14:13:11 to 2026-09-21 14:13:19",
        "viewed",
        "treatment",
        "consent to this person until 2026-09-21 14:23:20",
        "not on the chain yet",
        "1 / 1",
        *LEFT_TO_RIGHT,
    ):
        assert squeezed(said) in text, said
    for name in set(NAMES) - set(LEFT_TO_RIGHT):
        assert all(letter in text or letter == " " for letter in name), "shaped and from right to left, but all there"


async def test_markup_is_text_and_every_glyph_is_in_the_file(api: InProcess, rng: random.Random) -> None:
    for who, name in zip(PEOPLE, NAMES, strict=True):
        await in_directory(api, who, name)
    await looked(api, rng, len(PEOPLE))
    document = await read(api, LOOKED)
    assert squeezed(NAMES[-1]) in text_of(document)
    fonts = {
        name: font.get_object()
        for page in document.pages
        for name, font in page["/Resources"]["/Font"].items()  # type: ignore[index]
    }
    assert fonts
    for font in fonts.values():
        descriptor = font["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        assert {"/FontFile2", "/FontFile3"} & set(descriptor), "readable wherever it is opened"
    # No glyph for a character is glyph 0 of the last font that was tried
    assert not any("\ufffd" in page.extract_text() for page in document.pages)
    assert "/StructTreeRoot" in document.trailer["/Root"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"basis": SELF}, "the patient themselves"),
        ({"basis": GUARDIAN}, "the patient's guardian"),
        ({"basis": UPLOADER, "action": Modification.STORE}, "stored"),
        ({"action": Action.RETRIEVE}, "downloaded"),
        ({"purpose": Purpose.ETREAT}, "emergency treatment"),
        ({"basis": BasisId(b"\x77" * 32)}, "consent 0x77777777"),
    ],
)
async def test_on_what_basis_in_words(api: InProcess, rng: random.Random, fields: dict[str, Any], said: str) -> None:
    await looked(api, rng, 1, **fields)
    assert squeezed(said) in text_of(await read(api, LOOKED))


async def test_a_consent_that_was_taken_back_and_one_to_a_team_are_still_said(
    api: InProcess, rng: random.Random
) -> None:
    consent = granted(api)
    await looked(api, rng, 1, basis=BasisId(consent))
    revoked(api, consent)
    assert squeezed("consent to this person until") in text_of(await read(api, LOOKED))
    unknown = squeezed(f"not in the directory: {checksum(PEOPLE[0])}")
    assert unknown in text_of(await read(api, LOOKED))


async def test_both_in_german(api: InProcess, rng: random.Random) -> None:
    await looked(api, rng, 1)
    granted(api)
    assert squeezed("Wer hineingesehen hat") in text_of(await read(api, LOOKED + "&language=de"))
    text = text_of(await read(api, MAY + "&language=de"))
    for said in ("Wer hineinsehen darf", "darf", "ansehen, weitergeben", "Behandlung", "in Kraft"):
        assert squeezed(said) in text


async def test_who_may_look_says_whom_what_until_when_and_how_far_it_has_come(api: InProcess) -> None:
    await in_directory(api, PHYSICIAN, NAMES[-1])
    granted(api)
    granted(
        api,
        replace(
            TERMS,
            consent_nonce=b"\x01" * 32,
            effect=Effect.DENY,
            actions=Action.VIEW,
            share_depth=0,
            studies=(),
            dates=DateSpan(),
            grantee=Grantee(bytes(12) + PEOPLE[0]),
        ),
    )
    text = text_of(await read(api, MAY))
    for said in (
        "Who may look",
        NAMES[-1],
        "view, share on",
        "treatment, research",
        "named studies: 1, studies from 2020-02-29",
        "2026-09-21 14:11:40",
        "2026-09-21 14:23:20",
        "in force",
        "must not",
        "everything",
        f"not in the directory: {checksum(PEOPLE[0])}",
    ):
        assert squeezed(said) in text, said


async def test_nothing_to_show_is_a_document_too(api: InProcess) -> None:
    for path in (LOOKED, MAY):
        assert squeezed("There is nothing to show.") in text_of(await read(api, path))


async def test_a_long_log_is_paged_and_leaves_the_event_loop_alone(api: InProcess, rng: random.Random) -> None:
    await looked(api, rng, MOST_ROWS + 5)
    slowest = 0.0
    stop = asyncio.Event()

    async def beat() -> None:
        nonlocal slowest
        while not stop.is_set():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            slowest = max(slowest, time.monotonic() - before)

    beating = asyncio.create_task(beat())
    document = await read(api, LOOKED)
    stop.set()
    await beating
    pages = len(document.pages)
    assert pages > 30
    first = document.pages[0].extract_text()
    assert squeezed(f"{MOST_ROWS} accesses") in squeezed(first)
    assert "Time (UTC)" in document.pages[-1].extract_text(), "the table's head is on every page"
    assert squeezed(f"{pages}/{pages}") in squeezed(document.pages[-1].extract_text())
    cursor = re.search(r"cursor=(\d+)", first)
    assert cursor is not None
    rest = text_of(await read(api, f"{LOOKED}&cursor={cursor[1]}"))
    assert squeezed("5 accesses") in rest
    assert "cursor=" not in rest
    assert slowest < 0.5, "typesetting is another process's work"
    assert (await api.call(PATIENT, "GET", f"{LOOKED}&limit={MOST_ROWS + 1}")).status_code == 400
    assert len((await api.call(PATIENT, "GET", "/api/accesses?limit=1000")).json()["accesses"]) == 1000


def report(rows: int) -> Report:
    return Report("Title", "host", "en", [], ["a"], [0], [["x"]] * rows)


async def test_one_that_takes_too_long_or_fails_is_ended_and_said_without_its_contents(
    api: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typesetting, "_TIME_S", 0.001)
    with pytest.raises(TypesettingError, match="too long"):
        await Typesetter().pdf(report(10))
    answer = await api.call(PATIENT, "GET", LOOKED)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:consentry:problem:report-unavailable")
    monkeypatch.undo()
    with pytest.raises(TypesettingError, match="could not be set") as caught:
        await Typesetter().pdf(replace(report(1), widths=["CANARY"]))  # type: ignore[list-item]
    assert "CANARY" not in f"{caught.value!r}"


async def test_one_that_wants_too_much_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    await Typesetter().pdf(report(1))
    monkeypatch.setattr(typesetting, "_MEMORY_BYTES", 64 * 1024**2)
    with pytest.raises(TypesettingError, match="could not be set"):
        await Typesetter().pdf(report(1))


async def test_no_secret_of_the_gateway_is_handed_to_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    real = asyncio.create_subprocess_exec

    async def watched(*command: Any, **options: Any) -> Any:
        seen.append({"command": command, **options})
        return await real(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", watched)
    monkeypatch.setenv("CONSENTRY_SITE_KEY", "CANARY")
    await Typesetter().pdf(replace(report(1), title="CANARYTITLE"))
    assert seen[0]["env"] == {}
    assert "CANARY" not in repr(seen[0]["command"]), "a process list shows no report"


def test_both_languages_say_the_same_things() -> None:
    english, german = report_words("en"), report_words("de")
    for name in ("done", "allowed", "own", "purposes", "effects", "states"):
        assert set(getattr(english, name)) == set(getattr(german, name)), name
    assert set(english.purposes) == set(Purpose)
    assert len(english.looked_head) == len(german.looked_head)
    assert len(english.may_head) == len(german.may_head)
    held = re.compile(r"\{\w+\}")
    for name in ("made", "patient", "period", "more", "consent", "unnamed", "team", "studies", "from_day", "to_day"):
        assert held.findall(getattr(english, name)) == held.findall(getattr(german, name)), name
