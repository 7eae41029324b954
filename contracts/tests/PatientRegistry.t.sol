// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPatientRegistry} from "../src/IPatientRegistry.sol";
import {PatientRegistry} from "../src/PatientRegistry.sol";
import {Signatures} from "../src/Signatures.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

/// @dev Enrolment and claim.
contract PatientClaimTest is StagedTest {
    function claimWith(bytes memory controller, bytes memory claimSignature, bytes memory controllerSignature) private {
        patients.claim(PATIENT, controller, claimSignature, controllerSignature, FOREVER, Messages.WORDS);
    }

    function enrolled() private returns (bytes memory controller, bytes32 digest) {
        vm.prank(registrar);
        patients.enrol(PATIENT, vm.addr(CLAIM_KEY), NOON + 1 days, 0);
        controller = signerOf(ANNA_KEY);
        digest = Messages.claim(address(patients), PATIENT, controller, FOREVER);
    }

    function test_claim_binds_the_controller() external {
        bind(PATIENT, ANNA_KEY);
        IPatientRegistry.Patient memory known = patients.patient(PATIENT);
        assertEq(known.controller, signerOf(ANNA_KEY), "controller");
        assertEq(known.claimKey, address(0), "claim key is spent");
        assertEq(known.claimUntil, 0, "claim window is spent");
        assertEq(patients.controllerActor(PATIENT), anna, "actor");
        assertEq(patients.capacityOf(PATIENT, anna), 1, "capacity");
        assertEq(patients.capacityOf(PATIENT, address(0)), 0, "nobody");
    }

    function testFuzz_only_a_registrar_enrols(address caller) external {
        vm.assume(caller != registrar);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotRegistrar.selector, caller));
        patients.enrol(PATIENT, vm.addr(CLAIM_KEY), FOREVER, 0);
    }

    function test_enrolment_checks_its_input() external {
        vm.prank(registrar);
        vm.expectRevert(IPatientRegistry.ZeroKey.selector);
        patients.enrol(0, vm.addr(CLAIM_KEY), FOREVER, 0);
        vm.prank(registrar);
        vm.expectRevert(IPatientRegistry.ZeroKey.selector);
        patients.enrol(PATIENT, address(0), FOREVER, 0);
        vm.prank(registrar);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.TimeNotAhead.selector, NOON, uint256(NOON)));
        patients.enrol(PATIENT, vm.addr(CLAIM_KEY), NOON, 0);
    }

    function test_enrolling_again_replaces_the_claim_key_until_claimed() external {
        (bytes memory controller, bytes32 digest) = enrolled();
        vm.prank(registrar);
        patients.enrol(PATIENT, stranger, NOON + 1 days, 0);
        bytes memory old = signed(CLAIM_KEY, digest);
        bytes memory own = signed(ANNA_KEY, digest);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.SignatureInvalid.selector, abi.encodePacked(stranger)));
        claimWith(controller, old, own);
        claimWith(controller, signed(STRANGER_KEY, digest), own);
        vm.prank(registrar);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.AlreadyClaimed.selector, PATIENT));
        patients.enrol(PATIENT, stranger, NOON + 1 days, 0);
    }

    function test_claim_window_is_half_open() external {
        (bytes memory controller, bytes32 digest) = enrolled();
        bytes memory byClaimKey = signed(CLAIM_KEY, digest);
        bytes memory own = signed(ANNA_KEY, digest);
        vm.warp(NOON + 1 days);
        vm.expectRevert(
            abi.encodeWithSelector(
                IPatientRegistry.NotClaimable.selector,
                PATIENT,
                NOON + 1 days,
                uint256(NOON + 1 days)
            )
        );
        claimWith(controller, byClaimKey, own);
        vm.warp(NOON + 1 days - 1);
        claimWith(controller, byClaimKey, own);
    }

    function test_deadline_is_the_last_second() external {
        (bytes memory controller, ) = enrolled();
        uint48 deadline = NOON + 60;
        bytes32 digest = Messages.claim(address(patients), PATIENT, controller, deadline);
        bytes memory byClaimKey = signed(CLAIM_KEY, digest);
        bytes memory own = signed(ANNA_KEY, digest);
        vm.warp(deadline + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IPatientRegistry.DeadlinePassed.selector, deadline, uint256(deadline) + 1)
        );
        patients.claim(PATIENT, controller, byClaimKey, own, deadline, Messages.WORDS);
        vm.warp(deadline);
        patients.claim(PATIENT, controller, byClaimKey, own, deadline, Messages.WORDS);
    }

    function testFuzz_claim_takes_both_signatures(uint256 wrong) external {
        wrong = bound(wrong, 1, type(uint128).max);
        vm.assume(wrong != CLAIM_KEY && wrong != ANNA_KEY);
        (bytes memory controller, bytes32 digest) = enrolled();
        bytes memory forged = signed(wrong, digest);
        bytes memory byClaimKey = signed(CLAIM_KEY, digest);
        bytes memory own = signed(ANNA_KEY, digest);
        vm.expectPartialRevert(IPatientRegistry.SignatureInvalid.selector);
        claimWith(controller, forged, own);
        vm.expectPartialRevert(IPatientRegistry.SignatureInvalid.selector);
        claimWith(controller, byClaimKey, forged);
    }

    function test_a_watcher_cannot_take_the_patient() external {
        (, bytes32 digest) = enrolled();
        bytes memory seen = signed(CLAIM_KEY, digest);
        bytes memory thief = signerOf(STRANGER_KEY);
        bytes memory own = signed(STRANGER_KEY, Messages.claim(address(patients), PATIENT, thief, FOREVER));
        vm.expectPartialRevert(IPatientRegistry.SignatureInvalid.selector);
        claimWith(thief, seen, own);
    }

    function testFuzz_malformed_controllers_are_refused(uint16 length) external {
        length = uint16(bound(length, 0, 1000));
        vm.assume(length < 20 || length > 640);
        enrolled();
        vm.expectRevert(abi.encodeWithSelector(Signatures.SignerMalformed.selector, uint256(length)));
        claimWith(new bytes(length), "", "");
        vm.expectRevert(abi.encodeWithSelector(Signatures.SignerMalformed.selector, 20));
        claimWith(new bytes(20), "", "");
    }

    function test_unknown_patients_cannot_be_claimed() external {
        vm.expectPartialRevert(IPatientRegistry.NotClaimable.selector);
        claimWith(signerOf(ANNA_KEY), "", "");
    }

    function test_inv03_claim_works_for_one_patient_only() external {
        (bytes memory controller, bytes32 digest) = enrolled();
        bytes memory byClaimKey = signed(CLAIM_KEY, digest);
        bytes memory own = signed(ANNA_KEY, digest);
        vm.prank(registrar);
        patients.enrol(OTHER_PATIENT, vm.addr(CLAIM_KEY), NOON + 1 days, 0);
        vm.expectPartialRevert(IPatientRegistry.SignatureInvalid.selector);
        patients.claim(OTHER_PATIENT, controller, byClaimKey, own, FOREVER, Messages.WORDS);
        claimWith(controller, byClaimKey, own);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.AlreadyClaimed.selector, PATIENT));
        claimWith(controller, byClaimKey, own);
    }
}

