"""Does this signer stand behind this digest? As the contracts ask (contracts/src/Signatures.sol): plain wallets by
recovery, contract wallets by asking them (ERC-1271), keys that are no account by asking their verifier (ERC-7913).
Passkeys of ours are checked here, and more strictly than their verifier can.
"""

from typing import Final, Protocol

from app.core.consent.basis import ADDRESS_BYTES, is_signer
from app.core.identifiers import Address, Signer
from app.core.keccak import keccak256
from app.core.signing.passkey import RelyingParty, signed_by
from app.core.signing.signature import recover

_IS_VALID_SIGNATURE: Final = keccak256(b"isValidSignature(bytes32,bytes)")[:4]
_VERIFY: Final = keccak256(b"verify(bytes,bytes32,bytes)")[:4]
_WORD = 32
# What the contracts give foreign code, and what a call costs before any of it runs (EIP-2028, EIP-7623).
_CHECK_GAS = 500_000
_CALL_GAS = 21_000
_BYTE_GAS = 40


class EthCall(Protocol):
    """What is needed of a node. Both raise RpcError when it cannot be asked; ``static_call`` gives b"" where the code
    fails.
    """

    async def get_code(self, address: Address) -> bytes: ...
    async def static_call(self, to: Address, data: bytes, gas: int) -> bytes: ...


async def stands_behind(node: EthCall, signer: Signer, digest: bytes, signature: bytes, party: RelyingParty) -> bool:
    """True when ``signer`` signed ``digest``. Raises what ``node`` raises. ``party``: whom our passkeys are made for.

    An account's key comes first, so that one with delegated code (EIP-7702) goes on working with its key; the node is
    asked only where the key does not answer, and only about an address with code.
    """
    if not is_signer(signer):
        return False
    account, key = Address(signer[:ADDRESS_BYTES]), signer[ADDRESS_BYTES:]
    if account == party.verifier:
        passkey = party.key_of(signer)
        return passkey is not None and signed_by(party, passkey, digest, signature)
    if not key and recover(digest, signature) == account:
        return True
    if not await node.get_code(account):
        return False
    if key:
        magic, data = _VERIFY, _VERIFY + _encoded(key, digest, signature)
    else:
        magic, data = _IS_VALID_SIGNATURE, _IS_VALID_SIGNATURE + _encoded(digest, signature)
    answer = await node.static_call(account, data, _CHECK_GAS + _CALL_GAS + _BYTE_GAS * len(data))
    return answer[:_WORD] == magic.ljust(_WORD, b"\0")


def _encoded(*arguments: bytes) -> bytes:
    """Solidity's ABI encoding, in which the digest is the one argument of fixed size.

    Two arguments are (digest, signature), three (key, digest, signature).
    """
    fixed_at = len(arguments) - 2
    head, tail = b"", b""
    for at, argument in enumerate(arguments):
        if at == fixed_at:
            head += argument
            continue
        head += (_WORD * len(arguments) + len(tail)).to_bytes(_WORD)
        tail += len(argument).to_bytes(_WORD) + argument + b"\0" * (-len(argument) % _WORD)
    return head + tail
