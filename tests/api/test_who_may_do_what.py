"""The truth table of who may do what with guardians, recoveries, erasure and requests (who_may.json), as it stands."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.api.application import create_application
from app.api.hexadecimal import to_hex
from app.core.consent.events import GuardianSet, MoveStarted
from app.core.consent.fold import fold_all
from app.core.identifiers import Address, Signer, UnixTime
from app.core.signing.messages import GuardianChange, Message, MoveAcceptance, MoveVeto
from app.core.signing.typed_data import payload
from app.core.signing.words import Names, words_for
from app.store.engine import Database, open_database
from tests.api.in_process import (
    AUDITOR,
    GUARDIAN,
    NOW,
    PATIENT,
    PATIENT_KEY,
    PHYSICIAN,
    REGISTRAR,
    STRANGER,
    InProcess,
)
from tests.support.stores import new_sqlite

_TABLE = json.loads((Path(__file__).parent / "who_may.json").read_text())
_NEWCOMER = Address(b"\x08" * 20)
_WHO = {
    "nobody": None,
    "stranger": STRANGER,
    "physician": PHYSICIAN,
    "auditor": AUDITOR,
    "registrar": REGISTRAR,
    "patient": PATIENT,
    "guardian": GUARDIAN,
    "newcomer": _NEWCOMER,
}
_CELLS = [
    pytest.param(method, path, body, who, status, id=f"{method} {path} ({body}) by {who}")
    for method, path, body, statuses in _TABLE["rows"]
    for who, status in zip(_TABLE["who"], statuses, strict=True)
]
_DEADLINE = UnixTime(NOW + 600)


class _Agreeing:
    """A node that takes every transaction, and has no code anywhere."""

    async def first(self, _ask: object) -> None:
        return None

    async def get_code(self, _account: object) -> bytes:
        return b""


@dataclass(frozen=True, slots=True)
class _World:
    api: InProcess
    recovery: str
    request: str


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "store.db"
    new_sqlite(path)
    return path


@pytest.fixture
def database(empty: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(empty, tmp_path / "store.db")
    opened = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    yield opened
    opened.close()


async def _world(database: Database) -> _World:
    api = InProcess(database)
    api.wiring.nodes = _Agreeing()  # type: ignore[misc,assignment]  # a namespace, here
    api.application = create_application(api.wiring)
    await api.enrolled()
    asked = await api.call(
        PHYSICIAN, "POST", "/api/access-requests", {"patient_id": "P-1", "issuer": "S", "reason": "r"}
    )
    recovery = await api.wiring.recoveries.begin(PATIENT_KEY, REGISTRAR, b"h" * 32)
    call = api.wiring.contracts.patients.start_move(PATIENT_KEY, Signer(_NEWCOMER))
    relayed = api.wiring.relayed("start-move", recovery.recovery_id, call)
    assert await api.wiring.recoveries.claim(b"h" * 32, Signer(_NEWCOMER), relayed)
    await api.wiring.recoveries.seen(recovery.recovery_id, 1)
    api.state = fold_all(
        api.state,
        [
            GuardianSet(PATIENT_KEY, GUARDIAN, Signer(GUARDIAN), UnixTime(NOW + 1000)),
            MoveStarted(PATIENT_KEY, Signer(_NEWCOMER), UnixTime(NOW - 1)),
        ],
    )
    return _World(api, recovery.recovery_id.hex(), str(asked.json()["id"]))


def _signed(api: InProcess, message: Message, names: Names) -> dict[str, Any]:
    document = payload(message, words_for(message, names), api.wiring.domains)
    return {"typed_data": document, "signature": "0x" + "11" * 65}


def _body(api: InProcess, name: str) -> Any:
    newcomer = Signer(_NEWCOMER)
    named = Names(signers={newcomer: "0x0808080808080808080808080808080808080808"})
    made: dict[str, Callable[[], Any]] = {
        "": lambda: None,
        "enrol": lambda: {"patient_id": "P-1", "issuer": "S"},
        "subject": lambda: {"patient_id": "P-1", "issuer": "S"},
        "nobody": dict,
        "guardian": lambda: _signed(api, GuardianChange(PATIENT_KEY, Signer(b""), UnixTime(0), 1, _DEADLINE), Names()),
        "no code": lambda: {"code": "0" * 26, "controller": to_hex(_NEWCOMER)},
        "acceptance": lambda: _signed(api, MoveAcceptance(PATIENT_KEY, newcomer, 1, _DEADLINE), named),
        "veto": lambda: _signed(api, MoveVeto(PATIENT_KEY, 1, _DEADLINE), Names()),
        "erasure": lambda: {"reason": "patient-request", "patient_id": "P-1", "issuer": "S"},
        "not theirs": lambda: {"reason": "patient-request", "patient_id": "P-2", "issuer": "S"},
        "ask": lambda: {"patient_id": "P-1", "issuer": "S", "reason": "r"},
        "decline": lambda: {"decision": "decline"},
    }
    return made[name]()


@pytest.mark.parametrize(("method", "path", "body", "who", "status"), _CELLS)
async def test_who_may_do_what(database: Database, method: str, path: str, body: str, who: str, status: int) -> None:
    world = await _world(database)
    filled = path.format(key=to_hex(PATIENT_KEY), recovery=world.recovery, request=world.request, zeros="00" * 32)
    sent = _body(world.api, body)
    answer = await world.api.call(_WHO[who], method, filled, sent)
    assert answer.status_code == status, answer.text


async def test_what_each_is_shown(database: Database) -> None:
    """Listings give everybody 200: what is in them is the point."""
    api = (await _world(database)).api
    shown: dict[str, tuple[int, int, int]] = {}
    for who, actor in _WHO.items():
        if actor is None:
            continue
        patients, recoveries, requests = [
            (await api.call(actor, "GET", f"/api/{what}")).json()[key]
            for what, key in (
                ("patients", "patients"),
                ("recoveries", "recoveries"),
                ("access-requests", "requests"),
            )
        ]
        shown[who] = (len(patients), len(recoveries), len(requests))
        assert all(("patient_id" in one) == (who == "registrar") for one in recoveries)
        assert all((one["code"] is not None) == (who in {"patient", "guardian"}) for one in patients)
    assert shown == {
        "stranger": (0, 0, 0),
        "physician": (0, 0, 1),
        "auditor": (0, 0, 0),
        "registrar": (1, 1, 0),
        "patient": (1, 1, 1),
        "guardian": (1, 1, 1),
        "newcomer": (0, 1, 0),
    }


def test_every_route_of_these_rooms_is_in_the_table() -> None:
    from app.api import access_requests, erasures, guardians, patients, recoveries  # noqa: PLC0415 - what is compared

    rooms = (access_requests, erasures, guardians, patients, recoveries)
    served = {(method, route.path) for room in rooms for route in room.router.routes for method in route.methods}
    names = {"{patient_key}": "{key}", "{request_id}": "{request}"}
    said = {(method, path) for method, path, *_ in _TABLE["rows"]}

    def spelled(path: str) -> str:
        for ours, theirs in names.items():
            path = path.replace(ours, theirs)
        return path

    assert {(method, spelled(path)) for method, path in served} - said == {("GET", "/api/access-requests")}
