// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EmergencyAccess} from "../src/EmergencyAccess.sol";
import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {IEmergencyAccess} from "../src/IEmergencyAccess.sol";
import {Roles} from "../src/Roles.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

/// @dev The doctor holds the emergency role, Ben is an auditor, PATIENT is claimed and OTHER_PATIENT enrolled only.
abstract contract EmergencyStage is StagedTest {
    uint8 internal constant JUSTIFIED = 1;
    uint8 internal constant UNJUSTIFIED = 2;
    bytes32 internal constant NOTE = keccak256("note");

    function setUp() public virtual override {
        super.setUp();
        giveRole(Roles.EMERGENCY, doctor);
        giveRole(Roles.AUDITOR, ben);
        bind(PATIENT, ANNA_KEY);
        vm.prank(registrar);
        patients.enrol(OTHER_PATIENT, vm.addr(CLAIM_KEY), FOREVER, 0);
    }

    /// @dev From now on, for as long as may be.
    function emergencyOf(bytes32 patientKey, bytes32 salt) internal view returns (IEmergencyAccess.Emergency memory e) {
        e.patientKey = patientKey;
        e.reasonHash = keccak256("unconscious after a fall");
        e.validFrom = uint48(block.timestamp);
        e.validUntil = e.validFrom + EMERGENCY_DURATION;
        e.salt = salt;
    }

    function opened(IEmergencyAccess.Emergency memory e) internal returns (bytes32 id) {
        vm.prank(doctor);
        id = emergencies.open(e);
    }

    function openSigned(IEmergencyAccess.Emergency memory e, uint256 key) internal returns (bytes32 id) {
        bytes memory signature = signed(key, Messages.emergency(address(emergencies), e));
        id = emergencies.openBySignature(e, Messages.WORDS, signerOf(key), signature);
    }

    function refused(IEmergencyAccess.Emergency memory e, bytes memory why) internal {
        vm.prank(doctor);
        vm.expectRevert(why);
        emergencies.open(e);
        bytes memory signature = signed(DOCTOR_KEY, Messages.emergency(address(emergencies), e));
        vm.expectRevert(why);
        emergencies.openBySignature(e, Messages.WORDS, signerOf(DOCTOR_KEY), signature);
    }
}

