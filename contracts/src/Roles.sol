// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Names of the staff roles
/// @notice A role is the keccak256 of its name. Append only: a name is never reused for another meaning.
library Roles {
    bytes32 internal constant REGISTRAR = keccak256("REGISTRAR");
    bytes32 internal constant RECORDER = keccak256("RECORDER");
    bytes32 internal constant PHYSICIAN = keccak256("PHYSICIAN");
    bytes32 internal constant EMERGENCY = keccak256("EMERGENCY");
    bytes32 internal constant AUDITOR = keccak256("AUDITOR");
    bytes32 internal constant UPLOADER = keccak256("UPLOADER");
}
