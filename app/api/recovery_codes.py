"""The one-time code of a recovery, as the API reads it. Nothing here uses it up."""

from app.api.caller import known_standing
from app.api.claim_codes import digits_of
from app.api.wiring import Wiring
from app.core.consent.state import Patient
from app.core.http.problem import ProblemError, problem
from app.core.signing.claim_code import recovery_hash
from app.store.recoveries import Recovery


def hash_of(code: str) -> bytes:
    """What is stored of the code. Raises 404 for what is no code."""
    return recovery_hash(digits_of(code))


async def waiting_with(wiring: Wiring, code: str) -> Recovery:
    """The recovery that waits for this code. Raises 404, the same for what is no code and for one that is used up."""
    recovery = await wiring.recoveries.waiting_with(hash_of(code))
    if recovery is None:
        raise ProblemError(problem("not-found"))
    return recovery


def is_movable(patient: Patient | None) -> bool:
    """Whether the record can be moved to a new key: somebody has taken charge of it, and it is not erased."""
    return patient is not None and patient.claimed


async def recoverable_with(wiring: Wiring, code: str) -> Recovery:
    """The recovery that waits for this code, of a record that can be moved now. Raises 503, and 404 with the same
    statements whatever else is not as it should be.
    """
    digest = hash_of(code)
    standing, _now = known_standing(wiring)
    recovery = await wiring.recoveries.waiting_with(digest)
    if recovery is None or not is_movable(standing.head.patient(recovery.patient)):
        raise ProblemError(problem("not-found"))
    return recovery
