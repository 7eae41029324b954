"""Sharing on: what a grantee may pass on of what they were given, and what stands above it (docs/CHAIN.md)."""

from collections.abc import Iterator

from app.core.consent.grants import Consent
from app.core.consent.state import Patient
from app.core.consent.terms import DateSpan, Effect, Terms
from app.core.identifiers import ConsentId


def is_narrower(terms: Terms, parent: Consent) -> bool:
    """Whether the terms hold nothing that the parent does not, and may be shared on less often."""
    return (
        terms.effect is parent.effect is Effect.PERMIT
        and terms.share_depth < parent.share_depth
        and not terms.actions & ~parent.actions
        and not terms.purposes & ~parent.purposes
        and parent.window.start <= terms.window.start
        and terms.window.end <= parent.window.end
        and _within(terms.dates, parent.dates)
        and (not parent.studies or (bool(terms.studies) and set(terms.studies) <= set(parent.studies)))
    )


def ancestors(patient: Patient, consent_id: ConsentId) -> Iterator[ConsentId]:
    """The ids above a live consent in its line of sharing, the nearest first, as far as they live."""
    found = patient.consent(consent_id)
    while isinstance(found, Consent) and found.line is not None:
        yield found.line.parent
        found = patient.consent(found.line.parent)


def _within(dates: DateSpan, whole: DateSpan) -> bool:
    return whole.first <= dates.first and (not whole.last or 0 < dates.last <= whole.last)
