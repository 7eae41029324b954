"""The quick verdict on one plain consent, against the decision itself. Random histories: test_p06_final_and_head."""

from dataclasses import replace

import pytest

from app.core.consent.basis import NO_STUDY, role_id
from app.core.consent.events import Event, PatientErased, RoleSet, TeamCreated
from app.core.consent.fold import fold_all
from app.core.consent.passing_by import plain_verdicts
from app.core.consent.policy import AccessRequest, Permit, decide_standing
from app.core.consent.state import GENESIS
from app.core.consent.terms import Action, Effect, Purpose, Role, Terms, Window
from app.core.identifiers import Address, ConsentId, PatientKey, UnixTime
from tests.core_consent.test_fold import ANNA, BEN, CLAIMED, DOCTOR, PATIENT, STUDIES, TERMS, opened
from tests.core_consent.test_teams_and_sharing import NOW, OPEN, ROOT, TEAM, granted, part, standing_of

PHYSICIAN = RoleSet(role_id(Role.PHYSICIAN), Address(DOCTOR), OPEN)
PLAIN = replace(
    TERMS, window=OPEN, actions=Action.SEARCH, studies=(), effect=Effect.PERMIT, purposes=1 << Purpose.TREAT
)
PAST = Window(UnixTime(0), NOW)
NONE_REVOKED: frozenset[tuple[PatientKey, ConsentId]] = frozenset()


def events_with(terms: Terms) -> list[Event]:
    return [*CLAIMED, PHYSICIAN, granted(ROOT, terms)]


@pytest.mark.parametrize(
    ("terms", "revoked", "expected"),
    [
        (PLAIN, NONE_REVOKED, True),
        (PLAIN, frozenset({(PATIENT, ROOT)}), False),
        (PLAIN, frozenset({(PATIENT, ConsentId(b"\x77" * 32))}), True),
        (replace(PLAIN, effect=Effect.DENY), NONE_REVOKED, False),
        (replace(PLAIN, window=PAST), NONE_REVOKED, False),
        (replace(PLAIN, purposes=1 << Purpose.PATRQT), NONE_REVOKED, False),
        (replace(PLAIN, actions=Action.VIEW), NONE_REVOKED, False),
        (replace(PLAIN, studies=STUDIES), NONE_REVOKED, None),
    ],
)
def test_the_quick_verdict_is_the_decision(
    terms: Terms, revoked: frozenset[tuple[PatientKey, ConsentId]], *, expected: bool | None
) -> None:
    standing = standing_of(*events_with(terms))
    quick = plain_verdicts(standing, Address(DOCTOR), Purpose.TREAT, NOW, revoked)
    assert quick(PATIENT) is expected
    request = AccessRequest(Address(DOCTOR), PATIENT, NO_STUDY, Action.SEARCH, Purpose.TREAT)
    assert isinstance(decide_standing(standing, request, NOW, revoked), Permit) is (expected is True)


def test_where_the_states_differ_or_somebody_acts_it_is_decided_in_full() -> None:
    standing = standing_of(*events_with(PLAIN))
    ahead = replace(standing, final=fold_all(GENESIS, CLAIMED))
    # No role in the finalized state either; the patient is another object there.
    assert plain_verdicts(ahead, Address(DOCTOR), Purpose.TREAT, NOW, NONE_REVOKED)(PATIENT) is None
    same = replace(standing, final=replace(standing.head))
    assert plain_verdicts(same, Address(DOCTOR), Purpose.TREAT, NOW, NONE_REVOKED)(PATIENT) is True
    as_anna = plain_verdicts(standing, Address(ANNA), Purpose.PATRQT, NOW, NONE_REVOKED)
    assert as_anna(PATIENT) is None
    assert as_anna(PatientKey(b"\x77" * 32)) is False
    broken = standing_of(*events_with(PLAIN), opened())
    for purpose, quick in ((Purpose.ETREAT, None), (Purpose.TREAT, True)):
        assert plain_verdicts(broken, Address(DOCTOR), purpose, NOW, NONE_REVOKED)(PATIENT) is quick
    assert plain_verdicts(broken, Address(BEN), Purpose.ETREAT, NOW, NONE_REVOKED)(PATIENT) is False
    erased = standing_of(*events_with(PLAIN), PatientErased(PATIENT))
    assert plain_verdicts(erased, Address(DOCTOR), Purpose.TREAT, NOW, NONE_REVOKED)(PATIENT) is False
    in_a_team = standing_of(*events_with(PLAIN), TeamCreated(TEAM), part(Address(DOCTOR), 1))
    assert plain_verdicts(in_a_team, Address(DOCTOR), Purpose.TREAT, NOW, NONE_REVOKED)(PATIENT) is None
    without_role = standing_of(*CLAIMED, granted(ROOT, PLAIN))
    assert plain_verdicts(without_role, Address(DOCTOR), Purpose.TREAT, NOW, NONE_REVOKED)(PATIENT) is False
