"""The languages of the portal: their catalogues, which one a request wants, and how each writes times and numbers.

English is what the sources say. Every other language is a gettext catalogue, ``languages/<tag>.po`` in each room, which
is read when the gateway starts.
"""

import gettext
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_time
from babel.lists import format_list
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from app.core.signing.words import LAST_DATE

SOURCE = "en"
# Which English and which German decide how a date is written, not what is said.
LOCALES = {"en": Locale("en", "GB"), "de": Locale("de", "DE")}
LANGUAGE_COOKIE = "consentry-language"
# Longer than any header that a browser sends; whoever sends more gets English.
_LONGEST_HEADER = 512
_YEAR_S = 31_556_952  # on average


class Language:
    """One language. ``tag`` is what ``<html lang>`` says, ``name`` what its speakers call it."""

    def __init__(self, tag: str, translations: gettext.NullTranslations) -> None:
        self.tag = tag
        self.locale = LOCALES[tag]
        self.translations = translations
        self.name = str(self.locale.language_name)

    def say(self, text: str, **values: object) -> str:
        """The text in this language, with the values in place of ``%(name)s``."""
        said = self.translations.gettext(text)
        return said % values if values else said

    def count(self, one: str, many: str, number: int, **values: object) -> str:
        """The form that goes with the number, which stands for ``%(number)s``."""
        return self.translations.ngettext(one, many, number) % {"number": self.number(number), **values}

    def number(self, number: int) -> str:
        return str(format_decimal(number, locale=self.locale))

    def day(self, day: date) -> str:
        """A date without a time: "14 March 2026"."""
        return str(format_date(day, "long", locale=self.locale))

    def moment(self, at: int) -> str:
        """A time (Unix seconds) to the minute, in UTC and saying so; after the last date the year, about."""
        if at > LAST_DATE:
            return self.say("the year %(year)s", year=1970 + at // _YEAR_S)
        then = datetime.fromtimestamp(at, UTC)
        return f"{self.day(then.date())}, {format_time(then, 'short', locale=self.locale)} UTC"

    def listed(self, parts: Sequence[str], last: str = "and") -> str:
        """As in "a, b and c", or with "or"."""
        return str(format_list(parts, "standard" if last == "and" else "or", locale=self.locale))

    def forms(self, one: str, many: str) -> dict[str, str]:
        """Each plural form by its CLDR category, for scripts, which have Intl.PluralRules."""
        numbers = {self.locale.plural_form(number): number for number in range(200, -1, -1)}
        return {category: self.translations.ngettext(one, many, number) for category, number in numbers.items()}


class Languages:
    """Every language there is, read from the catalogues of all rooms."""

    def __init__(self, folders: Sequence[Path]) -> None:
        """``folders``: the rooms, each with its ``languages/<tag>.po``."""
        known = {SOURCE: Language(SOURCE, gettext.NullTranslations())}
        for tag in LOCALES.keys() - {SOURCE}:
            known[tag] = Language(tag, _compiled([folder / "languages" / f"{tag}.po" for folder in folders], tag))
        self.by_tag: Mapping[str, Language] = known

    @property
    def source(self) -> Language:
        return self.by_tag[SOURCE]

    def choose(self, cookie: str | None, accepted: str) -> Language:
        """The language that was chosen in the portal, else the best of the Accept-Language header."""
        if cookie is not None and cookie in self.by_tag:
            return self.by_tag[cookie]
        if len(accepted) <= _LONGEST_HEADER:
            for tag in _wanted(accepted):
                if tag in self.by_tag:
                    return self.by_tag[tag]
        return self.source


def catalogue(path: Path, tag: str) -> Catalog:
    """What a catalogue file holds. Raises OSError, or babel.messages.pofile.PoFileError for one that is not well
    formed.
    """
    with path.open("rb") as file:
        return read_po(file, locale=tag, abort_invalid=True)


def _compiled(paths: Sequence[Path], tag: str) -> gettext.GNUTranslations:
    whole = Catalog(locale=tag)
    for path in paths:
        for message in catalogue(path, tag):
            if message.id:
                whole.add(message.id, message.string, context=message.context)
    compiled = io.BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def _wanted(header: str) -> list[str]:
    """Primary tags in order of preference (RFC 9110 §12.5.4); those with no weight are not wanted."""
    weighed = []
    for part in header.split(","):
        tag, _, weight = part.strip().partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        if quality > 0:
            weighed.append((quality, tag.strip().lower().partition("-")[0]))
    return [tag for _, tag in sorted(weighed, key=lambda one: -one[0])]
