"""Whose key takes a recovery over: any that the contracts take, shown by its signature."""

from typing import Any

import pytest

from app.api.hexadecimal import to_hex
from app.core.consent.basis import actor_of
from app.core.consent.events import PatientEnrolled
from app.core.consent.fold import fold, fold_all
from app.core.consent.state import GENESIS
from app.core.identifiers import PatientKey, Signer, Subject, UnixTime
from app.core.keccak import keccak256
from app.store.outbox import CallState
from app.store.recoveries import LASTS_S
from tests.api.in_process import BEFORE, NOW, PATIENT, PATIENT_KEY, REGISTRAR, STRANGER, InProcess

_VERIFY = keccak256(b"verify(bytes,bytes32,bytes)")[:4]
_SUBJECT = {"patient_id": "P-1", "issuer": "S"}


class _Verifier:
    """A node that takes every transaction, where every verifier says ``said``."""

    def __init__(self, said: bytes = _VERIFY + bytes(28)) -> None:
        self.said = said

    async def first(self, _ask: object) -> None:
        return None

    async def get_code(self, _account: object) -> bytes:
        return b"code"

    async def static_call(self, _to: object, _data: bytes, _gas: int) -> bytes:
        return self.said


async def _begun(api: InProcess, verifier: _Verifier | None = None) -> str:
    api.wiring.nodes = verifier or _Verifier()  # type: ignore[misc,assignment]  # a namespace, here
    await api.enrolled()
    answer = await api.call(REGISTRAR, "POST", "/api/recoveries", _SUBJECT)
    assert answer.status_code == 201
    assert answer.json()["recovery_url"] == f"http://localhost:8080/recover#{answer.json()['code']}"
    return str(answer.json()["code"])


async def _claim(api: InProcess, code: str, controller: bytes) -> Any:
    asked = {"code": code, "controller": to_hex(controller)}
    issued = await api.call(None, "POST", "/api/recoveries/claim/typed-data", asked)
    if issued.status_code != 200:
        return issued
    body = {"code": code, "typed_data": issued.json()["typed_data"], "signature": "0x" + "11" * 100}
    return await api.call(None, "POST", "/api/recoveries/claim", body)


@pytest.mark.parametrize("size", [21, 84, 640])
async def test_any_key_with_a_verifier_may_take_over(api: InProcess, size: int) -> None:
    code, signer = await _begun(api), Signer(b"\x2a" * size)
    answer = await _claim(api, code, signer)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["controller"], answer.json()["delay_s"]) == (to_hex(signer), 3600)
    (queued,) = (await api.call(REGISTRAR, "GET", "/api/recoveries")).json()["recoveries"]
    assert (queued["status"], queued["patient_id"]) == ("starting", "P-1")
    assert bytes.fromhex(queued["account"][2:]) == actor_of(signer)
    (relayed,) = await api.wiring.outbox.in_state(api.wiring.relayer, CallState.QUEUED)
    assert relayed.call.calldata == api.wiring.contracts.patients.start_move(PATIENT_KEY, signer).data


@pytest.mark.parametrize(
    ("controller", "status"),
    [(b"\x2a" * 19, 422), (b"\x2a" * 641, 422), (bytes(20) + b"\x2a" * 64, 422), (bytes(PATIENT), 409)],
)
async def test_what_is_no_new_key(api: InProcess, controller: bytes, status: int) -> None:
    assert (await _claim(api, await _begun(api), controller)).status_code == status


async def test_a_verifier_that_says_no(api: InProcess) -> None:
    code = await _begun(api, _Verifier(b"\xff" * 32))
    answer = await _claim(api, code, b"\x2a" * 84)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:consentry:problem:bad-signature")


async def test_a_code_ends_by_itself_and_is_stored_as_a_hash(api: InProcess) -> None:
    code = await _begun(api)
    with api.database.engine.connect() as connection:
        held = repr(connection.exec_driver_sql("SELECT * FROM recovery").all())
    assert code not in held
    assert code.replace("-", "") not in held
    api.now = UnixTime(NOW + LASTS_S)
    (queued,) = (await api.call(REGISTRAR, "GET", "/api/recoveries")).json()["recoveries"]
    assert queued["status"] == "expired"
    assert (await _claim(api, code, b"\x2a" * 84)).status_code == 404


@pytest.mark.parametrize("code", ["", "no code", "1" * 26, "U" * 26])
async def test_what_is_no_code_is_not_found(api: InProcess, code: str) -> None:
    await _begun(api)
    assert (await _claim(api, code, b"\x2a" * 84)).status_code == 404


async def test_the_desk_begins_for_who_is_enrolled_and_claimed(api: InProcess) -> None:
    assert (await api.call(REGISTRAR, "POST", "/api/recoveries", _SUBJECT)).status_code == 404
    await api.enrolled()
    api.state = fold_all(GENESIS, BEFORE[:-1])
    assert (await api.call(REGISTRAR, "POST", "/api/recoveries", _SUBJECT)).status_code == 409
    api.state = fold(api.state, PatientEnrolled(PatientKey(b"\x09" * 32), STRANGER, UnixTime(1 << 40)))
    assert (await api.call(REGISTRAR, "POST", "/api/recoveries", {"patient_id": "P-9"})).status_code == 404


async def test_somebody_who_is_being_erased_is_neither_recovered_nor_enrolled_again(api: InProcess) -> None:
    code = await _begun(api)
    asked = {"reason": "patient-request", **_SUBJECT}
    begun = await api.call(REGISTRAR, "POST", f"/api/patients/{to_hex(PATIENT_KEY)}/erasure", asked)
    assert (begun.status_code, begun.json()["status"]) == (202, "submitted")
    assert (await api.call(REGISTRAR, "POST", "/api/recoveries", _SUBJECT)).status_code == 404
    assert (await api.call(REGISTRAR, "POST", "/api/enrolments", _SUBJECT)).status_code == 409
    (listed,) = (await api.call(REGISTRAR, "GET", "/api/patients")).json()["patients"]
    assert listed["status"] == "erasing"
    assert (await api.call(PATIENT, "GET", "/api/patients")).json() == {"patients": []}
    await api.wiring.erasures.finish(PATIENT_KEY)
    assert (await _claim(api, code, b"\x2a" * 84)).status_code == 404, "its recoveries are gone with it"
    anew = await api.wiring.patients.enrol(Subject("P-1", "S"), PatientKey(b"\x0a" * 32), bytes(32))
    assert anew.key != PATIENT_KEY
