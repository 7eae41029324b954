"""The one-time codes from the desk, as the API reads them."""

from app.core.consent.mirror import Standing
from app.core.consent.state import Patient
from app.core.http.problem import ProblemError, problem
from app.core.identifiers import Address, UnixTime
from app.core.signing.claim_code import claim_address, claim_key, read_code


def address_of(code: str) -> Address:
    """The account of the code's claim key. Raises 404 for what is no code."""
    return claim_address(claim_key(digits_of(code)))


def digits_of(code: str) -> str:
    """What a code says, however it was typed. Raises 404 for what is no code."""
    digits = read_code(code)
    if digits is None:
        raise ProblemError(problem("not-found"))
    return digits


def claimable(standing: Standing, address: Address, now: UnixTime) -> Patient:
    """The unclaimed patient whose claim key this is. Raises 404."""
    patient = standing.head.claimable_with(address, now)
    if patient is None:
        raise ProblemError(problem("not-found"))
    return patient
