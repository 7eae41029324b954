// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IConsentryRoles} from "./IConsentryRoles.sol";
import {IPatientRegistry} from "./IPatientRegistry.sol";
import {Roles} from "./Roles.sol";
import {Signatures} from "./Signatures.sol";

/// @title Patient keys and who controls them
/// @notice A key is enrolled by a registrar, claimed by its patient (a ward's by a guardian), moved only after a delay
/// with a veto, and erased for good.
contract PatientRegistry is IPatientRegistry, EIP712 {
    struct Binding {
        address claimKey;
        uint48 claimUntil;
        uint48 wardUntil;
        address controllerActor;
        uint48 guardianUntil;
        uint32 guardianNonce;
        bool erased;
        address guardianActor;
        uint48 moveReadyAt;
        uint32 moveNonce;
        bytes controller;
        bytes guardian;
        bytes newController;
    }

    bytes32 private constant CLAIM_TYPE = keccak256(
        "Claim(string words,bytes32 patientKey,bytes controller,uint48 deadline)"
    );
    bytes32 private constant MOVE_VETO_TYPE = keccak256(
        "MoveVeto(string words,bytes32 patientKey,uint32 moveNonce,uint48 deadline)"
    );
    bytes32 private constant MOVE_ACCEPTANCE_TYPE = keccak256(
        "MoveAcceptance(string words,bytes32 patientKey,bytes controller,uint32 moveNonce,uint48 deadline)"
    );
    bytes32 private constant GUARDIAN_CHANGE_TYPE = keccak256(
        "GuardianChange(string words,bytes32 patientKey,bytes guardian,uint48 validUntil,uint32 guardianNonce,uint48 deadline)"
    );

    uint8 private constant NONE = 0;
    uint8 private constant CONTROLLER = 1;
    uint8 private constant GUARDIAN = 2;

    /// @notice Where staff roles are kept.
    IConsentryRoles public immutable ROLES;
    /// @notice Seconds between the start of a move and its earliest end.
    uint48 public immutable MOVE_DELAY;

    mapping(bytes32 patientKey => Binding) private _bindings;

    modifier onlyRegistrar() {
        if (!ROLES.holds(Roles.REGISTRAR, msg.sender)) revert NotRegistrar(msg.sender);
        _;
    }

    /// @notice Fixes for good what the contract builds on.
    /// @param roles where staff roles are kept
    /// @param moveDelay seconds in which a move can be vetoed; not zero
    constructor(IConsentryRoles roles, uint48 moveDelay) EIP712("Consentry Patients", "1") {
        if (moveDelay == 0) revert MoveDelayZero();
        ROLES = roles;
        MOVE_DELAY = moveDelay;
    }

    /// @inheritdoc IPatientRegistry
    function enrol(
        bytes32 patientKey,
        address claimKey,
        uint48 claimUntil,
        uint48 wardUntil
    ) external override onlyRegistrar {
        if (patientKey == bytes32(0) || claimKey == address(0)) revert ZeroKey();
        if (claimUntil <= block.timestamp) revert TimeNotAhead(claimUntil, block.timestamp);
        if (wardUntil != 0 && wardUntil <= block.timestamp) revert TimeNotAhead(wardUntil, block.timestamp);
        Binding storage b = _notErased(patientKey);
        if (b.controllerActor != address(0)) revert AlreadyClaimed(patientKey);
        b.claimKey = claimKey;
        b.claimUntil = claimUntil;
        b.wardUntil = wardUntil;
        emit PatientEnrolled(patientKey, claimKey, claimUntil, wardUntil);
    }

    /// @inheritdoc IPatientRegistry
    function claim(
        bytes32 patientKey,
        bytes calldata controller,
        bytes calldata claimSignature,
        bytes calldata controllerSignature,
        uint48 deadline,
        bytes32 wordsHash
    ) external override {
        _requireInTime(deadline);
        Signatures.requireWellFormed(controller);
        Binding storage b = _notErased(patientKey);
        if (b.controllerActor != address(0)) revert AlreadyClaimed(patientKey);
        if (block.timestamp >= b.claimUntil) revert NotClaimable(patientKey, b.claimUntil, block.timestamp);
        _requireInWardTime(b, patientKey);
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(CLAIM_TYPE, wordsHash, patientKey, keccak256(controller), deadline))
        );
        // The claim key is a bare one-time key: no contract stands in for it.
        if (!Signatures.isByKey(b.claimKey, digest, claimSignature)) {
            revert SignatureInvalid(abi.encodePacked(b.claimKey));
        }
        _requireSigned(controller, digest, controllerSignature);
        address actor = Signatures.actorOf(controller);
        delete b.claimKey;
        delete b.claimUntil;
        b.controllerActor = actor;
        b.controller = controller;
        emit PatientClaimed(patientKey, actor, controller);
    }

    /// @inheritdoc IPatientRegistry
    function startMove(bytes32 patientKey, bytes calldata newController) external override {
        Binding storage b = _claimed(patientKey);
        if (!ROLES.holds(Roles.REGISTRAR, msg.sender)) {
            if (msg.sender != b.controllerActor) revert NotRegistrarNorController(msg.sender, patientKey);
            _requireInWardTime(b, patientKey);
        }
        Signatures.requireWellFormed(newController);
        // After a ward's time the signer may well be the patient's own already: this move then frees them.
        bool same = keccak256(newController) == keccak256(b.controller);
        if (same && _controllerCapacity(b) != NONE) revert MoveToSame(patientKey);
        uint48 readyAt = uint48(block.timestamp) + MOVE_DELAY;
        b.newController = newController;
        b.moveReadyAt = readyAt;
        // A new number for each move: a veto or acceptance signed for one never touches another.
        ++b.moveNonce;
        emit MoveStarted(patientKey, newController, readyAt);
    }

    /// @inheritdoc IPatientRegistry
    function vetoMove(bytes32 patientKey) external override {
        Binding storage b = _byController(patientKey);
        _requirePending(b, patientKey);
        _endMove(b);
        emit MoveVetoed(patientKey);
    }

    /// @inheritdoc IPatientRegistry
    function vetoMoveBySignature(
        bytes32 patientKey,
        bytes calldata signature,
        uint48 deadline,
        bytes32 wordsHash
    ) external override {
        _requireInTime(deadline);
        Binding storage b = _acting(patientKey);
        _requirePending(b, patientKey);
        bytes32 digest = _hashTypedDataV4(
            keccak256(abi.encode(MOVE_VETO_TYPE, wordsHash, patientKey, b.moveNonce, deadline))
        );
        _requireSigned(b.controller, digest, signature);
        _endMove(b);
        emit MoveVetoed(patientKey);
    }

    /// @inheritdoc IPatientRegistry
    function finishMove(
        bytes32 patientKey,
        bytes calldata signature,
        uint48 deadline,
        bytes32 wordsHash
    ) external override {
        _requireInTime(deadline);
        Binding storage b = _notErased(patientKey);
        _requirePending(b, patientKey);
        if (block.timestamp < b.moveReadyAt) revert MoveNotReady(b.moveReadyAt, block.timestamp);
        bytes memory controller = b.newController;
        bytes32 digest = _hashTypedDataV4(
            keccak256(
                abi.encode(MOVE_ACCEPTANCE_TYPE, wordsHash, patientKey, keccak256(controller), b.moveNonce, deadline)
            )
        );
        _requireSigned(controller, digest, signature);
        // A move started after the ward's time leads to the patient themselves; one that a guardian started before it,
        // however late it is finished, does not carry the guardian's control past it.
        if (b.wardUntil != 0 && b.moveReadyAt - MOVE_DELAY >= b.wardUntil) delete b.wardUntil;
        _endMove(b);
        address actor = Signatures.actorOf(controller);
        b.controllerActor = actor;
        b.controller = controller;
        emit ControllerMoved(patientKey, actor, controller, b.wardUntil);
    }

    /// @inheritdoc IPatientRegistry
    function setGuardian(bytes32 patientKey, bytes calldata guardian, uint48 validUntil) external override {
        _setGuardian(_byController(patientKey), patientKey, guardian, validUntil);
    }

    /// @inheritdoc IPatientRegistry
    function setGuardianBySignature(
        bytes32 patientKey,
        bytes calldata guardian,
        uint48 validUntil,
        bytes calldata signature,
        uint48 deadline,
        bytes32 wordsHash
    ) external override {
        _requireInTime(deadline);
        Binding storage b = _acting(patientKey);
        bytes32 digest = _hashTypedDataV4(
            keccak256(
                abi.encode(
                    GUARDIAN_CHANGE_TYPE,
                    wordsHash,
                    patientKey,
                    keccak256(guardian),
                    validUntil,
                    b.guardianNonce,
                    deadline
                )
            )
        );
        _requireSigned(b.controller, digest, signature);
        _setGuardian(b, patientKey, guardian, validUntil);
    }

    /// @inheritdoc IPatientRegistry
    function erase(bytes32 patientKey) external override onlyRegistrar {
        Binding storage b = _notErased(patientKey);
        if (!_isEnrolled(b)) revert NotEnrolled(patientKey);
        delete b.claimKey;
        delete b.claimUntil;
        delete b.wardUntil;
        delete b.controllerActor;
        delete b.controller;
        delete b.guardianActor;
        delete b.guardian;
        delete b.guardianUntil;
        _endMove(b);
        b.erased = true;
        emit PatientErased(patientKey);
    }

    /// @inheritdoc IPatientRegistry
    function patient(bytes32 patientKey) external view override returns (Patient memory known) {
        Binding storage b = _bindings[patientKey];
        known.claimKey = b.claimKey;
        known.claimUntil = b.claimUntil;
        known.controller = b.controller;
        known.guardian = b.guardian;
        known.guardianUntil = b.guardianUntil;
        known.guardianNonce = b.guardianNonce;
        known.newController = b.newController;
        known.moveReadyAt = b.moveReadyAt;
        known.moveNonce = b.moveNonce;
        known.wardUntil = b.wardUntil;
        known.erased = b.erased;
    }

    /// @inheritdoc IPatientRegistry
    function controllerActor(bytes32 patientKey) external view override returns (address actor) {
        return _bindings[patientKey].controllerActor;
    }

    /// @inheritdoc IPatientRegistry
    function guardianActor(bytes32 patientKey) external view override returns (address actor) {
        Binding storage b = _bindings[patientKey];
        return block.timestamp < b.guardianUntil ? b.guardianActor : address(0);
    }

    /// @inheritdoc IPatientRegistry
    function capacityOf(bytes32 patientKey, address actor) external view override returns (uint8 capacity) {
        Binding storage b = _bindings[patientKey];
        if (actor == address(0)) return NONE;
        if (actor == b.controllerActor) return _controllerCapacity(b);
        return actor == b.guardianActor && block.timestamp < b.guardianUntil ? GUARDIAN : NONE;
    }

    /// @inheritdoc IPatientRegistry
    function capacityOfSigner(
        bytes32 patientKey,
        bytes calldata signer
    ) external view override returns (uint8 capacity) {
        Binding storage b = _bindings[patientKey];
        if (signer.length == 0) return NONE;
        bytes32 signerHash = keccak256(signer);
        if (signerHash == keccak256(b.controller)) return _controllerCapacity(b);
        return signerHash == keccak256(b.guardian) && block.timestamp < b.guardianUntil ? GUARDIAN : NONE;
    }

    /// @inheritdoc IPatientRegistry
    function mayActAs(bytes32 patientKey, address actor) external view override returns (bool asSelf, bool asGuardian) {
        Binding storage b = _bindings[patientKey];
        if (actor == address(0)) return (false, false);
        bool named = actor == b.guardianActor && block.timestamp < b.guardianUntil;
        if (actor != b.controllerActor) return (false, named);
        return (b.wardUntil == 0, named || block.timestamp < b.wardUntil);
    }

    /// @inheritdoc IPatientRegistry
    function isEnrolled(bytes32 patientKey) external view override returns (bool enrolled) {
        return _isEnrolled(_bindings[patientKey]);
    }

    function _setGuardian(Binding storage b, bytes32 patientKey, bytes calldata guardian, uint48 validUntil) private {
        if (guardian.length == 0) {
            if (validUntil != 0) revert RemovalWithEnd(validUntil);
        } else {
            Signatures.requireWellFormed(guardian);
            if (validUntil <= block.timestamp) revert TimeNotAhead(validUntil, block.timestamp);
            if (b.wardUntil != 0 && validUntil > b.wardUntil) revert GuardianOutlastsWard(validUntil, b.wardUntil);
        }
        address actor = Signatures.actorOf(guardian);
        b.guardian = guardian;
        b.guardianActor = actor;
        b.guardianUntil = validUntil;
        // Counts direct changes too: they void a signed change that was withheld.
        ++b.guardianNonce;
        emit GuardianSet(patientKey, actor, guardian, validUntil);
    }

    function _endMove(Binding storage b) private {
        delete b.newController;
        delete b.moveReadyAt;
    }

    function _notErased(bytes32 patientKey) private view returns (Binding storage b) {
        b = _bindings[patientKey];
        if (b.erased) revert PatientIsErased(patientKey);
    }

    function _claimed(bytes32 patientKey) private view returns (Binding storage b) {
        b = _notErased(patientKey);
        if (b.controllerActor == address(0)) revert NotClaimed(patientKey);
    }

    /// @dev A claimed patient whose controller acts now.
    function _acting(bytes32 patientKey) private view returns (Binding storage b) {
        b = _claimed(patientKey);
        _requireInWardTime(b, patientKey);
    }

    function _byController(bytes32 patientKey) private view returns (Binding storage b) {
        b = _claimed(patientKey);
        if (msg.sender != b.controllerActor) revert NotController(msg.sender, patientKey);
        _requireInWardTime(b, patientKey);
    }

    /// @dev Erasing deletes both.
    function _isEnrolled(Binding storage b) private view returns (bool) {
        return b.claimKey != address(0) || b.controllerActor != address(0);
    }

    function _controllerCapacity(Binding storage b) private view returns (uint8) {
        if (b.wardUntil == 0) return CONTROLLER;
        return block.timestamp < b.wardUntil ? GUARDIAN : NONE;
    }

    function _requireInWardTime(Binding storage b, bytes32 patientKey) private view {
        if (_controllerCapacity(b) == NONE) revert WardOver(patientKey, b.wardUntil, block.timestamp);
    }

    function _requirePending(Binding storage b, bytes32 patientKey) private view {
        if (b.moveReadyAt == 0) revert NoMovePending(patientKey);
    }

    function _requireInTime(uint48 deadline) private view {
        if (deadline < block.timestamp) revert DeadlinePassed(deadline, block.timestamp);
    }

    function _requireSigned(bytes memory signer, bytes32 digest, bytes calldata signature) private view {
        if (!Signatures.isValid(signer, digest, signature)) revert SignatureInvalid(signer);
    }
}
