"""Transactions in pieces, so that whoever stores them can crash anywhere: prepare → (store) → broadcast → fate.

Nothing here remembers anything. The account nonce is the caller's to hand out: one key has one owner, and the stored
transactions say which nonces are taken. Signing the same nonce again with higher fees replaces a stuck transaction;
broadcasting the same bytes again is always safe.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from eth_account import Account
from eth_account.signers.local import LocalAccount

from app.chain.contracts import CallData
from app.chain.nodes import LATEST, Nodes
from app.chain.quantities import MalformedAnswerError, address, block_hash, fields, quantity, to_data, tx_hash
from app.chain.rpc import Call, Node, NodeRefusedError
from app.core.identifiers import Address, BlockRef, TxHash

# A node takes a replacement only when both fees are at least 10 % higher (geth's price bump); one eighth is.
_RAISE_DIVISOR = 8
_LEAST_TIP_WEI = 1_000_000
# An estimate is made on today's state; other transactions may land first.
_GAS_MARGIN_PERCENT = 120


@dataclass(frozen=True, slots=True)
class Fees:
    """EIP-1559: the most to pay per gas, and the part of it that goes to the proposer, in wei."""

    max_fee_wei: int
    tip_wei: int

    def raised(self, market: "Fees") -> "Fees":
        """High enough to replace a transaction with these fees, and never below the market's."""
        return Fees(
            max(self.max_fee_wei + self.max_fee_wei // _RAISE_DIVISOR + 1, market.max_fee_wei),
            max(self.tip_wei + self.tip_wei // _RAISE_DIVISOR + 1, market.tip_wei),
        )

    def capped(self, max_fee_wei: int) -> "Fees":
        """The same, but never more than that per gas."""
        return Fees(min(self.max_fee_wei, max_fee_wei), min(self.tip_wei, max_fee_wei))


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A transaction before its signature. ``to`` None creates a contract; nothing of ours carries value."""

    chain_id: int
    account_nonce: int
    to: Address | None
    data: bytes
    gas: int
    fees: Fees


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction as it is stored and broadcast."""

    raw: bytes
    hash: TxHash
    account_nonce: int
    fees: Fees


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that sends transactions. Shows its address and never the key."""

    address: Address
    _account: LocalAccount = field(repr=False)

    @classmethod
    def of(cls, key: bytes) -> "Signer":
        """The signer of a 32-byte private key. Raises ValueError, without the key in its text."""
        try:
            account: LocalAccount = Account.from_key(key)
        except Exception:  # noqa: BLE001 - the library's own errors may show the key
            raise ValueError("not a private key") from None
        return cls(Address(bytes.fromhex(account.address[2:])), account)

    def sign(self, transaction: Unsigned) -> Signed:
        """The same transaction always gets the same bytes (RFC 6979)."""
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": transaction.chain_id,
                "nonce": transaction.account_nonce,
                "to": b"" if transaction.to is None else transaction.to,
                "data": transaction.data,
                "value": 0,
                "gas": transaction.gas,
                "maxFeePerGas": transaction.fees.max_fee_wei,
                "maxPriorityFeePerGas": transaction.fees.tip_wei,
            }
        )
        return Signed(
            bytes(signed.raw_transaction), TxHash(bytes(signed.hash)), transaction.account_nonce, transaction.fees
        )


class Broadcast(Enum):
    """What the nodes say to a transaction; none of it is an error of ours."""

    ACCEPTED = auto()  # in a pool, now or before
    NONCE_TAKEN = auto()  # a transaction with this account nonce is mined: this one, or another
    UNDERPRICED = auto()  # too low for a replacement or for the pool: raise the fees
    UNFUNDED = auto()  # the account cannot pay for it
    REFUSED = auto()  # anything else: it will not be mined as it is


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction in a block. ``succeeded`` is False when it reverted; ``contract`` is the one it created."""

    tx_hash: TxHash
    block: BlockRef
    succeeded: bool
    gas_used: int
    contract: Address | None


class Unmined(Enum):
    """Where a transaction without a receipt is."""

    PENDING = auto()  # a node's pool holds it; when it stays so for long, replace it
    DROPPED = auto()  # no node knows it (or a reorganisation undid it): broadcast it again
    DISPLACED = auto()  # its account nonce is used, by none of the transactions asked about


async def estimate_fees(nodes: Nodes) -> Fees:
    """Fees that hold for a few blocks of rising base fee. Raises RpcError."""

    async def ask(node: Node) -> Fees:
        head, tip = await node.batch([Call("eth_getBlockByNumber", (LATEST, False)), Call("eth_maxPriorityFeePerGas")])
        if isinstance(head, NodeRefusedError):
            raise head
        header = fields(head, "the head")
        # A chain without a fee market (a consortium's) may give no base fee at all.
        base = quantity(header["baseFeePerGas"], "the base fee") if header.get("baseFeePerGas") else 0
        wanted = _LEAST_TIP_WEI if isinstance(tip, NodeRefusedError) else quantity(tip, "the tip")
        return Fees(2 * base + wanted, wanted)

    return await nodes.first(ask)


async def account_nonce(nodes: Nodes, account: Address, block: str = LATEST) -> int:
    """How many transactions of the account are mined (``latest``), or mined and waiting (``pending``), agreed.

    Raises RpcError.
    """

    async def ask(node: Node) -> int:
        return quantity(await node.call("eth_getTransactionCount", to_data(account), block), "the account nonce")

    return await nodes.agreed(ask) or 0


async def broadcast(nodes: Nodes, raw: bytes) -> Broadcast:
    """Hands a signed transaction to every node; the best answer counts. Safe to repeat.

    Raises RpcError when no node answers.
    """

    async def ask(node: Node) -> Broadcast:
        try:
            await node.call("eth_sendRawTransaction", to_data(raw))
        except NodeRefusedError as refused:
            return _meaning(refused.reason)
        return Broadcast.ACCEPTED

    answers = [answer for _node, answer in await nodes.each(ask)]
    given = [answer for answer in answers if isinstance(answer, Broadcast)]
    for best in Broadcast:
        if best in given:
            return best
    raise next(answer for answer in answers if not isinstance(answer, Broadcast))


def _meaning(reason: str) -> Broadcast:
    """Nodes tell these apart only in words (geth, Besu, Nethermind, Erigon and anvil were read)."""
    said = reason.lower()
    for words, meaning in (
        (("already known", "already imported", "alreadyknown", "known transaction"), Broadcast.ACCEPTED),
        (("nonce too low", "nonce_too_low", "oldnonce", "nonce is too low"), Broadcast.NONCE_TAKEN),
        (
            ("underpriced", "max fee per gas less than", "fee too low", "feetoolow", "gas price below"),
            Broadcast.UNDERPRICED,
        ),
        (("insufficient funds", "insufficientfunds", "upfront cost exceeds"), Broadcast.UNFUNDED),
    ):
        if any(word in said for word in words):
            return meaning
    return Broadcast.REFUSED


async def receipt(nodes: Nodes, of: TxHash) -> Receipt | None:
    """The receipt of a mined transaction, the same from a quorum; None while too few have one. Raises RpcError."""

    async def ask(node: Node) -> Receipt | None:
        answer = await node.call("eth_getTransactionReceipt", to_data(of))
        return None if answer is None else _receipt(answer, of)

    return await nodes.agreed(ask)


async def fate(nodes: Nodes, account: Address, nonce: int, versions: Sequence[TxHash]) -> Receipt | Unmined:
    """What became of a transaction and its replacements, which share an account nonce.

    A node may index receipts a moment after the block: believe DISPLACED only when it is seen again later.
    Raises RpcError.
    """
    used = await account_nonce(nodes, account) > nonce  # before the receipts: what is mined in between has one
    for version in versions:
        found = await receipt(nodes, version)
        if found is not None:
            return found
    if used:
        return Unmined.DISPLACED

    async def ask(node: Node) -> bool:
        known = await node.batch([Call("eth_getTransactionByHash", (to_data(version),)) for version in versions])
        return any(isinstance(one, dict) for one in known)

    seen = [answer for _node, answer in await nodes.each(ask)]
    if any(answer is True for answer in seen):
        return Unmined.PENDING
    for answer in seen:
        if not isinstance(answer, bool) and not any(one is False for one in seen):
            raise answer
    return Unmined.DROPPED


def with_margin(gas: int) -> int:
    """An estimate with room for what lands before it."""
    return gas * _GAS_MARGIN_PERCENT // 100


def unsigned(chain_id: int, nonce: int, call: CallData, gas: int, fees: Fees) -> Unsigned:
    """A call to a contract as a transaction."""
    return Unsigned(chain_id, nonce, call.to, call.data, gas, fees)


def _receipt(answer: object, of: TxHash) -> Receipt:
    found = fields(answer, "the receipt")
    created = found.get("contractAddress")
    if tx_hash(found.get("transactionHash")) != of:
        raise MalformedAnswerError("the receipt is of another transaction")
    return Receipt(
        of,
        BlockRef(quantity(found.get("blockNumber"), "the receipt's block"), block_hash(found.get("blockHash"))),
        quantity(found.get("status"), "the receipt's status") == 1,
        quantity(found.get("gasUsed"), "the gas used"),
        None if created is None else address(created),
    )
