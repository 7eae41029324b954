"""P9: the mirror equals one rebuilt from the deployment block, however it came to where it is."""

import random
from collections.abc import Callable

from app.core.consent.digest import digest
from app.core.consent.events import (
    EmergencyOpened,
    EmergencyReviewed,
    Event,
    PatientEnrolled,
    TeamCreated,
    TeamPartSet,
)
from app.core.consent.fold import fold, fold_all
from app.core.consent.state import GENESIS
from app.core.consent.terms import Finding, TeamPart, Window
from app.core.identifiers import Address, EmergencyId, Grantee, PatientKey, UnixTime
from tests.core_consent.forks import Forks
from tests.core_consent.model import Maker


def test_p09_followed_and_rebuilt_states_are_the_same(rng: random.Random, run_size: Callable[[int, int], int]) -> None:
    for _ in range(run_size(8, 800)):
        forks = Forks(rng, Maker(rng))
        for _ in range(80):
            forks.step()
            standing = forks.mirror.standing
            assert standing.head == fold_all(GENESIS, forks.events)
            assert standing.final == fold_all(GENESIS, forks.final_events)
        followed, rebuilt = forks.mirror.standing, fold_all(GENESIS, forks.events)
        assert digest(followed.head) == digest(rebuilt)
        assert (digest(followed.final) == digest(rebuilt)) == (followed.final == rebuilt)


def test_p09_teams_that_differ_have_different_digests() -> None:
    """Also where as many changes led to the one as to the other."""
    team, account = Grantee(b"\x01" * 32), Address(b"\x02" * 20)
    windows = [Window(UnixTime(0), UnixTime(end)) for end in (5, 6)]
    states = [
        fold_all(GENESIS, [TeamCreated(team), TeamPartSet(team, account, part, window, 1)])
        for part in TeamPart
        for window in windows
    ]
    assert len({digest(state) for state in states}) == len(states)


def test_p09_wards_that_differ_have_different_digests() -> None:
    patient, claim_key = PatientKey(b"\x01" * 32), Address(b"\x02" * 20)
    wards = [PatientEnrolled(patient, claim_key, UnixTime(0), UnixTime(until)) for until in (0, 5, 6)]
    assert len({digest(fold_all(GENESIS, [one])) for one in wards}) == len(wards)


def test_p09_emergencies_that_differ_have_different_digests() -> None:
    """Also where only the order of landing or the review tells them apart."""
    patient, actor, other = PatientKey(b"\x01" * 32), Address(b"\x02" * 20), Address(b"\x03" * 20)
    ids = [EmergencyId(bytes([mark]) * 32) for mark in (4, 5)]
    window = Window(UnixTime(0), UnixTime(5))
    opened: list[Event] = [EmergencyOpened(patient, one, actor, bytes(32), window, bytes(32)) for one in ids]
    enrolled = PatientEnrolled(patient, other, UnixTime(0))
    reviews = [EmergencyReviewed(patient, ids[0], other, finding, bytes(32)) for finding in Finding]
    histories: list[list[Event]] = [opened[:1], opened, opened[::-1], *([*opened, one] for one in reviews)]
    states = [fold_all(GENESIS, [enrolled, *history]) for history in histories]
    assert len({digest(state) for state in states}) == len(states)


def test_p09_every_event_but_an_access_changes_the_digest(rng: random.Random) -> None:
    changed = set()
    for _ in range(20):
        state = GENESIS
        for event in Maker(rng).history(60):
            after = fold(state, event)
            assert (digest(after) == digest(state)) == (after == state)
            if after != state:
                changed.add(type(event).__name__)
            state = after
    assert len(changed) == 16
