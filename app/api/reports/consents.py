"""Who may look, as a report to keep. Made of what ``GET /api/consents`` shows to the same caller."""

from collections.abc import Sequence
from typing import Any, Final

from app.api.reports.occasion import Occasion, breakable, written
from app.api.reports.typesetting import Report
from app.api.reports.words import ReportWords, report_words
from app.core.consent.terms import Purpose

_WIDTHS: Final = (4, 0, 2, 3, 3, 0, 0, 0)
_ACCOUNT_LENGTH: Final = 42


def consents_report(views: Sequence[dict[str, Any]], occasion: Occasion) -> Report:
    """The consents as the API shows them."""
    words = report_words(occasion.language)
    lines = occasion.lines()
    if not views:
        lines.append(words.nothing)
    rows = [
        (
            view["grantee_name"] or _unnamed(words, view["grantee"]),
            words.effects[view["effect"]],
            ", ".join(words.allowed[action] for action in view["actions"]),
            ", ".join(words.purposes[Purpose[purpose]] for purpose in view["purposes"]),
            _scope(words, view["scope"]),
            written(view["valid_from"]),
            written(view["valid_until"]),
            words.states[view["status"]],
        )
        for view in views
    ]
    return Report(words.who_may, occasion.author, occasion.language, lines, words.may_head, _WIDTHS, rows)


def _unnamed(words: ReportWords, grantee: str) -> str:
    said = words.unnamed if len(grantee) == _ACCOUNT_LENGTH else words.team
    return said.format(account=breakable(grantee))


def _scope(words: ReportWords, scope: str | dict[str, Any]) -> str:
    if isinstance(scope, str):
        return words.everything
    parts = [words.studies.format(count=len(scope["studies"]))] if "studies" in scope else []
    parts += [
        said.format(day=scope[bound])
        for bound, said in (("from_date", words.from_day), ("to_date", words.to_day))
        if scope.get(bound) is not None
    ]
    return ", ".join(parts)
