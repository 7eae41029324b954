"""P7 and P8: a node that drops, forges, freezes or dribbles. Whatever it does, nothing stays permitted."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.chain.nodes import DisagreementError, Nodes, QuorumError, WrongChainError
from app.chain.rpc import Limits, NodeUnavailableError, RpcError
from app.core.identifiers import ConsentId, PatientKey
from app.loops.catch_up import HistoryError
from app.loops.follow import UnconfirmedError
from tests.loops_follow.following import Following, following, rules
from tests.support.chain import Chain, signer
from tests.support.consents import ChainPatient, claimed, grant, revoke, terms
from tests.support.lying_node import LyingNode, honest, lying_node

KEY = PatientKey(b"\x08" * 32)
LIMIT_S = 30.0


@pytest.fixture
async def liar(chain: Chain) -> AsyncIterator[LyingNode]:
    async with lying_node(chain.anvil.node) as node:
        yield node


@pytest.fixture
async def permitted(chain: Chain, rng: random.Random) -> tuple[ChainPatient, ConsentId]:
    """A patient with a consent for physician1, mined."""
    patient = await claimed(chain, KEY)
    return patient, await grant(chain, patient, terms(patient, "physician1", rng))


async def fails_closed(subject: Following, patient: ChainPatient, expected: type[Exception]) -> None:
    """The step fails for that reason; once the limit has passed, nothing is permitted, and nothing brings it back."""
    assert isinstance(await subject.failing_step(), expected)
    subject.clocks.pass_by(LIMIT_S + 0.1)
    assert subject.follower.standing() is None
    assert isinstance(await subject.failing_step(), Exception)
    assert subject.follower.standing() is None
    assert not subject.permits(patient)


async def test_p07_a_log_left_out_shows_in_the_bloom(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        await subject.step()
        assert subject.permits(patient)
        await revoke(chain, patient, consent)
        liar.twist = lambda method, _params, result: [] if method == "eth_getLogs" else result
        await fails_closed(subject, patient, NodeUnavailableError)
        liar.twist = honest
        await subject.step()
        assert subject.follower.standing() is not None
        assert not subject.permits(patient)


async def test_p07_one_log_of_several_left_out_shows_too(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId], rng: random.Random
) -> None:
    """Two consents of one block: both come from the same contract, so the address alone would not tell."""
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        await subject.step()
        await chain.rpc("evm_setAutomine", False)
        call = chain.contracts.consents.grant(terms(patient, "physician2", rng))
        await chain.submit(signer(patient.account), call)
        await chain.submit(signer(patient.account), chain.contracts.consents.revoke(patient.key, consent))
        await chain.mine()

        def without_revocation(method: str, _params: list[Any], result: Any) -> Any:
            return result[:1] if method == "eth_getLogs" else result

        liar.twist = without_revocation
        await fails_closed(subject, patient, NodeUnavailableError)


async def test_p07_a_block_left_out_is_not_skipped(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        await subject.step()
        revoked = await revoke(chain, patient, consent)
        await chain.mine(3)

        def without_block(method: str, params: list[Any], result: Any) -> Any:
            missing = method == "eth_getBlockByNumber" and params[0] == hex(revoked.block.number)
            return None if missing else result

        liar.twist = without_block
        await fails_closed(subject, patient, QuorumError)
        liar.twist = honest
        await subject.step()
        assert not subject.permits(patient)


async def test_p07_false_history_stops_everything_until_it_is_rebuilt(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    """With its history cut short, the later events contradict: the mirror is given up, not bent."""
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(), nodes)

        def without_claim(method: str, params: list[Any], result: Any) -> Any:
            return result[-1:] if method == "eth_getLogs" and "fromBlock" in params[0] else result

        liar.twist = without_claim
        assert isinstance(await subject.failing_step(), HistoryError)
        assert subject.follower.standing() is None
        liar.twist = honest
        await subject.step()
        assert subject.permits(patient)
        await revoke(chain, patient, consent)
        await subject.step()
        assert not subject.permits(patient)


async def test_p08_a_frozen_head_counts_as_stale(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(head_max_age_s=20.0), nodes)
        await subject.step()
        frozen = await chain.rpc("eth_getBlockByNumber", "latest", False)
        await revoke(chain, patient, consent)
        liar.twist = lambda _method, params, result: frozen if params[:1] == ["latest"] else result
        assert await subject.step() is not None  # not to be told from a quiet chain yet
        subject.clocks.pass_by(21)
        await fails_closed(subject, patient, UnconfirmedError)


async def test_p08_an_old_head_with_a_fresh_timestamp_is_not_believed(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(2, head_max_age_s=60.0), nodes)
        old = await chain.rpc("eth_getBlockByNumber", "latest", False)
        assert isinstance(old, dict)
        await chain.mine(3)
        await subject.step()
        assert subject.permits(patient)
        await revoke(chain, patient, consent)
        fresh = old | {"timestamp": hex(int(subject.clocks.wall_s))}
        liar.twist = lambda _method, params, result: fresh if params[:1] == ["latest"] else result
        await fails_closed(subject, patient, UnconfirmedError)


async def test_p08_a_head_from_the_future_is_not_believed(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, _consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(head_max_age_s=60.0), nodes)
        await subject.step()
        await chain.mine()

        def ahead(_method: str, params: list[Any], result: Any) -> Any:
            return result | {"timestamp": hex(int(subject.clocks.wall_s) + 90)} if params[:1] == ["latest"] else result

        liar.twist = ahead
        assert isinstance(await subject.failing_step(), UnconfirmedError)
        subject.clocks.pass_by(29)
        assert subject.permits(patient)
        subject.clocks.pass_by(1.1)
        assert not subject.permits(patient)


async def test_p08_an_older_chain_is_not_believed_after_trust_was_lost_either(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    """One false answer has the mirror rebuilt; what it is rebuilt from may still not be older than what was seen."""
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        old = await chain.rpc("eth_getBlockByNumber", "latest", False)
        await revoke(chain, patient, consent)
        await subject.step()
        assert not subject.permits(patient)
        liar.twist = lambda method, _params, result: "0x1" if method == "eth_chainId" else result
        assert isinstance(await subject.failing_step(), WrongChainError)
        liar.twist = lambda _method, params, result: old if params[:1] == ["latest"] else result
        assert isinstance(await subject.failing_step(), UnconfirmedError)
        assert subject.follower.health().rebuilds == 2
        assert subject.follower.standing() is None
        await fails_closed(subject, patient, UnconfirmedError)


async def test_p07_an_event_that_cannot_follow_gives_the_mirror_up(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    """The revocation's epoch is forged: what is not indexed is not in the bloom, but it must follow from the state."""
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(2), nodes)
        await chain.mine(2)
        await subject.step()
        assert subject.permits(patient)
        await revoke(chain, patient, consent)

        def forged(method: str, _params: list[Any], result: Any) -> Any:
            if method != "eth_getLogs" or len(result) != 1:
                return result
            return [result[0] | {"data": result[0]["data"][:-1] + "7"}]

        liar.twist = forged
        error = await subject.failing_step()
        assert isinstance(error, HistoryError)
        assert "does not follow from what is known" in str(error)
        assert subject.follower.standing() is None


