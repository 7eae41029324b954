// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title The public record of every access
/// @notice A gap-free sequence of events bound together by a running hash.
interface IAccessLog {
    /// @notice One authorised access.
    /// @param basis the consent's id, or the hash of a basis of its own
    /// @param accessor who had access
    /// @param patientKey whose images
    /// @param seq the record's number, from 0, without gaps
    /// @param decisionBlock number of the block at which access was decided
    /// @param decisionBlockHash hash of that block
    /// @param commitment salted hash of the full record
    event AccessLogged(
        bytes32 indexed basis,
        address indexed accessor,
        bytes32 indexed patientKey,
        uint64 seq,
        uint64 decisionBlock,
        bytes32 decisionBlockHash,
        bytes32 commitment
    );

    /// @notice The caller is not a recorder.
    error NotRecorder(address caller);
    /// @notice The batch does not continue where the log ends.
    error SeqMismatch(uint64 given, uint64 next);
    /// @notice The batch continues another log.
    error HeadMismatch(bytes32 given, bytes32 current);
    /// @notice The batch holds no record.
    error BatchEmpty();
    /// @notice The bytes end within the group that begins at this offset.
    error BatchTruncated(uint256 offset);
    /// @notice The group at this offset holds no record.
    error GroupEmpty(uint256 offset);
    /// @notice The batch holds more than MAX_BATCH records.
    error BatchTooLarge(uint256 limit);

    /// @notice Appends a batch of records. Only a recorder.
    /// @param expectedSeq the number of the batch's first record; must be nextSeq
    /// @param prevHead the hash that the batch continues; must be head
    /// @param batch groups, one after the other, nothing left over: basis (32 bytes), accessor (20), patientKey (32),
    /// decisionBlock (8, big-endian), decisionBlockHash (32), count (2, big-endian), then count commitments (32 each)
    function record(uint64 expectedSeq, bytes32 prevHead, bytes calldata batch) external;

    /// @notice The number of the next record, which is also how many there are.
    /// @return seq from 0
    function nextSeq() external view returns (uint64 seq);

    /// @notice The running hash over all records.
    /// @return current the hash after the last record
    function head() external view returns (bytes32 current);
}
