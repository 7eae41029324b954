"""Roles and the directory over the API: who may, what is to be sent, and what counts before the chain has it."""

from typing import Any

import pytest

from app.api.hexadecimal import checksum, to_hex
from app.chain.contracts import CallData, RevertError
from app.chain.rpc import NodeRefusedError
from app.core.consent.basis import directory_account, role_id
from app.core.consent.events import DirectoryEntrySet, RoleSet, RoleWithdrawn, TeamCreated, TeamPartSet
from app.core.consent.fold import fold
from app.core.consent.terms import Role, TeamPart, Window
from app.core.directory import entry_hash
from app.core.identifiers import Address, Grantee, UnixTime
from app.store.directory import DirectoryEntry
from tests.api.in_process import ADMIN, AUDITOR, NOW, PATIENT, PHYSICIAN, REGISTRAR, STRANGER, InProcess

_ROLE = {"role": "AUDITOR", "account": to_hex(STRANGER), "valid_until": NOW + 86_400}
_ALWAYS = Window(UnixTime(0), UnixTime(NOW + 86_400))
_ENTRY = {"account": to_hex(STRANGER), "name": "Dr. New", "organisation": "Here", "registration": "7"}
_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", "/api/roles", None),
    ("POST", "/api/roles/transactions", _ROLE),
    ("GET", "/api/directory/entries", None),
    ("GET", f"/api/directory/entries/{to_hex(STRANGER)}", None),
    ("POST", "/api/directory/entries", _ENTRY),
]


class _Node:
    """What transactions are tried on."""

    def __init__(self, refusal: RevertError | None = None) -> None:
        self.refusal = refusal

    async def first(self, _ask: object) -> None:
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def agreed(api: InProcess) -> InProcess:
    """The API before a node that takes every transaction."""
    api.wiring.nodes = _Node()  # type: ignore[misc,assignment]  # a namespace, here
    return api


@pytest.mark.parametrize(("method", "path", "body"), _ROUTES)
async def test_the_admin_may_all_and_registrars_may_read(
    agreed: InProcess, method: str, path: str, body: object
) -> None:
    seen = {
        name: (await agreed.call(who, method, path, body)).status_code
        for name, who in (
            ("nobody", None), ("patient", PATIENT), ("physician", PHYSICIAN), ("auditor", AUDITOR),
            ("registrar", REGISTRAR), ("admin", ADMIN),
        )
    }  # fmt: skip
    reads = 200 if method == "GET" else 403
    assert seen == {"nobody": 401, "patient": 403, "physician": 403, "auditor": 403, "registrar": reads, "admin": 200}


@pytest.mark.parametrize(("method", "path", "body"), _ROUTES)
async def test_while_nobody_says_who_the_admin_is_nobody_is(
    agreed: InProcess, method: str, path: str, body: object
) -> None:
    agreed.admin.known = None
    assert (await agreed.call(ADMIN, method, path, body)).status_code == 503
    assert (await agreed.call(REGISTRAR, method, path, body)).status_code == (200 if method == "GET" else 503)


async def test_what_is_sent_is_what_the_command_sends(agreed: InProcess) -> None:
    roles = agreed.wiring.contracts.roles
    answer = (await agreed.call(ADMIN, "POST", "/api/roles/transactions", _ROLE)).json()
    window = Window(UnixTime(NOW - 60), UnixTime(NOW + 86_400))
    assert answer["transaction"] == _sent(roles.set_role(role_id(Role.AUDITOR), STRANGER, window))
    assert (answer["valid_from"], answer["valid_until"]) == (window.start, window.end)
    assert f"I give {checksum(STRANGER)} the role AUDITOR from" in answer["words"]
    asked = {"role": "AUDITOR", "account": to_hex(AUDITOR), "valid_until": None}
    answer = (await agreed.call(ADMIN, "POST", "/api/roles/transactions", asked)).json()
    assert answer["transaction"] == _sent(roles.withdraw_role(role_id(Role.AUDITOR), AUDITOR))
    assert f"I withdraw the role AUDITOR from {checksum(AUDITOR)}" in answer["words"]
    assert (role_id(Role.AUDITOR), AUDITOR) in agreed.state.roles, "nothing is changed by asking"


def _sent(call: CallData) -> dict[str, object]:
    return {"to": checksum(call.to), "data": to_hex(call.data), "chain_id": 31337}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"valid_until": NOW}, 422),
        ({"valid_until": NOW + 10, "valid_from": NOW + 10}, 422),
        ({"valid_until": None, "valid_from": NOW}, 422),
        ({"valid_until": None}, 409),  # they do not hold it
        ({"role": "DEFAULT_ADMIN"}, 422),
        ({"account": "0x12"}, 422),
        ({"valid_until": 1 << 40}, 422),
        ({"more": 1}, 422),
        ({"valid_until": NOW + 10, "valid_from": NOW + 5}, 200),
    ],
)
async def test_what_makes_no_window_is_refused(agreed: InProcess, more: dict[str, object], status: int) -> None:
    answer = await agreed.call(ADMIN, "POST", "/api/roles/transactions", {**_ROLE, **more})
    assert answer.status_code == status, answer.text


