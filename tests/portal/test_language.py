"""The portal in two languages: every text is translated, none is left over, and each fills in the same."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from app.core.signing.words import LAST_DATE
from app.portal.language import Languages, catalogue
from app.portal.script_words import ScriptWords, texts_in
from app.portal.sections import SECTIONS
from app.portal.site import HERE
from app.portal.static_parts import Part, StaticParts, read_parts
from tools.messages import ROOMS, TAGS, catalogue_path, said_in

_FILLED_IN = re.compile(r"%\(\w+\)s|\{\w+\}|</?\w+[^>]*>")
EACH = [(room, tag) for room in ROOMS for tag in TAGS]


def messages(room: Path, tag: str) -> list[Message]:
    return [one for one in catalogue(catalogue_path(room, tag), tag) if one.id]


def forms(text: object) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def languages() -> Languages:
    return Languages(ROOMS)


@pytest.mark.parametrize(("room", "tag"), EACH)
def test_what_is_said_is_in_the_catalogue_and_nothing_else(room: Path, tag: str) -> None:
    said = {one.id for one in said_in(room) if one.id}
    known = {one.id for one in messages(room, tag)}
    assert said - known == set(), "`make messages` collects it, a translator says it"
    assert known - said == set(), "nobody says that any more: `make messages` removes it"


@pytest.mark.parametrize(("room", "tag"), EACH)
def test_every_text_is_translated(room: Path, tag: str) -> None:
    assert [one.id for one in messages(room, tag) if one.fuzzy or not all(forms(one.string))] == []


@pytest.mark.parametrize(("room", "tag"), EACH)
def test_a_translation_fills_in_what_the_text_does(room: Path, tag: str) -> None:
    for message in messages(room, tag):
        for source, translated in zip(forms(message.id), forms(message.string), strict=True):
            assert sorted(_FILLED_IN.findall(translated)) == sorted(_FILLED_IN.findall(source)), source


@pytest.mark.parametrize("tag", TAGS)
def test_rooms_that_say_the_same_say_it_the_same(tag: str) -> None:
    known: dict[object, object] = {}
    for room in ROOMS:
        for message in messages(room, tag):
            assert known.setdefault(message.id, message.string) == message.string


@pytest.mark.parametrize(
    ("cookie", "accepted", "tag"),
    [
        (None, "", "en"),
        (None, "de", "de"),
        (None, "de-AT,de;q=0.9,en;q=0.8", "de"),
        (None, "en;q=0.5, de;q=0.9", "de"),
        (None, "fr, de;q=0.2", "de"),
        (None, "de;q=0, en", "en"),
        (None, "de;q=0", "en"),
        (None, "de;q=x", "en"),
        (None, "fr", "en"),
        (None, "de" + "," * 1000, "en"),
        ("de", "en", "de"),
        ("en", "de", "en"),
        ("../de", "en", "en"),
    ],
)
def test_which_language_is_chosen(languages: Languages, cookie: str | None, accepted: str, tag: str) -> None:
    assert languages.choose(cookie, accepted).tag == tag


def test_times_numbers_and_lists_are_written_as_the_language_does(languages: Languages) -> None:
    english, german = languages.by_tag["en"], languages.by_tag["de"]
    assert english.moment(1_773_478_800) == "14 March 2026, 09:00 UTC"
    assert english.moment(LAST_DATE) == "31 December 9999, 23:59 UTC"
    assert [one.moment(2**48 - 1) for one in (english, german)] == ["the year 8921556", "das Jahr 8921556"]
    assert german.moment(1_773_478_800) == "14. März 2026, 09:00 UTC"
    assert (english.number(12345), german.number(12345)) == ("12,345", "12.345")
    assert (english.listed(["a", "b", "c"]), german.listed(["a", "b"], "or")) == ("a, b and c", "a oder b")


def test_a_script_brings_what_it_and_its_modules_say(languages: Languages) -> None:
    script = b"""import { b } from "./b.js";
        _("Sign out"); _("Close", { a: 1 }); count("{number} day", "{number} days", 3);"""
    parts = {"a.js": script, "b.js": b'import "./vendor/c.js"; _(`Cancel`);', "vendor/c.js": b'_("Sign in")'}
    words = ScriptWords(StaticParts("x", {path: Part(content, "", "") for path, content in parts.items()}))
    assert words.said(("a.js",), languages.by_tag["de"]) == {
        "Sign out": "Abmelden",
        "Close": "Schließen",
        "{number} day": {"one": "{number} day", "other": "{number} days"},
        "Cancel": "Abbrechen",
    }


def test_templates_translate_by_name_only_what_stands_in_them() -> None:
    """``_`` of a value would put it on the page unescaped; the filter ``said`` does not."""
    for room in ROOMS:
        for path in (room / "templates").glob("*.html"):
            assert re.findall(r"\b_\((?![\"'])[^)]*\)", path.read_text()) == [], path.name


def test_no_script_says_what_it_has_not_marked() -> None:
    """A sentence in a script that is no argument of ``_`` or ``count`` would stay English."""
    for folder in (HERE / "static", *(one.folder / "static" for one in SECTIONS)):
        for path in sorted(folder.rglob("*.js")):
            if "vendor" in path.parts:
                continue
            marked = {part for text in texts_in(path.read_bytes()) for part in forms(text)}
            code = re.sub(r"^\s*(?://|\*|/\*).*$", "", path.read_text(), flags=re.MULTILINE)
            sentences = set(re.findall(r'"([A-Z][^"\n]* [^"\n]*)"', code))
            assert sentences - marked == set(), path.name


def test_the_parts_of_all_pages_are_found() -> None:
    parts = read_parts({"": HERE / "static", **{f"{one.name}/": one.folder / "static" for one in SECTIONS}})
    words = ScriptWords(parts)
    for path in parts.by_path:
        if path.endswith(".js"):
            words.said((path,), Languages([]).source)  # raises for an import of nothing