/// @dev Moving a patient to a new controller.
contract ControllerMoveTest is StagedTest {
    function setUp() public override {
        super.setUp();
        bind(PATIENT, ANNA_KEY);
    }

    function start(address caller) private {
        vm.prank(caller);
        patients.startMove(PATIENT, signerOf(BEN_KEY));
    }

    function accept(uint32 moveNonce) private view returns (bytes memory) {
        return signed(BEN_KEY, Messages.acceptance(address(patients), PATIENT, signerOf(BEN_KEY), moveNonce, FOREVER));
    }

    function finish(bytes memory signature) private {
        patients.finishMove(PATIENT, signature, FOREVER, Messages.WORDS);
    }

    function testFuzz_inv04_move_takes_the_whole_delay(uint48 waited, bool byRegistrar) external {
        waited = uint48(bound(waited, 0, 2 * MOVE_DELAY));
        start(byRegistrar ? registrar : anna);
        bytes memory signature = accept(1);
        vm.warp(NOON + waited);
        if (waited < MOVE_DELAY) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    IPatientRegistry.MoveNotReady.selector,
                    NOON + MOVE_DELAY,
                    uint256(NOON + waited)
                )
            );
            finish(signature);
            assertEq(patients.controllerActor(PATIENT), anna, "still the old controller");
        } else {
            finish(signature);
            assertEq(patients.controllerActor(PATIENT), ben, "the new controller");
            assertEq(patients.capacityOf(PATIENT, anna), 0, "the old one is out");
            assertEq(patients.patient(PATIENT).moveReadyAt, 0, "no move pending");
        }
    }

    function test_inv04_the_delay_ends_at_its_second() external {
        start(registrar);
        bytes memory signature = accept(1);
        vm.warp(NOON + MOVE_DELAY - 1);
        vm.expectPartialRevert(IPatientRegistry.MoveNotReady.selector);
        finish(signature);
        vm.warp(NOON + MOVE_DELAY);
        finish(signature);
    }

    function testFuzz_inv04_old_controller_vetoes_until_the_end(uint48 waited, bool bySignature) external {
        start(registrar);
        bytes memory signature = accept(1);
        vm.warp(NOON + bound(waited, 0, 2 * MOVE_DELAY));
        if (bySignature) {
            bytes memory veto = signed(ANNA_KEY, Messages.veto(address(patients), PATIENT, 1, FOREVER));
            patients.vetoMoveBySignature(PATIENT, veto, FOREVER, Messages.WORDS);
        } else {
            vm.prank(anna);
            patients.vetoMove(PATIENT);
        }
        vm.warp(NOON + 3 * MOVE_DELAY);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NoMovePending.selector, PATIENT));
        finish(signature);
        start(registrar);
        vm.warp(NOON + 6 * MOVE_DELAY);
        vm.expectPartialRevert(IPatientRegistry.SignatureInvalid.selector);
        finish(signature);
        assertEq(patients.controllerActor(PATIENT), anna, "still the old controller");
    }

    function testFuzz_inv04_nobody_else_starts_or_vetoes(address caller) external {
        vm.assume(caller != anna && caller != registrar);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotRegistrarNorController.selector, caller, PATIENT));
        patients.startMove(PATIENT, signerOf(BEN_KEY));
        start(registrar);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotController.selector, caller, PATIENT));
        patients.vetoMove(PATIENT);
        vm.prank(registrar);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotController.selector, registrar, PATIENT));
        patients.vetoMove(PATIENT);
    }

    function test_inv04_starting_again_begins_the_delay_anew() external {
        start(registrar);
        vm.warp(NOON + MOVE_DELAY - 1);
        start(registrar);
        bytes memory signature = accept(2);
        vm.warp(NOON + MOVE_DELAY + 10);
        vm.expectPartialRevert(IPatientRegistry.MoveNotReady.selector);
        finish(signature);
        bytes memory first = signed(ANNA_KEY, Messages.veto(address(patients), PATIENT, 1, FOREVER));
        vm.expectPartialRevert(IPatientRegistry.SignatureInvalid.selector);
        patients.vetoMoveBySignature(PATIENT, first, FOREVER, Messages.WORDS);
    }

    function test_new_controller_must_accept() external {
        start(registrar);
        vm.warp(NOON + MOVE_DELAY);
        bytes32 digest = Messages.acceptance(address(patients), PATIENT, signerOf(BEN_KEY), 1, FOREVER);
        bytes memory byOld = signed(ANNA_KEY, digest);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.SignatureInvalid.selector, signerOf(BEN_KEY)));
        finish(byOld);
    }

    function test_move_checks_its_input() external {
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.MoveToSame.selector, PATIENT));
        patients.startMove(PATIENT, signerOf(ANNA_KEY));
        vm.prank(registrar);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotClaimed.selector, OTHER_PATIENT));
        patients.startMove(OTHER_PATIENT, signerOf(ANNA_KEY));
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(Signatures.SignerMalformed.selector, 19));
        patients.startMove(PATIENT, new bytes(19));
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NoMovePending.selector, PATIENT));
        patients.vetoMove(PATIENT);
        vm.expectRevert(IPatientRegistry.MoveDelayZero.selector);
        new PatientRegistry(roles, 0);
    }

    function test_late_veto_and_acceptance_are_refused() external {
        start(registrar);
        vm.warp(NOON + MOVE_DELAY + 100);
        bytes memory late = abi.encodeWithSelector(
            IPatientRegistry.DeadlinePassed.selector,
            NOON + MOVE_DELAY + 99,
            uint256(NOON + MOVE_DELAY + 100)
        );
        vm.expectRevert(late);
        patients.finishMove(PATIENT, "", NOON + MOVE_DELAY + 99, Messages.WORDS);
        vm.expectRevert(late);
        patients.vetoMoveBySignature(PATIENT, "", NOON + MOVE_DELAY + 99, Messages.WORDS);
    }

    function test_move_keeps_the_guardian_and_voids_the_old_controllers_messages() external {
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(STRANGER_KEY), FOREVER);
        bytes32 digest = Messages.guardianChange(address(patients), PATIENT, "", 0, 1, FOREVER);
        bytes memory withheld = signed(ANNA_KEY, digest);
        start(anna);
        vm.warp(NOON + MOVE_DELAY);
        finish(accept(1));
        assertEq(patients.guardianActor(PATIENT), stranger, "guardian kept");
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.SignatureInvalid.selector, signerOf(BEN_KEY)));
        patients.setGuardianBySignature(PATIENT, "", 0, withheld, FOREVER, Messages.WORDS);
    }
}

