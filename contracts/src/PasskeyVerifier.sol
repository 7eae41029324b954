// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC7913SignatureVerifier} from "@openzeppelin/contracts/interfaces/IERC7913.sol";
import {WebAuthn} from "@openzeppelin/contracts/utils/cryptography/WebAuthn.sol";

/// @title Judges signatures that a passkey of this site made
/// @notice An ERC-7913 verifier: a passkey's signer is this contract's address followed by its P-256 key.
/// @dev OpenZeppelin leaves the relying party out; here it is checked, so that a passkey which another site obtained does
/// not sign for us. The origin within it is the gateway's to check.
contract PasskeyVerifier is IERC7913SignatureVerifier {
    bytes4 private constant INVALID = 0xffffffff;
    uint256 private constant KEY_BYTES = 64;
    uint256 private constant RP_ID_HASH_BYTES = 32;

    /// @notice SHA-256 of the relying party's id, which authenticator data begin with.
    bytes32 public immutable RP_ID_HASH;

    /// @notice Fixes for good whose passkeys are judged.
    /// @param rpId the relying party's id: the host name of the site (WebAuthn §5.1.2)
    constructor(string memory rpId) {
        RP_ID_HASH = sha256(bytes(rpId));
    }

    /// @notice Whether a passkey, its user verified, signed a hash as the challenge. Never reverts on what it is given.
    /// @param key the x and y of the P-256 key, 32 bytes each
    /// @param hash the challenge
    /// @param signature OpenZeppelin's WebAuthn.WebAuthnAuth as abi.encode writes it, without the leading word
    /// @return answer the selector of this function for a good signature, 0xffffffff for anything else
    function verify(
        bytes calldata key,
        bytes32 hash,
        bytes calldata signature
    ) external view override returns (bytes4 answer) {
        if (key.length != KEY_BYTES) return INVALID;
        (bool decoded, WebAuthn.WebAuthnAuth calldata auth) = WebAuthn.tryDecodeAuth(signature);
        if (!decoded || !_isOurs(auth.authenticatorData)) return INVALID;
        // OpenZeppelin looks at that place before it compares lengths: a far one would take all gas, one near 2²⁵⁶ would
        // be a place before the text.
        if (auth.typeIndex >= bytes(auth.clientDataJSON).length) return INVALID;
        bool good = WebAuthn.verify(abi.encodePacked(hash), auth, bytes32(key[:32]), bytes32(key[32:]), true);
        return good ? IERC7913SignatureVerifier.verify.selector : INVALID;
    }

    function _isOurs(bytes calldata authenticatorData) private view returns (bool) {
        return
            authenticatorData.length >= RP_ID_HASH_BYTES && bytes32(authenticatorData[:RP_ID_HASH_BYTES]) == RP_ID_HASH;
    }
}
