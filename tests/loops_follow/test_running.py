"""The follower as it runs: it keeps up by itself, outlives every failure, and starts from history in pieces."""

import asyncio
import logging
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from app.chain.anvil import Anvil, free_port
from app.chain.anvil_state import ChainFolder
from app.chain.contracts import Contracts
from app.chain.deploy import deploy
from app.chain.nodes import Nodes
from app.chain.rpc import NodeRefusedError
from app.core.consent.digest import digest
from app.core.identifiers import PatientKey
from app.loops.follow import Follower, Rules
from tests.loops_follow.following import following, rules
from tests.support.chain import Chain, plan, signer
from tests.support.consents import claimed, grant, revoke, terms
from tests.support.lying_node import honest, lying_node

KEY = PatientKey(b"\x06" * 32)


@asynccontextmanager
async def task(work: Awaitable[object]) -> AsyncIterator[None]:
    running = asyncio.ensure_future(work)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not come about")


def heads_seen(follower: Follower) -> int:
    standing = follower.standing()
    return -1 if standing is None else standing.block.number


async def test_p04_a_revocation_denies_within_two_seconds_of_its_block(chain: Chain, rng: random.Random) -> None:
    patient = await claimed(chain, KEY)
    subject = await following(chain, Rules(0))
    async with task(subject.follower.run()):
        took = []
        for epoch in range(3):
            consent = await grant(chain, patient, terms(patient, "physician1", rng, epoch=epoch))
            await until(lambda: subject.permits(patient))
            await revoke(chain, patient, consent)
            mined = asyncio.get_running_loop().time()
            await until(lambda: not subject.permits(patient))
            took.append(asyncio.get_running_loop().time() - mined)
    assert max(took) < 2


async def test_nothing_ends_the_loop(chain: Chain, caplog: pytest.LogCaptureFixture) -> None:
    """Not even failures that nobody thought of. A foreign exception's text, which may say anything, is not logged."""
    async with lying_node(chain.anvil.node) as node, Nodes.of([node.url]) as nodes:
        follower = Follower(nodes, chain.deployment, Rules(0, poll_interval_s=0.01))
        publish = follower.publish

        def broken(_standing: object) -> None:
            raise RuntimeError("0xsecret")

        async with task(follower.run()):
            await until(lambda: heads_seen(follower) > 0)
            follower.publish = broken
            await chain.mine()
            await until(lambda: follower.health().failures > 0)
            assert follower.health().problem == "RuntimeError"
            follower.publish = publish
            node.twist = lambda _method, _params, _result: None
            await until(lambda: follower.health().failures > 2)
            node.twist = honest
            await chain.mine()
            height = await chain.height()
            await until(lambda: heads_seen(follower) == height and follower.health().problem is None)
    assert "0xsecret" not in caplog.text
    assert "the chain is not followed: RuntimeError" in caplog.text
    assert follower.health().lag == 0


