"""What no contract could have said of teams and of sharing on; what is explained of them."""

from dataclasses import replace

import pytest

from app.core.consent.basis import NO_STUDY, NOBODY, directory_account, person, role_id
from app.core.consent.events import (
    AccessLogged,
    ConsentGranted,
    ConsentRevoked,
    Event,
    RoleSet,
    TeamCreated,
    TeamPartSet,
)
from app.core.consent.explaining import denials, with_consent
from app.core.consent.fold import ContradictionError, fold, fold_all
from app.core.consent.grants import only_plain
from app.core.consent.hindsight import Span, could_permit
from app.core.consent.mirror import Standing
from app.core.consent.policy import AccessRequest, Deny, Permit, date_matters, decide, decide_standing
from app.core.consent.sharing import ancestors
from app.core.consent.state import GENESIS, State
from app.core.consent.terms import Action, Capacity, DateSpan, Effect, Purpose, Role, TeamPart, Terms, Window
from app.core.identifiers import (
    Address,
    BasisId,
    BlockHash,
    BlockRef,
    Commitment,
    ConsentId,
    Grantee,
    PatientKey,
    UnixTime,
)
from tests.core_consent.test_fold import ANNA, BEN, CLAIMED, DOCTOR, PATIENT, STUDIES, TERMS

TEAM, OTHER_TEAM = Grantee(b"\x09" * 32), Grantee(b"\x0a" * 32)
NURSE = Address(b"\xe0" * 20)
OPEN = Window(UnixTime(0), UnixTime(1_000))
ROOT, CHILD = ConsentId(b"\x01" * 32), ConsentId(b"\x02" * 32)
SHAREABLE = replace(
    TERMS,
    window=OPEN,
    actions=Action.VIEW | Action.SHARE,
    share_depth=2,
    dates=DateSpan(20200101, 20201231),
    studies=STUDIES[:2],
)
SHARED = replace(SHAREABLE, grantee=person(NURSE), parent=ROOT, share_depth=1)
NOW = UnixTime(15)


def granted(
    name: ConsentId, terms: Terms, by: bytes = ANNA, capacity: Capacity = Capacity.CONTROLLER
) -> ConsentGranted:
    return ConsentGranted(name, terms, Address(by), capacity)


def shared(**change: object) -> ConsentGranted:
    terms = replace(SHARED, **change)  # type: ignore[arg-type]  # the terms' own fields
    return granted(CHILD, terms, DOCTOR, Capacity.GRANTEE)


def part(account: Address, nonce: int, window: Window | None = OPEN, team: Grantee = TEAM) -> TeamPartSet:
    return TeamPartSet(team, account, TeamPart.MEMBER, window, nonce)


def standing_of(*events: Event) -> Standing:
    state = fold_all(GENESIS, events)
    return Standing(state, state, BlockRef(1, BlockHash(bytes(32))), NOW)


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ([TeamCreated(TEAM), TeamCreated(TEAM)], "the team exists"),
        ([TeamCreated(person(NURSE))], "a person's"),
        ([part(NURSE, 1)], "no such team"),
        ([TeamCreated(TEAM), part(NOBODY, 1)], "nobody"),
        ([TeamCreated(TEAM), part(NURSE, 2)], "not the next one"),
        ([TeamCreated(TEAM), part(NURSE, 1, None)], "not set"),
        ([TeamCreated(TEAM), part(NURSE, 1, Window(UnixTime(5), UnixTime(5)))], "empty"),
    ],
)
def test_teams_of_which_the_contract_could_not_have_said_this(events: list[Event], rule: str) -> None:
    with pytest.raises(ContradictionError, match=rule):
        fold_all(GENESIS, events)


