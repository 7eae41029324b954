"""When, where and for whom a report is made; and how times and hexadecimal are written in one."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from app.api.fhir.values import instant
from app.api.hexadecimal import to_hex
from app.api.reports.words import Language, report_words
from app.core.identifiers import PatientKey, UnixTime

_BREAK: Final = "\u200b"


@dataclass(frozen=True, slots=True)
class Occasion:
    """``patient``: whom it is about, where that was asked; ``origin_url``: the gateway that made it."""

    language: Language
    origin_url: str
    now: UnixTime
    patient: PatientKey | None

    @property
    def author(self) -> str:
        """The hospital's host, which stands on every page."""
        return urlsplit(self.origin_url).hostname or self.origin_url

    def lines(self) -> list[str]:
        """What stands below the title of every report."""
        words = report_words(self.language)
        made = words.made.format(now=written(self.now), origin=self.origin_url)
        return [made] if self.patient is None else [made, words.patient.format(key=to_hex(self.patient))]


def written(at: int) -> str:
    """A time as reports show it: 2026-11-28 18:19:07, UTC."""
    return instant(at).rstrip("Z").replace("T", " ")


def breakable(hexadecimal: str) -> str:
    """The digits with places where a line may end."""
    return _BREAK.join(hexadecimal[at : at + 8] for at in range(0, len(hexadecimal), 8))
