// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessLog} from "../src/AccessLog.sol";
import {IAccessLog} from "../src/IAccessLog.sol";
import {ReferenceLog} from "./ReferenceLog.sol";
import {Stage, StagedTest} from "./Stage.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Batches made of any groups.
abstract contract BatchMaker is Stage {
    function group(uint256 seed, uint256 count) internal pure returns (bytes memory made) {
        made = abi.encodePacked(
            keccak256(abi.encode("basis", seed)),
            bytes20(keccak256(abi.encode("accessor", seed))),
            keccak256(abi.encode("patient", seed)),
            uint64(uint256(keccak256(abi.encode("number", seed)))),
            keccak256(abi.encode("hash", seed)),
            uint16(count)
        );
        bytes memory commitments = new bytes(32 * count);
        for (uint256 i = 0; i < count; ++i) {
            bytes32 commitment = keccak256(abi.encode("commitment", seed, i));
            assembly ("memory-safe") {
                mstore(add(add(commitments, 0x20), mul(i, 0x20)), commitment)
            }
        }
        made = bytes.concat(made, commitments);
    }

    function send(bytes memory batch) internal {
        uint64 seq = accessLog.nextSeq();
        bytes32 head = accessLog.head();
        vm.prank(recorder);
        accessLog.record(seq, head, batch);
    }

    /// @dev The head that follows from events alone.
    function fold(bytes32 head, Vm.Log memory entry) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(head, entry.topics[1], entry.topics[2], entry.topics[3], entry.data));
    }
}

contract AccessLogTest is BatchMaker, StagedTest {
    function testFuzz_inv07_equals_the_plain_reference(
        uint256 seed,
        uint8[] calldata sizes,
        bytes calldata junk
    ) external {
        bytes memory batch;
        for (uint256 i = 0; i < sizes.length && i < 12; ++i) {
            batch = bytes.concat(batch, group(uint256(keccak256(abi.encode(seed, i))), sizes[i] % 50));
        }
        // One time in four the batch ends in junk.
        if (seed % 4 == 0) batch = bytes.concat(batch, junk);
        ReferenceLog plain = new ReferenceLog(accessLog.head());
        bytes memory data = abi.encodeCall(IAccessLog.record, (0, accessLog.head(), batch));
        vm.recordLogs();
        vm.prank(recorder);
        (bool okFast, bytes memory whyFast) = address(accessLog).call(data);
        Vm.Log[] memory fast = vm.getRecordedLogs();
        (bool okPlain, bytes memory whyPlain) = address(plain).call(data);
        Vm.Log[] memory slow = vm.getRecordedLogs();
        assertTrue(okFast == okPlain, "same verdict");
        assertEq(whyFast, whyPlain, "same reason");
        assertEq(accessLog.head(), plain.head(), "same head");
        assertEq(accessLog.nextSeq(), plain.nextSeq(), "same seq");
        assertEq(fast.length, slow.length, "as many events");
        for (uint256 i = 0; i < fast.length; ++i) {
            assertEq(abi.encode(fast[i].topics), abi.encode(slow[i].topics), "topics");
            assertEq(fast[i].data, slow[i].data, "data");
        }
    }

    function testFuzz_inv06_seq_and_head_must_match(uint64 seq, bytes32 head) external {
        send(group(1, 3));
        bytes memory batch = group(2, 1);
        bytes32 current = accessLog.head();
        vm.assume(seq != 3 && head != current);
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.SeqMismatch.selector, seq, 3));
        accessLog.record(seq, current, batch);
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.HeadMismatch.selector, head, current));
        accessLog.record(3, head, batch);
    }

    function test_inv06_resubmission_neither_repeats_nor_skips() external {
        bytes32 start = accessLog.head();
        bytes memory batch = group(1, 3);
        vm.prank(recorder);
        accessLog.record(0, start, batch);
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.SeqMismatch.selector, 0, 3));
        accessLog.record(0, start, batch);
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.SeqMismatch.selector, 4, 3));
        accessLog.record(4, start, batch);
    }

    function testFuzz_only_a_recorder_records(address caller) external {
        vm.assume(caller != recorder);
        bytes memory batch = group(1, 1);
        bytes32 head = accessLog.head();
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.NotRecorder.selector, caller));
        accessLog.record(0, head, batch);
        vm.warp(FOREVER);
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.NotRecorder.selector, recorder));
        accessLog.record(0, head, batch);
    }

    function testFuzz_truncated_batches_are_refused(uint256 length) external {
        bytes memory whole = bytes.concat(group(1, 2), group(2, 3));
        length = bound(length, 0, whole.length - 1);
        vm.assume(length != 126 + 64);
        bytes memory cut = new bytes(length);
        for (uint256 i = 0; i < length; ++i) cut[i] = whole[i];
        bytes32 head = accessLog.head();
        vm.prank(recorder);
        if (length == 0) vm.expectRevert(IAccessLog.BatchEmpty.selector);
        else vm.expectRevert(abi.encodeWithSelector(IAccessLog.BatchTruncated.selector, length < 190 ? 0 : 190));
        accessLog.record(0, head, cut);
    }

    function testFuzz_trailing_bytes_are_refused(bytes calldata junk) external {
        vm.assume(junk.length > 0 && junk.length < 126);
        bytes memory batch = bytes.concat(group(1, 2), junk);
        bytes32 head = accessLog.head();
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.BatchTruncated.selector, 190));
        accessLog.record(0, head, batch);
    }

    function test_empty_groups_and_oversize_batches_are_refused() external {
        bytes32 head = accessLog.head();
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.GroupEmpty.selector, 158));
        accessLog.record(0, head, bytes.concat(group(1, 1), group(2, 0)));
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.BatchTooLarge.selector, 500));
        accessLog.record(0, head, group(1, 501));
        vm.prank(recorder);
        vm.expectRevert(abi.encodeWithSelector(IAccessLog.BatchTooLarge.selector, 500));
        accessLog.record(0, head, bytes.concat(group(1, 499), group(2, 2)));
        send(group(1, 500));
        assertEq(accessLog.nextSeq(), 500, "the largest batch");
    }

    function test_inv07_heads_start_apart() external {
        bytes32 kind = keccak256("consentry.log.v1");
        assertEq(accessLog.head(), keccak256(abi.encode(kind, block.chainid, address(accessLog))), "start");
        assertTrue(accessLog.head() != new AccessLog(roles).head(), "another contract, another start");
    }

    /// @dev In a call of its own, whose memory holds nothing else that could make it dear.
    function cost(bytes calldata batch) external returns (uint256) {
        bytes32 head = accessLog.head();
        vm.prank(recorder);
        uint256 before = gasleft();
        accessLog.record(0, head, batch);
        return before - gasleft();
    }

    function test_inv09_gas_is_bounded_at_the_largest_batch() external {
        bytes memory batch;
        for (uint256 i = 0; i < 500; ++i) batch = bytes.concat(batch, group(i, 1));
        assertTrue(this.cost(batch) < 2_500_000, "five hundred groups of one");
    }
}

