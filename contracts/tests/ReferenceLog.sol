// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessLog} from "../src/IAccessLog.sol";

/// @dev AccessLog.record once more, in plain Solidity: slow and easy to read.
contract ReferenceLog is IAccessLog {
    bytes32 public override head;
    uint64 public override nextSeq;

    constructor(bytes32 start) {
        head = start;
    }

    function record(uint64 expectedSeq, bytes32 prevHead, bytes calldata batch) external override {
        if (expectedSeq != nextSeq) revert SeqMismatch(expectedSeq, nextSeq);
        if (prevHead != head) revert HeadMismatch(prevHead, head);
        if (batch.length == 0) revert BatchEmpty();
        bytes calldata rest = batch;
        while (rest.length > 0) {
            uint256 offset = batch.length - rest.length;
            if (rest.length < 126) revert BatchTruncated(offset);
            uint256 count = uint16(bytes2(rest[124:126]));
            if (count == 0) revert GroupEmpty(offset);
            if (rest.length < 126 + 32 * count) revert BatchTruncated(offset);
            if (nextSeq + count - expectedSeq > 500) revert BatchTooLarge(500);
            for (uint256 i = 0; i < count; ++i) append(rest[:124], bytes32(rest[126 + 32 * i:]));
            rest = rest[126 + 32 * count:];
        }
    }

    function append(bytes calldata group, bytes32 commitment) private {
        bytes32 basis = bytes32(group[:32]);
        address accessor = address(bytes20(group[32:52]));
        bytes32 patientKey = bytes32(group[52:84]);
        uint64 number = uint64(bytes8(group[84:92]));
        bytes32 hash = bytes32(group[92:124]);
        emit AccessLogged(basis, accessor, patientKey, nextSeq, number, hash, commitment);
        head = keccak256(abi.encode(head, basis, accessor, patientKey, nextSeq, number, hash, commitment));
        ++nextSeq;
    }
}
