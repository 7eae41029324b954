// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {IConsentryRoles} from "../src/IConsentryRoles.sol";
import {IEmergencyAccess} from "../src/IEmergencyAccess.sol";
import {IPatientRegistry} from "../src/IPatientRegistry.sol";
import {Roles} from "../src/Roles.sol";
import {Assertions} from "./Assertions.sol";
import {Messages} from "./Messages.sol";
import {Mirror} from "./Mirror.sol";
import {Stage} from "./Stage.sol";
import {Vm, vm} from "./Vm.sol";

/// @dev Lives through any history: each step is tried, and what it emits is folded into the mirror.
/// A step that its author has no right to is part of the history: it must change nothing and emit nothing.
contract HistoryMaker is Stage {
    uint256[5] private _keys = [ANNA_KEY, BEN_KEY, DOCTOR_KEY, STRANGER_KEY, REGISTRAR_KEY];
    bytes32[3] private _patients = [PATIENT, OTHER_PATIENT, keccak256("patient three")];
    bytes32[2] private _teams = [keccak256("team one"), keccak256("team two")];
    bytes32[] private _seen;
    bytes32[] private _declared;

    Mirror public mirror;
    uint256 public changes;

    constructor() {
        vm.warp(NOON);
        vm.recordLogs();
        build();
        mirror = new Mirror(MOVE_DELAY, EMERGENCY_DURATION, EMERGENCY_QUOTA);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] == IConsentryRoles.RoleSet.selector) mirror.fold(logs[i]);
        }
        // Two patients are bound from the start, so that most steps find somebody; the second is a ward at first.
        step(registrar, address(patients), abi.encodeCall(patients.enrol, (PATIENT, vm.addr(CLAIM_KEY), FOREVER, 0)));
        claim(0, 0, false);
        enrol(1, 1 days, 3 days + 1);
        claim(1, 1, false);
        step(admin, address(roles), abi.encodeCall(roles.setRole, (Roles.EMERGENCY, doctor, 0, FOREVER)));
        step(admin, address(roles), abi.encodeCall(roles.setRole, (Roles.AUDITOR, stranger, 0, FOREVER)));
    }

    function wait(uint24 seconds_) external {
        vm.warp(block.timestamp + (seconds_ % 2 days));
    }

    function setRole(uint8 who, uint8 which, uint32 from, uint32 length, bool withdraw) external {
        address account = vm.addr(key(who));
        bytes32 role = [Roles.PHYSICIAN, Roles.PHYSICIAN, Roles.EMERGENCY, Roles.AUDITOR][which % 4];
        if (withdraw) step(admin, address(roles), abi.encodeCall(roles.withdrawRole, (role, account)));
        uint48 start = uint48(block.timestamp) + (from % 1 days);
        uint48 end = start + length;
        step(admin, address(roles), abi.encodeCall(roles.setRole, (role, account, start, end)));
    }

    /// @dev Mostly sound and now; sometimes late, early, too long, or a second time.
    function breakGlass(uint8 patient, uint8 who, uint256 dice, bool bySignature) external {
        IEmergencyAccess.Emergency memory e;
        e.patientKey = key_(patient);
        e.reasonHash = bytes32(dice % 3);
        e.salt = bytes32((dice >> 8) % 5);
        e.validFrom = uint48(block.timestamp - [uint256(0), 0, 1 hours, 7 days][(dice >> 16) % 4]);
        if ((dice >> 24) % 4 == 0) e.validFrom = uint48(block.timestamp + ((dice >> 32) % 90));
        e.validUntil = e.validFrom + uint48((dice >> 40) % (EMERGENCY_DURATION + 10 minutes));
        uint256 by = who < 200 ? DOCTOR_KEY : key(who);
        _declared.push(emergencies.emergencyId(e, vm.addr(by)));
        bytes memory data = abi.encodeCall(emergencies.open, (e));
        if (bySignature) {
            bytes memory signature = signed(by, Messages.emergency(address(emergencies), e));
            data = abi.encodeCall(emergencies.openBySignature, (e, Messages.WORDS, signerOf(by), signature));
        }
        step(vm.addr(by), address(emergencies), data);
    }

    function reviewGlass(uint8 who, uint256 dice, bool bySignature) external {
        if (_declared.length == 0) return;
        bytes32 id = dice % 16 == 0 ? bytes32(dice) : _declared[(dice >> 8) % _declared.length];
        uint8 finding = uint8((dice >> 16) % 8 == 0 ? 3 : 1 + ((dice >> 24) % 2));
        uint256 by = who < 200 ? STRANGER_KEY : key(who);
        bytes memory data = abi.encodeCall(emergencies.review, (id, finding, "note"));
        if (bySignature) {
            bytes32 digest = Messages.emergencyReview(address(emergencies), id, finding, "note", FOREVER);
            data = abi.encodeCall(
                emergencies.reviewBySignature,
                (id, finding, "note", Messages.WORDS, FOREVER, signerOf(by), signed(by, digest))
            );
        }
        step(vm.addr(by), address(emergencies), data);
    }

    /// @dev Seldom, since an erased patient is of no more use to the history; what is left are two of the three.
    function erase(uint8 patient, uint8 who) external {
        if (patient % 8 != 2) return;
        step(who < 200 ? registrar : vm.addr(key(who)), address(patients), abi.encodeCall(patients.erase, (key_(2))));
    }

    function setPart(uint8 team, uint8 who, uint8 whom, uint8 part, uint32 length, bool bySignature) external {
        bytes32 t = _teams[team % 2];
        uint256 by = who < 150 ? DOCTOR_KEY : key(who);
        if (!teams.exists(t)) {
            step(who < 150 ? registrar : vm.addr(by), address(teams), abi.encodeCall(teams.createTeam, (t)));
            by = REGISTRAR_KEY;
            (whom, part) = (2, 2);
        }
        address account = vm.addr(key(whom));
        uint48[2] memory ends = [uint48(block.timestamp), uint48(block.timestamp) + length];
        if (length % 5 == 0) ends = [uint48(0), 0];
        if (part == 2 && whom == 2) ends = [uint48(0), FOREVER];
        part = part % 4 == 2 ? 2 : 1;
        bytes memory data = abi.encodeCall(teams.setPart, (t, account, part, ends[0], ends[1]));
        if (bySignature) data = signedPart(t, account, part, ends, by);
        step(vm.addr(by), address(teams), data);
    }

    /// @dev Whoever was given something to share on tries to; sometimes more than they were given.
    function share(uint8 patient, uint256 dice, bool bySignature) external {
        if (_seen.length == 0) return;
        IConsentRegistry.Terms memory t = anyTerms(key_(patient), dice);
        t.parent = _seen[(dice >> 136) % _seen.length];
        IConsentRegistry.Consent memory above = consents.consent(t.patientKey, t.parent);
        if ((dice >> 144) % 4 != 0 && above.actions != 0) {
            (t.effect, t.actions, t.purposes) = (1, above.actions, above.purposes);
            (t.validFrom, t.validUntil) = (above.validFrom, above.validUntil);
            (t.studies, t.dateFrom, t.dateTo) = (above.studies, above.dateFrom, above.dateTo);
            if (above.shareDepth > 0) t.shareDepth = above.shareDepth - 1;
            t.actions = t.shareDepth == 0 ? t.actions & 7 : t.actions | 8;
        }
        address by = address(uint160(uint256(above.grantee)));
        _seen.push(consents.consentId(t));
        bytes memory data = abi.encodeCall(consents.grant, (t));
        for (uint8 w = 0; w < 5 && bySignature; ++w) {
            if (vm.addr(_keys[w]) != by) continue;
            bytes memory signature = signed(_keys[w], Messages.consent(address(consents), t, FOREVER));
            data = abi.encodeCall(
                consents.grantBySignature,
                (t, Messages.WORDS, FOREVER, signerOf(_keys[w]), signature)
            );
        }
        step(by, address(consents), data);
    }

    function startMove(uint8 patient, uint8 who, uint8 to) external {
        bytes memory data = abi.encodeCall(patients.startMove, (key_(patient), signerOf(key(to))));
        address by = to % 2 == 0 ? registrar : vm.addr(author(patient, who));
        step(by, address(patients), data);
    }

    function vetoMove(uint8 patient, uint8 who, bool bySignature) external {
        bytes32 k = key_(patient);
        bytes memory data = abi.encodeCall(patients.vetoMove, (k));
        if (bySignature) {
            uint32 nonce = patients.patient(k).moveNonce;
            bytes memory signature = signed(author(patient, who), Messages.veto(address(patients), k, nonce, FOREVER));
            data = abi.encodeCall(patients.vetoMoveBySignature, (k, signature, FOREVER, Messages.WORDS));
        }
        step(vm.addr(author(patient, who)), address(patients), data);
    }

    function finishMove(uint8 patient, uint8 who) external {
        bytes32 k = key_(patient);
        IPatientRegistry.Patient memory known = patients.patient(k);
        // Now and then somebody waited for it, else few moves are ever finished.
        if (who % 2 == 0 && known.moveReadyAt > block.timestamp) vm.warp(known.moveReadyAt);
        bytes32 digest = Messages.acceptance(address(patients), k, known.newController, known.moveNonce, FOREVER);
        bytes memory signature = signed(who < 200 ? keyOf(known.newController, who) : key(who), digest);
        step(stranger, address(patients), abi.encodeCall(patients.finishMove, (k, signature, FOREVER, Messages.WORDS)));
    }

    function setGuardian(uint8 patient, uint8 who, uint8 guard, uint32 length, bool bySignature) external {
        bytes32 k = key_(patient);
        bytes memory guardian = guard % 6 == 5 ? bytes("") : signerOf(key(guard));
        uint48 until = guardian.length == 0 ? 0 : uint48(block.timestamp) + (length % 4 days);
        bytes memory data = abi.encodeCall(patients.setGuardian, (k, guardian, until));
        if (bySignature) {
            uint32 nonce = patients.patient(k).guardianNonce;
            bytes32 digest = Messages.guardianChange(address(patients), k, guardian, until, nonce, FOREVER);
            bytes memory signature = signed(author(patient, who), digest);
            data = abi.encodeCall(
                patients.setGuardianBySignature,
                (k, guardian, until, signature, FOREVER, Messages.WORDS)
            );
        }
        step(vm.addr(author(patient, who)), address(patients), data);
    }

    function grant(uint8 patient, uint8 who, uint256 dice, bool bySignature) external {
        IConsentRegistry.Terms memory t = anyTerms(key_(patient), dice);
        _seen.push(consents.consentId(t));
        bytes memory data = abi.encodeCall(consents.grant, (t));
        if (bySignature) {
            bytes memory signature = signed(author(patient, who), Messages.consent(address(consents), t, FOREVER));
            data = abi.encodeCall(
                consents.grantBySignature,
                (t, Messages.WORDS, FOREVER, signerOf(author(patient, who)), signature)
            );
        }
        step(vm.addr(author(patient, who)), address(consents), data);
    }

    function revoke(uint8 patient, uint8 who, uint256 dice, bool bySignature) external {
        bytes32 k = key_(patient);
        bytes32 id = _seen.length == 0 || dice % 8 == 0 ? bytes32(dice) : _seen[dice % _seen.length];
        bytes memory data = abi.encodeCall(consents.revoke, (k, id));
        if (bySignature) {
            bytes memory signature = signed(
                author(patient, who),
                Messages.revocation(address(consents), k, id, FOREVER)
            );
            data = abi.encodeCall(
                consents.revokeBySignature,
                (k, id, Messages.WORDS, FOREVER, signerOf(author(patient, who)), signature)
            );
        }
        step(vm.addr(author(patient, who)), address(consents), data);
    }

    function enrol(uint8 patient, uint24 length, uint24 ward) public {
        uint48 until = uint48(block.timestamp) + length;
        uint48 wardUntil = ward % 3 == 0 ? 0 : uint48(block.timestamp) + (ward % 8 days);
        bytes memory data = abi.encodeCall(patients.enrol, (key_(patient), vm.addr(CLAIM_KEY), until, wardUntil));
        step(registrar, address(patients), data);
    }

    function claim(uint8 patient, uint8 who, bool forged) public {
        bytes32 k = key_(patient);
        bytes memory controller = signerOf(key(who));
        bytes32 digest = Messages.claim(address(patients), k, controller, FOREVER);
        bytes memory byClaimKey = signed(forged ? STRANGER_KEY : CLAIM_KEY, digest);
        bytes memory own = signed(key(who), digest);
        bytes memory data = abi.encodeCall(patients.claim, (k, controller, byClaimKey, own, FOREVER, Messages.WORDS));
        step(stranger, address(patients), data);
    }

    /// @dev Reverts, naming what differs, unless the contracts hold what the events said.
    function compare() external view {
        for (uint8 i = 0; i < 20; ++i) {
            (bytes32 team, uint8 part, address account) = (_teams[i % 2], 1 + (i % 4) / 2, vm.addr(key(i / 4)));
            (uint48 from, uint48 until) = teams.partWindow(team, account, part);
            (uint48 wasFrom, uint48 wasUntil, uint32 nonce) = mirror.part(team, part, account);
            assertEq(abi.encode(from, until), abi.encode(wasFrom, wasUntil), "part");
            assertEq(teams.teamNonce(team), nonce, "team nonce");
        }
        for (uint8 p = 0; p < 3; ++p) {
            bytes32 k = key_(p);
            assertEq(abi.encode(patients.patient(k)), abi.encode(mirror.patient(k)), "patient");
            bytes32[] memory ids = consents.consentIds(k);
            assertEq(abi.encode(ids), abi.encode(mirror.consentIds(k)), "ids");
            assertEq(consents.epoch(k), mirror.epoch(k), "epoch");
            for (uint256 i = 0; i < _seen.length; ++i) {
                assertEq(abi.encode(consents.consent(k, _seen[i])), abi.encode(mirror.consent(k, _seen[i])), "consent");
            }
            assertTrue(patients.isEnrolled(k) == mirror.enrolled(k), "enrolled");
            for (uint8 w = 0; w < 5; ++w) {
                address actor = vm.addr(key(w));
                assertEq(patients.capacityOf(k, actor), mirror.capacityOf(k, actor), "capacity");
                assertEq(emergencies.openFor(k, actor), mirror.openFor(k, actor), "open emergency");
                assertTrue(roles.holds(Roles.PHYSICIAN, actor) == mirror.holds(Roles.PHYSICIAN, actor), "physician");
            }
        }
    }

    /// @dev The same for emergencies.
    function compareEmergencies() external view {
        for (uint256 i = 0; i < _declared.length; ++i) {
            bytes32 id = _declared[i];
            assertEq(abi.encode(emergencies.emergency(id)), abi.encode(mirror.emergency(id)), "emergency");
        }
        for (uint8 w = 0; w < 5; ++w) {
            address actor = vm.addr(key(w));
            for (uint256 back = 0; back < 10; ++back) {
                uint256 day = block.timestamp / 1 days + 1 - back;
                assertEq(emergencies.openings(actor, day), mirror.openings(actor, day), "openings");
            }
        }
    }

    /// @dev Reverts unless contract and mirror give the same verdict on the same basis.
    function compareVerdicts() external view {
        // A seventh of all questions after each step, another one after each change.
        for (uint256 q = changes % 7; q < 5 * 3 * 4 * 5; q += 7) {
            address actor = vm.addr(key(uint8(q % 5)));
            bytes32 k = key_(uint8((q / 5) % 3));
            uint8 action = uint8(1 << ((q / 15) % 4));
            uint8 purpose = [0, 5, 6, 7, 1][(q / 60) % 5];
            bytes32 study = bytes32(1 + (q % 3));
            uint32 date = [0, 20191231, 20200101, 20210101][(q + changes) % 4];
            IConsentRegistry.Question memory asked = IConsentRegistry.Question(actor, k, study, date, action, purpose);
            (bool permitted, bytes32 basis) = consents.decide(asked);
            (bool expected, bytes32 why) = mirror.decide(asked);
            assertTrue(permitted == expected, "verdict");
            assertEq(basis, why, "basis");
        }
    }

    /// @dev Makes the call; a change emits exactly one event, a refusal none.
    function step(address sender, address target, bytes memory data) private {
        vm.recordLogs();
        vm.prank(sender);
        (bool done, ) = target.call(data);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, done ? 1 : 0, "events of one step");
        if (!done) return;
        mirror.fold(logs[0]);
        ++changes;
    }

    function anyTerms(bytes32 k, uint256 dice) private view returns (IConsentRegistry.Terms memory t) {
        t.patientKey = k;
        t.grantee = person(uint8(dice) < 100 ? doctor : vm.addr(key(uint8(dice))));
        if (uint8(dice) > 200) t.grantee = _teams[dice % 2];
        t.effect = (dice >> 8) % 4 == 0 ? 0 : 1;
        t.actions = uint8(bound(dice >> 16, 1, 15));
        if (t.effect == 1 && t.actions > 7) t.shareDepth = uint8((dice >> 152) % 5);
        if ((dice >> 160) % 3 == 0) (t.dateFrom, t.dateTo) = (20200101, (dice >> 168) % 2 == 0 ? 20201231 : 0);
        t.purposes = uint16(bound(dice >> 24, 1, 4095));
        t.validFrom = uint48(block.timestamp - 1 days + ((dice >> 40) % 2 days));
        t.validUntil = t.validFrom + uint48((dice >> 72) % 5 days);
        t.epoch = consents.epoch(k) + ((dice >> 104) % 8 == 0 ? 1 : 0);
        t.salt = bytes32((dice >> 112) % 4);
        uint256 count = (dice >> 120) % 3;
        t.studies = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) t.studies[i] = bytes32(i + 1 + ((dice >> 128) % 2));
    }

    function signedPart(
        bytes32 team,
        address account,
        uint8 part,
        uint48[2] memory ends,
        uint256 by
    ) private view returns (bytes memory) {
        uint32 nonce = teams.teamNonce(team);
        bytes32 digest = Messages.teamChange(address(teams), team, account, part, ends, nonce, FOREVER);
        return
            abi.encodeCall(
                teams.setPartBySignature,
                (team, account, part, ends[0], ends[1], Messages.WORDS, FOREVER, signerOf(by), signed(by, digest))
            );
    }

    /// @dev Mostly someone with the right to act for the patient; now and then anybody.
    function author(uint8 patient, uint8 who) private view returns (uint256) {
        IPatientRegistry.Patient memory known = patients.patient(key_(patient));
        if (who < 150) return keyOf(known.controller, who);
        return who < 200 ? keyOf(known.guardian, who) : key(who);
    }

    /// @dev The key behind a signer of the cast; without a signer, anybody's.
    function keyOf(bytes memory signer, uint8 who) private view returns (uint256) {
        for (uint8 i = 0; i < 5; ++i) if (keccak256(signerOf(_keys[i])) == keccak256(signer)) return _keys[i];
        return key(who);
    }

    function key(uint8 who) private view returns (uint256) {
        return _keys[who % 5];
    }

    function key_(uint8 patient) private view returns (bytes32) {
        return _patients[patient % 3];
    }
}

/// @dev The mirror reverts on an event that breaks a rule; a handler's revert fails the run (failOnRevert).
contract HistoryInvariantTest is Assertions {
    HistoryMaker private history;

    function setUp() external {
        history = new HistoryMaker();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(history);
    }

    function invariant_08_state_is_rebuilt_from_events_alone() external view {
        history.compare();
        history.compareEmergencies();
    }

    function invariant_01_verdicts_follow_from_authorised_events() external view {
        history.compareVerdicts();
    }

    function afterInvariant() external view {
        assertTrue(history.changes() > 20, "a history in which something happens");
    }
}
