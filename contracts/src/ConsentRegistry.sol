// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ICareTeams} from "./ICareTeams.sol";
import {IConsentRegistry} from "./IConsentRegistry.sol";
import {IConsentryRoles} from "./IConsentryRoles.sol";
import {IEmergencyAccess} from "./IEmergencyAccess.sol";
import {IPatientRegistry} from "./IPatientRegistry.sol";
import {Roles} from "./Roles.sol";
import {Signatures} from "./Signatures.sol";

/// @title Consents and denials, and the verdict that follows from them
/// @notice Only a patient's controller or valid guardian grants and revokes, by transaction or by a relayed signature.
contract ConsentRegistry is IConsentRegistry, EIP712 {
    bytes32 private constant CONSENT_ID_TYPE = keccak256("consentry.consent.v2");
    bytes32 private constant CONSENT_TYPE = keccak256(
        "Consent(string words,bytes32 patientKey,bytes32 grantee,uint8 effect,uint8 actions,uint16 purposes,uint48 validFrom,uint48 validUntil,bytes32[] studies,uint32 dateFrom,uint32 dateTo,bytes32 parent,uint8 shareDepth,uint32 epoch,bytes32 salt,uint48 deadline)"
    );
    bytes32 private constant CONSENTS_TYPE = keccak256(
        "Consents(string words,Grant[] grants,uint48 deadline)Grant(bytes32 patientKey,bytes32 grantee,uint8 effect,uint8 actions,uint16 purposes,uint48 validFrom,uint48 validUntil,bytes32[] studies,uint32 dateFrom,uint32 dateTo,bytes32 parent,uint8 shareDepth,uint32 epoch,bytes32 salt)"
    );
    bytes32 private constant GRANT_TYPE = keccak256(
        "Grant(bytes32 patientKey,bytes32 grantee,uint8 effect,uint8 actions,uint16 purposes,uint48 validFrom,uint48 validUntil,bytes32[] studies,uint32 dateFrom,uint32 dateTo,bytes32 parent,uint8 shareDepth,uint32 epoch,bytes32 salt)"
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
    /// @notice Most grants that one signature carries; they name at most MAX_STUDIES together.
    uint256 public constant MAX_GRANTS = 16;
    /// @notice Most times in a row that what a patient consented to is shared on.
    uint8 public constant MAX_SHARE_DEPTH = 3;

    uint8 private constant SEARCH = 1;
    uint8 private constant VIEW = 2;
    uint8 private constant RETRIEVE = 4;
    uint8 private constant SHARE = 8;
    uint8 private constant ALL_ACTIONS = SEARCH | VIEW | RETRIEVE | SHARE;

    uint8 private constant ETREAT = 1;
    uint8 private constant PATRQT = 5;
    uint8 private constant FAMRQT = 6;
    uint8 private constant PWATRNY = 7;
    uint8 private constant LAST_PURPOSE = 11;
    uint16 private constant ALL_PURPOSES = uint16((1 << (LAST_PURPOSE + 1)) - 1);

    uint8 private constant DENY = 0;
    uint8 private constant PERMIT = 1;

    uint8 private constant MEMBER = 1;
    uint8 private constant GRANTEE = 3;

    /// @notice Where staff roles are kept.
    IConsentryRoles public immutable ROLES;
    /// @notice Where the patients' controllers are kept.
    IPatientRegistry public immutable PATIENTS;
    /// @notice Where the care teams are kept.
    ICareTeams public immutable TEAMS;
    /// @notice Where the emergencies are kept.
    IEmergencyAccess public immutable EMERGENCIES;

    // By patient first: whoever acts for one patient reaches nobody else's ids.
    mapping(bytes32 patientKey => mapping(bytes32 id => Consent)) private _consents;
    mapping(bytes32 patientKey => bytes32[]) private _ids;
    mapping(bytes32 patientKey => uint32) private _epochs;

    /// @notice Fixes for good what the contract builds on.
    /// @param roles where staff roles are kept
    /// @param patients where the patients' controllers are kept
    /// @param teams where the care teams are kept
    /// @param emergencies where the emergencies are kept
    constructor(
        IConsentryRoles roles,
        IPatientRegistry patients,
        ICareTeams teams,
        IEmergencyAccess emergencies
    ) EIP712("Consentry Consents", "1") {
        ROLES = roles;
        PATIENTS = patients;
        TEAMS = teams;
        EMERGENCIES = emergencies;
    }

    /// @inheritdoc IConsentRegistry
    function grant(Terms calldata terms) external override returns (bytes32 id) {
        uint8 capacity = terms.parent == 0 ? _senderCapacity(terms.patientKey) : GRANTEE;
        return _grant(terms, msg.sender, capacity);
    }

    /// @inheritdoc IConsentRegistry
    function grantBySignature(
        Terms calldata terms,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external override returns (bytes32 id) {
        _requireInTime(deadline);
        uint8 capacity = _grantCapacity(terms, signer);
        bytes memory fields = _fields(terms);
        bytes32 message = keccak256(bytes.concat(abi.encode(CONSENT_TYPE, wordsHash), fields, abi.encode(deadline)));
        return _grant(terms, _requireSigned(signer, message, signature), capacity);
    }

    /// @inheritdoc IConsentRegistry
    function grantAllBySignature(
        Terms[] calldata grants,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external override returns (bytes32[] memory ids) {
        _requireInTime(deadline);
        address grantor = _requireSigned(signer, _bundleHash(grants, wordsHash, deadline), signature);
        uint256 count = grants.length;
        ids = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) ids[i] = _grant(grants[i], grantor, _grantCapacity(grants[i], signer));
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
        _requireInTime(deadline);
        uint8 capacity = _signerCapacity(patientKey, signer);
        bytes32 message = keccak256(abi.encode(REVOCATION_TYPE, wordsHash, patientKey, id, deadline));
        _revoke(patientKey, id, _requireSigned(signer, message, signature), capacity);
    }

    /// @inheritdoc IConsentRegistry
    function decide(Question calldata question) external view override returns (bool permitted, bytes32 basis) {
        Question memory q = question;
        if (!_isOneAction(q.action) || q.purpose > LAST_PURPOSE || q.actor == address(0)) return (false, 0);
        if (q.action != SHARE && q.purpose == ETREAT && PATIENTS.isEnrolled(q.patientKey)) {
            // No deny stands against it: it is told to the patient and reviewed instead (rule 1a of docs/CHAIN.md).
            bytes32 emergency = EMERGENCIES.openFor(q.patientKey, q.actor);
            if (emergency != 0) return (true, emergency);
        }
        if (PATIENTS.controllerActor(q.patientKey) == address(0)) return (false, 0);
        if (q.action != SHARE) {
            (bool asSelf, bool asGuardian) = PATIENTS.mayActAs(q.patientKey, q.actor);
            if (asSelf && q.purpose == PATRQT) return (true, SELF);
            if (asGuardian && (q.purpose == FAMRQT || q.purpose == PWATRNY)) return (true, GUARDIAN);
        }
        if (!ROLES.holds(Roles.PHYSICIAN, q.actor)) return (false, 0);
        return _verdict(q);
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
        bytes memory first = abi.encode(CONSENT_ID_TYPE, block.chainid, address(this));
        return keccak256(bytes.concat(first, _words(terms, keccak256(abi.encode(terms.studies)))));
    }

    function _grant(Terms calldata terms, address grantor, uint8 capacity) private returns (bytes32 id) {
        _requireSound(terms);
        bytes32 patientKey = terms.patientKey;
        uint32 current = _epochs[patientKey];
        if (terms.epoch != current) revert EpochNotCurrent(terms.epoch, current);
        if (terms.parent != 0) _requireShareable(terms, grantor);
        id = consentId(terms);
        Consent storage kept = _consents[patientKey][id];
        if (kept.status != Status.Unused) revert ConsentIdUsed(patientKey, id);
        kept.status = Status.Granted;
        kept.effect = terms.effect;
        kept.actions = terms.actions;
        kept.purposes = terms.purposes;
        kept.validFrom = terms.validFrom;
        kept.validUntil = terms.validUntil;
        kept.dateFrom = terms.dateFrom;
        kept.dateTo = terms.dateTo;
        kept.shareDepth = terms.shareDepth;
        kept.grantee = terms.grantee;
        kept.parent = terms.parent;
        kept.studies = terms.studies;
        _ids[patientKey].push(id);
        _emitGranted(terms, id, grantor, capacity);
    }

    /// @dev Emits ConsentGranted. An emit statement with its values exceeds the stack, so the data are joined from
    /// parts: five words, then nine more with the place of the studies (after fourteen words), then the studies.
    function _emitGranted(Terms calldata terms, bytes32 id, address grantor, uint8 capacity) private {
        bytes memory first = abi.encode(terms.effect, terms.actions, terms.purposes, terms.validFrom, terms.validUntil);
        uint256 place = 14 * 32;
        bytes memory second = abi.encode(place, terms.dateFrom, terms.dateTo, terms.parent, terms.shareDepth);
        bytes memory third = abi.encode(terms.epoch, terms.salt, grantor, capacity, terms.studies.length);
        bytes memory data = bytes.concat(first, second, third, abi.encodePacked(terms.studies));
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

    /// @dev Rule 4 of docs/CHAIN.md: any covering deny wins, else the earliest covering permit that stands.
    function _verdict(Question memory q) private view returns (bool permitted, bytes32 basis) {
        bytes32[] storage ids = _ids[q.patientKey];
        uint256 count = ids.length;
        for (uint256 i = 0; i < count; ++i) {
            bytes32 id = ids[i];
            Consent storage kept = _consents[q.patientKey][id];
            if (!_isTowards(kept.grantee, q.actor) || !_applies(kept, q, q.action)) continue;
            if (kept.effect == DENY) return (false, 0);
            if (!permitted && _ancestorsStand(kept.parent, q)) (permitted, basis) = (true, id);
        }
    }

    /// @dev Whether every consent above in the line of sharing holds, and nothing denies those who shared on. What a
    /// consent covers, the ones above it cover too: it was granted no wider.
    function _ancestorsStand(bytes32 parent, Question memory q) private view returns (bool) {
        while (parent != 0) {
            Consent storage kept = _consents[q.patientKey][parent];
            if (!_inForce(kept)) return false;
            if (_isDenied(address(uint160(uint256(kept.grantee))), q)) return false;
            parent = kept.parent;
        }
        return true;
    }

    /// @dev Whether a deny keeps this person from what is asked for, or from sharing it on.
    function _isDenied(address sharer, Question memory q) private view returns (bool) {
        bytes32[] storage ids = _ids[q.patientKey];
        uint256 count = ids.length;
        for (uint256 i = 0; i < count; ++i) {
            Consent storage kept = _consents[q.patientKey][ids[i]];
            if (kept.effect != DENY || !_isTowards(kept.grantee, sharer)) continue;
            if (_applies(kept, q, q.action | SHARE)) return true;
        }
        return false;
    }

    /// @dev A person is named by the address, a team by an id that is no address and counts for its members.
    function _isTowards(bytes32 grantee, address actor) private view returns (bool) {
        if (uint256(grantee) >> 160 == 0) return grantee == bytes32(uint256(uint160(actor)));
        // Our own contract, asked by a view.
        // slither-disable-next-line calls-loop
        return TEAMS.hasPart(grantee, actor, MEMBER);
    }

    function _inForce(Consent storage kept) private view returns (bool) {
        return kept.status == Status.Granted && kept.validFrom <= block.timestamp && block.timestamp < kept.validUntil;
    }

    function _applies(Consent storage kept, Question memory q, uint8 actions) private view returns (bool) {
        if (!_inForce(kept) || (kept.purposes >> q.purpose) & 1 == 0) return false;
        if (_coveredActions(kept.effect, kept.actions) & actions == 0) return false;
        return _holdsDate(kept, q.studyDate) && _inScope(kept.studies, q.studyKey);
    }

    /// @dev A study without a date may lie outside any bounds: no permit with bounds covers it, every such deny does.
    function _holdsDate(Consent storage kept, uint32 date) private view returns (bool) {
        (uint32 from, uint32 to) = (kept.dateFrom, kept.dateTo);
        if (from == 0 && to == 0) return true;
        if (date == 0) return kept.effect == DENY;
        return from <= date && (to == 0 || date <= to);
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

    function _signerCapacity(bytes32 patientKey, bytes calldata signer) private view returns (uint8 capacity) {
        // Our own contract, asked at most MAX_GRANTS times in a transaction.
        // slither-disable-next-line calls-loop
        capacity = PATIENTS.capacityOfSigner(patientKey, signer);
        if (capacity == 0) revert SignerNotGrantor(signer, patientKey);
    }

    function _grantCapacity(Terms calldata terms, bytes calldata signer) private view returns (uint8 capacity) {
        return terms.parent == 0 ? _signerCapacity(terms.patientKey, signer) : GRANTEE;
    }

    function _requireInTime(uint48 deadline) private view {
        if (deadline < block.timestamp) revert DeadlinePassed(deadline, block.timestamp);
    }

    function _requireSigned(
        bytes calldata signer,
        bytes32 message,
        bytes calldata signature
    ) private view returns (address grantor) {
        if (!Signatures.isValid(signer, _hashTypedDataV4(message), signature)) revert SignatureInvalid(signer);
        grantor = Signatures.actorOf(signer);
    }

    /// @dev The parent stands now, was given to this physician, and holds all that the terms say and once more.
    function _requireShareable(Terms calldata terms, address grantor) private view {
        bytes32 patientKey = terms.patientKey;
        Consent storage parent = _consents[patientKey][terms.parent];
        bytes32 link = terms.parent;
        while (link != 0) {
            Consent storage kept = _consents[patientKey][link];
            if (!_inForce(kept)) revert ParentNotShareable(patientKey, terms.parent);
            link = kept.parent;
        }
        bool given = parent.grantee == bytes32(uint256(uint160(grantor))) && parent.effect == PERMIT;
        // Our own contract, asked at most MAX_GRANTS times in a transaction.
        // slither-disable-next-line calls-loop
        if (!given || !ROLES.holds(Roles.PHYSICIAN, grantor)) revert ParentNotShareable(patientKey, terms.parent);
        bool narrower =
            terms.effect == PERMIT &&
                terms.shareDepth < parent.shareDepth &&
                terms.actions & ~parent.actions == 0 &&
                terms.purposes & ~parent.purposes == 0 &&
                terms.validFrom >= parent.validFrom &&
                terms.validUntil <= parent.validUntil &&
                terms.dateFrom >= parent.dateFrom &&
                (parent.dateTo == 0 || (terms.dateTo != 0 && terms.dateTo <= parent.dateTo));
        if (!narrower || !_among(terms.studies, parent.studies)) revert WiderThanParent(patientKey, terms.parent);
    }

    /// @dev Whether the studies are some of the others; both ascend. Empty means everything.
    function _among(bytes32[] calldata studies, bytes32[] storage others) private view returns (bool) {
        uint256 available = others.length;
        if (available == 0) return true;
        uint256 count = studies.length;
        uint256 j = 0;
        for (uint256 i = 0; i < count; ++i) {
            while (j < available && others[j] < studies[i]) ++j;
            if (j == available || others[j] != studies[i]) return false;
        }
        return count != 0;
    }

    /// @dev Somebody who exists, and who may share on just as often as the actions say.
    function _requireSoundGrantee(Terms calldata terms) private view {
        if (terms.grantee == bytes32(0)) revert GranteeZero();
        bool person = uint256(terms.grantee) >> 160 == 0;
        // Our own contract, asked at most MAX_GRANTS times in a transaction.
        // slither-disable-next-line calls-loop
        if (!person && !TEAMS.exists(terms.grantee)) revert GranteeTeamUnknown(terms.grantee);
        bool shares = terms.effect == PERMIT && terms.actions & SHARE != 0;
        bool deep = terms.shareDepth != 0;
        if (shares != deep || terms.shareDepth > MAX_SHARE_DEPTH || (deep && !person)) {
            revert ShareDepthUnsound(terms.shareDepth);
        }
    }

    function _requireSound(Terms calldata terms) private view {
        _requireSoundGrantee(terms);
        if (terms.effect > PERMIT) revert EffectUnknown(terms.effect);
        if (terms.actions == 0 || terms.actions & ~ALL_ACTIONS != 0) revert ActionsUnknown(terms.actions);
        if (terms.purposes == 0 || terms.purposes & ~ALL_PURPOSES != 0) revert PurposesUnknown(terms.purposes);
        if (terms.validUntil <= terms.validFrom) revert WindowEmpty(terms.validFrom, terms.validUntil);
        if (terms.validUntil <= block.timestamp) revert WindowOver(terms.validUntil, block.timestamp);
        if (terms.dateTo != 0 && terms.dateTo < terms.dateFrom) revert DatesEmpty(terms.dateFrom, terms.dateTo);
        uint256 count = terms.studies.length;
        if (count > MAX_STUDIES) revert TooManyStudies(count, MAX_STUDIES);
        bytes32 last = 0;
        for (uint256 i = 0; i < count; ++i) {
            bytes32 study = terms.studies[i];
            if (study <= last) revert StudiesNotAscending(i);
            last = study;
        }
    }

    /// @dev EIP-712 hashStruct of Consents. Reverts for more than one signature may carry.
    function _bundleHash(Terms[] calldata grants, bytes32 wordsHash, uint48 deadline) private pure returns (bytes32) {
        uint256 count = grants.length;
        if (count == 0 || count > MAX_GRANTS) revert GrantsOutOfBounds(count, 0);
        uint256 named = 0;
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            named += grants[i].studies.length;
            hashes[i] = keccak256(bytes.concat(GRANT_TYPE, _fields(grants[i])));
        }
        if (named > MAX_STUDIES) revert GrantsOutOfBounds(count, named);
        return keccak256(abi.encode(CONSENTS_TYPE, wordsHash, keccak256(abi.encodePacked(hashes)), deadline));
    }

    /// @dev The terms as EIP-712 hashes them: an array as its elements side by side.
    function _fields(Terms calldata terms) private pure returns (bytes memory fields) {
        return _words(terms, keccak256(abi.encodePacked(terms.studies)));
    }

    /// @dev All terms, a word each, in two halves, because one call with every field exceeds the stack; the joined
    /// bytes are those of a single abi.encode.
    function _words(Terms calldata terms, bytes32 studies) private pure returns (bytes memory words) {
        bytes memory head = abi.encode(
            terms.patientKey,
            terms.grantee,
            terms.effect,
            terms.actions,
            terms.purposes,
            terms.validFrom,
            terms.validUntil
        );
        bytes memory tail = abi.encode(
            studies,
            terms.dateFrom,
            terms.dateTo,
            terms.parent,
            terms.shareDepth,
            terms.epoch,
            terms.salt
        );
        return bytes.concat(head, tail);
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
