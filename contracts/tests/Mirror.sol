// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ICareTeams} from "../src/ICareTeams.sol";
import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {IConsentryRoles} from "../src/IConsentryRoles.sol";
import {IEmergencyAccess} from "../src/IEmergencyAccess.sol";
import {IPatientRegistry} from "../src/IPatientRegistry.sol";
import {Roles} from "../src/Roles.sol";
import {Vm} from "./Vm.sol";

/// @dev The state rebuilt from events alone, with the rules that each event must have kept when it was emitted.
contract Mirror {
    error RuleBroken(string rule);

    struct Window {
        uint48 from;
        uint48 until;
    }

    mapping(bytes32 => mapping(address => Window)) private _roles;
    mapping(bytes32 => IPatientRegistry.Patient) private _patients;
    mapping(bytes32 => address) private _controllers;
    mapping(bytes32 => address) private _guardians;
    mapping(bytes32 => mapping(bytes32 => IConsentRegistry.Consent)) private _consents;
    mapping(bytes32 => bool) private _teams;
    mapping(bytes32 => uint32) private _teamNonces;
    mapping(bytes32 => mapping(uint8 => mapping(address => Window))) private _parts;
    mapping(bytes32 => bytes32[]) private _ids;
    mapping(bytes32 => uint32) private _epochs;
    mapping(bytes32 => IEmergencyAccess.Opened) private _emergencies;
    mapping(bytes32 => mapping(address => bytes32[])) private _landed;
    mapping(address => mapping(uint256 => uint32)) private _openings;

    uint48 private immutable MOVE_DELAY;
    uint48 private immutable EMERGENCY_DURATION;
    uint32 private immutable EMERGENCY_QUOTA;

    constructor(uint48 moveDelay, uint48 emergencyDuration, uint32 emergencyQuota) {
        MOVE_DELAY = moveDelay;
        EMERGENCY_DURATION = emergencyDuration;
        EMERGENCY_QUOTA = emergencyQuota;
    }

    function fold(Vm.Log calldata entry) external {
        bytes32 kind = entry.topics[0];
        bytes32 key = entry.topics[1];
        if (kind == IConsentryRoles.RoleSet.selector) {
            (uint48 from, uint48 until) = abi.decode(entry.data, (uint48, uint48));
            _roles[key][account(entry.topics[2])] = Window(from, until);
        } else if (kind == IConsentryRoles.RoleWithdrawn.selector) {
            delete _roles[key][account(entry.topics[2])];
        } else if (kind == ICareTeams.TeamCreated.selector) {
            require(!_teams[key] && uint256(key) >> 160 != 0, RuleBroken("a team created twice, or a person"));
            _teams[key] = true;
        } else if (kind == ICareTeams.TeamPartSet.selector) {
            foldPart(entry);
        } else if (kind == IConsentRegistry.ConsentGranted.selector) {
            foldGrant(entry);
        } else if (kind == IConsentRegistry.ConsentRevoked.selector) {
            foldRevocation(entry);
        } else if (kind == IEmergencyAccess.EmergencyOpened.selector) {
            foldEmergency(entry);
        } else if (kind == IEmergencyAccess.EmergencyReviewed.selector) {
            foldReview(entry);
        } else {
            foldPatient(kind, key, entry);
        }
    }

    function patient(bytes32 key) external view returns (IPatientRegistry.Patient memory) {
        return _patients[key];
    }

    function consent(bytes32 key, bytes32 id) external view returns (IConsentRegistry.Consent memory) {
        return _consents[key][id];
    }

    function consentIds(bytes32 key) external view returns (bytes32[] memory) {
        return _ids[key];
    }

    function epoch(bytes32 key) external view returns (uint32) {
        return _epochs[key];
    }

    /// @dev The rules of docs/CHAIN.md, written a second time.
    function decide(IConsentRegistry.Question calldata q) external view returns (bool, bytes32) {
        bytes32 open_ = openFor(q.patientKey, q.actor);
        if (q.action != 8 && q.purpose == 1 && open_ != 0 && enrolled(q.patientKey)) return (true, open_);
        if (_controllers[q.patientKey] == address(0)) return (false, 0);
        IPatientRegistry.Patient storage p = _patients[q.patientKey];
        bool controls = q.actor == _controllers[q.patientKey];
        if (q.action != 8 && controls && p.wardUntil == 0 && q.purpose == 5) {
            return (true, keccak256("consentry.basis.self"));
        }
        bool guards = q.actor == _guardians[q.patientKey] && block.timestamp < p.guardianUntil;
        guards = guards || (controls && block.timestamp < p.wardUntil);
        if (q.action != 8 && guards && (q.purpose == 6 || q.purpose == 7)) {
            return (true, keccak256("consentry.basis.guardian"));
        }
        if (!holds(Roles.PHYSICIAN, q.actor) || denied(q, q.actor, q.action)) return (false, 0);
        bytes32 earliest;
        for (uint256 i = _ids[q.patientKey].length; i > 0; --i) {
            bytes32 id = _ids[q.patientKey][i - 1];
            IConsentRegistry.Consent memory c = _consents[q.patientKey][id];
            if (c.effect != 1 || !means(c.grantee, q.actor) || !covers(c, q, q.action)) continue;
            if (c.parent == 0 || stands(q, c.parent)) earliest = id;
        }
        return (earliest != 0, earliest);
    }

    function emergency(bytes32 id) external view returns (IEmergencyAccess.Opened memory) {
        return _emergencies[id];
    }

    function openings(address actor, uint256 day) external view returns (uint32) {
        return _openings[actor][day];
    }

    function openFor(bytes32 key, address actor) public view returns (bytes32) {
        bytes32[] storage landed = _landed[key][actor];
        if (landed.length == 0 || !holds(Roles.EMERGENCY, actor)) return 0;
        bytes32 last = landed[landed.length - 1];
        IEmergencyAccess.Opened memory e = _emergencies[last];
        bool inside = block.timestamp >= e.validFrom && block.timestamp < e.validUntil;
        return inside && e.finding != 2 ? last : bytes32(0);
    }

    function enrolled(bytes32 key) public view returns (bool) {
        IPatientRegistry.Patient storage p = _patients[key];
        return !p.erased && (p.claimKey != address(0) || _controllers[key] != address(0));
    }

    function stands(IConsentRegistry.Question calldata q, bytes32 above) private view returns (bool) {
        IConsentRegistry.Consent memory c = _consents[q.patientKey][above];
        address sharer = address(uint160(uint256(c.grantee)));
        if (!open(c) || denied(q, sharer, q.action) || denied(q, sharer, 8)) return false;
        return c.parent == 0 || stands(q, c.parent);
    }

    function denied(IConsentRegistry.Question calldata q, address who, uint8 action) private view returns (bool) {
        for (uint256 i = 0; i < _ids[q.patientKey].length; ++i) {
            IConsentRegistry.Consent memory c = _consents[q.patientKey][_ids[q.patientKey][i]];
            if (c.effect == 0 && means(c.grantee, who) && covers(c, q, action)) return true;
        }
        return false;
    }

    function open(IConsentRegistry.Consent memory c) private view returns (bool) {
        if (c.status != IConsentRegistry.Status.Granted) return false;
        return block.timestamp >= c.validFrom && block.timestamp < c.validUntil;
    }

    function covers(
        IConsentRegistry.Consent memory c,
        IConsentRegistry.Question calldata q,
        uint8 action
    ) private view returns (bool) {
        if (!open(c) || c.purposes & (1 << q.purpose) == 0 || !named(c.studies, q.studyKey)) return false;
        if (c.dateFrom != 0 || c.dateTo != 0) {
            if (q.studyDate == 0 && c.effect == 1) return false;
            uint32 last = c.dateTo == 0 ? type(uint32).max : c.dateTo;
            if (q.studyDate != 0 && (q.studyDate < c.dateFrom || q.studyDate > last)) return false;
        }
        if (c.actions & action != 0) return true;
        return c.effect == 0 ? action == 4 && c.actions & 2 != 0 : action == 2 && c.actions & 4 != 0;
    }

    function means(bytes32 grantee, address who) private view returns (bool) {
        if (grantee == bytes32(uint256(uint160(who)))) return true;
        Window memory w = _parts[grantee][1][who];
        return w.from <= block.timestamp && block.timestamp < w.until;
    }

    function part(bytes32 team, uint8 which, address who) external view returns (uint48, uint48, uint32) {
        Window memory w = _parts[team][which][who];
        return (w.from, w.until, _teamNonces[team]);
    }

    function holds(bytes32 role, address holder) public view returns (bool) {
        Window memory w = _roles[role][holder];
        return w.from <= block.timestamp && block.timestamp < w.until;
    }

    function capacityOf(bytes32 key, address actor) public view returns (uint8) {
        if (actor == address(0)) return 0;
        uint48 wardUntil = _patients[key].wardUntil;
        if (actor == _controllers[key])
            return
                wardUntil == 0
                    ? 1
                    : block.timestamp < wardUntil
                        ? 2
                        : 0;
        return actor == _guardians[key] && block.timestamp < _patients[key].guardianUntil ? 2 : 0;
    }

    function foldPatient(bytes32 kind, bytes32 key, Vm.Log calldata entry) private {
        IPatientRegistry.Patient storage p = _patients[key];
        bool claimed = _controllers[key] != address(0);
        bool acts = p.wardUntil == 0 || block.timestamp < p.wardUntil;
        require(!p.erased, RuleBroken("something after erasure"));
        if (kind == IPatientRegistry.PatientEnrolled.selector) {
            require(!claimed, RuleBroken("enrolled when claimed"));
            (p.claimKey, p.claimUntil, p.wardUntil) = abi.decode(entry.data, (address, uint48, uint48));
            require(p.wardUntil == 0 || p.wardUntil > block.timestamp, RuleBroken("a ward whose day is over"));
        } else if (kind == IPatientRegistry.PatientClaimed.selector) {
            require(!claimed && acts && block.timestamp < p.claimUntil, RuleBroken("claimed twice or late"));
            (p.claimKey, p.claimUntil) = (address(0), 0);
            p.controller = abi.decode(entry.data, (bytes));
            _controllers[key] = account(entry.topics[2]);
        } else if (kind == IPatientRegistry.MoveStarted.selector) {
            require(claimed, RuleBroken("moved before claimed"));
            (p.newController, p.moveReadyAt) = abi.decode(entry.data, (bytes, uint48));
            require(p.moveReadyAt == block.timestamp + MOVE_DELAY, RuleBroken("another delay"));
            ++p.moveNonce;
        } else if (kind == IPatientRegistry.MoveVetoed.selector) {
            require(p.moveReadyAt != 0 && acts, RuleBroken("vetoed nothing, or by nobody"));
            (p.newController, p.moveReadyAt) = ("", 0);
        } else if (kind == IPatientRegistry.ControllerMoved.selector) {
            require(p.moveReadyAt != 0 && block.timestamp >= p.moveReadyAt, RuleBroken("moved too soon"));
            (bytes memory controller, uint48 wardUntil) = abi.decode(entry.data, (bytes, uint48));
            require(keccak256(controller) == keccak256(p.newController), RuleBroken("moved elsewhere"));
            bool ofAge = p.moveReadyAt >= uint256(p.wardUntil) + MOVE_DELAY;
            require(wardUntil == (ofAge ? 0 : p.wardUntil), RuleBroken("of age too early, or not at all"));
            p.wardUntil = wardUntil;
            p.controller = controller;
            (p.newController, p.moveReadyAt) = ("", 0);
            _controllers[key] = account(entry.topics[2]);
        } else if (kind == IPatientRegistry.GuardianSet.selector) {
            (p.guardian, p.guardianUntil) = abi.decode(entry.data, (bytes, uint48));
            require(claimed && acts, RuleBroken("a guardian named by nobody"));
            require(p.wardUntil == 0 || p.guardianUntil <= p.wardUntil, RuleBroken("a guardian for too long"));
            _guardians[key] = account(entry.topics[2]);
            ++p.guardianNonce;
        } else if (kind == IPatientRegistry.PatientErased.selector) {
            require(enrolled(key), RuleBroken("nobody erased"));
            (uint32 moves, uint32 changes) = (p.moveNonce, p.guardianNonce);
            delete _patients[key];
            (p.erased, p.moveNonce, p.guardianNonce) = (true, moves, changes);
            (_controllers[key], _guardians[key]) = (address(0), address(0));
        } else {
            revert RuleBroken("an unknown event");
        }
    }

    function foldGrant(Vm.Log calldata entry) private {
        bytes32 key = entry.topics[1];
        IConsentRegistry.Consent storage c = _consents[key][entry.topics[2]];
        require(c.status == IConsentRegistry.Status.Unused, RuleBroken("an id granted twice"));
        c.status = IConsentRegistry.Status.Granted;
        c.grantee = entry.topics[3];
        (c.effect, c.actions, c.purposes) = abi.decode(entry.data, (uint8, uint8, uint16));
        (c.validFrom, c.validUntil) = abi.decode(entry.data[96:], (uint48, uint48));
        // The studies' place counts from the first word, so the words before it are read past.
        (, , , , , c.studies) = abi.decode(entry.data, (uint8, uint8, uint16, uint48, uint48, bytes32[]));
        (c.dateFrom, c.dateTo, c.parent, c.shareDepth) = abi.decode(
            entry.data[192:320],
            (uint32, uint32, bytes32, uint8)
        );
        // The four words after those ten.
        (uint32 agreed, , address grantor, uint8 capacity) = abi.decode(
            entry.data[320:448],
            (uint32, bytes32, address, uint8)
        );
        require(agreed == _epochs[key], RuleBroken("granted under an old epoch"));
        if (c.parent == 0) {
            require(capacity != 0 && capacityOf(key, grantor) == capacity, RuleBroken("granted without authority"));
        } else {
            require(capacity == 3 && holds(Roles.PHYSICIAN, grantor), RuleBroken("shared on without authority"));
            requireNarrower(c, _consents[key][c.parent], grantor);
        }
        _ids[key].push(entry.topics[2]);
    }

    function requireNarrower(
        IConsentRegistry.Consent memory c,
        IConsentRegistry.Consent memory above,
        address grantor
    ) private view {
        require(open(above) && above.effect == 1 && c.effect == 1, RuleBroken("shared on from nothing"));
        require(above.grantee == bytes32(uint256(uint160(grantor))), RuleBroken("shared on by another"));
        require(c.shareDepth < above.shareDepth && above.shareDepth <= 3, RuleBroken("shared on too far"));
        require(c.actions | above.actions == above.actions, RuleBroken("more actions"));
        require(c.purposes | above.purposes == above.purposes, RuleBroken("more purposes"));
        require(c.validFrom >= above.validFrom && c.validUntil <= above.validUntil, RuleBroken("a longer time"));
        uint32 last = c.dateTo == 0 ? type(uint32).max : c.dateTo;
        uint32 lastAbove = above.dateTo == 0 ? type(uint32).max : above.dateTo;
        require(c.dateFrom >= above.dateFrom && last <= lastAbove, RuleBroken("more dates"));
        require(above.studies.length == 0 || c.studies.length != 0, RuleBroken("every study"));
        for (uint256 i = 0; i < c.studies.length; ++i) {
            require(named(above.studies, c.studies[i]), RuleBroken("more studies"));
        }
    }

    function foldEmergency(Vm.Log calldata entry) private {
        (bytes32 key, bytes32 id, address actor) = (entry.topics[1], entry.topics[2], account(entry.topics[3]));
        (, uint48 from, uint48 until, ) = abi.decode(entry.data, (bytes32, uint48, uint48, bytes32));
        require(_emergencies[id].validUntil == 0 && enrolled(key), RuleBroken("opened twice, or for nobody"));
        require(from < until && until <= from + EMERGENCY_DURATION, RuleBroken("too long, or empty"));
        require(from <= block.timestamp + 60 && block.timestamp <= until + 7 days, RuleBroken("too early or late"));
        Window memory held = _roles[Roles.EMERGENCY][actor];
        require(held.from <= from && from < held.until, RuleBroken("opened without the role"));
        require(++_openings[actor][from / 1 days] <= EMERGENCY_QUOTA, RuleBroken("more than the quota"));
        _emergencies[id] = IEmergencyAccess.Opened(key, actor, from, until, 0, address(0));
        _landed[key][actor].push(id);
    }

    function foldReview(Vm.Log calldata entry) private {
        IEmergencyAccess.Opened storage e = _emergencies[entry.topics[2]];
        (uint8 finding, ) = abi.decode(entry.data, (uint8, bytes32));
        address reviewer = account(entry.topics[3]);
        require(e.actor != address(0) && e.finding == 0, RuleBroken("reviewed twice, or nothing"));
        require(entry.topics[1] == e.patientKey, RuleBroken("reviewed for another patient"));
        require(finding == 1 || finding == 2, RuleBroken("an unknown finding"));
        require(reviewer != e.actor && holds(Roles.AUDITOR, reviewer), RuleBroken("reviewed without authority"));
        (e.finding, e.reviewer) = (finding, reviewer);
    }

    function foldPart(Vm.Log calldata entry) private {
        bytes32 team = entry.topics[1];
        (uint8 which, uint48 from, uint48 until, uint32 nonce) = abi.decode(
            entry.data,
            (uint8, uint48, uint48, uint32)
        );
        require(_teams[team] && (which == 1 || which == 2), RuleBroken("a part in no team"));
        require(nonce == ++_teamNonces[team], RuleBroken("a change skipped"));
        _parts[team][which][account(entry.topics[2])] = Window(from, until);
    }

    function foldRevocation(Vm.Log calldata entry) private {
        bytes32 key = entry.topics[1];
        IConsentRegistry.Consent storage c = _consents[key][entry.topics[2]];
        require(c.status != IConsentRegistry.Status.Revoked, RuleBroken("revoked twice"));
        c.status = IConsentRegistry.Status.Revoked;
        (address grantor, uint8 capacity, uint32 next) = abi.decode(entry.data, (address, uint8, uint32));
        require(capacity != 0 && capacityOf(key, grantor) == capacity, RuleBroken("revoked without authority"));
        require(next == ++_epochs[key], RuleBroken("an epoch skipped"));
    }

    function named(bytes32[] memory studies, bytes32 study) private pure returns (bool found) {
        found = studies.length == 0;
        for (uint256 i = 0; i < studies.length; ++i) found = found || studies[i] == study;
    }

    function account(bytes32 topic) private pure returns (address) {
        return address(uint160(uint256(topic)));
    }
}
