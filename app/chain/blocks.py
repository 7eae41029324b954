"""Blocks and logs as a node gives them, read strictly, and what a block's bloom filter says about its logs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.chain.quantities import (
    MalformedAnswerError,
    address,
    block_hash,
    data,
    fields,
    items,
    quantity,
    to_data,
    to_quantity,
    tx_hash,
)
from app.chain.rpc import Call, Node, NodeRefusedError
from app.core.identifiers import Address, BlockHash, BlockRef, TxHash, UnixTime
from app.core.keccak import keccak256

BLOOM_BYTES = 256
# A fuller bloom says "maybe" to nearly everything: then it proves nothing about a missing log.
_TELLING_BITS = 1024


@dataclass(frozen=True, slots=True)
class Header:
    """What is used of a block's header. ``timestamp`` in Unix seconds; ``bloom`` of all logs in the block."""

    ref: BlockRef
    parent_hash: BlockHash
    timestamp: UnixTime
    bloom: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """One event of a contract. ``index`` counts the logs of the whole block from 0."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block: BlockRef
    tx_hash: TxHash
    index: int


def read_header(value: object) -> Header:
    """A mined block. Raises MalformedAnswerError."""
    header = fields(value, "the block")
    return Header(
        BlockRef(quantity(header.get("number"), "the block's number"), block_hash(header.get("hash"))),
        block_hash(header.get("parentHash"), "the parent's hash"),
        UnixTime(quantity(header.get("timestamp"), "the block's timestamp")),
        data(header.get("logsBloom"), "the block's bloom", BLOOM_BYTES),
    )


def read_logs(value: object) -> tuple[Log, ...]:
    """Logs of the canonical chain, strictly in chain order. Raises MalformedAnswerError."""
    logs = tuple(_read_log(one) for one in items(value, "the logs"))
    for before, after in pairwise(logs):
        if (before.block.number, before.index) >= (after.block.number, after.index):
            raise MalformedAnswerError("the logs are not in order")
        if before.block.number == after.block.number and before.block != after.block:
            raise MalformedAnswerError("the logs name two blocks of one number")
    return logs


def _read_log(value: object) -> Log:
    log = fields(value, "a log")
    if log.get("removed") not in (None, False):
        raise MalformedAnswerError("a log is of a block that was reorganised away")
    topics = items(log.get("topics"), "a log's topics")
    if len(topics) > 4:
        raise MalformedAnswerError("a log has more than four topics")
    return Log(
        address(log.get("address"), "a log's address"),
        tuple(data(topic, "a topic", 32) for topic in topics),
        data(log.get("data"), "a log's data"),
        BlockRef(quantity(log.get("blockNumber"), "a log's block"), block_hash(log.get("blockHash"))),
        tx_hash(log.get("transactionHash")),
        quantity(log.get("logIndex"), "a log's index"),
    )


async def header_by_number(node: Node, number: int | str) -> Header | None:
    """The block of that number or tag, None when the node does not have it. Raises RpcError, MalformedAnswerError."""
    tag = number if isinstance(number, str) else to_quantity(number)
    answer = await node.call("eth_getBlockByNumber", tag, False)
    if answer is None:
        return None
    header = read_header(answer)
    if isinstance(number, int) and header.ref.number != number:
        raise MalformedAnswerError("the block is not the one asked for")
    return header


async def headers_by_number(node: Node, numbers: Sequence[int]) -> tuple[Header, ...] | None:
    """The blocks of these numbers in one request, None when the node lacks one.

    Raises RpcError, MalformedAnswerError.
    """
    answers = await node.batch([Call("eth_getBlockByNumber", (to_quantity(number), False)) for number in numbers])
    headers: list[Header] = []
    for number, answer in zip(numbers, answers, strict=True):
        if isinstance(answer, NodeRefusedError):
            raise answer
        if answer is None:
            return None
        headers.append(read_header(answer))
        if headers[-1].ref.number != number:
            raise MalformedAnswerError("the block is not the one asked for")
    return tuple(headers)


async def header_by_hash(node: Node, wanted: BlockHash) -> Header | None:
    """The block of that hash, None when the node does not have it. Raises RpcError, MalformedAnswerError."""
    answer = await node.call("eth_getBlockByHash", to_data(wanted), False)
    if answer is None:
        return None
    header = read_header(answer)
    if header.ref.hash != wanted:
        raise MalformedAnswerError("the block is not the one asked for")
    return header


async def logs_of(node: Node, header: Header, addresses: Iterable[Address]) -> tuple[Log, ...]:
    """The logs of these contracts in one block; a bloom that rules them out saves the question.

    All logs of the block are asked for, and together they must make up the header's bloom: a log left out shows. Only
    where the bloom is too full to tell are just these contracts' asked for. Raises RpcError, MalformedAnswerError.
    """
    ours = frozenset(addresses)
    if not any(may_hold(header.bloom, one) for one in ours):
        return ()
    telling = int.from_bytes(header.bloom).bit_count() <= _TELLING_BITS
    query: dict[str, object] = {"blockHash": to_data(header.ref.hash)}
    if not telling:
        query["address"] = sorted(map(to_data, ours))
    logs = read_logs(await node.call("eth_getLogs", query))
    if any(log.block != header.ref for log in logs):
        raise MalformedAnswerError("a log is of another block")
    if telling and (bloom_of(logs) != header.bloom or [log.index for log in logs] != list(range(len(logs)))):
        raise MalformedAnswerError("the block's logs are not all there")
    if not telling and any(log.address not in ours for log in logs):
        raise MalformedAnswerError("a log is of another contract")
    return tuple(log for log in logs if log.address in ours)


def may_hold(bloom: bytes, value: bytes) -> bool:
    """False when no log in the block has this address or topic (Yellow Paper §4.3.1)."""
    bits = _bits(value)
    return int.from_bytes(bloom) & bits == bits


def bloom_of(logs: Iterable[Log]) -> bytes:
    """The bloom filter of these logs."""
    bits = 0
    for log in logs:
        bits |= _bits(log.address)
        for topic in log.topics:
            bits |= _bits(topic)
    return bits.to_bytes(BLOOM_BYTES)


def _bits(value: bytes) -> int:
    digest = keccak256(value)
    bits = 0
    for at in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[at : at + 2]) & 2047)
    return bits
