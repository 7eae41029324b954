// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC7913SignatureVerifier} from "@openzeppelin/contracts/interfaces/IERC7913.sol";
import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Signatures of ERC-7913 signers, within bounds
/// @notice A signer is an address (20 bytes), or a verifier's address followed by a key (longer).
/// @dev A 20-byte signer is tried as a key first and as an ERC-1271 wallet second, so that an account which delegated
/// its code (EIP-7702) keeps working with its key. Foreign code gets CHECK_GAS and 32 bytes of answer, never more.
library Signatures {
    /// @dev Enough for P-256 in plain Solidity (about 250k) or a wallet of many owners.
    uint256 internal constant CHECK_GAS = 500_000;
    uint256 internal constant ADDRESS_BYTES = 20;
    /// @dev Room for an RSA-4096 key; keeps storage and hashing bounded.
    uint256 internal constant MAX_SIGNER_BYTES = 640;

    /// @notice The bytes are not an ERC-7913 signer that can be bound here.
    error SignerMalformed(uint256 length);

    /// @dev Reverts unless the signer has a plausible length and a non-zero address part.
    function requireWellFormed(bytes memory signer) internal pure {
        bool lengthOk = signer.length >= ADDRESS_BYTES && signer.length <= MAX_SIGNER_BYTES;
        if (!lengthOk || address(bytes20(signer)) == address(0)) revert SignerMalformed(signer.length);
    }

    /// @dev The address that stands for a signer: itself, or derived as Ethereum derives an address from a key.
    /// Zero for no signer.
    function actorOf(bytes memory signer) internal pure returns (address) {
        if (signer.length == 0) return address(0);
        if (signer.length == ADDRESS_BYTES) return address(bytes20(signer));
        return address(uint160(uint256(keccak256(signer))));
    }

    /// @dev Whether the signature over the digest is the signer's, now.
    function isValid(bytes memory signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        if (signer.length < ADDRESS_BYTES) return false;
        address account = address(bytes20(signer));
        if (signer.length == ADDRESS_BYTES) {
            if (isByKey(account, digest, signature)) return true;
            bytes memory ask = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
            return _answersMagic(account, ask, IERC1271.isValidSignature.selector);
        }
        bytes memory key = Bytes.slice(signer, ADDRESS_BYTES);
        bytes memory check = abi.encodeCall(IERC7913SignatureVerifier.verify, (key, digest, signature));
        return _answersMagic(account, check, IERC7913SignatureVerifier.verify.selector);
    }

    /// @dev Whether the account's own key made the signature: 65 bytes, low s, v of 27 or 28.
    function isByKey(address account, bytes32 digest, bytes calldata signature) internal pure returns (bool) {
        // The third value only details a failure that the second one names.
        // slither-disable-next-line unused-return
        (address recovered, ECDSA.RecoverError failure, ) = ECDSA.tryRecoverCalldata(digest, signature);
        return failure == ECDSA.RecoverError.NoError && recovered == account;
    }

    /// @dev Static call within bounds; true only for exactly the magic value, left-aligned in one word.
    /// An address without code answers with no data, which is no magic value.
    function _answersMagic(address target, bytes memory data, bytes4 magic) private view returns (bool valid) {
        uint256 gasLimit = CHECK_GAS;
        // Assembly, because a high-level call copies the whole answer, however long, into our memory.
        assembly ("memory-safe") {
            let success := staticcall(gasLimit, target, add(data, 0x20), mload(data), 0x00, 0x20)
            valid := and(success, and(gt(returndatasize(), 0x1f), eq(mload(0x00), magic)))
        }
    }
}
