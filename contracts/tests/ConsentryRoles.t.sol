// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {IAccessControlDefaultAdminRules} from "@openzeppelin/contracts/access/extensions/IAccessControlDefaultAdminRules.sol";
import {IConsentryRoles} from "../src/IConsentryRoles.sol";
import {Roles} from "../src/Roles.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

contract ConsentryRolesTest is StagedTest {
    bytes32 private constant ADMIN_ROLE = 0;

    function testFuzz_window_is_half_open(uint48 from, uint48 length, uint48 instant) external {
        from = uint48(bound(from, 0, type(uint40).max));
        uint48 until = from + uint48(bound(length, 1, type(uint40).max));
        vm.assume(until > NOON);
        vm.prank(admin);
        roles.setRole(Roles.AUDITOR, stranger, from, until);
        uint256[5] memory instants = [uint256(instant), from, until, uint256(until) - 1, from == 0 ? 0 : from - 1];
        for (uint256 i = 0; i < instants.length; ++i) {
            vm.warp(instants[i]);
            bool inside = from <= instants[i] && instants[i] < until;
            assertTrue(roles.holds(Roles.AUDITOR, stranger) == inside, "holds");
            assertTrue(roles.hasRole(Roles.AUDITOR, stranger) == inside, "hasRole");
        }
    }

    function test_setting_again_replaces_the_window() external {
        vm.prank(admin);
        roles.setRole(Roles.PHYSICIAN, doctor, NOON + 10, NOON + 20);
        (uint48 from, uint48 until) = roles.window(Roles.PHYSICIAN, doctor);
        assertEq(from, NOON + 10, "from");
        assertEq(until, NOON + 20, "until");
        assertTrue(!roles.holds(Roles.PHYSICIAN, doctor), "the old window is gone");
    }

    function test_empty_and_past_windows_are_refused() external {
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IConsentryRoles.RoleWindowEmpty.selector, NOON + 5, NOON + 5));
        roles.setRole(Roles.PHYSICIAN, doctor, NOON + 5, NOON + 5);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IConsentryRoles.RoleWindowOver.selector, NOON, uint256(NOON)));
        roles.setRole(Roles.PHYSICIAN, doctor, 0, NOON);
    }

    function testFuzz_only_the_admin_sets(address caller) external {
        vm.assume(caller != admin);
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, ADMIN_ROLE)
        );
        roles.setRole(Roles.PHYSICIAN, caller, 0, FOREVER);
        vm.prank(caller);
        vm.expectRevert(
            abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, caller, ADMIN_ROLE)
        );
        roles.setDirectoryEntry(caller, keccak256("entry"));
    }

    function testFuzz_admin_or_holder_withdraws(address caller) external {
        vm.assume(caller != admin && caller != doctor);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IConsentryRoles.NotAdminNorHolder.selector, caller, doctor));
        roles.withdrawRole(Roles.PHYSICIAN, doctor);
        vm.prank(doctor);
        roles.withdrawRole(Roles.PHYSICIAN, doctor);
        assertTrue(!roles.holds(Roles.PHYSICIAN, doctor), "withdrawn by the holder");
        giveRole(Roles.PHYSICIAN, doctor);
        vm.prank(admin);
        roles.withdrawRole(Roles.PHYSICIAN, doctor);
        assertTrue(!roles.holds(Roles.PHYSICIAN, doctor), "withdrawn by the admin");
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IConsentryRoles.RoleNotSet.selector, Roles.PHYSICIAN, doctor));
        roles.withdrawRole(Roles.PHYSICIAN, doctor);
    }

    function test_directory_entry_is_set_and_removed() external {
        vm.prank(admin);
        roles.setDirectoryEntry(doctor, keccak256("entry"));
        assertEq(roles.directoryEntry(doctor), keccak256("entry"), "set");
        vm.prank(admin);
        roles.setDirectoryEntry(doctor, 0);
        assertEq(roles.directoryEntry(doctor), bytes32(0), "removed");
    }

    function testFuzz_openzeppelins_doors_are_shut(bytes32 role, address account, bool asAdmin) external {
        address caller = asAdmin ? admin : account;
        bytes memory shut = abi.encodeWithSelector(IConsentryRoles.OnlyBySetRole.selector, role);
        vm.prank(caller);
        vm.expectRevert(shut);
        roles.grantRole(role, account);
        vm.prank(caller);
        vm.expectRevert(shut);
        roles.revokeRole(role, account);
        vm.prank(caller);
        vm.expectRevert(shut);
        roles.renounceRole(role, caller);
    }

    function test_inv05_admin_changes_in_two_steps_with_a_delay() external {
        vm.prank(admin);
        roles.beginDefaultAdminTransfer(ben);
        vm.warp(NOON + ADMIN_DELAY);
        vm.prank(ben);
        vm.expectPartialRevert(IAccessControlDefaultAdminRules.AccessControlEnforcedDefaultAdminDelay.selector);
        roles.acceptDefaultAdminTransfer();
        vm.warp(NOON + ADMIN_DELAY + 1);
        vm.prank(stranger);
        vm.expectPartialRevert(IAccessControlDefaultAdminRules.AccessControlInvalidDefaultAdmin.selector);
        roles.acceptDefaultAdminTransfer();
        assertEq(roles.defaultAdmin(), admin, "not yet");
        vm.prank(ben);
        roles.acceptDefaultAdminTransfer();
        assertEq(roles.defaultAdmin(), ben, "the successor");
        assertTrue(roles.hasRole(ADMIN_ROLE, ben) && !roles.hasRole(ADMIN_ROLE, admin), "one admin");
    }

    function test_inv05_there_is_always_an_admin() external {
        vm.prank(admin);
        vm.expectRevert(IConsentryRoles.ZeroAccount.selector);
        roles.beginDefaultAdminTransfer(address(0));
    }

    function test_inv05_admin_never_becomes_recorder() external {
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IConsentryRoles.AdminAndRecorder.selector, admin));
        roles.setRole(Roles.RECORDER, admin, 0, FOREVER);
    }

    function testFuzz_inv05_recorder_never_becomes_admin(uint48 from) external {
        // A window that has not begun yet counts as well.
        from = uint48(bound(from, 0, FOREVER - 1));
        vm.prank(admin);
        roles.beginDefaultAdminTransfer(ben);
        vm.prank(admin);
        roles.setRole(Roles.RECORDER, ben, from, FOREVER);
        vm.warp(NOON + ADMIN_DELAY + 1);
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(IConsentryRoles.AdminAndRecorder.selector, ben));
        roles.acceptDefaultAdminTransfer();
        vm.prank(ben);
        roles.withdrawRole(Roles.RECORDER, ben);
        vm.prank(ben);
        roles.acceptDefaultAdminTransfer();
        assertEq(roles.defaultAdmin(), ben, "once no longer recorder");
    }

    function test_zero_role_and_zero_account_are_refused() external {
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IConsentryRoles.NotAStaffRole.selector, ADMIN_ROLE));
        roles.setRole(ADMIN_ROLE, ben, 0, FOREVER);
        vm.prank(admin);
        vm.expectRevert(IConsentryRoles.ZeroAccount.selector);
        roles.setRole(Roles.PHYSICIAN, address(0), 0, FOREVER);
        vm.prank(admin);
        vm.expectRevert(IConsentryRoles.ZeroAccount.selector);
        roles.setDirectoryEntry(address(0), keccak256("entry"));
    }
}
