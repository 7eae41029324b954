// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {Roles} from "../src/Roles.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

/// @dev Anna lets the doctor share on; the doctor shares with Ben, who is a physician too, and so on.
contract SharingTest is StagedTest {
    IConsentRegistry.Terms private root;
    bytes32 private rootId;

    function setUp() public override {
        super.setUp();
        bind(PATIENT, ANNA_KEY);
        giveRole(Roles.PHYSICIAN, ben);
        giveRole(Roles.PHYSICIAN, stranger);
        root = openTerms(PATIENT);
        (root.actions, root.purposes, root.shareDepth) = (15, 3, 3);
        (root.dateFrom, root.dateTo) = (20200101, 20201231);
        root.studies = new bytes32[](2);
        (root.studies[0], root.studies[1]) = (bytes32(uint256(5)), bytes32(uint256(7)));
        rootId = grantSigned(root, ANNA_KEY);
    }

    /// @dev All that may be passed on to Ben.
    function child() private view returns (IConsentRegistry.Terms memory t) {
        t = root;
        t.grantee = person(ben);
        t.parent = rootId;
        t.shareDepth = 2;
    }

    function may(address actor) private view returns (bool permitted, bytes32 basis) {
        return consents.decide(IConsentRegistry.Question(actor, PATIENT, bytes32(uint256(7)), 20200615, 2, 0));
    }

    function assertMay(address actor, bytes32 expected) private view {
        (bool permitted, bytes32 basis) = may(actor);
        assertTrue(permitted == (expected != 0), "verdict");
        assertEq(basis, expected, "basis");
    }

    function refused(IConsentRegistry.Terms memory t, bytes4 reason) private {
        vm.prank(doctor);
        vm.expectRevert(abi.encodeWithSelector(reason, PATIENT, t.parent));
        consents.grant(t);
    }

    function test_inv01_shared_on_by_transaction_and_by_signature() external {
        vm.prank(doctor);
        bytes32 toBen = consents.grant(child());
        IConsentRegistry.Terms memory t = child();
        (t.grantee, t.parent, t.shareDepth) = (person(stranger), toBen, 1);
        bytes32 toStranger = grantSigned(t, BEN_KEY);
        assertMay(doctor, rootId);
        assertMay(ben, toBen);
        assertMay(stranger, toStranger);
    }

    function test_inv01_what_is_shared_ends_with_the_parent() external {
        bytes32 toBen = grantSigned(child(), DOCTOR_KEY);
        IConsentRegistry.Terms memory t = child();
        (t.grantee, t.parent, t.shareDepth) = (person(stranger), toBen, 1);
        bytes32 toStranger = grantSigned(t, BEN_KEY);
        assertMay(stranger, toStranger);
        revokeSigned(PATIENT, rootId, ANNA_KEY);
        assertMay(ben, 0);
        assertMay(stranger, 0);
        t.epoch = 1;
        t.salt = bytes32(uint256(1));
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.ParentNotShareable.selector, PATIENT, toBen));
        consents.grant(t);
    }

    function test_inv02_the_patient_revokes_what_was_shared_and_nobody_else_does() external {
        bytes32 toBen = grantSigned(child(), DOCTOR_KEY);
        vm.prank(doctor);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.NotGrantor.selector, doctor, PATIENT));
        consents.revoke(PATIENT, toBen);
        vm.prank(anna);
        consents.revoke(PATIENT, toBen);
        assertMay(ben, 0);
        assertMay(doctor, rootId);
    }

    function testFuzz_inv01_nothing_wider_is_shared(uint8 field) external {
        IConsentRegistry.Terms memory t = child();
        field = field % 11;
        if (field == 0) t.shareDepth = 3;
        if (field == 1) (t.effect, t.shareDepth) = (0, 0);
        if (field == 2) t.purposes = 7;
        if (field == 3) t.validFrom -= 1;
        if (field == 4) t.validUntil += 1;
        if (field == 5) t.dateFrom = 0;
        if (field == 6) t.dateTo = 0;
        if (field == 7) t.dateTo += 1;
        if (field == 8) t.studies = new bytes32[](0);
        if (field == 9) t.studies[0] = bytes32(uint256(6));
        if (field == 10) t.studies[1] = bytes32(uint256(8));
        refused(t, IConsentRegistry.WiderThanParent.selector);
        grantSigned(child(), DOCTOR_KEY);
    }

    function test_inv01_no_more_actions_are_shared() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        (t.actions, t.shareDepth, t.salt) = (9, 1, 0);
        bytes32 findOnly = grantSigned(t, ANNA_KEY);
        t.parent = findOnly;
        (t.actions, t.shareDepth, t.grantee) = (3, 0, person(ben));
        refused(t, IConsentRegistry.WiderThanParent.selector);
        t.actions = 1;
        grantSigned(t, DOCTOR_KEY);
    }

    function testFuzz_inv01_only_the_grantee_shares_on(uint256 key) external {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != DOCTOR_KEY);
        IConsentRegistry.Terms memory t = child();
        bytes memory signature = signed(key, Messages.consent(address(consents), t, FOREVER));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.ParentNotShareable.selector, PATIENT, rootId));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(key), signature);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, signerOf(DOCTOR_KEY)));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(DOCTOR_KEY), signature);
        vm.prank(anna);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.ParentNotShareable.selector, PATIENT, rootId));
        consents.grant(t);
    }

    function test_only_a_physician_shares_on_while_the_parent_holds() external {
        vm.warp(NOON + 1 days);
        IConsentRegistry.Terms memory t = child();
        t.validUntil += 1;
        refused(t, IConsentRegistry.ParentNotShareable.selector);
        vm.warp(NOON);
        vm.prank(admin);
        roles.withdrawRole(Roles.PHYSICIAN, doctor);
        refused(child(), IConsentRegistry.ParentNotShareable.selector);
        giveRole(Roles.PHYSICIAN, doctor);
        t = child();
        t.parent = bytes32(uint256(1));
        refused(t, IConsentRegistry.ParentNotShareable.selector);
    }

    function test_several_grants_land_together_or_not_at_all() external {
        IConsentRegistry.Terms[] memory grants = new IConsentRegistry.Terms[](2);
        for (uint256 i = 0; i < 2; ++i) {
            grants[i] = openTerms(PATIENT);
            grants[i].salt = bytes32(i);
            grants[i].grantee = person(i == 0 ? ben : stranger);
        }
        bytes memory signature = signed(ANNA_KEY, Messages.bundle(address(consents), grants, FOREVER));
        bytes32[] memory ids = consents.grantAllBySignature(
            grants,
            Messages.WORDS,
            FOREVER,
            signerOf(ANNA_KEY),
            signature
        );
        assertMay(ben, ids[0]);
        assertMay(stranger, ids[1]);
        // The same one among others: nothing of it lands.
        grants[0].salt = bytes32(uint256(9));
        bytes32 fresh = consents.consentId(grants[0]);
        signature = signed(ANNA_KEY, Messages.bundle(address(consents), grants, FOREVER));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.ConsentIdUsed.selector, PATIENT, ids[1]));
        consents.grantAllBySignature(grants, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        assertEq(uint256(consents.consent(PATIENT, fresh).status), 0, "unused");
        grants[1].salt = bytes32(uint256(9));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, signerOf(ANNA_KEY)));
        consents.grantAllBySignature(grants, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
    }

    function test_inv09_several_grants_are_bounded() external {
        uint256[3] memory counts = [uint256(0), 17, 2];
        for (uint256 i = 0; i < 3; ++i) {
            IConsentRegistry.Terms[] memory grants = new IConsentRegistry.Terms[](counts[i]);
            if (i == 2) grants[0].studies = new bytes32[](65);
            vm.expectPartialRevert(IConsentRegistry.GrantsOutOfBounds.selector);
            consents.grantAllBySignature(grants, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), "");
        }
    }

    function test_inv09_the_largest_signature_fits_a_block() external {
        IConsentRegistry.Terms[] memory grants = new IConsentRegistry.Terms[](16);
        for (uint256 i = 0; i < 16; ++i) {
            grants[i] = openTerms(PATIENT);
            (grants[i].salt, grants[i].dateFrom) = (bytes32(i), 20200101);
            grants[i].studies = new bytes32[](4);
            for (uint256 j = 0; j < 4; ++j) grants[i].studies[j] = bytes32(j + 1);
        }
        bytes memory signature = signed(ANNA_KEY, Messages.bundle(address(consents), grants, FOREVER));
        uint256 before = gasleft();
        consents.grantAllBySignature(grants, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        assertTrue(before - gasleft() < 6_000_000, "gas of sixteen grants naming sixty-four studies");
    }

    function test_inv03_a_grant_of_several_expires_with_its_deadline() external {
        IConsentRegistry.Terms[] memory grants = new IConsentRegistry.Terms[](1);
        grants[0] = openTerms(PATIENT);
        bytes memory signature = signed(ANNA_KEY, Messages.bundle(address(consents), grants, NOON - 1));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.DeadlinePassed.selector, NOON - 1, uint256(NOON)));
        consents.grantAllBySignature(grants, Messages.WORDS, NOON - 1, signerOf(ANNA_KEY), signature);
    }
}