/// @dev Guardians.
contract GuardianTest is StagedTest {
    function setUp() public override {
        super.setUp();
        bind(PATIENT, ANNA_KEY);
    }

    function change(uint256 key, bytes memory guardian, uint48 until, uint32 nonce) private {
        bytes32 digest = Messages.guardianChange(address(patients), PATIENT, guardian, until, nonce, FOREVER);
        patients.setGuardianBySignature(PATIENT, guardian, until, signed(key, digest), FOREVER, Messages.WORDS);
    }

    function testFuzz_guardian_acts_inside_its_time(uint48 until, uint48 instant) external {
        until = uint48(bound(until, NOON + 1, type(uint48).max));
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), until);
        uint256[3] memory instants = [bound(instant, NOON, type(uint48).max), uint256(until) - 1, until];
        for (uint256 i = 0; i < instants.length; ++i) {
            vm.warp(instants[i]);
            bool inside = instants[i] < until;
            assertEq(patients.capacityOf(PATIENT, ben), inside ? 2 : 0, "capacity");
            assertEq(patients.capacityOfSigner(PATIENT, signerOf(BEN_KEY)), inside ? 2 : 0, "capacity of the signer");
            assertEq(patients.guardianActor(PATIENT), inside ? ben : address(0), "actor");
        }
        assertEq(patients.capacityOf(PATIENT, anna), 1, "the controller stays");
        assertEq(patients.capacityOfSigner(PATIENT, signerOf(ANNA_KEY)), 1, "the controller's signer stays");
        assertEq(patients.capacityOfSigner(PATIENT, ""), 0, "no signer");
    }

    function test_guardian_is_removed() external {
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), FOREVER);
        change(ANNA_KEY, "", 0, 1);
        assertEq(patients.capacityOf(PATIENT, ben), 0, "removed");
        assertEq(patients.patient(PATIENT).guardian, "", "no bytes");
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.RemovalWithEnd.selector, FOREVER));
        patients.setGuardian(PATIENT, "", FOREVER);
    }

    function test_inv03_guardian_change_works_once() external {
        bytes32 digest = Messages.guardianChange(address(patients), PATIENT, signerOf(BEN_KEY), FOREVER, 0, FOREVER);
        bytes memory signature = signed(ANNA_KEY, digest);
        patients.setGuardianBySignature(PATIENT, signerOf(BEN_KEY), FOREVER, signature, FOREVER, Messages.WORDS);
        vm.prank(anna);
        patients.setGuardian(PATIENT, "", 0);
        vm.expectPartialRevert(IPatientRegistry.SignatureInvalid.selector);
        patients.setGuardianBySignature(PATIENT, signerOf(BEN_KEY), FOREVER, signature, FOREVER, Messages.WORDS);
        assertEq(patients.patient(PATIENT).guardianNonce, 2, "counts direct changes too");
    }

    function testFuzz_only_the_controller_names_a_guardian(address caller) external {
        vm.assume(caller != anna);
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), FOREVER);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotController.selector, caller, PATIENT));
        patients.setGuardian(PATIENT, abi.encodePacked(caller), FOREVER);
        bytes32 digest = Messages.guardianChange(address(patients), PATIENT, "", 0, 1, FOREVER);
        bytes memory byGuardian = signed(BEN_KEY, digest);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.SignatureInvalid.selector, signerOf(ANNA_KEY)));
        patients.setGuardianBySignature(PATIENT, "", 0, byGuardian, FOREVER, Messages.WORDS);
    }

    function test_guardian_checks_its_input() external {
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.TimeNotAhead.selector, NOON, uint256(NOON)));
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), NOON);
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(Signatures.SignerMalformed.selector, 5));
        patients.setGuardian(PATIENT, hex"0102030405", FOREVER);
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotClaimed.selector, OTHER_PATIENT));
        patients.setGuardian(OTHER_PATIENT, signerOf(BEN_KEY), FOREVER);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.DeadlinePassed.selector, NOON - 1, uint256(NOON)));
        patients.setGuardianBySignature(PATIENT, "", 0, "", NOON - 1, Messages.WORDS);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotClaimed.selector, OTHER_PATIENT));
        patients.setGuardianBySignature(OTHER_PATIENT, "", 0, "", NOON, Messages.WORDS);
    }
}
