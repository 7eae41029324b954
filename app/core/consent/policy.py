"""Who may do what: a pure function of the chain's state, the request and the time (docs/CHAIN.md). The contract's
``decide`` answers the same (P19).
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum

from app.core.consent import emergencies
from app.core.consent.basis import GUARDIAN, SELF, UPLOADER, person, role_id
from app.core.consent.emergencies import OpenedHere
from app.core.consent.grants import Line, find, in_force, line_at
from app.core.consent.mirror import Standing
from app.core.consent.sharing import ancestors
from app.core.consent.state import Patient, State
from app.core.consent.terms import Action, Effect, Purpose, Role
from app.core.identifiers import Address, BasisId, ConsentId, PatientKey, StudyDate, StudyKey, UnixTime


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """One question. ``action`` is a single bit; ``study`` is the salted key of the study asked for, ``study_date`` the
    date that the archive gives it (None: no valid one).

    A question about no particular study carries NO_STUDY, which only a consent to everything covers.
    """

    actor: Address
    patient: PatientKey
    study: StudyKey
    action: Action
    purpose: Purpose
    study_date: StudyDate | None = None


class DenyReason(Enum):
    """Why not. Goes into the record of a denial and to the patient and the auditor, never into an answer to the
    caller.
    """

    PATIENT_UNKNOWN = "patient-unknown"
    PATIENT_UNCLAIMED = "patient-unclaimed"
    PATIENT_ERASED = "patient-erased"
    NO_ROLE = "no-role"
    NO_CONSENT = "no-consent"
    DENIED_BY_CONSENT = "denied-by-consent"
    REVOKED_HERE = "revoked-here"
    NOT_FINAL = "not-final"
    NO_EMERGENCY = "no-emergency"
    FOUND_UNJUSTIFIED = "found-unjustified"
    SUBJECT_UNRESOLVED = "subject-unresolved"


@dataclass(frozen=True, slots=True)
class Permit:
    """Let in. ``basis`` is the id of the consent or of the emergency, or SELF, GUARDIAN or UPLOADER."""

    basis: BasisId


@dataclass(frozen=True, slots=True)
class Deny:
    reason: DenyReason


Verdict = Permit | Deny

_ACTIONS = frozenset(Action)
_OWN_ACTIONS = frozenset({Action.SEARCH, Action.VIEW, Action.RETRIEVE})
# What breaking the glass opens: never sharing on.
_EMERGENCY_ACTIONS = _OWN_ACTIONS
_GUARDIAN_PURPOSES = frozenset({Purpose.FAMRQT, Purpose.PWATRNY})
_PHYSICIAN = role_id(Role.PHYSICIAN)
_UPLOADER = role_id(Role.UPLOADER)
_EMERGENCY = role_id(Role.EMERGENCY)

# What a consent with these actions covers. A permit to retrieve covers viewing: who may have the pixels may see the
# picture. A deny of viewing covers retrieving: who may not see the picture may not have its pixels.
_PERMIT_COVERS = tuple(a | Action.VIEW if a & Action.RETRIEVE else a for a in map(Action, range(16)))
_DENY_COVERS = tuple(a | Action.RETRIEVE if a & Action.VIEW else a for a in map(Action, range(16)))


def decide(state: State, request: AccessRequest, now: UnixTime) -> Verdict:
    """The verdict in one state: what the contract's view answers at a block whose timestamp is ``now``."""
    bases = permitting(state, request, now)
    return bases if isinstance(bases, Deny) else Permit(bases[0])


def decide_standing(
    standing: Standing, request: AccessRequest, now: UnixTime, revoked_here: AbstractSet[tuple[PatientKey, ConsentId]]
) -> Verdict:
    """The verdict that access is given on: a basis must permit in the finalized state and at the head, and nothing may
    deny in either.

    ``revoked_here`` holds consents whose signed revocation was handed to this gateway: as permits they count no more;
    a deny among them still denies until its revocation is final.
    """
    head = permitting(standing.head, request, now)
    if isinstance(head, Deny):
        return head
    final = head if standing.final is standing.head else permitting(standing.final, request, now)
    if isinstance(final, Deny):
        return final if final.reason is DenyReason.DENIED_BY_CONSENT else Deny(DenyReason.NOT_FINAL)
    in_both = [basis for basis in head if basis in final]
    if not in_both:
        return Deny(DenyReason.NOT_FINAL)
    for basis in in_both:
        if not revoked_here or not _taken_back(standing.head, request.patient, ConsentId(basis), revoked_here):
            return Permit(basis)
    return Deny(DenyReason.REVOKED_HERE)


