// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessLog} from "./IAccessLog.sol";
import {IConsentryRoles} from "./IConsentryRoles.sol";
import {Roles} from "./Roles.sol";

/// @title The public record of every access
/// @notice One event per access, many per transaction.
contract AccessLog is IAccessLog {
    /// @notice Most records in one batch.
    uint256 public constant MAX_BATCH = 500;

    /// @dev The head starts from this, the chain and the contract, so that no two logs share a history.
    bytes32 private constant LOG_TYPE = keccak256("consentry.log.v1");
    uint256 private constant GROUP_HEAD_BYTES = 126;
    uint256 private constant COMMITMENT_BYTES = 32;
    /// @dev Eight words: head, basis, accessor, patientKey, seq, decisionBlock, decisionBlockHash, commitment.
    uint256 private constant LINK_BYTES = 256;

    /// @notice Where staff roles are kept.
    IConsentryRoles public immutable ROLES;

    /// @inheritdoc IAccessLog
    bytes32 public override head;
    /// @inheritdoc IAccessLog
    uint64 public override nextSeq;

    /// @notice Fixes for good what the contract builds on.
    /// @param roles where staff roles are kept
    constructor(IConsentryRoles roles) {
        ROLES = roles;
        head = keccak256(abi.encode(LOG_TYPE, block.chainid, address(this)));
    }

    /// @inheritdoc IAccessLog
    function record(uint64 expectedSeq, bytes32 prevHead, bytes calldata batch) external override {
        if (!ROLES.holds(Roles.RECORDER, msg.sender)) revert NotRecorder(msg.sender);
        if (expectedSeq != nextSeq) revert SeqMismatch(expectedSeq, nextSeq);
        if (prevHead != head) revert HeadMismatch(prevHead, head);
        if (batch.length == 0) revert BatchEmpty();
        uint256 link;
        // The buffer in which every record is laid out; taken once, so that memory does not grow with the batch.
        assembly ("memory-safe") {
            link := mload(0x40)
            mstore(0x40, add(link, LINK_BYTES))
        }
        bytes32 running = prevHead;
        uint256 seq = expectedSeq;
        uint256 offset = 0;
        while (offset < batch.length) {
            uint256 count = _countAt(batch, offset);
            if (seq + count > expectedSeq + MAX_BATCH) revert BatchTooLarge(MAX_BATCH);
            running = _appendGroup(batch, offset, count, seq, running, link);
            seq += count;
            offset += GROUP_HEAD_BYTES + count * COMMITMENT_BYTES;
        }
        head = running;
        // No overflow: at most MAX_BATCH per transaction from 0.
        nextSeq = uint64(seq);
    }

    /// @dev The number of records in the group at offset, whose bytes are all there.
    function _countAt(bytes calldata batch, uint256 offset) private pure returns (uint256 count) {
        if (batch.length - offset < GROUP_HEAD_BYTES) revert BatchTruncated(offset);
        assembly ("memory-safe") {
            count := shr(240, calldataload(add(batch.offset, add(offset, 124))))
        }
        if (count == 0) revert GroupEmpty(offset);
        if (batch.length - offset - GROUP_HEAD_BYTES < count * COMMITMENT_BYTES) revert BatchTruncated(offset);
    }

    /// @dev Emits AccessLogged for each record of a group and returns the hash after the last. The event's data are the
    /// last four words of the hashed eight, so one buffer of LINK_BYTES at link serves both.
    function _appendGroup(
        bytes calldata batch,
        uint256 offset,
        uint256 count,
        uint256 seq,
        bytes32 running,
        uint256 link
    ) private returns (bytes32 current) {
        bytes32 topic = AccessLogged.selector;
        assembly ("memory-safe") {
            let cursor := add(batch.offset, offset)
            let basis := calldataload(cursor)
            let accessor := shr(96, calldataload(add(cursor, 32)))
            let patientKey := calldataload(add(cursor, 52))
            mstore(add(link, 0x20), basis)
            mstore(add(link, 0x40), accessor)
            mstore(add(link, 0x60), patientKey)
            mstore(add(link, 0xa0), shr(192, calldataload(add(cursor, 84))))
            mstore(add(link, 0xc0), calldataload(add(cursor, 92)))
            cursor := add(cursor, GROUP_HEAD_BYTES)
            current := running
            for {
                let end := add(cursor, shl(5, count))
            } lt(cursor, end) {
                cursor := add(cursor, 0x20)
            } {
                mstore(link, current)
                mstore(add(link, 0x80), seq)
                mstore(add(link, 0xe0), calldataload(cursor))
                log4(add(link, 0x80), 0x80, topic, basis, accessor, patientKey)
                current := keccak256(link, LINK_BYTES)
                seq := add(seq, 1)
            }
        }
    }
}
