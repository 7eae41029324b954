// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {IPatientRegistry} from "../src/IPatientRegistry.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

/// @dev Anna controls her child's key until the child comes of age, ten days from now; the child is Ben.
contract WardTest is StagedTest {
    uint48 private constant OF_AGE = NOON + 10 days;
    uint8 private constant PATRQT = 5;
    uint8 private constant FAMRQT = 6;
    uint8 private constant PWATRNY = 7;

    function setUp() public override {
        super.setUp();
        bindWard(PATIENT, ANNA_KEY, OF_AGE);
    }

    /// @dev The basis on which the actor may view for the purpose; zero for a denial.
    function basisOf(address actor, uint8 purpose) private view returns (bytes32 basis) {
        IConsentRegistry.Question memory q = question(actor, PATIENT);
        q.purpose = purpose;
        bool permitted;
        (permitted, basis) = consents.decide(q);
        assertTrue(permitted == (basis != 0), "a basis just when permitted");
    }

    function start(address caller, uint256 key) private {
        vm.prank(caller);
        patients.startMove(PATIENT, signerOf(key));
    }

    function finish(uint256 key) private {
        uint32 nonce = patients.patient(PATIENT).moveNonce;
        bytes32 digest = Messages.acceptance(address(patients), PATIENT, signerOf(key), nonce, FOREVER);
        patients.finishMove(PATIENT, signed(key, digest), FOREVER, Messages.WORDS);
    }

    function wardOver() private view returns (bytes memory) {
        return abi.encodeWithSelector(IPatientRegistry.WardOver.selector, PATIENT, OF_AGE, block.timestamp);
    }

    function testFuzz_a_wards_controller_is_a_guardian_before_the_day_and_nothing_after(uint48 instant) external {
        uint256[4] memory instants = [
            bound(instant, NOON, type(uint48).max),
            uint256(OF_AGE) - 1,
            OF_AGE,
            uint256(OF_AGE) + 1
        ];
        for (uint256 i = 0; i < instants.length; ++i) {
            vm.warp(instants[i]);
            bool before = instants[i] < OF_AGE;
            assertEq(patients.capacityOf(PATIENT, anna), before ? 2 : 0, "capacity");
            assertEq(patients.capacityOfSigner(PATIENT, signerOf(ANNA_KEY)), before ? 2 : 0, "capacity of the signer");
            (bool asSelf, bool asGuardian) = patients.mayActAs(PATIENT, anna);
            assertTrue(!asSelf && asGuardian == before, "as guardian");
            assertEq(patients.controllerActor(PATIENT), anna, "the bare controller");
            bytes32 guardian = before ? consents.GUARDIAN() : bytes32(0);
            assertEq(basisOf(anna, PATRQT), 0, "not as the patient");
            assertEq(basisOf(anna, FAMRQT), guardian, "as family");
            assertEq(basisOf(anna, PWATRNY), guardian, "by power of attorney");
        }
    }

    function testFuzz_who_acts_for_themselves_does_so_for_ever(uint48 instant, address other) external {
        bind(OTHER_PATIENT, BEN_KEY);
        vm.assume(other != ben);
        vm.warp(bound(instant, NOON, type(uint48).max));
        (bool asSelf, bool asGuardian) = patients.mayActAs(OTHER_PATIENT, ben);
        assertTrue(asSelf && !asGuardian, "as self");
        assertEq(patients.capacityOf(OTHER_PATIENT, ben), 1, "controller");
        (asSelf, asGuardian) = patients.mayActAs(OTHER_PATIENT, other);
        assertTrue(!asSelf && !asGuardian, "nobody else");
        (asSelf, asGuardian) = patients.mayActAs(keccak256("never enrolled"), address(0));
        assertTrue(!asSelf && !asGuardian, "nobody is nobody's controller");
    }

    function testFuzz_a_wards_day_lies_ahead(uint48 day) external {
        bytes32 key = keccak256("another");
        address claimKey = vm.addr(CLAIM_KEY);
        vm.prank(registrar);
        if (day != 0 && day <= NOON) {
            vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.TimeNotAhead.selector, day, uint256(NOON)));
        }
        patients.enrol(key, claimKey, FOREVER, day);
        vm.prank(registrar);
        patients.enrol(key, claimKey, FOREVER, NOON + 1);
        assertEq(patients.patient(key).wardUntil, NOON + 1, "replaced");
        vm.prank(registrar);
        patients.enrol(key, claimKey, FOREVER, 0);
        assertEq(patients.patient(key).wardUntil, 0, "replaced by none");
    }

    function test_a_ward_is_claimed_before_the_day_only() external {
        bytes memory controller = signerOf(BEN_KEY);
        bytes32 digest = Messages.claim(address(patients), OTHER_PATIENT, controller, FOREVER);
        bytes memory byClaimKey = signed(CLAIM_KEY, digest);
        bytes memory own = signed(BEN_KEY, digest);
        vm.prank(registrar);
        patients.enrol(OTHER_PATIENT, vm.addr(CLAIM_KEY), FOREVER, OF_AGE);
        vm.warp(OF_AGE);
        vm.expectRevert(
            abi.encodeWithSelector(IPatientRegistry.WardOver.selector, OTHER_PATIENT, OF_AGE, uint256(OF_AGE))
        );
        patients.claim(OTHER_PATIENT, controller, byClaimKey, own, FOREVER, Messages.WORDS);
        vm.warp(OF_AGE - 1);
        patients.claim(OTHER_PATIENT, controller, byClaimKey, own, FOREVER, Messages.WORDS);
        assertEq(patients.patient(OTHER_PATIENT).wardUntil, OF_AGE, "the day stays");
    }

    function test_inv01_a_ward_controller_grants_and_revokes_as_guardian_before_the_day() external {
        vm.warp(OF_AGE - 1);
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        (t.validFrom, t.validUntil) = (NOON, FOREVER);
        vm.recordLogs();
        bytes32 id = grantSigned(t, ANNA_KEY);
        bytes memory data = vm.getRecordedLogs()[0].data;
        // The fourteenth word (docs/CHAIN.md).
        assertEq(uint8(data[14 * 32 - 1]), 2, "capacity");
        assertTrue(mayView(doctor, PATIENT), "permitted");
        vm.warp(OF_AGE);
        assertTrue(mayView(doctor, PATIENT), "a consent outlives its grantor's capacity");
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.NotGrantor.selector, anna, PATIENT));
        consents.revoke(PATIENT, id);
        t.salt = keccak256("another");
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, FOREVER));
        vm.expectRevert(
            abi.encodeWithSelector(IConsentRegistry.SignerNotGrantor.selector, signerOf(ANNA_KEY), PATIENT)
        );
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
    }

    function test_after_the_day_the_controller_does_nothing() external {
        start(registrar, STRANGER_KEY);
        bytes memory veto = signed(ANNA_KEY, Messages.veto(address(patients), PATIENT, 1, FOREVER));
        bytes32 digest = Messages.guardianChange(address(patients), PATIENT, "", 0, 0, FOREVER);
        bytes memory change = signed(ANNA_KEY, digest);
        vm.warp(OF_AGE);
        vm.prank(anna);
        vm.expectRevert(wardOver());
        patients.startMove(PATIENT, signerOf(STRANGER_KEY));
        vm.prank(anna);
        vm.expectRevert(wardOver());
        patients.vetoMove(PATIENT);
        vm.expectRevert(wardOver());
        patients.vetoMoveBySignature(PATIENT, veto, FOREVER, Messages.WORDS);
        vm.prank(anna);
        vm.expectRevert(wardOver());
        patients.setGuardian(PATIENT, "", 0);
        vm.expectRevert(wardOver());
        patients.setGuardianBySignature(PATIENT, "", 0, change, FOREVER, Messages.WORDS);
        // All of it worked a second before.
        vm.warp(OF_AGE - 1);
        patients.vetoMoveBySignature(PATIENT, veto, FOREVER, Messages.WORDS);
        patients.setGuardianBySignature(PATIENT, "", 0, change, FOREVER, Messages.WORDS);
        start(anna, STRANGER_KEY);
        vm.prank(anna);
        patients.vetoMove(PATIENT);
        vm.prank(anna);
        patients.setGuardian(PATIENT, "", 0);
    }

    function testFuzz_inv04_a_move_started_before_the_day_carries_no_control_past_it(
        uint48 started,
        uint48 finished,
        bool byRegistrar
    ) external {
        started = uint48(bound(started, NOON, OF_AGE - 1));
        finished = uint48(bound(finished, started + MOVE_DELAY, FOREVER));
        vm.warp(started);
        start(byRegistrar ? registrar : anna, STRANGER_KEY);
        vm.warp(finished);
        finish(STRANGER_KEY);
        assertEq(patients.patient(PATIENT).wardUntil, OF_AGE, "the day stays");
        assertEq(patients.controllerActor(PATIENT), stranger, "moved");
        assertEq(patients.capacityOf(PATIENT, stranger), finished < OF_AGE ? 2 : 0, "capacity");
        assertEq(patients.capacityOf(PATIENT, anna), 0, "the old one is out");
    }

    function testFuzz_inv04_the_registrars_move_after_the_day_frees_the_patient(uint48 started, uint48 later) external {
        started = uint48(bound(started, OF_AGE, FOREVER - MOVE_DELAY));
        later = uint48(bound(later, started + MOVE_DELAY, FOREVER));
        vm.warp(started);
        start(registrar, BEN_KEY);
        vm.prank(anna);
        vm.expectRevert(wardOver());
        patients.vetoMove(PATIENT);
        vm.warp(later);
        finish(BEN_KEY);
        assertEq(patients.patient(PATIENT).wardUntil, 0, "of age");
        assertEq(patients.capacityOf(PATIENT, ben), 1, "acts for themselves");
        assertEq(patients.capacityOf(PATIENT, anna), 0, "the parent is out");
        assertEq(basisOf(ben, PATRQT), consents.SELF(), "as the patient");
        assertEq(basisOf(ben, FAMRQT), 0, "not as family");
    }

    function test_inv04_a_pending_move_of_the_parent_is_replaced_by_the_registrars() external {
        vm.warp(OF_AGE - 1);
        start(anna, STRANGER_KEY);
        vm.warp(OF_AGE);
        start(registrar, BEN_KEY);
        vm.warp(OF_AGE + MOVE_DELAY);
        bytes32 digest = Messages.acceptance(address(patients), PATIENT, signerOf(STRANGER_KEY), 1, FOREVER);
        bytes memory parents = signed(STRANGER_KEY, digest);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.SignatureInvalid.selector, signerOf(BEN_KEY)));
        patients.finishMove(PATIENT, parents, FOREVER, Messages.WORDS);
        finish(BEN_KEY);
        assertEq(patients.capacityOf(PATIENT, ben), 1, "acts for themselves");
    }

    function test_who_holds_the_key_on_the_day_already_is_freed_by_a_move_to_it() external {
        vm.warp(OF_AGE - 1);
        vm.prank(registrar);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.MoveToSame.selector, PATIENT));
        patients.startMove(PATIENT, signerOf(ANNA_KEY));
        // Ben had himself made the controller a day too early, so he has no capacity; the same move again gives it.
        start(registrar, BEN_KEY);
        vm.warp(OF_AGE + MOVE_DELAY);
        finish(BEN_KEY);
        assertEq(patients.capacityOf(PATIENT, ben), 0, "too early");
        start(registrar, BEN_KEY);
        vm.warp(OF_AGE + 2 * MOVE_DELAY);
        finish(BEN_KEY);
        assertEq(patients.capacityOf(PATIENT, ben), 1, "acts for themselves");
    }

    function test_a_day_at_the_end_of_time_overflows_nothing() external {
        bindWard(OTHER_PATIENT, BEN_KEY, type(uint48).max);
        vm.prank(registrar);
        patients.startMove(OTHER_PATIENT, signerOf(ANNA_KEY));
        vm.warp(NOON + MOVE_DELAY);
        bytes32 digest = Messages.acceptance(address(patients), OTHER_PATIENT, signerOf(ANNA_KEY), 1, FOREVER);
        patients.finishMove(OTHER_PATIENT, signed(ANNA_KEY, digest), FOREVER, Messages.WORDS);
        assertEq(patients.capacityOf(OTHER_PATIENT, anna), 2, "still a ward");
    }

    function test_a_wards_guardian_may_end_with_the_wards_last_second() external {
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.GuardianOutlastsWard.selector, OF_AGE + 1, OF_AGE));
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), OF_AGE + 1);
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), OF_AGE);
    }

    function testFuzz_a_wards_guardian_ends_with_the_wards_time(uint48 until) external {
        until = uint48(bound(until, NOON + 1, type(uint48).max));
        bytes memory tooLate = abi.encodeWithSelector(IPatientRegistry.GuardianOutlastsWard.selector, until, OF_AGE);
        bytes32 digest = Messages.guardianChange(address(patients), PATIENT, signerOf(BEN_KEY), until, 0, FOREVER);
        bytes memory change = signed(ANNA_KEY, digest);
        if (until > OF_AGE) {
            vm.prank(anna);
            vm.expectRevert(tooLate);
            patients.setGuardian(PATIENT, signerOf(BEN_KEY), until);
            vm.expectRevert(tooLate);
            patients.setGuardianBySignature(PATIENT, signerOf(BEN_KEY), until, change, FOREVER, Messages.WORDS);
        } else {
            patients.setGuardianBySignature(PATIENT, signerOf(BEN_KEY), until, change, FOREVER, Messages.WORDS);
            vm.prank(anna);
            patients.setGuardian(PATIENT, signerOf(BEN_KEY), until);
            vm.warp(until - 1);
            (bool asSelf, bool asGuardian) = patients.mayActAs(PATIENT, ben);
            assertTrue(!asSelf && asGuardian, "the named guardian");
            assertEq(basisOf(ben, FAMRQT), consents.GUARDIAN(), "as guardian");
            vm.warp(until);
            (asSelf, asGuardian) = patients.mayActAs(PATIENT, ben);
            assertTrue(!asSelf && !asGuardian, "over");
        }
    }

    function test_who_acts_for_themselves_and_guards_themselves_has_both_rights() external {
        bind(OTHER_PATIENT, ANNA_KEY);
        vm.prank(anna);
        patients.setGuardian(OTHER_PATIENT, signerOf(ANNA_KEY), NOON + 1);
        (bool asSelf, bool asGuardian) = patients.mayActAs(OTHER_PATIENT, anna);
        assertTrue(asSelf && asGuardian, "both");
        vm.warp(NOON + 1);
        (asSelf, asGuardian) = patients.mayActAs(OTHER_PATIENT, anna);
        assertTrue(asSelf && !asGuardian, "the guardian's time is over");
    }
}
