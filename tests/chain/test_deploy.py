"""The contracts on a real chain: deployed once, found again, resumed half-way, and refused when they are not there."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.chain.account import Account
from app.chain.anvil import Anvil, free_port
from app.chain.contracts import RevertError
from app.chain.deploy import _start, created_address, deploy
from app.chain.deployment import DeploymentError, check, load
from app.chain.kept import ConsentStatus
from app.chain.nodes import Nodes, WrongChainError
from app.chain.quantities import to_data
from app.chain.rpc import RpcError
from app.chain.sender import account_nonce
from app.core.consent.basis import role_id
from app.core.consent.terms import Capacity, Role
from app.core.identifiers import Address, BlockHash, BlockRef, ConsentId, LogHead, PatientKey, UnixTime
from tests.support.chain import ALWAYS, Chain, Deployed, plan, signer
from tests.support.lying_node import honest, lying_node

KEY = PatientKey(b"\x07" * 32)


def names_in(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


async def test_the_deployment_stands_as_planned(chain: Chain) -> None:
    await check(chain.deployment, chain.nodes)
    assert load(chain.deployment_path) == chain.deployment
    roles = chain.contracts.roles
    assert await chain.contracts.ask(chain.nodes, roles.default_admin()) == signer("admin").address
    window = roles.window(role_id(Role.PHYSICIAN), signer("physician1").address)
    assert await chain.contracts.ask(chain.nodes, window) == ALWAYS
    assert await chain.contracts.ask(chain.nodes, chain.contracts.log.next_seq()) == 0
    head = await chain.contracts.ask(chain.nodes, chain.contracts.log.head())
    assert len(head) == 32


async def test_a_transaction_and_its_views(chain: Chain) -> None:
    claim_key = Address(b"\x11" * 20)
    until = UnixTime(await chain.time() + 600)
    sent = await chain.send(signer("registrar"), chain.contracts.patients.enrol(KEY, claim_key, until))
    assert sent.block.number == await chain.height()
    patient = await chain.contracts.ask(chain.nodes, chain.contracts.patients.patient(KEY))
    assert (patient.claim_key, patient.claim_until, patient.controller) == (claim_key, until, b"")
    capacity = chain.contracts.patients.capacity_of(KEY, claim_key)
    assert await chain.contracts.ask(chain.nodes, capacity) is Capacity.NONE
    kept = await chain.contracts.ask(chain.nodes, chain.contracts.consents.consent(KEY, ConsentId(b"\x01" * 32)))
    assert kept.status is ConsentStatus.UNUSED


async def test_a_refusal_has_the_contracts_own_name(chain: Chain) -> None:
    call = chain.contracts.patients.enrol(KEY, Address(b"\x11" * 20), UnixTime(await chain.time() + 600))
    with pytest.raises(RevertError) as refusal:
        await chain.contracts.simulate(chain.nodes, call, signer("physician1").address)
    assert refusal.value.name == "NotRegistrar"
    batch = chain.contracts.log.record(5, LogHead(b"\0" * 32), b"")
    with pytest.raises(RevertError) as refusal:
        await chain.contracts.estimate_gas(chain.nodes, batch, signer("recorder").address)
    assert (refusal.value.name, refusal.value.values) == ("SeqMismatch", (5, 0))
    assert await chain.contracts.estimate_gas(chain.nodes, call, signer("registrar").address) > 21_000


async def test_a_finished_deployment_is_found_again_and_costs_nothing(chain: Chain, tmp_path: Path) -> None:
    before = await chain.height()
    assert await deploy(chain.nodes, signer("admin"), plan(), chain.deployment_path) == chain.deployment
    assert await chain.height() == before


@pytest.mark.parametrize("sent", [0, 1, 3, 6, 7, 8, 12, 13])
async def test_a_deployment_that_was_killed_goes_on(tmp_path: Path, sent: int) -> None:
    """The chain is cut off after so many transactions (seven contracts and six roles in all), then comes back."""
    path = tmp_path / "deployment.json"
    async with Anvil(free_port()) as anvil, lying_node(anvil.node) as node:
        broadcasts = 0

        def cut_off(method: str, _params: object, result: object) -> object:
            nonlocal broadcasts
            broadcasts += method == "eth_sendRawTransaction"
            if broadcasts > sent:
                raise ConnectionResetError
            return result

        node.twist = cut_off
        async with Nodes.of([node.url]) as nodes:
            if sent < 13:
                with pytest.raises(RpcError):
                    await deploy(nodes, signer("admin"), plan(), path)
                assert path.name not in names_in(tmp_path)
            node.twist = honest
            made = await deploy(nodes, signer("admin"), plan(), path)
            await check(made, nodes)
            assert load(path) == made
            assert made.block.number == 0
            # Nothing was sent twice: thirteen transactions of one account, thirteen blocks.
            assert await account_nonce(nodes, signer("admin").address) == 13
            assert names_in(tmp_path) == {"deployment.json"}


async def test_a_started_deployment_whose_chain_is_gone_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    async with Anvil(free_port()) as anvil, Nodes.of([anvil.url]) as nodes:
        await anvil.node.call("evm_mine")
        await anvil.node.call("anvil_setNonce", to_data(signer("admin").address), "0x7")
        await _start(Account(nodes, signer("admin"), 31337), path)
    async with Anvil(free_port()) as anvil, Nodes.of([anvil.url]) as nodes:
        made = await deploy(nodes, signer("admin"), plan(), path)
        assert made.address("ConsentryRoles") == created_address(signer("admin").address, 0)


async def test_a_nonce_that_someone_else_used_stops_it(tmp_path: Path) -> None:
    path = tmp_path / "deployment.json"
    async with Anvil(free_port()) as anvil, Nodes.of([anvil.url]) as nodes:
        await _start(Account(nodes, signer("admin"), 31337), path)
        await anvil.node.call("anvil_setNonce", to_data(signer("admin").address), "0x1")
        with pytest.raises(DeploymentError):
            await deploy(nodes, signer("admin"), plan(), path)
        assert path.name not in names_in(tmp_path)


async def test_what_is_not_on_the_chain_is_refused(chain: Chain, tmp_path: Path) -> None:
    log = chain.deployment.contracts["AccessLog"]
    for wrong, said in (
        (replace(log, address=Address(b"\x01" * 20)), "no code"),
        (replace(log, code_hash=b"\x01" * 32), "not the one deployed"),
    ):
        forged = replace(chain.deployment, contracts={**chain.deployment.contracts, "AccessLog": wrong})
        with pytest.raises(DeploymentError, match=said):
            await check(forged, chain.nodes)
    with pytest.raises(WrongChainError):
        await check(replace(chain.deployment, chain_id=1), chain.nodes)
    with pytest.raises(DeploymentError, match="block"):
        await check(replace(chain.deployment, block=BlockRef(1, BlockHash(b"\x01" * 32))), chain.nodes)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("chain_id",), "31337"),
        (("chain_id",), True),
        (("chain_id",), -1),
        (("extra",), 1),
        (("block", "number"), 1.0),
        (("block", "hash"), "0x00"),
        (("block", "more"), 1),
        (("contracts", "Other"), {}),
        (("contracts", "AccessLog"), None),
        (("contracts", "AccessLog", "address"), "0x" + "1" * 39),
        (("contracts", "AccessLog", "abi"), "/etc/passwd"),
        (("contracts", "AccessLog", "abi"), "../abi.json"),
        (("contracts", "AccessLog", "code_hash"), 7),
    ],
)
async def test_the_file_is_read_strictly(
    deployed: Deployed, tmp_path: Path, path: tuple[str, ...], value: object
) -> None:
    document = json.loads(deployed.deployment_path.read_text())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    changed = tmp_path / "deployment.json"
    changed.write_text(json.dumps(document))
    with pytest.raises(DeploymentError):
        load(changed)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"chain_id": 1, "chain_id": 1}'])
def test_a_broken_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deployment.json"
    with pytest.raises(DeploymentError, match="cannot be read"):
        load(path)
    path.write_text(text)
    with pytest.raises(DeploymentError):
        load(path)


@pytest.mark.parametrize(
    ("nonce", "address"),
    [
        (0, "5fbdb2315678afecb367f032d93f642f64180aa3"),
        (1, "e7f1725e7734ce288f8367e1bb143e90bb3f0512"),
        (127, "5fc748f1feb28d7b76fa1c6b07d8ba2d5535177c"),
        (128, "b82008565fdc7e44609fa118a4a681e92581e680"),
        (255, "01e21d7b8c39dc4c764c19b308bd8b14b1ba139e"),
        (256, "3c1cb427d20f15563ada8c249e71db76d7183b6c"),
        (70000, "3808bbf68110240e59b12334b301d8f31ab36363"),
    ],
)
def test_addresses_of_created_contracts(nonce: int, address: str) -> None:
    """As the first development account creates them on every fresh anvil or Hardhat chain."""
    assert created_address(signer("admin").address, nonce).hex() == address