def decide_emergency(
    standing: Standing, opened: OpenedHere, request: AccessRequest, now: UnixTime, *, enrolling_here: bool
) -> Verdict:
    """The verdict on an emergency that was opened at this gateway, whether or not it is on the chain yet.

    The role must be held in the finalized state and at the head, however old the head is: how old it may be is the
    caller's to say. ``enrolling_here``: the patient's enrolment is on its way from this gateway.
    """
    states = (standing.head, standing.final)
    patients = [state.patients.get(request.patient) for state in states]
    if any(patient is not None and patient.erased for patient in patients):
        return Deny(DenyReason.PATIENT_ERASED)
    if patients[0] is None and not enrolling_here:
        return Deny(DenyReason.PATIENT_UNKNOWN)
    if not _is_of(opened, request) or not opened.window.holds(now):
        return Deny(DenyReason.NO_EMERGENCY)
    landed = [state.emergencies.get(opened.emergency_id) for state in states]
    if any(emergency is not None and emergency.is_unjustified for emergency in landed):
        return Deny(DenyReason.FOUND_UNJUSTIFIED)
    if not holds_role(standing, Role.EMERGENCY, request.actor, now):
        return Deny(DenyReason.NO_ROLE)
    return Permit(BasisId(opened.emergency_id))


def _is_of(opened: OpenedHere, request: AccessRequest) -> bool:
    """Whether the emergency is the request's own, and the request one that an emergency can cover."""
    asked = (request.actor, request.patient)
    return asked == (opened.actor, opened.patient) and emergency_covers(request.action, request.purpose)


def emergency_covers(action: Action, purpose: Purpose) -> bool:
    """Whether an emergency lets somebody do that, for that purpose."""
    return purpose is emergencies.PURPOSE and action in _EMERGENCY_ACTIONS


def date_matters(standing: Standing, patient: PatientKey) -> bool:
    """Whether any consent of the patient bounds the dates of studies: else no decision looks at one."""
    known = (standing.final.patients.get(patient), standing.head.patients.get(patient))
    return any(one is not None and one.dated for one in known)


def holds_role(standing: Standing, role: Role, actor: Address, now: UnixTime) -> bool:
    """Whether the actor's window for the role holds ``now`` in the finalized state and at the head."""
    identity = role_id(role)
    windows = (standing.final.role_window(identity, actor), standing.head.role_window(identity, actor))
    return all(window is not None and window.holds(now) for window in windows)


def decide_storing(standing: Standing, actor: Address, patient: PatientKey, now: UnixTime) -> Verdict:
    """Whether images of this patient may be stored: in the finalized state and at the head."""
    head = may_store(standing.head, actor, patient, now)
    if isinstance(head, Deny):
        return head
    final = may_store(standing.final, actor, patient, now)
    return Deny(DenyReason.NOT_FINAL) if isinstance(final, Deny) else final


def may_store(state: State, actor: Address, patient: PatientKey, now: UnixTime) -> Verdict:
    """The same in one state: the actor holds UPLOADER, and the patient is enrolled, claimed or not.

    No consent is asked for: who takes an image does not look at what is there, and a patient claims later.
    """
    known = state.patients.get(patient)
    if known is None:
        return Deny(DenyReason.PATIENT_UNKNOWN)
    if known.erased:
        return Deny(DenyReason.PATIENT_ERASED)
    role = state.roles.get((_UPLOADER, actor))
    if role is None or not role.holds(now):
        return Deny(DenyReason.NO_ROLE)
    return Permit(UPLOADER)


def permitting(state: State, request: AccessRequest, now: UnixTime) -> tuple[BasisId, ...] | Deny:
    """Every basis that permits in this state, at least one: an emergency first, then the earliest granted; or why none
    does.

    No consent covers what is not exactly one known action, and none denies what an emergency opens.
    """
    if request.action not in _ACTIONS:
        return Deny(DenyReason.NO_CONSENT)
    patient = state.patients.get(request.patient)
    if patient is None:
        return Deny(DenyReason.PATIENT_UNKNOWN)
    if patient.erased:
        return Deny(DenyReason.PATIENT_ERASED)
    emergency = emergency_basis(state, request, now)
    others = _without_emergency(state, patient, request, now)
    if emergency is None:
        return others
    return (emergency,) if isinstance(others, Deny) else (emergency, *others)


