"""A search's verdict on one patient after another, for rows that are passed by and only counted.

Nearly every patient has one plain consent for a caller, and then neither the study nor its date matters. Whatever is
less plain is left to `policy.decide_standing`.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from app.core.consent import emergencies
from app.core.consent.basis import person
from app.core.consent.grants import Plain, only_plain
from app.core.consent.mirror import Standing
from app.core.consent.policy import holds_role, permit_covers
from app.core.consent.terms import Action, Effect, Purpose, Role
from app.core.identifiers import Address, ConsentId, PatientKey, UnixTime


def plain_verdicts(
    standing: Standing,
    actor: Address,
    purpose: Purpose,
    now: UnixTime,
    revoked_here: AbstractSet[tuple[PatientKey, ConsentId]],
) -> Callable[[PatientKey], bool | None]:
    """Whether the actor may find this patient's studies, all of them alike; None: not told here, decide in full."""
    final, head = standing.final.patients, standing.head.patients
    grantee, bit = person(actor), 1 << purpose
    # The verdict on these does not rest on consents alone.
    broken = standing.head.broken_by.get(actor, ()) if purpose is emergencies.PURPOSE else ()
    in_teams = any(actor in state.member_of for state in (standing.final, standing.head))
    is_physician = holds_role(standing, Role.PHYSICIAN, actor, now)
    covering = frozenset(actions for actions in range(16) if permit_covers(actions, Action.SEARCH))

    def permits(key: PatientKey, plain: Plain) -> bool:
        consent_id, effect, actions, purposes, start, end = plain
        if effect != Effect.PERMIT or not start <= now < end or not purposes & bit or actions not in covering:
            return False
        return not revoked_here or (key, consent_id) not in revoked_here

    def verdict(key: PatientKey) -> bool | None:
        patient = head.get(key)
        if patient is None:
            return False
        is_changing = final is not head and final.get(key) is not patient
        if is_changing or in_teams or key in broken or patient.guardian is not None or patient.actor == actor:
            return None
        packed = patient.live.get(grantee)
        if packed is None or patient.actor is None or not is_physician:
            return False
        plain = only_plain(packed)
        return None if plain is None else permits(key, plain)

    return verdict
