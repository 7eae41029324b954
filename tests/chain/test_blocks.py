"""Headers, logs and blooms as nodes give them: read strictly, and held to each other."""

from typing import Any

import pytest

from app.chain.blocks import bloom_of, header_by_hash, header_by_number, headers_by_number, logs_of, may_hold, read_logs
from app.chain.nodes import Nodes
from app.chain.quantities import MalformedAnswerError
from app.chain.rpc import Node, NodeUnavailableError
from app.core.identifiers import Address, BlockHash, PatientKey, UnixTime
from tests.support.chain import Chain, signer
from tests.support.lying_node import lying_node


def raw_log(number: int = 1, index: int = 0, **changed: Any) -> dict[str, Any]:
    return {
        "address": "0x" + "11" * 20,
        "topics": ["0x" + "22" * 32],
        "data": "0x",
        "blockNumber": hex(number),
        "blockHash": "0x" + f"{number:02x}" * 32,
        "transactionHash": "0x" + "33" * 32,
        "logIndex": hex(index),
        "removed": False,
    } | changed


def test_logs_in_chain_order_are_read() -> None:
    logs = read_logs([raw_log(1, 0), raw_log(1, 2), raw_log(3, 0)])
    assert [(log.block.number, log.index) for log in logs] == [(1, 0), (1, 2), (3, 0)]
    assert logs[0].topics == (b"\x22" * 32,)
    assert read_logs([]) == ()


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        [None],
        [raw_log(2), raw_log(1)],
        [raw_log(1, 1), raw_log(1, 0)],
        [raw_log(1, 0), raw_log(1, 0)],
        [raw_log(1, 0), raw_log(1, 1, blockHash="0x" + "ff" * 32)],
        [raw_log(removed=True)],
        [raw_log(removed="no")],
        [raw_log(topics=["0x" + "22" * 32] * 5)],
        [raw_log(topics=["0x22"])],
        [raw_log(address="0x" + "11" * 21)],
        [raw_log(blockHash=None)],
        [raw_log(data="0x0")],
    ],
)
def test_other_logs_are_refused(said: Any) -> None:
    with pytest.raises(MalformedAnswerError):
        read_logs(said)


async def test_a_bloom_is_made_up_of_its_logs(chain: Chain) -> None:
    """The chain's own blooms, of blocks with and without logs, equal those made here."""
    height = await chain.height()
    headers = await headers_by_number(chain.anvil.node, range(height + 1))
    assert headers is not None
    with_logs = 0
    for header in headers:
        query = {"blockHash": "0x" + header.ref.hash.hex()}
        logs = read_logs(await chain.rpc("eth_getLogs", query))
        assert bloom_of(logs) == header.bloom
        assert all(may_hold(header.bloom, log.address) for log in logs)
        with_logs += bool(logs)
        assert await header_by_hash(chain.anvil.node, header.ref.hash) == header
    assert 0 < with_logs < len(headers)
    assert await header_by_number(chain.anvil.node, height + 1) is None
    assert await headers_by_number(chain.anvil.node, [height, height + 1]) is None
    assert await header_by_hash(chain.anvil.node, BlockHash(bytes(32))) is None


async def test_a_block_that_cannot_hold_our_logs_is_not_asked_for_them(chain: Chain) -> None:
    await chain.mine()
    addresses = chain.deployment.addresses
    async with lying_node(chain.anvil.node) as node, Node(node.url) as asked:
        header = await header_by_number(asked, "latest")
        assert header is not None
        assert await logs_of(asked, header, addresses) == ()
        assert "eth_getLogs" not in node.asked


async def test_a_bloom_too_full_to_tell_asks_for_our_contracts_alone(chain: Chain) -> None:
    call = chain.contracts.patients.enrol(
        PatientKey(b"\x01" * 32), Address(b"\x02" * 20), UnixTime(await chain.time() + 60)
    )
    await chain.send(signer("registrar"), call)
    patients, log = chain.deployment.address("PatientRegistry"), chain.deployment.address("AccessLog")

    def full(method: str, _params: list[Any], result: Any) -> Any:
        return result | {"logsBloom": "0x" + "ff" * 256} if method.startswith("eth_getBlock") else result

    async with lying_node(chain.anvil.node) as node, Node(node.url) as asked:
        node.twist = full
        header = await header_by_number(asked, "latest")
        assert header is not None
        assert len(await logs_of(asked, header, [patients])) == 1
        assert await logs_of(asked, header, [log]) == ()
        node.twist = lambda _method, _params, result: [result[0] | {"address": "0x" + "11" * 20}]
        with pytest.raises(MalformedAnswerError, match="another contract"):
            await logs_of(asked, header, [patients])


@pytest.mark.parametrize("answer", [{"number": "0x1"}, {"hash": "0x" + "ab" * 32}])
async def test_a_block_that_was_not_asked_for_is_refused(chain: Chain, answer: dict[str, Any]) -> None:
    async with lying_node(chain.anvil.node) as node, Nodes.of([node.url]) as nodes:
        head = await header_by_number(chain.anvil.node, "latest")
        assert head is not None
        node.twist = lambda _method, _params, result: result | answer
        if "number" in answer:
            with pytest.raises(NodeUnavailableError):
                await nodes.agreed(lambda asked: header_by_number(asked, head.ref.number))
            with pytest.raises(NodeUnavailableError):
                await nodes.agreed(lambda asked: headers_by_number(asked, [head.ref.number]))
        else:
            with pytest.raises(NodeUnavailableError):
                await nodes.agreed(lambda asked: header_by_hash(asked, head.ref.hash))
