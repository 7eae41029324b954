"""How far a recovery has come, as a truth table over what the chain says; and the chain's own rule for wards."""

from dataclasses import replace

import pytest

from app.core.consent.events import (
    ControllerMoved,
    Event,
    MoveStarted,
    MoveVetoed,
    PatientClaimed,
    PatientEnrolled,
    PatientErased,
)
from app.core.consent.fold import fold_all
from app.core.consent.recovering import Progress, frees_the_ward, move_progress
from app.core.consent.state import GENESIS, Move, Patient
from app.core.identifiers import Address, PatientKey, Signer, UnixTime

_KEY = PatientKey(b"k" * 32)
_OLD, _NEW, _THIRD = (Address(bytes([n]) * 20) for n in (1, 2, 3))
_READY = UnixTime(1_000)


def _started(to: Address) -> MoveStarted:
    return MoveStarted(_KEY, Signer(to), _READY)


def _moved(to: Address) -> ControllerMoved:
    return ControllerMoved(_KEY, to, Signer(to))


_VETOED = MoveVetoed(_KEY)

# What happened since the claim → what the recovery to _NEW is, by the number of its move (None: never seen).
_TABLE: list[tuple[str, list[Event], int | None, int, Progress]] = [
    ("the delay runs", [_started(_NEW)], 1, 999, Progress.PENDING),
    ("the delay runs, number unseen", [_started(_NEW)], None, 999, Progress.PENDING),
    ("the delay is over", [_started(_NEW)], 1, 1_000, Progress.READY),
    ("taken over", [_started(_NEW), _moved(_NEW)], 1, 1_000, Progress.FINISHED),
    ("vetoed", [_started(_NEW), _VETOED], 1, 999, Progress.VETOED),
    ("vetoed, number unseen", [_started(_NEW), _VETOED], None, 999, Progress.VETOED),
    ("another move in its place", [_started(_NEW), _started(_THIRD)], 1, 999, Progress.REPLACED),
    ("the same controller once more", [_started(_NEW), _started(_NEW)], 1, 999, Progress.REPLACED),
    ("replaced, and that one vetoed", [_started(_NEW), _started(_THIRD), _VETOED], 1, 999, Progress.REPLACED),
    ("replaced, and that one finished", [_started(_NEW), _started(_THIRD), _moved(_THIRD)], 1, 1, Progress.REPLACED),
    ("finished, and another begun", [_started(_NEW), _moved(_NEW), _started(_OLD)], 1, 999, Progress.FINISHED),
    ("erased", [_started(_NEW), PatientErased(_KEY)], 1, 999, Progress.FAILED),
]


def _patient(events: list[Event]) -> Patient:
    before: list[Event] = [
        PatientEnrolled(_KEY, Address(b"c" * 20), UnixTime(1 << 40)),
        PatientClaimed(_KEY, _OLD, Signer(_OLD)),
    ]
    return fold_all(GENESIS, before + events).patients[_KEY]


@pytest.mark.parametrize(
    ("events", "number", "now", "expected"), [row[1:] for row in _TABLE], ids=[r[0] for r in _TABLE]
)
def test_where_a_recovery_is(events: list[Event], number: int | None, now: int, expected: Progress) -> None:
    assert move_progress(_patient(events), Signer(_NEW), number, UnixTime(now)) is expected


def test_nobody_is_recovered_who_was_never_enrolled() -> None:
    assert move_progress(None, Signer(_NEW), None, UnixTime(0)) is Progress.FAILED


@pytest.mark.parametrize(
    ("ready_at", "now", "frees"),
    [(None, 99, False), (None, 100, True), (109, 500, False), (110, 0, True)],
)
def test_a_move_frees_the_ward_that_was_started_when_its_time_was_over(
    ready_at: int | None, now: int, *, frees: bool
) -> None:
    move = None if ready_at is None else Move(Signer(_NEW), UnixTime(ready_at))
    ward = replace(_patient([]), ward_until=UnixTime(100), move=move)
    assert frees_the_ward(ward, UnixTime(now), 10) is frees