/// @dev Sends whatever the fuzzer says and keeps the head that the events give.
contract LogSender is BatchMaker {
    bytes32 public foldedHead;
    uint256 public events;

    constructor() {
        build();
        foldedHead = accessLog.head();
    }

    function sendGroups(uint256 seed, uint8 groups, uint8 size) external {
        bytes memory batch;
        for (uint256 i = 0; i < groups % 5; ++i) batch = bytes.concat(batch, group(seed ^ i, (size + i) % 9));
        attempt(accessLog.nextSeq(), accessLog.head(), batch);
    }

    function sendStale(uint64 seq, bytes32 head, uint256 seed) external {
        attempt(seq, seed % 2 == 0 ? head : accessLog.head(), group(seed, 1));
    }

    function logHead() external view returns (bytes32) {
        return accessLog.head();
    }

    function logSeq() external view returns (uint64) {
        return accessLog.nextSeq();
    }

    function attempt(uint64 seq, bytes32 head, bytes memory batch) private {
        vm.recordLogs();
        vm.prank(recorder);
        (bool done, ) = address(accessLog).call(abi.encodeCall(IAccessLog.record, (seq, head, batch)));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        if (!done) return;
        for (uint256 i = 0; i < logs.length; ++i) {
            (uint64 number, , , ) = abi.decode(logs[i].data, (uint64, uint64, bytes32, bytes32));
            assertEq(number, events, "gap-free");
            foldedHead = fold(foldedHead, logs[i]);
            ++events;
        }
    }
}

contract AccessLogInvariantTest {
    LogSender private sender;

    error Broken(string what);

    function setUp() external {
        sender = new LogSender();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(sender);
    }

    function invariant_07_head_equals_recomputation_from_events() external view {
        if (sender.foldedHead() != sender.logHead()) revert Broken("head");
        if (sender.events() != sender.logSeq()) revert Broken("seq");
    }
}