def emergency_basis(state: State, request: AccessRequest, now: UnixTime) -> BasisId | None:
    """The actor's emergency for the patient, where the one that landed last opens what is asked for."""
    if not emergency_covers(request.action, request.purpose):
        return None
    emergency = state.last_emergency(request.patient, request.actor)
    if emergency is None or not emergency.window.holds(now) or emergency.is_unjustified:
        return None
    role = state.roles.get((_EMERGENCY, request.actor))
    return BasisId(emergency.id) if role is not None and role.holds(now) else None


def _without_emergency(
    state: State, patient: Patient, request: AccessRequest, now: UnixTime
) -> tuple[BasisId, ...] | Deny:
    if patient.actor is None:
        return Deny(DenyReason.PATIENT_UNCLAIMED)
    own = _own_basis(patient, request, now)
    if own is not None:
        return (own,)
    role = state.roles.get((_PHYSICIAN, request.actor))
    if role is None or not role.holds(now):
        return Deny(DenyReason.NO_ROLE)
    return _by_consent(state, patient, request, now)


def permit_covers(actions: int, action: Action) -> bool:
    """Whether a permit of these actions lets somebody do that one."""
    return bool(_PERMIT_COVERS[actions] & action)


def deny_covers(actions: int, action: Action) -> bool:
    """Whether a deny of these actions keeps anybody from that one."""
    return bool(_DENY_COVERS[actions] & action)


def _own_basis(patient: Patient, request: AccessRequest, now: UnixTime) -> BasisId | None:
    if request.action not in _OWN_ACTIONS:
        return None
    if request.purpose is Purpose.PATRQT:
        return SELF if patient.may_act_as(request.actor, now).as_self else None
    if request.purpose in _GUARDIAN_PURPOSES:
        return GUARDIAN if patient.may_act_as(request.actor, now).as_guardian else None
    return None


def _taken_back(
    head: State, patient: PatientKey, consent: ConsentId, revoked_here: AbstractSet[tuple[PatientKey, ConsentId]]
) -> bool:
    """Whether a revocation of it, or of what it shares on, was handed in here."""
    if (patient, consent) in revoked_here:
        return True
    return any((patient, above) in revoked_here for above in ancestors(head.patients[patient], consent))


def _by_consent(state: State, patient: Patient, request: AccessRequest, now: UnixTime) -> tuple[BasisId, ...] | Deny:
    bases = []
    for grantee in state.named_as(request.actor, now):
        packed = patient.live.get(grantee, b"")
        found = in_force(packed, request.study, request.study_date, 1 << request.purpose, now)
        for ordinal, consent_id, effect, actions, place in found:
            if effect == Effect.PERMIT:
                if permit_covers(actions, request.action) and _stands(
                    state, patient, line_at(packed, place), request, now
                ):
                    bases.append((ordinal, BasisId(consent_id)))
            elif deny_covers(actions, request.action):
                return Deny(DenyReason.DENIED_BY_CONSENT)
    return tuple(basis for _, basis in sorted(bases)) if bases else Deny(DenyReason.NO_CONSENT)


def _stands(state: State, patient: Patient, line: Line | None, request: AccessRequest, now: UnixTime) -> bool:
    """Whether every consent above in the line of sharing is in force, and nothing denies those who shared on.

    What a consent covers, the ones above it cover too: it was granted no wider.
    """
    while line is not None:
        grantee = person(line.sharer)
        above = find(patient.live.get(grantee, b""), line.parent, patient.key, grantee)
        if above is None or not above.window.holds(now) or _is_denied(state, patient, line.sharer, request, now):
            return False
        line = above.line
    return True


def _is_denied(state: State, patient: Patient, sharer: Address, request: AccessRequest, now: UnixTime) -> bool:
    """Whether a deny keeps the sharer from what is asked for, or from sharing it on."""
    actions = request.action | Action.SHARE
    return any(
        effect == Effect.DENY and deny_covers(covered, actions)
        for grantee in state.named_as(sharer, now)
        for _, _, effect, covered, _ in in_force(
            patient.live.get(grantee, b""), request.study, request.study_date, 1 << request.purpose, now
        )
    )