/// @dev Declaring an emergency.
contract EmergencyOpenTest is EmergencyStage {
    function test_inv08_an_emergency_is_one_event_and_kept() external {
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        vm.recordLogs();
        bytes32 id = openSigned(e, DOCTOR_KEY);
        assertEq(vm.getRecordedLogs().length, 1, "one event");
        IEmergencyAccess.Opened memory kept = emergencies.emergency(id);
        assertEq(kept.patientKey, PATIENT, "patient");
        assertEq(kept.actor, doctor, "actor");
        assertEq(kept.validFrom, NOON, "from");
        assertEq(kept.validUntil, NOON + EMERGENCY_DURATION, "until");
        assertEq(kept.finding, 0, "not reviewed");
        assertEq(kept.reviewer, address(0), "by nobody");
        assertEq(emergencies.openFor(PATIENT, doctor), id, "open");
        IEmergencyAccess.Opened memory none;
        assertEq(abi.encode(emergencies.emergency("unknown")), abi.encode(none), "an unknown id");
    }

    function testFuzz_inv03_ids_bind_every_field_chain_contract_and_actor(
        IEmergencyAccess.Emergency memory e,
        address actor,
        uint8 field
    ) external {
        bytes32 id = emergencies.emergencyId(e, actor);
        assertEq(id, Messages.emergencyId(address(emergencies), e, actor), "the id, computed apart");
        vm.chainId(block.chainid + 1);
        assertTrue(emergencies.emergencyId(e, actor) != id, "another chain");
        vm.chainId(block.chainid - 1);
        EmergencyAccess another = new EmergencyAccess(roles, patients, 1, 1);
        assertTrue(another.emergencyId(e, actor) != id, "another contract");
        field = field % 6;
        if (field == 0) e.patientKey = ~e.patientKey;
        if (field == 1) e.reasonHash = ~e.reasonHash;
        if (field == 2) e.validFrom = ~e.validFrom;
        if (field == 3) e.validUntil = ~e.validUntil;
        if (field == 4) e.salt = ~e.salt;
        if (field == 5) actor = address(~uint160(actor));
        assertTrue(emergencies.emergencyId(e, actor) != id, "another field");
    }

    function testFuzz_inv03_a_signed_emergency_works_once_on_one_chain_for_one_contract_and_patient(
        bytes32 salt
    ) external {
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, salt);
        bytes memory signature = signed(DOCTOR_KEY, Messages.emergency(address(emergencies), e));
        bytes memory signer = signerOf(DOCTOR_KEY);
        bytes memory invalid = abi.encodeWithSelector(IEmergencyAccess.EmergencySignatureInvalid.selector, signer);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(invalid);
        emergencies.openBySignature(e, Messages.WORDS, signer, signature);
        vm.chainId(block.chainid - 1);
        EmergencyAccess another = new EmergencyAccess(roles, patients, EMERGENCY_DURATION, EMERGENCY_QUOTA);
        vm.expectRevert(invalid);
        another.openBySignature(e, Messages.WORDS, signer, signature);
        e.patientKey = OTHER_PATIENT;
        vm.expectRevert(invalid);
        emergencies.openBySignature(e, Messages.WORDS, signer, signature);
        e.patientKey = PATIENT;
        vm.expectRevert(invalid);
        emergencies.openBySignature(e, keccak256("other words"), signer, signature);
        bytes32 id = emergencies.openBySignature(e, Messages.WORDS, signer, signature);
        bytes memory used = abi.encodeWithSelector(IEmergencyAccess.EmergencyIdUsed.selector, id);
        vm.expectRevert(used);
        emergencies.openBySignature(e, Messages.WORDS, signer, signature);
        refused(e, used);
        assertEq(emergencies.openings(doctor, NOON / 1 days), 1, "counted once");
    }

    function testFuzz_only_who_holds_the_role_declares(uint256 key) external {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != DOCTOR_KEY);
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        bytes memory why = abi.encodeWithSelector(IEmergencyAccess.NotEmergencyHolder.selector, vm.addr(key), NOON);
        vm.prank(vm.addr(key));
        vm.expectRevert(why);
        emergencies.open(e);
        bytes memory signature = signed(key, Messages.emergency(address(emergencies), e));
        vm.expectRevert(why);
        emergencies.openBySignature(e, Messages.WORDS, signerOf(key), signature);
        bytes memory doctors = signerOf(DOCTOR_KEY);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyAccess.EmergencySignatureInvalid.selector, doctors));
        emergencies.openBySignature(e, Messages.WORDS, doctors, signature);
    }

    function testFuzz_the_role_is_held_at_the_first_second(uint48 from, uint48 length, uint48 first) external {
        uint48 start = uint48(bound(from, NOON - 7 days, NOON + 60));
        uint48 end = start + uint48(bound(length, 1, 14 days));
        vm.warp(NOON - 8 days);
        vm.prank(admin);
        roles.setRole(Roles.EMERGENCY, doctor, start, end);
        vm.warp(NOON);
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        uint48[4] memory firsts = [uint48(bound(first, NOON - 7 days, NOON + 60)), start, end, end - 1];
        for (uint256 i = 0; i < firsts.length; ++i) {
            if (firsts[i] > NOON + 60 || firsts[i] < NOON - 7 days) continue;
            (e.validFrom, e.validUntil) = (firsts[i], firsts[i] + 1);
            e.salt = bytes32(i);
            if (firsts[i] >= start && firsts[i] < end) opened(e);
            else refused(e, abi.encodeWithSelector(IEmergencyAccess.NotEmergencyHolder.selector, doctor, firsts[i]));
        }
    }

    function test_a_signature_that_lands_late_counts_though_the_role_is_over() external {
        vm.prank(admin);
        roles.setRole(Roles.EMERGENCY, doctor, NOON - 1, NOON + 1);
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        bytes memory signature = signed(DOCTOR_KEY, Messages.emergency(address(emergencies), e));
        uint256 last = uint256(e.validUntil) + emergencies.LATEST();
        bytes memory signer = signerOf(DOCTOR_KEY);
        vm.warp(last + 1);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyAccess.LandsTooLate.selector, e.validUntil, last + 1));
        emergencies.openBySignature(e, Messages.WORDS, signer, signature);
        vm.warp(last);
        bytes32 id = emergencies.openBySignature(e, Messages.WORDS, signer, signature);
        assertEq(emergencies.emergency(id).actor, doctor, "kept");
        assertEq(emergencies.openFor(PATIENT, doctor), 0, "and long over");
        assertEq(emergencies.openings(doctor, NOON / 1 days), 1, "counted on its own day");
    }

    function test_a_withdrawn_role_declares_nothing_any_more() external {
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        vm.prank(admin);
        roles.withdrawRole(Roles.EMERGENCY, doctor);
        refused(e, abi.encodeWithSelector(IEmergencyAccess.NotEmergencyHolder.selector, doctor, NOON));
    }

    function testFuzz_an_emergency_is_short_and_begins_now(uint48 from, uint48 until) external {
        from = uint48(bound(from, NOON - 1 days, NOON + 1 days));
        until = uint48(bound(until, NOON - 2 days, NOON + 2 days));
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        (e.validFrom, e.validUntil) = (from, until);
        if (until <= from || until > from + EMERGENCY_DURATION) {
            refused(e, abi.encodeWithSelector(IEmergencyAccess.DurationUnsound.selector, from, until));
        } else if (from > NOON + 60) {
            refused(e, abi.encodeWithSelector(IEmergencyAccess.BeginsTooLate.selector, from, uint256(NOON)));
        } else {
            opened(e);
        }
    }

    function test_the_bounds_of_time_are_exact() external {
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        e.validUntil = NOON + EMERGENCY_DURATION + 1;
        refused(e, abi.encodeWithSelector(IEmergencyAccess.DurationUnsound.selector, NOON, e.validUntil));
        e.validUntil = NOON;
        refused(e, abi.encodeWithSelector(IEmergencyAccess.DurationUnsound.selector, NOON, NOON));
        (e.validFrom, e.validUntil) = (NOON + 61, NOON + 62);
        refused(e, abi.encodeWithSelector(IEmergencyAccess.BeginsTooLate.selector, NOON + 61, uint256(NOON)));
        (e.validFrom, e.validUntil) = (NOON + 60, NOON + 60 + EMERGENCY_DURATION);
        opened(e);
        (e.validFrom, e.validUntil) = (type(uint48).max - 1, type(uint48).max);
        refused(e, abi.encodeWithSelector(IEmergencyAccess.BeginsTooLate.selector, e.validFrom, uint256(NOON)));
    }

    function test_the_quota_is_of_the_emergencys_day() external {
        // NOON is 1,900,000,000; the day ends at a multiple of 86,400.
        uint256 day = NOON / 1 days;
        uint48 midnight = uint48((day + 1) * 1 days);
        vm.warp(midnight);
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        for (uint256 i = 0; i < EMERGENCY_QUOTA; ++i) {
            e.salt = bytes32(i);
            (e.validFrom, e.validUntil) = (i % 2 == 0 ? midnight - 1 : midnight - 1 days, midnight);
            if (i % 2 == 1) e.validUntil = e.validFrom + 1;
            opened(e);
        }
        assertEq(emergencies.openings(doctor, day), EMERGENCY_QUOTA, "the day before");
        assertEq(emergencies.openings(doctor, day + 1), 0, "today");
        e.salt = "one more";
        (e.validFrom, e.validUntil) = (midnight - 1, midnight + 1);
        refused(e, abi.encodeWithSelector(IEmergencyAccess.QuotaUsed.selector, doctor, day));
        e.validFrom = midnight;
        opened(e);
        assertEq(emergencies.openings(doctor, day + 1), 1, "from midnight on");
        // Another holder has a quota of their own.
        giveRole(Roles.EMERGENCY, stranger);
        e.validFrom = midnight - 1;
        vm.prank(stranger);
        emergencies.open(e);
    }

    function test_only_for_who_is_enrolled_and_not_erased() external {
        bytes32 unknown = keccak256("never enrolled");
        refused(
            emergencyOf(unknown, "one"),
            abi.encodeWithSelector(IEmergencyAccess.PatientNotEnrolled.selector, unknown)
        );
        opened(emergencyOf(OTHER_PATIENT, "one"));
        vm.prank(registrar);
        patients.erase(PATIENT);
        refused(
            emergencyOf(PATIENT, "one"),
            abi.encodeWithSelector(IEmergencyAccess.PatientNotEnrolled.selector, PATIENT)
        );
    }

    function test_there_is_a_duration_and_a_quota() external {
        vm.expectRevert(IEmergencyAccess.MaxDurationZero.selector);
        new EmergencyAccess(roles, patients, 0, 1);
        vm.expectRevert(IEmergencyAccess.QuotaZero.selector);
        new EmergencyAccess(roles, patients, 1, 0);
        assertEq(emergencies.MAX_DURATION(), EMERGENCY_DURATION, "duration");
        assertEq(emergencies.QUOTA(), EMERGENCY_QUOTA, "quota");
        assertEq(emergencies.LATEST(), 7 days, "latest");
    }
}