async def test_p07_a_final_block_that_is_not_ours_gives_the_mirror_up(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, _consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(None), nodes)
        await chain.mine(2)
        await subject.step()
        assert subject.permits(patient)
        await chain.mine()

        def other(_method: str, params: list[Any], result: Any) -> Any:
            return result | {"hash": "0x" + "ab" * 32} if params[:1] == ["finalized"] else result

        liar.twist = other
        await fails_closed(subject, patient, HistoryError)
        assert subject.follower.last_standing() is None  # what lied is not a chain that is away


async def test_p07_a_fork_while_history_is_read_starts_it_over(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, _consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        final, asked = hex(await chain.height()), 0

        def forks(_method: str, params: list[Any], result: Any) -> Any:
            nonlocal asked
            asked += params[:1] == [final]
            forked = params[:1] == [final] and asked == 3
            return result | {"hash": "0x" + "ab" * 32} if forked else result

        liar.twist = forks
        assert isinstance(await subject.failing_step(), HistoryError)
        assert asked == 3
        assert subject.follower.standing() is None
        await subject.step()
        assert subject.permits(patient)


@pytest.mark.parametrize("field", ["hash", "parentHash"])
async def test_p08_a_wrong_block_hash_is_not_joined(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId], field: str
) -> None:
    patient, consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(2), nodes)
        await chain.mine(2)
        await subject.step()
        assert subject.permits(patient)
        await revoke(chain, patient, consent)

        def wrong(_method: str, params: list[Any], result: Any) -> Any:
            return result | {field: "0x" + "ab" * 32} if params[:1] == ["latest"] else result

        liar.twist = wrong
        await fails_closed(subject, patient, RpcError)


