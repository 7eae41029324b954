// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC7913SignatureVerifier} from "@openzeppelin/contracts/interfaces/IERC7913.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @dev A contract wallet that accepts its owner's signatures.
contract OwnedWallet is IERC1271 {
    address private immutable OWNER;

    constructor(address owner) {
        OWNER = owner;
    }

    function isValidSignature(bytes32 hash, bytes memory signature) external view override returns (bytes4) {
        (address recovered, , ) = ECDSA.tryRecover(hash, signature);
        return recovered == OWNER ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @dev A wallet that answers whatever it was told, as raw bytes.
contract RawWallet {
    bytes private _answer;

    constructor(bytes memory answer) {
        _answer = answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return _answer;
    }
}

/// @dev A wallet that spends all the gas it is given.
contract BurningWallet {
    fallback() external {
        assembly ("memory-safe") {
            for {} 1 {} {}
        }
    }
}

/// @dev A wallet that says yes with a megabyte of data behind it.
contract BombWallet {
    bool private immutable REVERTS;

    constructor(bool reverts) {
        REVERTS = reverts;
    }

    fallback() external {
        bytes32 magic = bytes32(IERC1271.isValidSignature.selector);
        bool reverts = REVERTS;
        assembly {
            mstore(0, magic)
            if reverts {
                revert(0, 300000)
            }
            return(0, 300000)
        }
    }
}

/// @dev An ERC-7913 verifier whose keys are owners' addresses.
contract AddressVerifier is IERC7913SignatureVerifier {
    function verify(bytes calldata key, bytes32 hash, bytes calldata signature) external pure returns (bytes4) {
        (address recovered, , ) = ECDSA.tryRecoverCalldata(hash, signature);
        bool good = key.length == 32 && recovered == abi.decode(key, (address));
        return good ? IERC7913SignatureVerifier.verify.selector : bytes4(0xffffffff);
    }
}
