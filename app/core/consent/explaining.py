"""Why a verdict is as it is, and what one consent more would change: for the people it concerns, never for the data
path.
"""

from dataclasses import replace

from app.core.consent.events import ConsentGranted
from app.core.consent.fold import ContradictionError, fold
from app.core.consent.grants import in_force
from app.core.consent.mirror import Standing
from app.core.consent.policy import AccessRequest, deny_covers, emergency_basis
from app.core.consent.state import State
from app.core.consent.terms import Capacity, Effect, Terms
from app.core.identifiers import Address, ConsentId, UnixTime


def denials(state: State, request: AccessRequest, now: UnixTime) -> tuple[ConsentId, ...]:
    """Every denial that keeps the actor from what is asked, earliest granted first: none where the glass is broken."""
    patient = state.patients.get(request.patient)
    if patient is None or patient.erased or emergency_basis(state, request, now) is not None:
        return ()
    found = [
        (ordinal, consent_id)
        for grantee in state.named_as(request.actor, now)
        for ordinal, consent_id, effect, actions, _ in in_force(
            patient.live.get(grantee, b""), request.study, request.study_date, 1 << request.purpose, now
        )
        if effect == Effect.DENY and deny_covers(actions, request.action)
    ]
    return tuple(consent_id for _, consent_id in sorted(found))


def with_consent(
    standing: Standing, terms: Terms, consent: ConsentId, grantor: Address, capacity: Capacity
) -> Standing:
    """The standing in which this consent were granted and final. Raises ContradictionError where it could not be
    granted at the head; what the final state does not hold yet (a claim, a parent) is left as it is.
    """
    head = fold(standing.head, ConsentGranted(consent, terms, grantor, capacity))
    final = standing.final
    known = final.patients.get(terms.patient)
    if known is not None:
        granted = ConsentGranted(consent, replace(terms, epoch=known.epoch), grantor, capacity)
        try:
            final = fold(final, granted)
        except ContradictionError:
            final = standing.final
    return replace(standing, head=head, final=final)