def test_parts_are_set_replaced_and_ended() -> None:
    state = fold_all(
        GENESIS, [TeamCreated(TEAM), TeamCreated(OTHER_TEAM), part(NURSE, 1), part(NURSE, 1, team=OTHER_TEAM)]
    )
    assert set(state.named_as(NURSE, NOW)) == {person(NURSE), TEAM, OTHER_TEAM}
    assert state.named_as(NURSE, UnixTime(1_000)) == (person(NURSE),)
    assert len(state.ever_named_as(NURSE)) == 3
    lead = TeamPartSet(TEAM, Address(BEN), TeamPart.LEAD, OPEN, 2)
    state = fold_all(state, [lead, part(NURSE, 3, None)])
    assert state.ever_named_as(NURSE) == (person(NURSE), OTHER_TEAM)
    assert state.ever_named_as(Address(BEN)) == (person(Address(BEN)),)
    assert state.teams[TEAM].has(TeamPart.LEAD, Address(BEN), NOW)
    assert fold(state, part(NURSE, 2, None, OTHER_TEAM)).ever_named_as(NURSE) == (person(NURSE),)


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        (granted(CHILD, replace(TERMS, grantee=OTHER_TEAM)), "no such team"),
        (granted(CHILD, SHARED, DOCTOR, Capacity.CONTROLLER), "not the grantee"),
        (granted(CHILD, SHARED, BEN, Capacity.GRANTEE), "not the grantee"),
        (granted(CHILD, TERMS, DOCTOR, Capacity.GRANTEE), "does not hold that capacity"),
        (shared(parent=CHILD), "no consent to share on"),
        (shared(share_depth=2), "wider"),
        (shared(share_depth=0), "does not fit the actions"),
        (shared(share_depth=0, effect=Effect.DENY), "wider"),
        (shared(actions=Action.RETRIEVE | Action.SHARE), "wider"),
        (shared(purposes=3), "wider"),
        (shared(window=Window(UnixTime(0), UnixTime(1_001))), "wider"),
        (shared(dates=DateSpan(20191231, 20201231)), "wider"),
        (shared(dates=DateSpan(20200101, 0)), "wider"),
        (shared(dates=DateSpan(20200101, 20210101)), "wider"),
        (shared(studies=()), "wider"),
        (shared(studies=STUDIES), "wider"),
    ],
)
def test_sharing_that_the_contract_could_not_have_let_pass(event: ConsentGranted, rule: str) -> None:
    state = fold_all(GENESIS, [*CLAIMED, granted(ROOT, SHAREABLE)])
    with pytest.raises(ContradictionError, match=rule):
        fold(state, event)
    assert isinstance(fold(state, shared()), State)


def test_nothing_is_shared_from_what_is_revoked() -> None:
    state = fold_all(GENESIS, [*CLAIMED, granted(ROOT, SHAREABLE)])
    state = fold(state, ConsentRevoked(PATIENT, ROOT, Address(ANNA), Capacity.CONTROLLER, 1))
    with pytest.raises(ContradictionError, match="no consent to share on"):
        fold(state, shared(epoch=1))


def _request(actor: Address, date: int | None = 20200615) -> AccessRequest:
    return AccessRequest(actor, PATIENT, STUDIES[0], Action.VIEW, Purpose.TREAT, date)  # type: ignore[arg-type]


ROLES: list[Event] = [RoleSet(role_id(Role.PHYSICIAN), who, OPEN) for who in (NURSE, Address(DOCTOR))]


def test_a_revocation_handed_in_here_ends_what_was_shared_at_once() -> None:
    standing = standing_of(*CLAIMED, *ROLES, granted(ROOT, SHAREABLE), shared())
    assert decide_standing(standing, _request(NURSE), NOW, frozenset()) == Permit(BasisId(CHILD))
    assert isinstance(decide_standing(standing, _request(NURSE), NOW, {(PATIENT, ROOT)}), Deny)
    assert list(ancestors(standing.head.patients[PATIENT], CHILD)) == [ROOT]
    revoked = fold(standing.head, ConsentRevoked(PATIENT, ROOT, Address(ANNA), Capacity.CONTROLLER, 1))
    assert list(ancestors(revoked.patients[PATIENT], CHILD)) == [ROOT]
    assert isinstance(decide(revoked, _request(NURSE), NOW), Deny)
    found = revoked.patients[PATIENT].consent(CHILD)
    assert found is not None