async def test_what_the_chain_would_refuse_is_not_sent_nor_kept(agreed: InProcess) -> None:
    refusal = RevertError(NodeRefusedError("node", 3, "reverted", b""), "AdminCannotRecord", ())
    agreed.wiring.nodes = _Node(refusal)  # type: ignore[misc,assignment]
    for path, body in (("/api/roles/transactions", _ROLE), ("/api/directory/entries", _ENTRY)):
        answer = await agreed.call(ADMIN, "POST", path, body)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:consentry:problem:transaction-refused")
    assert await agreed.wiring.directory.all({}) == []


async def test_the_list_says_who_holds_what_and_whether_it_is_final(agreed: InProcess) -> None:
    before = agreed.state
    agreed.state = fold(before, RoleWithdrawn(role_id(Role.AUDITOR), AUDITOR))
    agreed.final = before
    found = (await agreed.call(REGISTRAR, "GET", "/api/roles")).json()
    assert found["admin"] == checksum(ADMIN)
    agreed.final = fold(before, RoleSet(role_id(Role.PHYSICIAN), PHYSICIAN, Window(UnixTime(0), UnixTime(NOW + 7))))
    others = (await agreed.call(REGISTRAR, "GET", "/api/roles")).json()["roles"]
    assert [one["final"] for one in others] == [False, True], "other days are not final"
    assert [(one["role"], one["account"], one["now"], one["final"]) for one in found["roles"]] == [
        ("PHYSICIAN", checksum(PHYSICIAN), True, True),
        ("REGISTRAR", checksum(REGISTRAR), True, True),
    ]


async def test_a_new_text_takes_the_place_of_the_old_when_the_chain_has_it(agreed: InProcess) -> None:
    old = entry_hash(bytes(32), "Dr. Old", "", "")
    await agreed.wiring.directory.put(DirectoryEntry(STRANGER, "Dr. Old", "", "", bytes(32), old))
    agreed.state = fold(agreed.state, DirectoryEntrySet(STRANGER, old))
    agreed.wiring.random_bytes = lambda size: b"\x01" * size  # type: ignore[misc]
    spoken = {**_ENTRY, "name": " Dr. “New”\u202e  One\n"}
    made = (await agreed.call(ADMIN, "POST", "/api/directory/entries", spoken)).json()
    hashed = entry_hash(b"\x01" * 32, "Dr. 'New' One", "Here", "7")
    assert made["entry_hash"] == to_hex(hashed)
    assert made["transaction"] == _sent(agreed.wiring.contracts.roles.set_directory_entry(STRANGER, hashed))
    assert "is “Dr. 'New' One”, organisation “Here”, registration “7”." in made["words"]

    async def called() -> Any:
        one = (await agreed.call(REGISTRAR, "GET", f"/api/directory/entries/{to_hex(STRANGER)}")).json()
        assert one in [
            {key: value for key, value in entry.items() if key != "team"}
            for entry in (await agreed.call(REGISTRAR, "GET", "/api/directory/entries")).json()["entries"]
        ]
        return one["name"]

    assert await called() == "Dr. Old"
    agreed.state = fold(agreed.state, DirectoryEntrySet(STRANGER, hashed))
    assert await called() == "Dr. 'New' One"


async def test_a_text_that_a_reorganisation_may_bring_back_is_kept(agreed: InProcess) -> None:
    old, gone = (entry_hash(bytes(32), name, "", "") for name in ("Dr. Old", "Dr. Gone"))
    for name, hashed in (("Dr. Old", old), ("Dr. Gone", gone)):
        await agreed.wiring.directory.put(DirectoryEntry(STRANGER, name, "", "", bytes(32), hashed))
    agreed.final = fold(agreed.state, DirectoryEntrySet(STRANGER, old))
    agreed.state = fold(agreed.state, DirectoryEntrySet(STRANGER, b"\x07" * 32))
    agreed.now = UnixTime(NOW + 8 * 86_400)
    assert (await agreed.call(ADMIN, "POST", "/api/directory/entries", _ENTRY)).status_code == 200
    found = {name: await agreed.wiring.directory.find([STRANGER], {STRANGER: hashed})
             for name, hashed in (("Dr. Old", old), ("Dr. Gone", gone))}  # fmt: skip
    assert found["Dr. Old"][STRANGER].name == "Dr. Old"
    assert found["Dr. Gone"][STRANGER].name == "Dr. New", "what the chain never took up in a week is let go"


@pytest.mark.parametrize("name", ["", " ", "\u202e", "x" * 161])
async def test_nobody_is_called_nothing(agreed: InProcess, name: str) -> None:
    answer = await agreed.call(ADMIN, "POST", "/api/directory/entries", {**_ENTRY, "name": name})
    assert answer.status_code == 422
    assert await agreed.wiring.directory.all({}) == []


async def test_teams_are_named_under_the_account_of_theirs(agreed: InProcess) -> None:
    team = Grantee(b"\x55" * 32)
    agreed.state = fold(agreed.state, TeamCreated(team))
    member = Address(b"\x66" * 20)
    agreed.state = fold(agreed.state, TeamPartSet(team, member, TeamPart.MEMBER, _ALWAYS, 1))
    entries = (await agreed.call(REGISTRAR, "GET", "/api/directory/entries")).json()["entries"]
    assert checksum(member) in {one["account"] for one in entries}, "who is in a team has a name to be given"
    assert {one["account"] for one in entries if one["team"]} == {checksum(directory_account(team))}
    assert (await agreed.call(REGISTRAR, "GET", "/api/directory/entries/0x12")).status_code == 404
    assert checksum(Address(PHYSICIAN)) in {one["account"] for one in entries}
