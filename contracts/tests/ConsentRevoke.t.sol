// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ConsentRegistry} from "../src/ConsentRegistry.sol";
import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {Roles} from "../src/Roles.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

contract ConsentRevokeTest is StagedTest {
    function setUp() public override {
        super.setUp();
        bind(PATIENT, ANNA_KEY);
        bind(OTHER_PATIENT, BEN_KEY);
    }

    function revokeAs(address sender, bytes32 id) private {
        vm.prank(sender);
        consents.revoke(PATIENT, id);
    }

    function testFuzz_inv02_revoked_is_terminal(bool bySignature, uint48 later) external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes32 id = grantSigned(t, ANNA_KEY);
        assertTrue(mayView(doctor, PATIENT), "before");
        if (bySignature) revokeSigned(PATIENT, id, ANNA_KEY);
        else revokeAs(anna, id);
        assertTrue(!mayView(doctor, PATIENT), "at once");
        vm.prank(anna);
        vm.expectPartialRevert(IConsentRegistry.EpochNotCurrent.selector);
        consents.grant(t);
        vm.warp(bound(later, NOON, NOON + 1 days - 1));
        assertTrue(!mayView(doctor, PATIENT), "and later");
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.AlreadyRevoked.selector, PATIENT, id));
        consents.revoke(PATIENT, id);
        assertEq(uint256(consents.consent(PATIENT, id).status), 2, "for good");
    }

    function testFuzz_inv02_only_patient_or_guardian_revokes(address sender) external {
        vm.assume(sender != anna && sender != stranger);
        bytes32 id = grantSigned(openTerms(PATIENT), ANNA_KEY);
        vm.prank(sender);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.NotGrantor.selector, sender, PATIENT));
        consents.revoke(PATIENT, id);
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(STRANGER_KEY), NOON + 10);
        vm.warp(NOON + 10);
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.NotGrantor.selector, stranger, PATIENT));
        consents.revoke(PATIENT, id);
        vm.warp(NOON + 9);
        revokeAs(stranger, id);
    }

    function test_inv02_every_officer_gone_a_plain_transaction_still_revokes() external {
        bytes32 id = grantSigned(openTerms(PATIENT), ANNA_KEY);
        vm.prank(registrar);
        patients.startMove(PATIENT, signerOf(STRANGER_KEY));
        vm.prank(admin);
        roles.withdrawRole(Roles.REGISTRAR, registrar);
        vm.prank(admin);
        roles.withdrawRole(Roles.RECORDER, recorder);
        revokeAs(anna, id);
        assertTrue(!mayView(doctor, PATIENT), "revoked");
    }

    function testFuzz_inv02_nobody_reaches_another_patients_ids(bytes32 id) external {
        bytes32 granted = grantSigned(openTerms(PATIENT), ANNA_KEY);
        vm.prank(ben);
        consents.revoke(OTHER_PATIENT, granted);
        vm.assume(id != granted);
        vm.prank(ben);
        consents.revoke(OTHER_PATIENT, id);
        assertTrue(mayView(doctor, PATIENT), "untouched");
        assertEq(consents.epoch(PATIENT), 0, "epoch untouched");
        assertEq(consents.epoch(OTHER_PATIENT), 2, "own epoch");
    }

    function test_inv03_revocation_works_once_for_one_patient_one_contract() external {
        bytes32 id = grantSigned(openTerms(PATIENT), ANNA_KEY);
        bytes memory signature = signed(ANNA_KEY, Messages.revocation(address(consents), PATIENT, id, FOREVER));
        ConsentRegistry another = new ConsentRegistry(roles, patients, teams, emergencies);
        bytes memory bad = abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, signerOf(ANNA_KEY));
        vm.expectRevert(bad);
        another.revokeBySignature(PATIENT, id, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        vm.expectRevert(bad);
        consents.revokeBySignature(PATIENT, ~id, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        bytes32 third = keccak256("patient three");
        bind(third, ANNA_KEY);
        vm.expectRevert(bad);
        consents.revokeBySignature(third, id, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        uint256 home = block.chainid;
        vm.chainId(home + 1);
        vm.expectRevert(bad);
        consents.revokeBySignature(PATIENT, id, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        vm.chainId(home);
        consents.revokeBySignature(PATIENT, id, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.AlreadyRevoked.selector, PATIENT, id));
        consents.revokeBySignature(PATIENT, id, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
    }

    function test_inv03_grant_signature_is_no_revocation() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes32 id = consents.consentId(t);
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, FOREVER));
        vm.expectPartialRevert(IConsentRegistry.SignatureInvalid.selector);
        consents.revokeBySignature(PATIENT, id, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
    }

    function testFuzz_inv03_revocation_voids_withheld_grants(bytes32 salt, uint8 count) external {
        // Any number of grants signed, none landed; one revocation of something else.
        count = uint8(bound(count, 1, 8));
        bytes32 landed = grantSigned(openTerms(PATIENT), ANNA_KEY);
        IConsentRegistry.Terms[] memory withheld = new IConsentRegistry.Terms[](count);
        for (uint256 i = 0; i < count; ++i) {
            withheld[i] = openTerms(PATIENT);
            withheld[i].salt = keccak256(abi.encode(salt, i));
        }
        revokeSigned(PATIENT, landed, ANNA_KEY);
        for (uint256 i = 0; i < count; ++i) {
            bytes memory late = signed(ANNA_KEY, Messages.consent(address(consents), withheld[i], FOREVER));
            vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.EpochNotCurrent.selector, 0, 1));
            consents.grantBySignature(withheld[i], Messages.WORDS, FOREVER, signerOf(ANNA_KEY), late);
        }
        assertTrue(!mayView(doctor, PATIENT), "nothing came in late");
        // Signed anew under the new epoch, it works.
        IConsentRegistry.Terms memory fresh = openTerms(PATIENT);
        fresh.salt = salt;
        grantSigned(fresh, ANNA_KEY);
        assertTrue(mayView(doctor, PATIENT), "a new grant lands");
    }

    function testFuzz_inv03_unlanded_id_is_tombstoned(bytes32 salt, bool bySignature) external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.salt = salt;
        // The very grant that would fit the next epoch, so that the tombstone alone must stop it.
        t.epoch = 1;
        bytes32 id = consents.consentId(t);
        if (bySignature) revokeSigned(PATIENT, id, ANNA_KEY);
        else revokeAs(anna, id);
        bytes memory late = signed(ANNA_KEY, Messages.consent(address(consents), t, FOREVER));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.ConsentIdUsed.selector, PATIENT, id));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), late);
        assertEq(consents.consentIds(PATIENT).length, 0, "never listed");
    }

    function testFuzz_revocation_deadline_is_the_last_second(uint48 deadline) external {
        deadline = uint48(bound(deadline, NOON - 100, NOON + 100));
        bytes32 id = grantSigned(openTerms(PATIENT), ANNA_KEY);
        bytes memory signature = signed(ANNA_KEY, Messages.revocation(address(consents), PATIENT, id, deadline));
        if (deadline < NOON) {
            vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.DeadlinePassed.selector, deadline, uint256(NOON)));
        }
        consents.revokeBySignature(PATIENT, id, Messages.WORDS, deadline, signerOf(ANNA_KEY), signature);
    }

    function test_guardians_consent_outlives_the_guardian_and_the_patient_revokes_it() external {
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(STRANGER_KEY), NOON + 10);
        bytes32 id = grantSigned(openTerms(PATIENT), STRANGER_KEY);
        vm.warp(NOON + 20);
        assertTrue(mayView(doctor, PATIENT), "outlives");
        revokeAs(anna, id);
        assertTrue(!mayView(doctor, PATIENT), "revoked");
    }
}
