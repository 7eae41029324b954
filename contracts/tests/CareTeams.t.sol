// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICareTeams} from "../src/ICareTeams.sol";
import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

contract CareTeamsTest is StagedTest {
    bytes32 private constant TEAM = keccak256("cardiology");
    uint8 private constant MEMBER = 1;
    uint8 private constant LEAD = 2;

    function setUp() public override {
        super.setUp();
        vm.prank(registrar);
        teams.createTeam(TEAM);
        vm.prank(registrar);
        teams.setPart(TEAM, ben, LEAD, 0, FOREVER);
    }

    function set(address by, address account, uint8 part, uint48 from, uint48 until) private {
        vm.prank(by);
        teams.setPart(TEAM, account, part, from, until);
    }

    function test_teams_are_created_by_registrar_and_admin() external {
        vm.prank(admin);
        teams.createTeam(keccak256("another"));
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.NotRegistrarNorAdmin.selector, ben));
        teams.createTeam(keccak256("third"));
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.TeamExists.selector, TEAM));
        teams.createTeam(TEAM);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.TeamIdIsPerson.selector, person(doctor)));
        teams.createTeam(person(doctor));
    }

    function testFuzz_inv01_only_leads_set_members(address who) external {
        vm.assume(who != ben);
        vm.prank(who);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.NotEntitled.selector, who, TEAM));
        teams.setPart(TEAM, doctor, MEMBER, 0, FOREVER);
        if (who != registrar && who != admin) {
            vm.prank(who);
            vm.expectRevert(abi.encodeWithSelector(ICareTeams.NotEntitled.selector, who, TEAM));
            teams.setPart(TEAM, who, LEAD, 0, FOREVER);
        }
        set(ben, doctor, MEMBER, 0, FOREVER);
        assertTrue(teams.hasPart(TEAM, doctor, MEMBER), "a member");
        assertTrue(!teams.hasPart(TEAM, doctor, LEAD), "no lead");
    }

    function test_a_lead_acts_inside_the_window_and_members_do_not_leave_by_themselves() external {
        set(ben, doctor, MEMBER, 0, FOREVER);
        vm.prank(doctor);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.NotEntitled.selector, doctor, TEAM));
        teams.setPart(TEAM, doctor, MEMBER, 0, 0);
        set(ben, stranger, LEAD, NOON + 10, NOON + 20);
        vm.warp(NOON + 9);
        vm.prank(stranger);
        vm.expectPartialRevert(ICareTeams.NotEntitled.selector);
        teams.setPart(TEAM, anna, MEMBER, 0, FOREVER);
        vm.warp(NOON + 10);
        set(stranger, anna, MEMBER, 0, FOREVER);
        vm.warp(NOON + 20);
        vm.prank(stranger);
        vm.expectPartialRevert(ICareTeams.NotEntitled.selector);
        teams.setPart(TEAM, anna, MEMBER, 0, 0);
    }

    function testFuzz_a_member_counts_inside_the_window(uint48 from, uint48 length, uint48 instant) external {
        bind(PATIENT, ANNA_KEY);
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        (t.grantee, t.validFrom, t.validUntil) = (TEAM, 0, FOREVER);
        grantSigned(t, ANNA_KEY);
        uint48 start = uint48(bound(from, 0, FOREVER - 2));
        uint48 end = start + uint48(bound(length, 1, FOREVER - 1 - start));
        vm.assume(end > NOON);
        set(ben, doctor, MEMBER, start, end);
        vm.warp(bound(instant, NOON, FOREVER - 1));
        bool inside = start <= block.timestamp && block.timestamp < end;
        assertTrue(mayView(doctor, PATIENT) == inside, "window");
    }

    function test_parts_end_and_are_replaced() external {
        set(ben, doctor, MEMBER, 0, FOREVER);
        set(ben, doctor, MEMBER, NOON + 5, NOON + 6);
        assertTrue(!teams.hasPart(TEAM, doctor, MEMBER), "not yet");
        set(ben, doctor, MEMBER, 0, 0);
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.PartNotSet.selector, TEAM, doctor));
        teams.setPart(TEAM, doctor, MEMBER, 0, 0);
        assertEq(teams.teamNonce(TEAM), 4, "changes");
    }

    function test_unsound_parts_are_refused() external {
        uint48[2][4] memory ends = [[NOON, NOON], [NOON + 1, NOON], [uint48(0), NOON], [uint48(1), uint48(0)]];
        set(ben, doctor, MEMBER, 0, FOREVER);
        for (uint256 i = 0; i < 4; ++i) {
            vm.prank(ben);
            vm.expectRevert(abi.encodeWithSelector(ICareTeams.PartWindowEmpty.selector, ends[i][0], ends[i][1]));
            teams.setPart(TEAM, doctor, MEMBER, ends[i][0], ends[i][1]);
        }
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.PartUnknown.selector, 3));
        teams.setPart(TEAM, doctor, 3, 0, FOREVER);
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.AccountZero.selector));
        teams.setPart(TEAM, address(0), MEMBER, 0, FOREVER);
        vm.prank(registrar);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.TeamUnknown.selector, keccak256("none")));
        teams.setPart(keccak256("none"), doctor, LEAD, 0, FOREVER);
    }

    function test_inv03_a_signed_change_works_once_and_in_its_turn() external {
        uint48[2] memory ends = [NOON, FOREVER];
        bytes32 digest = Messages.teamChange(address(teams), TEAM, doctor, MEMBER, ends, 1, FOREVER);
        bytes memory signature = signed(BEN_KEY, digest);
        bytes memory lead = signerOf(BEN_KEY);
        teams.setPartBySignature(TEAM, doctor, MEMBER, NOON, FOREVER, Messages.WORDS, FOREVER, lead, signature);
        assertTrue(teams.hasPart(TEAM, doctor, MEMBER), "a member");
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.TeamSignatureInvalid.selector, lead));
        teams.setPartBySignature(TEAM, doctor, MEMBER, NOON, FOREVER, Messages.WORDS, FOREVER, lead, signature);
        // A direct change in between voids one that was withheld.
        digest = Messages.teamChange(address(teams), TEAM, anna, MEMBER, ends, 2, FOREVER);
        signature = signed(BEN_KEY, digest);
        set(ben, stranger, MEMBER, 0, FOREVER);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.TeamSignatureInvalid.selector, lead));
        teams.setPartBySignature(TEAM, anna, MEMBER, NOON, FOREVER, Messages.WORDS, FOREVER, lead, signature);
    }

    function test_a_signed_change_is_a_leads_and_in_time() external {
        uint48[2] memory ends = [NOON, FOREVER];
        bytes32 digest = Messages.teamChange(address(teams), TEAM, doctor, MEMBER, ends, 1, NOON);
        bytes memory signature = signed(STRANGER_KEY, digest);
        bytes memory signer = signerOf(STRANGER_KEY);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.NotEntitled.selector, stranger, TEAM));
        teams.setPartBySignature(TEAM, doctor, MEMBER, NOON, FOREVER, Messages.WORDS, NOON, signer, signature);
        vm.warp(NOON + 1);
        vm.expectRevert(abi.encodeWithSelector(ICareTeams.TeamDeadlinePassed.selector, NOON, uint256(NOON + 1)));
        teams.setPartBySignature(TEAM, doctor, MEMBER, NOON, FOREVER, Messages.WORDS, NOON, signer, signature);
    }
}
