// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @dev Comparisons that fail a test and say what differed.
abstract contract Assertions {
    error NotTrue(string what);
    error NotEqual(string what, bytes32 actual, bytes32 expected);
    error BytesNotEqual(string what, bytes actual, bytes expected);

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotTrue(what);
    }

    function assertEq(bytes32 actual, bytes32 expected, string memory what) internal pure {
        if (actual != expected) revert NotEqual(what, actual, expected);
    }

    function assertEq(uint256 actual, uint256 expected, string memory what) internal pure {
        if (actual != expected) revert NotEqual(what, bytes32(actual), bytes32(expected));
    }

    function assertEq(address actual, address expected, string memory what) internal pure {
        assertEq(uint256(uint160(actual)), uint256(uint160(expected)), what);
    }

    function assertEq(bytes memory actual, bytes memory expected, string memory what) internal pure {
        if (keccak256(actual) != keccak256(expected)) revert BytesNotEqual(what, actual, expected);
    }

    /// @dev Folds any value into the closed range.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + (value % (high - low + 1));
    }
}
