"""A small ERC-1271 wallet with one owner, in EVM assembly: no compiler is needed to deploy it in a test."""

import time
from typing import Any

import requests
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

# isValidSignature(bytes32 hash, bytes signature): the hash at 4, the length at 68, r ‖ s ‖ v from 100.
_RUNTIME = (
    "600435 5f 52"  # mstore(0, hash)
    " 60a435 5f 1a 6020 52"  # mstore(32, v)
    " 606435 6040 52"  # mstore(64, r)
    " 608435 6060 52"  # mstore(96, s)
    " 6020 6080 6080 5f 6001 5a fa 50"  # staticcall(gas, ecrecover, 0, 128, 128, 32), its outcome dropped
    " 6080 51 73{owner} 14"  # mload(128) == owner, and no signer at all is zero
    " 631626ba7e 60e0 1b 02"  # the magic value, left-aligned, or zero
    " 5f 52 6020 5f f3"  # return(0, 32)
)
_GAS = 500_000


class ContractWallet:
    """The wallet at ``address``. It signs with its owner's key and verifies for itself."""

    def __init__(self, rpc_url: str, owner: LocalAccount, payer: str) -> None:
        """Deploys it. ``payer``: an account that the development chain keeps unlocked."""
        self.owner = owner
        self._rpc_url = rpc_url
        runtime = bytes.fromhex(_RUNTIME.format(owner=owner.address[2:]).replace(" ", ""))
        # codecopy(0, 9, length), return(0, length)
        creation = bytes.fromhex(f"60{len(runtime):02x}8060095f395ff3") + runtime
        sent = self._rpc("eth_sendTransaction", {"from": payer, "data": "0x" + creation.hex(), "gas": hex(_GAS)})
        until = time.monotonic() + 20
        while (receipt := self._rpc("eth_getTransactionReceipt", sent)) is None:
            assert time.monotonic() < until, "the wallet is not mined"
            time.sleep(0.05)
        self.address = str(to_checksum_address(receipt["contractAddress"]))
        assert self._rpc("eth_getCode", self.address, "latest") == "0x" + runtime.hex()

    def _rpc(self, method: str, *params: object) -> Any:
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = requests.post(self._rpc_url, json=asked, timeout=30).json()
        assert "error" not in answer, answer
        return answer["result"]