async def test_history_is_read_in_the_pieces_that_a_node_can_give(chain: Chain, rng: random.Random) -> None:
    patient = await claimed(chain, KEY)
    for _ in range(4):
        await grant(chain, patient, terms(patient, "physician1", rng))
        await chain.mine(9)
    whole = await following(chain, rules())
    await whole.step()
    spans: list[int] = []

    def narrow(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getLogs" and "fromBlock" in params[0]:
            span = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
            spans.append(span)
            if span > 8:
                raise NodeRefusedError("node", -32005, "query returned more than 10000 results", None)
        return result

    progress: list[tuple[int, int]] = []
    async with lying_node(chain.anvil.node) as node, Nodes.of([node.url]) as nodes:
        node.twist = narrow
        pieces = await following(chain, rules(), nodes)
        pieces.follower.progress = lambda done, total: progress.append((done, total))
        await pieces.step()
    assert min(spans) < 8 < max(spans)
    total = await chain.height() - chain.deployment.block.number
    assert progress[0] == (0, total)
    assert progress[-1] == (total, total)
    assert progress == sorted(progress)
    one, other = whole.follower.standing(), pieces.follower.standing()
    assert one is not None
    assert other is not None
    assert digest(one.head) == digest(other.head)


def _repeated(logs: list[Any]) -> list[Any]:
    return [*logs, logs[-1]]


def _of_another_block(logs: list[Any]) -> list[Any]:
    return [logs[0] | {"blockHash": "0x" + "ab" * 32}, *logs[1:]]


def _removed(logs: list[Any]) -> list[Any]:
    return [logs[0] | {"removed": True}, *logs[1:]]


def _beyond(logs: list[Any]) -> list[Any]:
    return [*logs, logs[-1] | {"blockNumber": "0xffff"}]


def _of_another_contract(logs: list[Any]) -> list[Any]:
    return [logs[0] | {"address": "0x" + "ab" * 20}, *logs[1:]]


@pytest.mark.parametrize("false", [_repeated, _of_another_block, _removed, _beyond, _of_another_contract])
async def test_p07_history_that_does_not_add_up_is_not_folded(
    chain: Chain, false: Callable[[list[Any]], list[Any]]
) -> None:
    await claimed(chain, KEY)

    def twist(method: str, params: list[Any], result: Any) -> Any:
        return false(result) if method == "eth_getLogs" and "fromBlock" in params[0] else result

    async with lying_node(chain.anvil.node) as node, Nodes.of([node.url]) as nodes:
        node.twist = twist
        subject = await following(chain, rules(), nodes)
        await subject.failing_step()
        assert subject.follower.standing() is None
        node.twist = honest
        assert await subject.step() is not None


async def test_p06_logs_above_the_final_block_are_not_folded_into_it(chain: Chain, rng: random.Random) -> None:
    """True logs all, but from further on than was asked for: a grant would count before it is final."""
    patient = await claimed(chain, KEY)
    await chain.mine(2)
    await grant(chain, patient, terms(patient, "physician1", rng))
    addresses = ["0x" + address.hex() for address in chain.deployment.addresses]
    everything = await chain.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": addresses})

    def generous(method: str, params: list[Any], result: Any) -> Any:
        return everything if method == "eth_getLogs" and "fromBlock" in params[0] else result

    async with lying_node(chain.anvil.node) as node, Nodes.of([node.url]) as nodes:
        node.twist = generous
        subject = await following(chain, rules(1), nodes)
        await subject.failing_step()
        assert subject.follower.standing() is None
        node.twist = honest
        await subject.step()
        assert not subject.permits(patient)
        await chain.mine()
        await subject.step()
        assert subject.permits(patient)


async def test_a_long_absence_is_caught_up_block_by_block(chain: Chain, rng: random.Random) -> None:
    patient = await claimed(chain, KEY)
    subject = await following(chain, rules(2, max_depth=8))
    await subject.step()
    await grant(chain, patient, terms(patient, "physician1", rng))
    await chain.rpc("anvil_mine", hex(250))
    await subject.step()
    assert subject.permits(patient)
    assert subject.follower.health().rebuilds == 1


async def test_the_embedded_chain_may_resume_a_little_earlier(
    tmp_path: Path, rng: random.Random, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed before its last blocks were written: the mirror goes back with it, and never keeps what is gone."""
    caplog.set_level(logging.INFO)
    folder = ChainFolder(tmp_path)
    async with Anvil(free_port(), folder) as anvil, Nodes.of([anvil.url]) as nodes:
        deployment = await deploy(nodes, signer("admin"), plan(), tmp_path / "deployment.json")
        chain = Chain(anvil, nodes, deployment, tmp_path / "deployment.json", Contracts.of(deployment))
        patient = await claimed(chain, KEY)
        await anvil.persist()
        subject = await following(chain, rules(0, may_go_back=True))
        await grant(chain, patient, terms(patient, "physician1", rng))
        await subject.step()
        assert subject.permits(patient)
        os.kill(anvil.pid, signal.SIGKILL)
        async with task(anvil.keep(0.02)):
            for _ in range(200):
                with suppress(Exception):
                    await subject.follower.step()
                    if not subject.permits(patient) and subject.follower.standing() is not None:
                        break
                await asyncio.sleep(0.02)
            standing = subject.follower.standing()
            assert standing is not None
            assert standing.block.number == await chain.height()
            assert not subject.permits(patient)


async def test_elsewhere_a_head_below_one_seen_is_never_believed(chain: Chain) -> None:
    """The same from a node that anyone else runs could hide a revocation."""
    await chain.mine(4)
    subject = await following(chain, rules(0))
    old = await chain.rpc("eth_getBlockByNumber", "latest", False)
    await chain.mine(2)
    await subject.step()
    async with lying_node(chain.anvil.node) as node, Nodes.of([node.url]) as nodes:
        node.twist = lambda _method, params, result: old if params[:1] == ["latest"] else result
        subject.follower.nodes = nodes
        await subject.failing_step()
        subject.clocks.pass_by(31)
        for _ in range(3):
            await subject.failing_step()
            assert subject.follower.standing() is None
        assert subject.follower.health().lag == 0
