// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IConsentryRoles} from "./IConsentryRoles.sol";
import {IEmergencyAccess} from "./IEmergencyAccess.sol";
import {IPatientRegistry} from "./IPatientRegistry.sol";
import {Roles} from "./Roles.sol";
import {Signatures} from "./Signatures.sol";

/// @title Emergencies declared by holders of the emergency role, and what became of them
/// @notice An emergency ends by its time, with the role, by an unjustified finding or the patient's erasure; by nothing else.
contract EmergencyAccess is IEmergencyAccess, EIP712 {
    bytes32 private constant EMERGENCY_ID_TYPE = keccak256("consentry.emergency.v1");
    bytes32 private constant EMERGENCY_TYPE = keccak256(
        "EmergencyAccess(string words,bytes32 patientKey,bytes32 reasonHash,uint48 validFrom,uint48 validUntil,bytes32 salt)"
    );
    bytes32 private constant REVIEW_TYPE = keccak256(
        "EmergencyReview(string words,bytes32 emergencyId,uint8 finding,bytes32 noteHash,uint48 deadline)"
    );

    /// @notice Seconds after its end in which an emergency can still land.
    uint48 public constant LATEST = 7 days;

    /// @dev The chain's clock may be behind the holder's by this much.
    uint256 private constant CLOCK_TOLERANCE = 60;
    uint8 private constant JUSTIFIED = 1;
    uint8 private constant UNJUSTIFIED = 2;

    /// @notice Where staff roles are kept.
    IConsentryRoles public immutable ROLES;
    /// @notice Where the patients are kept.
    IPatientRegistry public immutable PATIENTS;
    /// @notice Seconds that an emergency lasts at most.
    uint48 public immutable MAX_DURATION;
    /// @notice Most emergencies of one holder that begin on one UTC day.
    uint32 public immutable QUOTA;

    mapping(bytes32 id => Opened) private _emergencies;
    mapping(address actor => mapping(uint256 day => uint32)) private _openings;
    // The one that landed last.
    mapping(bytes32 patientKey => mapping(address actor => bytes32 id)) private _last;

    /// @notice Fixes for good what the contract builds on.
    /// @param roles where staff roles are kept
    /// @param patients where the patients are kept
    /// @param maxDuration seconds that an emergency lasts at most; not zero
    /// @param quota most emergencies of one holder that begin on one UTC day; not zero
    constructor(
        IConsentryRoles roles,
        IPatientRegistry patients,
        uint48 maxDuration,
        uint32 quota
    ) EIP712("Consentry Emergency", "1") {
        if (maxDuration == 0) revert MaxDurationZero();
        if (quota == 0) revert QuotaZero();
        ROLES = roles;
        PATIENTS = patients;
        MAX_DURATION = maxDuration;
        QUOTA = quota;
    }

    /// @inheritdoc IEmergencyAccess
    function open(Emergency calldata declared) external override returns (bytes32 id) {
        return _open(declared, msg.sender);
    }

    /// @inheritdoc IEmergencyAccess
    function openBySignature(
        Emergency calldata declared,
        bytes32 wordsHash,
        bytes calldata signer,
        bytes calldata signature
    ) external override returns (bytes32 id) {
        bytes32 message = keccak256(
            abi.encode(
                EMERGENCY_TYPE,
                wordsHash,
                declared.patientKey,
                declared.reasonHash,
                declared.validFrom,
                declared.validUntil,
                declared.salt
            )
        );
        return _open(declared, _requireSigned(signer, message, signature));
    }

    /// @inheritdoc IEmergencyAccess
    function review(bytes32 id, uint8 finding, bytes32 noteHash) external override {
        _review(id, finding, noteHash, msg.sender);
    }

    /// @inheritdoc IEmergencyAccess
    function reviewBySignature(
        bytes32 id,
        uint8 finding,
        bytes32 noteHash,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external override {
        if (deadline < block.timestamp) revert ReviewDeadlinePassed(deadline, block.timestamp);
        bytes32 message = keccak256(abi.encode(REVIEW_TYPE, wordsHash, id, finding, noteHash, deadline));
        _review(id, finding, noteHash, _requireSigned(signer, message, signature));
    }

    /// @inheritdoc IEmergencyAccess
    function emergency(bytes32 id) external view override returns (Opened memory kept) {
        return _emergencies[id];
    }

    /// @inheritdoc IEmergencyAccess
    function openings(address actor, uint256 day) external view override returns (uint32 count) {
        return _openings[actor][day];
    }

    /// @inheritdoc IEmergencyAccess
    function openFor(bytes32 patientKey, address actor) external view override returns (bytes32 id) {
        bytes32 last = _last[patientKey][actor];
        Opened storage kept = _emergencies[last];
        bool inside = kept.validFrom <= block.timestamp && block.timestamp < kept.validUntil;
        if (!inside || kept.finding == UNJUSTIFIED || !ROLES.holds(Roles.EMERGENCY, actor)) return 0;
        return last;
    }

    /// @inheritdoc IEmergencyAccess
    function emergencyId(Emergency calldata declared, address actor) public view override returns (bytes32 id) {
        return
            keccak256(
                abi.encode(
                    EMERGENCY_ID_TYPE,
                    block.chainid,
                    address(this),
                    declared.patientKey,
                    actor,
                    declared.reasonHash,
                    declared.validFrom,
                    declared.validUntil,
                    declared.salt
                )
            );
    }

    function _open(Emergency calldata declared, address actor) private returns (bytes32 id) {
        (bytes32 patientKey, uint48 validFrom, uint48 validUntil) = _requireSound(declared, actor);
        id = emergencyId(declared, actor);
        if (_emergencies[id].validUntil != 0) revert EmergencyIdUsed(id);
        // The day of the emergency, not of the block: a chain that was away does not make yesterday's count today.
        uint256 day = validFrom / 1 days;
        if (_openings[actor][day] >= QUOTA) revert QuotaUsed(actor, day);
        ++_openings[actor][day];
        _emergencies[id] = Opened(patientKey, actor, validFrom, validUntil, 0, address(0));
        _last[patientKey][actor] = id;
        emit EmergencyOpened(patientKey, id, actor, declared.reasonHash, validFrom, validUntil, declared.salt);
    }

    function _review(bytes32 id, uint8 finding, bytes32 noteHash, address reviewer) private {
        if (finding != JUSTIFIED && finding != UNJUSTIFIED) revert FindingUnknown(finding);
        Opened storage kept = _emergencies[id];
        if (kept.validUntil == 0) revert EmergencyUnknown(id);
        if (kept.finding != 0) revert AlreadyReviewed(id);
        if (reviewer == kept.actor) revert ReviewerIsActor(id);
        if (!ROLES.holds(Roles.AUDITOR, reviewer)) revert NotAuditor(reviewer);
        kept.finding = finding;
        kept.reviewer = reviewer;
        emit EmergencyReviewed(kept.patientKey, id, reviewer, finding, noteHash);
    }

    function _requireSound(
        Emergency calldata declared,
        address actor
    ) private view returns (bytes32 patientKey, uint48 validFrom, uint48 validUntil) {
        (patientKey, validFrom, validUntil) = (declared.patientKey, declared.validFrom, declared.validUntil);
        if (validUntil <= validFrom || validUntil - validFrom > MAX_DURATION) {
            revert DurationUnsound(validFrom, validUntil);
        }
        if (validFrom > block.timestamp + CLOCK_TOLERANCE) revert BeginsTooLate(validFrom, block.timestamp);
        if (block.timestamp > uint256(validUntil) + LATEST) revert LandsTooLate(validUntil, block.timestamp);
        if (!PATIENTS.isEnrolled(patientKey)) revert PatientNotEnrolled(patientKey);
        (uint48 from, uint48 until) = ROLES.window(Roles.EMERGENCY, actor);
        if (validFrom < from || validFrom >= until) revert NotEmergencyHolder(actor, validFrom);
    }

    function _requireSigned(
        bytes calldata signer,
        bytes32 message,
        bytes calldata signature
    ) private view returns (address actor) {
        if (!Signatures.isValid(signer, _hashTypedDataV4(message), signature)) {
            revert EmergencySignatureInvalid(signer);
        }
        actor = Signatures.actorOf(signer);
    }
}