/// @dev Judging an emergency.
contract EmergencyReviewTest is EmergencyStage {
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = opened(emergencyOf(PATIENT, "one"));
    }

    function reviewSigned(uint256 key, bytes32 which, uint8 finding, uint48 deadline) private {
        bytes32 digest = Messages.emergencyReview(address(emergencies), which, finding, NOTE, deadline);
        bytes memory signature = signed(key, digest);
        emergencies.reviewBySignature(which, finding, NOTE, Messages.WORDS, deadline, signerOf(key), signature);
    }

    function testFuzz_inv08_reviewed_once_by_another(bool bySignature, bool justified) external {
        uint8 finding = justified ? JUSTIFIED : UNJUSTIFIED;
        vm.recordLogs();
        if (bySignature) {
            reviewSigned(BEN_KEY, id, finding, NOON);
        } else {
            vm.prank(ben);
            emergencies.review(id, finding, NOTE);
        }
        assertEq(vm.getRecordedLogs().length, 1, "one event");
        assertEq(emergencies.emergency(id).finding, finding, "finding");
        assertEq(emergencies.emergency(id).reviewer, ben, "reviewer");
        assertEq(emergencies.openFor(PATIENT, doctor), justified ? id : bytes32(0), "an unjustified one ends");
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyAccess.AlreadyReviewed.selector, id));
        emergencies.review(id, JUSTIFIED, NOTE);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyAccess.AlreadyReviewed.selector, id));
        reviewSigned(BEN_KEY, id, UNJUSTIFIED, FOREVER);
    }

    function test_nobody_judges_themselves() external {
        giveRole(Roles.AUDITOR, doctor);
        bytes memory why = abi.encodeWithSelector(IEmergencyAccess.ReviewerIsActor.selector, id);
        vm.prank(doctor);
        vm.expectRevert(why);
        emergencies.review(id, JUSTIFIED, NOTE);
        vm.expectRevert(why);
        reviewSigned(DOCTOR_KEY, id, JUSTIFIED, FOREVER);
    }

    function testFuzz_only_an_auditor_judges_and_only_now(address caller) external {
        vm.assume(caller != ben && caller != doctor);
        vm.prank(caller);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyAccess.NotAuditor.selector, caller));
        emergencies.review(id, JUSTIFIED, NOTE);
        vm.prank(admin);
        roles.withdrawRole(Roles.AUDITOR, ben);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyAccess.NotAuditor.selector, ben));
        reviewSigned(BEN_KEY, id, JUSTIFIED, FOREVER);
    }

    function testFuzz_findings_and_ids_are_known(uint8 finding, bytes32 unknown) external {
        vm.assume(finding != JUSTIFIED && finding != UNJUSTIFIED && unknown != id);
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyAccess.FindingUnknown.selector, finding));
        emergencies.review(id, finding, NOTE);
        vm.prank(ben);
        vm.expectRevert(abi.encodeWithSelector(IEmergencyAccess.EmergencyUnknown.selector, unknown));
        emergencies.review(unknown, JUSTIFIED, NOTE);
    }

    function test_inv03_a_signed_review_is_in_time_and_of_this_finding_chain_and_contract() external {
        bytes32 digest = Messages.emergencyReview(address(emergencies), id, JUSTIFIED, NOTE, NOON);
        bytes memory signature = signed(BEN_KEY, digest);
        bytes memory signer = signerOf(BEN_KEY);
        bytes memory invalid = abi.encodeWithSelector(IEmergencyAccess.EmergencySignatureInvalid.selector, signer);
        vm.expectRevert(invalid);
        emergencies.reviewBySignature(id, UNJUSTIFIED, NOTE, Messages.WORDS, NOON, signer, signature);
        vm.expectRevert(invalid);
        emergencies.reviewBySignature(id, JUSTIFIED, ~NOTE, Messages.WORDS, NOON, signer, signature);
        vm.expectRevert(invalid);
        emergencies.reviewBySignature(id, JUSTIFIED, NOTE, Messages.WORDS, NOON + 1, signer, signature);
        vm.expectRevert(invalid);
        emergencies.reviewBySignature(id, JUSTIFIED, NOTE, keccak256("others"), NOON, signer, signature);
        bytes32 second = opened(emergencyOf(PATIENT, "two"));
        vm.expectRevert(invalid);
        emergencies.reviewBySignature(second, JUSTIFIED, NOTE, Messages.WORDS, NOON, signer, signature);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(invalid);
        emergencies.reviewBySignature(id, JUSTIFIED, NOTE, Messages.WORDS, NOON, signer, signature);
        vm.chainId(block.chainid - 1);
        vm.warp(NOON + 1);
        vm.expectRevert(
            abi.encodeWithSelector(IEmergencyAccess.ReviewDeadlinePassed.selector, NOON, uint256(NOON + 1))
        );
        emergencies.reviewBySignature(id, JUSTIFIED, NOTE, Messages.WORDS, NOON, signer, signature);
        vm.warp(NOON);
        emergencies.reviewBySignature(id, JUSTIFIED, NOTE, Messages.WORDS, NOON, signer, signature);
    }

    function test_what_is_over_or_erased_is_still_judged() external {
        vm.prank(registrar);
        patients.erase(PATIENT);
        vm.warp(NOON + 90 days);
        reviewSigned(BEN_KEY, id, UNJUSTIFIED, FOREVER);
        assertEq(emergencies.emergency(id).finding, UNJUSTIFIED, "finding");
    }
}

