// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessLog} from "../src/AccessLog.sol";
import {CareTeams} from "../src/CareTeams.sol";
import {ConsentRegistry} from "../src/ConsentRegistry.sol";
import {ConsentryRoles} from "../src/ConsentryRoles.sol";
import {EmergencyAccess} from "../src/EmergencyAccess.sol";
import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {PatientRegistry} from "../src/PatientRegistry.sol";
import {Roles} from "../src/Roles.sol";
import {Assertions} from "./Assertions.sol";
import {Messages} from "./Messages.sol";
import {vm} from "./Vm.sol";

/// @dev The contracts, a cast of people with keys, and the steps that tests repeat.
abstract contract Stage is Assertions {
    uint48 internal constant NOON = 1_900_000_000;
    uint48 internal constant FOREVER = NOON + 3650 days;
    uint48 internal constant MOVE_DELAY = 2 days;
    uint48 internal constant ADMIN_DELAY = 1 days;
    uint48 internal constant EMERGENCY_DURATION = 4 hours;
    uint32 internal constant EMERGENCY_QUOTA = 10;

    uint256 internal constant ADMIN_KEY = 0xA1;
    uint256 internal constant REGISTRAR_KEY = 0xA2;
    uint256 internal constant RECORDER_KEY = 0xA3;
    uint256 internal constant CLAIM_KEY = 0xC1;
    uint256 internal constant ANNA_KEY = 0xB1;
    uint256 internal constant BEN_KEY = 0xB2;
    uint256 internal constant DOCTOR_KEY = 0xD1;
    uint256 internal constant STRANGER_KEY = 0xE1;

    bytes32 internal constant PATIENT = keccak256("patient one");
    bytes32 internal constant OTHER_PATIENT = keccak256("patient two");

    ConsentryRoles internal roles;
    PatientRegistry internal patients;
    CareTeams internal teams;
    EmergencyAccess internal emergencies;
    ConsentRegistry internal consents;
    AccessLog internal accessLog;

    address internal admin = vm.addr(ADMIN_KEY);
    address internal registrar = vm.addr(REGISTRAR_KEY);
    address internal recorder = vm.addr(RECORDER_KEY);
    address internal anna = vm.addr(ANNA_KEY);
    address internal ben = vm.addr(BEN_KEY);
    address internal doctor = vm.addr(DOCTOR_KEY);
    address internal stranger = vm.addr(STRANGER_KEY);

    /// @dev Builds it all; a test does so in setUp, a handler in its constructor (where a fuzzer cannot call it).
    function build() internal {
        vm.warp(NOON);
        roles = new ConsentryRoles(admin, ADMIN_DELAY);
        patients = new PatientRegistry(roles, MOVE_DELAY);
        teams = new CareTeams(roles);
        emergencies = new EmergencyAccess(roles, patients, EMERGENCY_DURATION, EMERGENCY_QUOTA);
        consents = new ConsentRegistry(roles, patients, teams, emergencies);
        accessLog = new AccessLog(roles);
        giveRole(Roles.REGISTRAR, registrar);
        giveRole(Roles.RECORDER, recorder);
        giveRole(Roles.PHYSICIAN, doctor);
    }

    function giveRole(bytes32 role, address account) internal {
        vm.prank(admin);
        roles.setRole(role, account, 0, FOREVER);
    }

    /// @dev Enrols a key and has it claimed.
    function bind(bytes32 patientKey, uint256 controllerKey) internal {
        bindWard(patientKey, controllerKey, 0);
    }

    /// @dev The same for a ward, until that time; zero for a patient who acts for themselves.
    function bindWard(bytes32 patientKey, uint256 controllerKey, uint48 wardUntil) internal {
        vm.prank(registrar);
        patients.enrol(patientKey, vm.addr(CLAIM_KEY), NOON + 30 days, wardUntil);
        bytes memory controller = signerOf(controllerKey);
        bytes32 digest = Messages.claim(address(patients), patientKey, controller, FOREVER);
        patients.claim(
            patientKey,
            controller,
            signed(CLAIM_KEY, digest),
            signed(controllerKey, digest),
            FOREVER,
            Messages.WORDS
        );
    }

    /// @dev Everything of the patient, for the doctor, for treatment, for a day.
    function openTerms(bytes32 patientKey) internal view returns (IConsentRegistry.Terms memory t) {
        t.patientKey = patientKey;
        t.grantee = person(doctor);
        t.effect = 1;
        t.actions = 7;
        t.purposes = 1;
        t.validFrom = NOON;
        t.validUntil = NOON + 1 days;
        t.epoch = consents.epoch(patientKey);
        t.salt = keccak256("salt");
    }

    function grantSigned(IConsentRegistry.Terms memory t, uint256 key) internal returns (bytes32 id) {
        bytes memory signature = signed(key, Messages.consent(address(consents), t, FOREVER));
        return consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(key), signature);
    }

    function revokeSigned(bytes32 patientKey, bytes32 id, uint256 key) internal {
        bytes memory signature = signed(key, Messages.revocation(address(consents), patientKey, id, FOREVER));
        consents.revokeBySignature(patientKey, id, Messages.WORDS, FOREVER, signerOf(key), signature);
    }

    function mayView(address actor, bytes32 patientKey) internal view returns (bool permitted) {
        (permitted, ) = consents.decide(question(actor, patientKey));
    }

    /// @dev Viewing a study without a date, for treatment.
    function question(address actor, bytes32 patientKey) internal pure returns (IConsentRegistry.Question memory q) {
        (q.actor, q.patientKey, q.studyKey, q.action) = (actor, patientKey, keccak256("a study"), 2);
    }

    function signed(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function signerOf(uint256 key) internal pure returns (bytes memory) {
        return abi.encodePacked(vm.addr(key));
    }

    function person(address account) internal pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}

/// @dev A test that begins with everything built.
abstract contract StagedTest is Stage {
    function setUp() public virtual {
        build();
    }
}