def test_an_auditor_looks_at_the_windows_of_those_who_shared() -> None:
    """A denial of the sharer that ends within the time in question leaves what was shared authorised after it."""
    window = Window(UnixTime(0), UnixTime(50))
    deny = replace(TERMS, effect=Effect.DENY, actions=Action(15), window=window, studies=())
    denied = ConsentId(b"\x05" * 32)
    state = standing_of(*CLAIMED, *ROLES, granted(ROOT, SHAREABLE), shared(), granted(denied, deny)).head
    block = BlockRef(1, BlockHash(bytes(32)))
    access = AccessLogged(BasisId(CHILD), NURSE, PATIENT, 0, block, Commitment(bytes(32)))
    assert not could_permit(state, access, Span(UnixTime(10), UnixTime(49)))
    assert could_permit(state, access, Span(UnixTime(10), UnixTime(50)))


def test_a_date_matters_while_a_consent_bounds_dates() -> None:
    plain = standing_of(*CLAIMED, granted(ROOT, TERMS))
    assert not date_matters(plain, PATIENT)
    assert not date_matters(plain, PatientKey(b"\x77" * 32))
    dated = standing_of(*CLAIMED, granted(ROOT, SHAREABLE))
    assert date_matters(dated, PATIENT)
    after = fold(dated.head, ConsentRevoked(PATIENT, ROOT, Address(ANNA), Capacity.CONTROLLER, 1))
    assert not date_matters(replace(dated, head=after, final=after), PATIENT)
    assert date_matters(replace(dated, head=after), PATIENT)


def test_consents_that_may_differ_from_study_to_study_are_told() -> None:
    def packed(terms: Terms) -> bytes:
        return fold_all(GENESIS, [*CLAIMED, granted(ROOT, terms)]).patients[PATIENT].live[TERMS.grantee]

    assert only_plain(packed(replace(TERMS, studies=()))) is not None
    assert only_plain(packed(replace(TERMS, studies=STUDIES))) is None
    assert only_plain(packed(replace(TERMS, studies=(), dates=DateSpan(20200101, 0)))) is None


def test_the_directory_names_a_team_by_an_account_that_nobody_has() -> None:
    assert directory_account(TEAM) == TEAM[:20]
    assert directory_account(person(NURSE)) == NURSE


def test_denials_are_named_and_consents_tried_on() -> None:
    deny = replace(TERMS, effect=Effect.DENY, actions=Action.VIEW, window=OPEN, studies=())
    first, second, other = (ConsentId(bytes([mark]) * 32) for mark in (5, 6, 7))
    standing = standing_of(
        *(TeamCreated(TEAM), part(Address(DOCTOR), 1), *CLAIMED, *ROLES),
        granted(first, replace(deny, grantee=TEAM)),
        granted(second, deny),
        granted(other, replace(deny, actions=Action.SEARCH)),
    )
    request = AccessRequest(Address(DOCTOR), PATIENT, NO_STUDY, Action.RETRIEVE, Purpose.TREAT)
    assert denials(standing.head, request, NOW) == (first, second)
    assert denials(standing.head, replace(request, patient=PatientKey(b"\x77" * 32)), NOW) == ()

    plain = standing_of(*CLAIMED, *ROLES)
    permit = replace(TERMS, window=OPEN, studies=())
    then = with_consent(plain, permit, ROOT, Address(ANNA), Capacity.CONTROLLER)
    view = replace(request, action=Action.VIEW)
    assert decide_standing(then, view, NOW, frozenset()) == Permit(BasisId(ROOT))
    # The final state may lag: what it cannot hold yet, it does not; its own epoch counts there.
    unclaimed = with_consent(replace(plain, final=GENESIS), permit, ROOT, Address(ANNA), Capacity.CONTROLLER)
    assert unclaimed.final is GENESIS
    enrolled = fold_all(GENESIS, CLAIMED[:1])
    assert (
        with_consent(replace(plain, final=enrolled), permit, ROOT, Address(ANNA), Capacity.CONTROLLER).final is enrolled
    )
    with pytest.raises(ContradictionError):
        with_consent(plain, replace(permit, epoch=4), ROOT, Address(ANNA), Capacity.CONTROLLER)