/// @dev What an open emergency lets in (rule 1a of docs/CHAIN.md).
contract EmergencyVerdictTest is EmergencyStage {
    uint8 private constant ETREAT = 1;

    function basisOf(address actor, bytes32 patientKey, uint8 action, uint8 purpose) private view returns (bytes32) {
        IConsentRegistry.Question memory q = question(actor, patientKey);
        (q.action, q.purpose) = (action, purpose);
        (bool permitted, bytes32 basis) = consents.decide(q);
        assertTrue(permitted == (basis != 0), "a basis just when permitted");
        return basis;
    }

    function viewing(bytes32 patientKey) private view returns (bytes32) {
        return basisOf(doctor, patientKey, 2, ETREAT);
    }

    function testFuzz_inv01_for_emergency_treatment_and_never_for_sharing(
        uint8 action,
        uint8 purpose,
        bool claimed
    ) external {
        bytes32 key = claimed ? PATIENT : OTHER_PATIENT;
        bytes32 id = opened(emergencyOf(key, "one"));
        vm.prank(admin);
        roles.withdrawRole(Roles.PHYSICIAN, doctor);
        bool lets = purpose == ETREAT && (action == 1 || action == 2 || action == 4);
        assertEq(basisOf(doctor, key, action, purpose), lets ? id : bytes32(0), "verdict");
        for (uint256 i = 0; i < 4 * 12; ++i) {
            (uint8 one, uint8 why) = (uint8(1 << (i % 4)), uint8(i / 4));
            assertEq(basisOf(doctor, key, one, why), one != 8 && why == ETREAT ? id : bytes32(0), "each verdict");
        }
    }

    function testFuzz_inv01_inside_its_window_only(uint48 length, uint48 instant) external {
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "one");
        (e.validFrom, e.validUntil) = (NOON + 30, NOON + 30 + uint48(bound(length, 1, EMERGENCY_DURATION)));
        bytes32 id = opened(e);
        uint256[5] memory instants = [
            bound(instant, NOON, NOON + 5 hours),
            e.validFrom - 1,
            e.validFrom,
            e.validUntil - 1,
            e.validUntil
        ];
        for (uint256 i = 0; i < instants.length; ++i) {
            vm.warp(instants[i]);
            bool inside = e.validFrom <= instants[i] && instants[i] < e.validUntil;
            assertEq(viewing(PATIENT), inside ? id : bytes32(0), "verdict");
            assertEq(emergencies.openFor(PATIENT, doctor), inside ? id : bytes32(0), "open");
        }
    }

    function test_inv01_one_actor_and_one_patient() external {
        giveRole(Roles.EMERGENCY, stranger);
        bytes32 id = opened(emergencyOf(PATIENT, "one"));
        assertEq(viewing(PATIENT), id, "the actor, the patient");
        assertEq(viewing(OTHER_PATIENT), 0, "another patient");
        assertEq(basisOf(stranger, PATIENT, 2, ETREAT), 0, "another holder");
    }

    function test_denials_do_not_stand_against_it() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        (t.effect, t.actions, t.purposes) = (0, 15, 4095);
        grantSigned(t, ANNA_KEY);
        assertEq(viewing(PATIENT), 0, "denied");
        bytes32 id = opened(emergencyOf(PATIENT, "one"));
        assertEq(viewing(PATIENT), id, "the glass is broken");
        assertEq(basisOf(doctor, PATIENT, 2, 0), 0, "still denied for ordinary treatment");
    }

    function test_a_consent_for_emergencies_is_the_basis_again_when_it_is_over() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.purposes = 2;
        bytes32 consentId = grantSigned(t, ANNA_KEY);
        assertEq(viewing(PATIENT), consentId, "by consent");
        bytes32 id = opened(emergencyOf(PATIENT, "one"));
        assertEq(viewing(PATIENT), id, "by emergency, as it was declared");
        vm.warp(NOON + EMERGENCY_DURATION);
        assertEq(viewing(PATIENT), consentId, "by consent again");
    }

    function test_it_ends_with_the_role_the_finding_and_erasure() external {
        bytes32 id = opened(emergencyOf(PATIENT, "one"));
        vm.prank(admin);
        roles.withdrawRole(Roles.EMERGENCY, doctor);
        assertEq(viewing(PATIENT), 0, "the role is lost");
        giveRole(Roles.EMERGENCY, doctor);
        assertEq(viewing(PATIENT), id, "the role is back");
        vm.prank(ben);
        emergencies.review(id, UNJUSTIFIED, NOTE);
        assertEq(viewing(PATIENT), 0, "found unjustified");
        id = opened(emergencyOf(OTHER_PATIENT, "two"));
        vm.prank(ben);
        emergencies.review(id, JUSTIFIED, NOTE);
        assertEq(viewing(OTHER_PATIENT), id, "a justified one goes on");
        vm.prank(registrar);
        patients.erase(OTHER_PATIENT);
        assertEq(viewing(OTHER_PATIENT), 0, "erased");
        assertEq(emergencies.openFor(OTHER_PATIENT, doctor), id, "by decide's own rule");
    }

    function test_the_one_that_landed_last_is_looked_at() external {
        bytes32 first = opened(emergencyOf(PATIENT, "one"));
        IEmergencyAccess.Emergency memory e = emergencyOf(PATIENT, "two");
        e.validUntil = NOON + 10;
        bytes32 second = opened(e);
        assertEq(viewing(PATIENT), second, "the later one");
        vm.warp(NOON + 10);
        assertEq(viewing(PATIENT), 0, "is over");
        assertEq(emergencies.emergency(first).validUntil, NOON + EMERGENCY_DURATION, "the first is kept");
    }

    function test_inv02_revoking_and_moving_do_not_end_it() external {
        bytes32 id = opened(emergencyOf(PATIENT, "one"));
        vm.prank(anna);
        consents.revoke(PATIENT, id);
        assertEq(viewing(PATIENT), id, "an emergency is no consent");
    }
}
