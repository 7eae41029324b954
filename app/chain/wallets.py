"""Does this signer stand behind this digest? Plain wallets by recovery, contract wallets by asking them (ERC-1271)."""

from typing import Protocol

from app.core.identifiers import Address, Signer
from app.core.signature import recover

_IS_VALID_SIGNATURE = bytes.fromhex("1626ba7e")
# A wallet's answer costs us at most this much of the node's work (the contracts bound it likewise).
_GAS_LIMIT = 1_000_000


class EthCall(Protocol):
    """What is needed of a node. Raises RpcUnavailableError when it cannot be asked; gives b"" where the call
    reverts.
    """

    async def get_code(self, address: Address) -> bytes: ...
    async def static_call(self, to: Address, data: bytes, gas: int) -> bytes: ...


async def stands_behind(node: EthCall, signer: Signer, digest: bytes, signature: bytes) -> bool:
    """True when ``signer`` (20 bytes of an account) signed ``digest``.

    The key comes first, so that an account with delegated code (EIP-7702) goes on working with its key; only an
    account with code is asked. The node is asked only where the key does not answer. Raises what ``node`` raises.
    """
    account = Address(signer[:20])
    if recover(digest, signature) == account:
        return True
    if not await node.get_code(account):
        return False
    answer = await node.static_call(account, _calldata(digest, signature), _GAS_LIMIT)
    return len(answer) == 32 and answer[:4] == _IS_VALID_SIGNATURE and not any(answer[4:])


def _calldata(digest: bytes, signature: bytes) -> bytes:
    padding = b"\0" * (-len(signature) % 32)
    return _IS_VALID_SIGNATURE + digest + (64).to_bytes(32) + len(signature).to_bytes(32) + signature + padding
