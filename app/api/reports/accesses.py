"""Who looked, as a report to keep: a table in words, newest first."""

from collections.abc import Sequence
from typing import Final

from app.api.hexadecimal import checksum, to_hex
from app.api.reports.occasion import Occasion, breakable, written
from app.api.reports.typesetting import Report
from app.api.reports.words import ReportWords, report_words
from app.core.consent.basis import GUARDIAN, SELF, UPLOADER, person_of
from app.core.consent.mirror import Standing
from app.core.consent.state import Revoked
from app.core.consent.terms import Modification
from app.core.identifiers import Address, ConsentId
from app.store.accesses import Access

# What one document holds. The rest is in the next one, by its cursor.
MOST_ROWS: Final = 2_000
_OWN: Final = {SELF: "self", GUARDIAN: "guardian", UPLOADER: "uploader"}
_WIDTHS: Final = (0, 4, 0, 0, 4, 5)


def accesses_report(
    accesses: Sequence[Access],
    cursor: int | None,
    names: dict[Address, str | None],
    standing: Standing,
    occasion: Occasion,
) -> Report:
    """``names``: of those of the actors that the directory has and the chain vouches for. ``cursor``: where the next
    document goes on; None at the end.
    """
    words = report_words(occasion.language)
    lines = occasion.lines()
    if accesses:
        first, last = written(accesses[-1].at), written(accesses[0].at)
        lines.append(words.period.format(count=len(accesses), first=first, last=last))
    else:
        lines.append(words.nothing)
    if cursor is not None:
        lines.append(words.more.format(cursor=cursor))
    rows = [
        (
            written(one.at),
            names.get(one.actor) or words.unnamed.format(account=breakable(checksum(one.actor))),
            words.done["stored" if one.action is Modification.STORE else (one.action.name or "").lower()],
            words.purposes[one.purpose],
            _basis(words, one, standing),
            words.not_on_chain if one.on_chain is None else breakable(to_hex(one.on_chain.tx_hash)),
        )
        for one in accesses
    ]
    return Report(words.who_looked, occasion.author, occasion.language, lines, words.looked_head, _WIDTHS, rows)


def _basis(words: ReportWords, access: Access, standing: Standing) -> str:
    own = _OWN.get(access.basis)
    if own is not None:
        return words.own[own]
    patient = standing.head.patient(access.patient)
    consent = None if patient is None else patient.consent(ConsentId(access.basis))
    if isinstance(consent, Revoked):
        consent = consent.consent
    if consent is None:
        return words.consent_unknown.format(id=breakable(to_hex(access.basis)))
    said = words.consent if person_of(consent.grantee) is not None else words.consent_of_team
    return said.format(until=written(consent.window.end))
