// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {IConsentryRoles} from "../src/IConsentryRoles.sol";
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
    mapping(bytes32 => bytes32[]) private _ids;
    mapping(bytes32 => uint32) private _epochs;

    uint48 private immutable MOVE_DELAY;

    constructor(uint48 moveDelay) {
        MOVE_DELAY = moveDelay;
    }

    function fold(Vm.Log calldata entry) external {
        bytes32 kind = entry.topics[0];
        bytes32 key = entry.topics[1];
        if (kind == IConsentryRoles.RoleSet.selector) {
            (uint48 from, uint48 until) = abi.decode(entry.data, (uint48, uint48));
            _roles[key][account(entry.topics[2])] = Window(from, until);
        } else if (kind == IConsentryRoles.RoleWithdrawn.selector) {
            delete _roles[key][account(entry.topics[2])];
        } else if (kind == IConsentRegistry.ConsentGranted.selector) {
            foldGrant(entry);
        } else if (kind == IConsentRegistry.ConsentRevoked.selector) {
            foldRevocation(entry);
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
    function decide(
        address actor,
        bytes32 key,
        bytes32 study,
        uint8 action,
        uint8 purpose
    ) external view returns (bool, bytes32) {
        if (_controllers[key] == address(0)) return (false, 0);
        uint8 capacity = capacityOf(key, actor);
        if (action != 8 && capacity == 1 && purpose == 5) return (true, keccak256("consentry.basis.self"));
        bool guards = actor == _guardians[key] && block.timestamp < _patients[key].guardianUntil;
        if (action != 8 && guards && (purpose == 6 || purpose == 7)) {
            return (true, keccak256("consentry.basis.guardian"));
        }
        if (!holds(Roles.PHYSICIAN, actor)) return (false, 0);
        bytes32 earliest;
        for (uint256 i = _ids[key].length; i > 0; --i) {
            bytes32 id = _ids[key][i - 1];
            IConsentRegistry.Consent memory c = _consents[key][id];
            if (c.status != IConsentRegistry.Status.Granted || c.grantee != bytes32(uint256(uint160(actor)))) continue;
            if (block.timestamp < c.validFrom || block.timestamp >= c.validUntil) continue;
            if (c.purposes & (1 << purpose) == 0 || !named(c.studies, study)) continue;
            bool covers = c.actions & action != 0;
            if (c.effect == 0) {
                if (covers || (action == 4 && c.actions & 2 != 0)) return (false, 0);
            } else if (covers || (action == 2 && c.actions & 4 != 0)) {
                earliest = id;
            }
        }
        return (earliest != 0, earliest);
    }

    function holds(bytes32 role, address holder) public view returns (bool) {
        Window memory w = _roles[role][holder];
        return w.from <= block.timestamp && block.timestamp < w.until;
    }

    function capacityOf(bytes32 key, address actor) public view returns (uint8) {
        if (actor == address(0)) return 0;
        if (actor == _controllers[key]) return 1;
        return actor == _guardians[key] && block.timestamp < _patients[key].guardianUntil ? 2 : 0;
    }

    function foldPatient(bytes32 kind, bytes32 key, Vm.Log calldata entry) private {
        IPatientRegistry.Patient storage p = _patients[key];
        bool claimed = _controllers[key] != address(0);
        if (kind == IPatientRegistry.PatientEnrolled.selector) {
            require(!claimed, RuleBroken("enrolled when claimed"));
            (p.claimKey, p.claimUntil) = abi.decode(entry.data, (address, uint48));
        } else if (kind == IPatientRegistry.PatientClaimed.selector) {
            require(!claimed && block.timestamp < p.claimUntil, RuleBroken("claimed twice or late"));
            (p.claimKey, p.claimUntil) = (address(0), 0);
            p.controller = abi.decode(entry.data, (bytes));
            _controllers[key] = account(entry.topics[2]);
        } else if (kind == IPatientRegistry.MoveStarted.selector) {
            require(claimed, RuleBroken("moved before claimed"));
            (p.newController, p.moveReadyAt) = abi.decode(entry.data, (bytes, uint48));
            require(p.moveReadyAt == block.timestamp + MOVE_DELAY, RuleBroken("another delay"));
            ++p.moveNonce;
        } else if (kind == IPatientRegistry.MoveVetoed.selector) {
            require(p.moveReadyAt != 0, RuleBroken("vetoed nothing"));
            (p.newController, p.moveReadyAt) = ("", 0);
        } else if (kind == IPatientRegistry.ControllerMoved.selector) {
            require(p.moveReadyAt != 0 && block.timestamp >= p.moveReadyAt, RuleBroken("moved too soon"));
            bytes memory controller = abi.decode(entry.data, (bytes));
            require(keccak256(controller) == keccak256(p.newController), RuleBroken("moved elsewhere"));
            p.controller = controller;
            (p.newController, p.moveReadyAt) = ("", 0);
            _controllers[key] = account(entry.topics[2]);
        } else if (kind == IPatientRegistry.GuardianSet.selector) {
            (p.guardian, p.guardianUntil) = abi.decode(entry.data, (bytes, uint48));
            _guardians[key] = account(entry.topics[2]);
            ++p.guardianNonce;
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
        // The four words after those six.
        (uint32 agreed, , address grantor, uint8 capacity) = abi.decode(
            entry.data[192:320],
            (uint32, bytes32, address, uint8)
        );
        require(agreed == _epochs[key], RuleBroken("granted under an old epoch"));
        require(capacity != 0 && capacityOf(key, grantor) == capacity, RuleBroken("granted without authority"));
        _ids[key].push(entry.topics[2]);
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
