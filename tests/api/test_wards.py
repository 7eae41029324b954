"""Who claims a ward signs that they act as its guardian, until the day that the chain says."""

from app.core.consent.events import PatientClaimed, PatientEnrolled
from app.core.consent.fold import fold, fold_all
from app.core.identifiers import PatientKey, Signer, UnixTime
from app.core.signing.claim_code import RANDOM_BYTES, claim_address, claim_key, make_code, read_code
from app.core.signing.words import moment
from tests.api.in_process import NOW, STRANGER, InProcess

_WARD = PatientKey(b"\x77" * 32)
_CODE = make_code(bytes(range(RANDOM_BYTES)))
_UNTIL = UnixTime(NOW + 100_000)
_PATH = "/api/enrolments/claim/typed-data"


async def test_the_claim_of_a_ward_says_until_when_one_is_its_guardian(api: InProcess) -> None:
    address = claim_address(claim_key(read_code(_CODE) or ""))
    grown = fold(api.state, PatientEnrolled(_WARD, address, _UNTIL))
    ward = fold(api.state, PatientEnrolled(_WARD, address, _UNTIL, _UNTIL))
    for state, guardian in ((grown, False), (ward, True)):
        api.state = state
        words = (await api.call(STRANGER, "POST", _PATH, {"code": _CODE})).json()["words"]
        assert ("as the guardian" in words) == guardian
        assert (f"Until {moment(_UNTIL)} it decides" in words) == guardian


async def test_the_code_of_a_ward_opens_nothing_once_it_is_of_age(api: InProcess) -> None:
    address = claim_address(claim_key(read_code(_CODE) or ""))
    api.state = fold(api.state, PatientEnrolled(_WARD, address, UnixTime(_UNTIL + 1), NOW))
    assert (await api.call(STRANGER, "POST", _PATH, {"code": _CODE})).status_code == 404


async def test_a_wards_controller_acts_for_it_until_it_is_of_age(api: InProcess) -> None:
    enrolled = PatientEnrolled(_WARD, STRANGER, UnixTime(_UNTIL + 1), UnixTime(NOW + 1))
    api.state = fold_all(api.state, [enrolled, PatientClaimed(_WARD, STRANGER, Signer(bytes(STRANGER)))])
    path = f"/api/accesses?patient_key=0x{_WARD.hex()}"
    assert (await api.call(STRANGER, "GET", path)).status_code == 200
    api.now = UnixTime(NOW + 1)
    assert (await api.call(STRANGER, "GET", path)).status_code == 404
