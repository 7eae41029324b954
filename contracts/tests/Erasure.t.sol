// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {IPatientRegistry} from "../src/IPatientRegistry.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

/// @dev A patient who is erased is nobody any more, and the key serves nobody again.
contract ErasureTest is StagedTest {
    bytes private erased = abi.encodeWithSelector(IPatientRegistry.PatientIsErased.selector, PATIENT);

    function erase(bytes32 key) private {
        vm.prank(registrar);
        patients.erase(key);
    }

    function testFuzz_only_a_registrar_erases_and_only_who_was_enrolled(address caller) external {
        vm.assume(caller != registrar);
        bind(PATIENT, ANNA_KEY);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotRegistrar.selector, caller));
        patients.erase(PATIENT);
        vm.prank(registrar);
        vm.expectRevert(abi.encodeWithSelector(IPatientRegistry.NotEnrolled.selector, OTHER_PATIENT));
        patients.erase(OTHER_PATIENT);
        assertTrue(patients.isEnrolled(PATIENT) && !patients.isEnrolled(OTHER_PATIENT), "enrolled");
        erase(PATIENT);
        assertTrue(!patients.isEnrolled(PATIENT), "erased");
        vm.prank(registrar);
        vm.expectRevert(erased);
        patients.erase(PATIENT);
    }

    function test_all_is_deleted_but_that_it_was_and_the_nonces() external {
        bindWard(PATIENT, ANNA_KEY, NOON + 9 days);
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), NOON + 9 days);
        vm.prank(registrar);
        patients.startMove(PATIENT, signerOf(STRANGER_KEY));
        erase(PATIENT);
        IPatientRegistry.Patient memory left;
        (left.erased, left.moveNonce, left.guardianNonce) = (true, 1, 1);
        assertEq(abi.encode(patients.patient(PATIENT)), abi.encode(left), "what is left");
        assertEq(patients.controllerActor(PATIENT), address(0), "no controller");
        assertEq(patients.guardianActor(PATIENT), address(0), "no guardian");
        address[4] memory cast = [anna, ben, stranger, address(0)];
        for (uint256 i = 0; i < cast.length; ++i) {
            assertEq(patients.capacityOf(PATIENT, cast[i]), 0, "capacity");
            (bool asSelf, bool asGuardian) = patients.mayActAs(PATIENT, cast[i]);
            assertTrue(!asSelf && !asGuardian, "nobody");
        }
        assertEq(patients.capacityOfSigner(PATIENT, signerOf(ANNA_KEY)), 0, "capacity of the controller's signer");
        assertEq(patients.capacityOfSigner(PATIENT, signerOf(BEN_KEY)), 0, "capacity of the guardian's signer");
        assertEq(patients.capacityOfSigner(PATIENT, ""), 0, "capacity of no signer");
    }

    function test_who_never_claimed_is_erased_too_and_the_claim_key_is_void() external {
        bytes memory controller = signerOf(ANNA_KEY);
        bytes32 digest = Messages.claim(address(patients), PATIENT, controller, FOREVER);
        vm.prank(registrar);
        patients.enrol(PATIENT, vm.addr(CLAIM_KEY), FOREVER, 0);
        assertTrue(patients.isEnrolled(PATIENT), "enrolled");
        erase(PATIENT);
        IPatientRegistry.Patient memory left;
        left.erased = true;
        assertEq(abi.encode(patients.patient(PATIENT)), abi.encode(left), "what is left");
        assertTrue(!patients.isEnrolled(PATIENT), "not enrolled");
        bytes memory byClaimKey = signed(CLAIM_KEY, digest);
        bytes memory own = signed(ANNA_KEY, digest);
        vm.expectRevert(erased);
        patients.claim(PATIENT, controller, byClaimKey, own, FOREVER, Messages.WORDS);
    }

    function test_everything_reverts_after() external {
        bind(PATIENT, ANNA_KEY);
        vm.prank(registrar);
        patients.startMove(PATIENT, signerOf(BEN_KEY));
        erase(PATIENT);
        vm.warp(NOON + MOVE_DELAY);
        vm.prank(registrar);
        vm.expectRevert(erased);
        patients.enrol(PATIENT, vm.addr(CLAIM_KEY), FOREVER, 0);
        address[2] memory callers = [registrar, anna];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.prank(callers[i]);
            vm.expectRevert(erased);
            patients.startMove(PATIENT, signerOf(STRANGER_KEY));
        }
        vm.prank(anna);
        vm.expectRevert(erased);
        patients.vetoMove(PATIENT);
        bytes memory veto = signed(ANNA_KEY, Messages.veto(address(patients), PATIENT, 1, FOREVER));
        vm.expectRevert(erased);
        patients.vetoMoveBySignature(PATIENT, veto, FOREVER, Messages.WORDS);
        bytes32 digest = Messages.acceptance(address(patients), PATIENT, signerOf(BEN_KEY), 1, FOREVER);
        bytes memory acceptance = signed(BEN_KEY, digest);
        vm.expectRevert(erased);
        patients.finishMove(PATIENT, acceptance, FOREVER, Messages.WORDS);
        vm.prank(anna);
        vm.expectRevert(erased);
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), FOREVER);
        digest = Messages.guardianChange(address(patients), PATIENT, "", 0, 0, FOREVER);
        bytes memory change = signed(ANNA_KEY, digest);
        vm.expectRevert(erased);
        patients.setGuardianBySignature(PATIENT, "", 0, change, FOREVER, Messages.WORDS);
    }

    function test_inv01_consents_stay_and_reach_nothing() external {
        bind(PATIENT, ANNA_KEY);
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(BEN_KEY), FOREVER);
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes32 id = grantSigned(t, ANNA_KEY);
        assertTrue(mayView(doctor, PATIENT), "permitted");
        erase(PATIENT);
        for (uint256 i = 0; i < 4 * 12 * 3; ++i) {
            IConsentRegistry.Question memory q = question([doctor, anna, ben][i % 3], PATIENT);
            (q.action, q.purpose) = (uint8(1 << ((i / 3) % 4)), uint8(i / 12));
            (bool permitted, bytes32 basis) = consents.decide(q);
            assertTrue(!permitted && basis == 0, "denied");
        }
        assertEq(uint256(consents.consent(PATIENT, id).status), 1, "kept");
        t.salt = keccak256("another");
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.NotGrantor.selector, anna, PATIENT));
        consents.grant(t);
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.NotGrantor.selector, ben, PATIENT));
        consents.revoke(PATIENT, id);
    }

    function test_another_patient_is_untouched() external {
        bind(PATIENT, ANNA_KEY);
        bind(OTHER_PATIENT, ANNA_KEY);
        erase(PATIENT);
        assertEq(patients.capacityOf(OTHER_PATIENT, anna), 1, "still hers");
        assertTrue(patients.isEnrolled(OTHER_PATIENT), "still enrolled");
    }
}