async def test_p08_a_wrong_chain_ends_trust_at_once(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, _consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        await subject.step()
        assert subject.permits(patient)
        liar.twist = lambda method, _params, result: "0x1" if method == "eth_chainId" else result
        assert isinstance(await subject.failing_step(), WrongChainError)
        assert subject.follower.standing() is None
        assert subject.follower.last_standing() is None  # nor may break-glass look at it
        await fails_closed(subject, patient, WrongChainError)


@pytest.mark.parametrize("said", [None, {}, [], "0x", 7, {"number": "0x01"}])
async def test_p08_nulls_and_nonsense_confirm_nothing(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId], said: Any
) -> None:
    patient, _consent = permitted
    async with Nodes.of([liar.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        await subject.step()
        liar.twist = lambda _method, _params, _result: said
        await fails_closed(subject, patient, NodeUnavailableError)


async def test_p08_a_byte_at_a_time_is_cut_off(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, _consent = permitted
    async with Nodes.of([liar.url], Limits(deadline_s=1)) as nodes:
        subject = await following(chain, rules(), nodes)
        await subject.step()
        liar.delay_s = 0.5
        began = asyncio.get_running_loop().time()
        await fails_closed(subject, patient, NodeUnavailableError)
        assert asyncio.get_running_loop().time() - began < LIMIT_S


async def test_p08_two_nodes_that_differ_are_both_not_believed(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    """One of two leaves a revocation out, and even forges the header's bloom to fit."""
    patient, consent = permitted
    async with Nodes.of([liar.url, chain.anvil.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        await subject.step()
        assert subject.permits(patient)
        await revoke(chain, patient, consent)

        def seamless(method: str, _params: list[Any], result: Any) -> Any:
            if method == "eth_getLogs":
                return []
            return result | {"logsBloom": "0x" + "00" * 256} if method.startswith("eth_getBlock") else result

        liar.twist = seamless
        await fails_closed(subject, patient, DisagreementError)


async def test_p08_a_majority_goes_on_without_a_dead_node(
    chain: Chain, liar: LyingNode, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, consent = permitted
    nowhere = "http://127.0.0.1:9"
    async with Nodes.of([nowhere, liar.url, chain.anvil.url]) as nodes:
        subject = await following(chain, rules(), nodes)
        await subject.step()
        assert subject.permits(patient)
        await revoke(chain, patient, consent)
        await subject.step()
        assert not subject.permits(patient)


async def test_p08_a_silent_node_leaves_the_last_word_for_the_limit_only(
    chain: Chain, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, _consent = permitted
    subject = await following(chain, rules())
    await subject.step()
    await chain.anvil.stop()
    assert isinstance(await subject.failing_step(), NodeUnavailableError)
    subject.clocks.pass_by(LIMIT_S - 0.1)
    assert subject.permits(patient)
    subject.clocks.pass_by(0.2)
    assert not subject.permits(patient)


async def test_p08_a_clock_set_forward_or_a_machine_that_slept_counts_as_time(
    chain: Chain, permitted: tuple[ChainPatient, ConsentId]
) -> None:
    patient, _consent = permitted
    subject = await following(chain, rules())
    await subject.step()
    subject.clocks.wall_s += LIMIT_S + 1
    assert not subject.permits(patient)
    await subject.step()
    assert subject.permits(patient)
