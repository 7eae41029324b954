"""How far the recovery of a lost wallet has come, from what the chain says of the patient.

A recovery moves the patient to a new controller. The chain knows the move and not the recovery, so a move of another
number, or to another controller, is another one.
"""

from enum import StrEnum

from app.core.consent.state import Patient
from app.core.identifiers import Signer, UnixTime


class Progress(StrEnum):
    """Where a recovery is. ``STARTING``: the move is on its way to the chain; ``PENDING``: it can still only be vetoed;
    ``READY``: the new controller may take over, and the old one may still veto.
    """

    WAITING = "waiting-for-patient"
    EXPIRED = "expired"
    STARTING = "starting"
    PENDING = "pending"
    READY = "ready"
    FINISHED = "finished"
    VETOED = "vetoed"
    REPLACED = "replaced"
    FAILED = "failed"


OVER = frozenset({Progress.FINISHED, Progress.VETOED, Progress.REPLACED, Progress.FAILED})


def move_progress(patient: Patient | None, controller: Signer, move_nonce: int | None, now: UnixTime) -> Progress:
    """Where the move to ``controller`` is, whose start is in the state. ``move_nonce``: its number, None if that was
    never seen.
    """
    if patient is None or patient.erased:
        return Progress.FAILED
    move = patient.move
    is_ours = move_nonce is None or move_nonce == patient.move_nonce
    if move is not None and move.controller == controller and is_ours:
        return Progress.PENDING if now < move.ready_at else Progress.READY
    if patient.controller == controller:
        return Progress.FINISHED
    return Progress.VETOED if move is None and is_ours else Progress.REPLACED


def frees_the_ward(patient: Patient, now: UnixTime, move_delay_s: int) -> bool:
    """Whether a move makes the ward act for themselves: the pending one, or else one that would be started ``now``
    (docs/CHAIN.md: it does if it was started when the ward's time was over).
    """
    started = now if patient.move is None else patient.move.ready_at - move_delay_s
    return started >= patient.ward_until
