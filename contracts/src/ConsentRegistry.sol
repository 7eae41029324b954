// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {IConsentRegistry} from "./IConsentRegistry.sol";
import {IConsentryRoles} from "./IConsentryRoles.sol";
import {IPatientRegistry} from "./IPatientRegistry.sol";
import {Roles} from "./Roles.sol";
import {Signatures} from "./Signatures.sol";

/// @title Consents and denials, and the verdict that follows from them
/// @notice Only a patient's controller or valid guardian grants and revokes, by transaction or by a relayed signature.
contract ConsentRegistry is IConsentRegistry, EIP712 {
    bytes32 private constant CONSENT_ID_TYPE = keccak256("consentry.consent.v1");
    bytes32 private constant CONSENT_TYPE = keccak256(
        "Consent(string words,bytes32 patientKey,bytes32 grantee,uint8 effect,uint8 actions,uint16 purposes,uint48 validFrom,uint48 validUntil,bytes32[] studies,uint32 epoch,bytes32 salt,uint48 deadline)"
    );
    bytes32 private constant REVOCATION_TYPE = keccak256(
        "Revocation(string words,bytes32 patientKey,bytes32 consentId,uint48 deadline)"
    );

    /// @notice The basis of a patient's own access.
    bytes32 public constant SELF = keccak256("consentry.basis.self");
    /// @notice The basis of a guardian's access.
    bytes32 public constant GUARDIAN = keccak256("consentry.basis.guardian");
    /// @notice Most studies that one consent names.
    uint256 public constant MAX_STUDIES = 64;

    uint8 private constant SEARCH = 1;
    uint8 private constant VIEW = 2;
    uint8 private constant RETRIEVE = 4;
    uint8 private constant SHARE = 8;
    uint8 private constant ALL_ACTIONS = SEARCH | VIEW | RETRIEVE | SHARE;

    uint8 private constant PATRQT = 5;
    uint8 private constant FAMRQT = 6;
    uint8 private constant PWATRNY = 7;
    uint8 private constant LAST_PURPOSE = 11;
    uint16 private constant ALL_PURPOSES = uint16((1 << (LAST_PURPOSE + 1)) - 1);

    uint8 private constant DENY = 0;
    uint8 private constant PERMIT = 1;

    /// @notice Where staff roles are kept.
    IConsentryRoles public immutable ROLES;
    /// @notice Where the patients' controllers are kept.
    IPatientRegistry public immutable PATIENTS;

    // By patient first: whoever acts for one patient reaches nobody else's ids.
    mapping(bytes32 patientKey => mapping(bytes32 id => Consent)) private _consents;
    mapping(bytes32 patientKey => bytes32[]) private _ids;
    mapping(bytes32 patientKey => uint32) private _epochs;

    /// @notice Fixes for good what the contract builds on.
    /// @param roles where staff roles are kept
    /// @param patients where the patients' controllers are kept
    constructor(IConsentryRoles roles, IPatientRegistry patients) EIP712("Consentry Consents", "1") {
        ROLES = roles;
        PATIENTS = patients;
    }

    /// @inheritdoc IConsentRegistry
    function grant(Terms calldata terms) external override returns (bytes32 id) {
        return _grant(terms, msg.sender, _senderCapacity(terms.patientKey));
    }

    /// @inheritdoc IConsentRegistry
    function grantBySignature(
        Terms calldata terms,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external override returns (bytes32 id) {
        bytes32 message = _consentHash(terms, wordsHash, deadline);
        (address grantor, uint8 capacity) = _signerCapacity(terms.patientKey, message, deadline, signer, signature);
        return _grant(terms, grantor, capacity);
    }

    /// @inheritdoc IConsentRegistry
    function revoke(bytes32 patientKey, bytes32 id) external override {
        _revoke(patientKey, id, msg.sender, _senderCapacity(patientKey));
    }

    /// @inheritdoc IConsentRegistry
    function revokeBySignature(
        bytes32 patientKey,
        bytes32 id,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external override {
        bytes32 message = keccak256(abi.encode(REVOCATION_TYPE, wordsHash, patientKey, id, deadline));
        (address grantor, uint8 capacity) = _signerCapacity(patientKey, message, deadline, signer, signature);
        _revoke(patientKey, id, grantor, capacity);
    }

    /// @inheritdoc IConsentRegistry
    function decide(
        address actor,
        bytes32 patientKey,
        bytes32 studyKey,
        uint8 action,
        uint8 purpose
    ) external view override returns (bool permitted, bytes32 basis) {
        if (!_isOneAction(action) || purpose > LAST_PURPOSE || actor == address(0)) return (false, 0);
        address controller = PATIENTS.controllerActor(patientKey);
        if (controller == address(0)) return (false, 0);
        if (action != SHARE) {
            if (purpose == PATRQT && actor == controller) return (true, SELF);
            bool family = purpose == FAMRQT || purpose == PWATRNY;
            if (family && actor == PATIENTS.guardianActor(patientKey)) return (true, GUARDIAN);
        }
        if (!ROLES.holds(Roles.PHYSICIAN, actor)) return (false, 0);
        return _verdict(bytes32(uint256(uint160(actor))), patientKey, studyKey, action, purpose);
    }

    /// @inheritdoc IConsentRegistry
    function consentIds(bytes32 patientKey) external view override returns (bytes32[] memory ids) {
        return _ids[patientKey];
    }

    /// @inheritdoc IConsentRegistry
    function consent(bytes32 patientKey, bytes32 id) external view override returns (Consent memory kept) {
        return _consents[patientKey][id];
    }

    /// @inheritdoc IConsentRegistry
    function epoch(bytes32 patientKey) external view override returns (uint32 current) {
        return _epochs[patientKey];
    }

    /// @inheritdoc IConsentRegistry
    function consentId(Terms calldata terms) public view override returns (bytes32 id) {
        // Two halves, all words of fixed size, because one call with every field exceeds the stack; the joined bytes
        // are those of a single abi.encode.
        bytes memory head = abi.encode(
            CONSENT_ID_TYPE,
            block.chainid,
            address(this),
            terms.patientKey,
            terms.grantee,
            terms.effect,
            terms.actions
        );
        bytes memory tail = abi.encode(
            terms.purposes,
            terms.validFrom,
            terms.validUntil,
            keccak256(abi.encode(terms.studies)),
            terms.epoch,
            terms.salt
        );
        return keccak256(bytes.concat(head, tail));
    }

    function _grant(Terms calldata terms, address grantor, uint8 capacity) private returns (bytes32 id) {
        _requireSound(terms);
        bytes32 patientKey = terms.patientKey;
        uint32 current = _epochs[patientKey];
        if (terms.epoch != current) revert EpochNotCurrent(terms.epoch, current);
        id = consentId(terms);
        Consent storage kept = _consents[patientKey][id];
        if (kept.status != Status.Unused) revert ConsentIdUsed(patientKey, id);
        kept.status = Status.Granted;
        kept.effect = terms.effect;
        kept.actions = terms.actions;
        kept.purposes = terms.purposes;
        kept.validFrom = terms.validFrom;
        kept.validUntil = terms.validUntil;
        kept.grantee = terms.grantee;
        kept.studies = terms.studies;
        _ids[patientKey].push(id);
        _emitGranted(terms, id, grantor, capacity);
    }

    /// @dev Emits ConsentGranted. An emit statement with its thirteen values exceeds the stack, so the data are joined
    /// from parts: five words, then five more with the place of the studies (after ten words), then the studies.
    function _emitGranted(Terms calldata terms, bytes32 id, address grantor, uint8 capacity) private {
        bytes memory first = abi.encode(terms.effect, terms.actions, terms.purposes, terms.validFrom, terms.validUntil);
        uint256 place = 10 * 32;
        bytes memory second = abi.encode(place, terms.epoch, terms.salt, grantor, capacity, terms.studies.length);
        bytes memory data = bytes.concat(first, second, abi.encodePacked(terms.studies));
        bytes32 topic = ConsentGranted.selector;
        bytes32 patientKey = terms.patientKey;
        bytes32 grantee = terms.grantee;
        assembly ("memory-safe") {
            log4(add(data, 0x20), mload(data), topic, patientKey, id, grantee)
        }
    }

    function _revoke(bytes32 patientKey, bytes32 id, address grantor, uint8 capacity) private {
        Consent storage kept = _consents[patientKey][id];
        if (kept.status == Status.Revoked) revert AlreadyRevoked(patientKey, id);
        kept.status = Status.Revoked;
        uint32 next = ++_epochs[patientKey];
        emit ConsentRevoked(patientKey, id, grantor, capacity, next);
    }

    /// @dev Rule 4 of docs/CHAIN.md: any covering deny wins, else the earliest covering permit.
    function _verdict(
        bytes32 grantee,
        bytes32 patientKey,
        bytes32 studyKey,
        uint8 action,
        uint8 purpose
    ) private view returns (bool permitted, bytes32 basis) {
        bytes32[] storage ids = _ids[patientKey];
        uint256 count = ids.length;
        for (uint256 i = 0; i < count; ++i) {
            bytes32 id = ids[i];
            Consent storage kept = _consents[patientKey][id];
            if (kept.grantee != grantee || !_applies(kept, studyKey, action, purpose)) continue;
            if (kept.effect == DENY) return (false, 0);
            if (!permitted) (permitted, basis) = (true, id);
        }
    }

    function _applies(Consent storage kept, bytes32 studyKey, uint8 action, uint8 purpose) private view returns (bool) {
        if (kept.status != Status.Granted) return false;
        if (block.timestamp < kept.validFrom || block.timestamp >= kept.validUntil) return false;
        if ((kept.purposes >> purpose) & 1 == 0) return false;
        return _coveredActions(kept.effect, kept.actions) & action != 0 && _inScope(kept.studies, studyKey);
    }

    /// @dev Empty means everything. Linear: a consent names at most MAX_STUDIES.
    function _inScope(bytes32[] storage studies, bytes32 studyKey) private view returns (bool) {
        uint256 count = studies.length;
        if (count == 0) return true;
        for (uint256 i = 0; i < count; ++i) {
            if (studies[i] == studyKey) return true;
        }
        return false;
    }

    function _senderCapacity(bytes32 patientKey) private view returns (uint8 capacity) {
        capacity = PATIENTS.capacityOf(patientKey, msg.sender);
        if (capacity == 0) revert NotGrantor(msg.sender, patientKey);
    }

    function _signerCapacity(
        bytes32 patientKey,
        bytes32 message,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) private view returns (address grantor, uint8 capacity) {
        if (deadline < block.timestamp) revert DeadlinePassed(deadline, block.timestamp);
        capacity = PATIENTS.capacityOfSigner(patientKey, signer);
        if (capacity == 0) revert SignerNotGrantor(signer, patientKey);
        if (!Signatures.isValid(signer, _hashTypedDataV4(message), signature)) revert SignatureInvalid(signer);
        grantor = Signatures.actorOf(signer);
    }

    function _requireSound(Terms calldata terms) private view {
        if (terms.grantee == bytes32(0)) revert GranteeZero();
        if (terms.effect > PERMIT) revert EffectUnknown(terms.effect);
        if (terms.actions == 0 || terms.actions & ~ALL_ACTIONS != 0) revert ActionsUnknown(terms.actions);
        if (terms.purposes == 0 || terms.purposes & ~ALL_PURPOSES != 0) revert PurposesUnknown(terms.purposes);
        if (terms.validUntil <= terms.validFrom) revert WindowEmpty(terms.validFrom, terms.validUntil);
        if (terms.validUntil <= block.timestamp) revert WindowOver(terms.validUntil, block.timestamp);
        uint256 count = terms.studies.length;
        if (count > MAX_STUDIES) revert TooManyStudies(count, MAX_STUDIES);
        bytes32 last = 0;
        for (uint256 i = 0; i < count; ++i) {
            bytes32 study = terms.studies[i];
            if (study <= last) revert StudiesNotAscending(i);
            last = study;
        }
    }

    /// @dev EIP-712 hashStruct of Consent, in two halves as in consentId.
    function _consentHash(Terms calldata terms, bytes32 wordsHash, uint48 deadline) private pure returns (bytes32) {
        bytes memory head = abi.encode(
            CONSENT_TYPE,
            wordsHash,
            terms.patientKey,
            terms.grantee,
            terms.effect,
            terms.actions,
            terms.purposes
        );
        bytes memory tail = abi.encode(
            terms.validFrom,
            terms.validUntil,
            // EIP-712 hashes an array as its elements side by side: one dynamic part, whole words.
            keccak256(abi.encodePacked(terms.studies)),
            terms.epoch,
            terms.salt,
            deadline
        );
        return keccak256(bytes.concat(head, tail));
    }

    function _isOneAction(uint8 action) private pure returns (bool) {
        return action != 0 && action & ~ALL_ACTIONS == 0 && action & (action - 1) == 0;
    }

    /// @dev Who may have the pixels may see the picture; who may not see it may not have them.
    function _coveredActions(uint8 effect, uint8 actions) private pure returns (uint8) {
        if (effect == PERMIT) return actions & RETRIEVE != 0 ? actions | VIEW : actions;
        return actions & VIEW != 0 ? actions | RETRIEVE : actions;
    }
}
