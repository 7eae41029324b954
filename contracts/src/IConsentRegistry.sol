// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title What patients consented to, and what follows from it
/// @notice All times are Unix seconds; a window holds t when validFrom <= t < validUntil.
interface IConsentRegistry {
    /// @notice What is consented to, or denied.
    /// @param patientKey whose images
    /// @param grantee a person: the address, left-padded; a care team: an id whose upper 12 bytes are not all zero
    /// @param effect 0 deny, 1 permit
    /// @param actions bits: 1 search, 2 view, 4 retrieve, 8 share
    /// @param purposes bits by index of the purpose of use: 0 TREAT, 1 ETREAT, 2 HPAYMT, 3 HOPERAT, 4 HRESCH, 5 PATRQT,
    /// 6 FAMRQT, 7 PWATRNY, 8 PUBHLTH, 9 COC, 10 CAREMGT, 11 HQUALIMP (append only)
    /// @param validFrom first second of the window
    /// @param validUntil first second after the window
    /// @param studies salted study keys, not zero, strictly ascending, at most 64; empty means everything
    /// @param dateFrom first study date as the number YYYYMMDD; zero for no such bound
    /// @param dateTo last study date, itself included; zero for no such bound
    /// @param parent the consent that is shared on; zero for a consent of the patient
    /// @param shareDepth how many times in a row it may be shared on, 1 to 3, with action 8 in a permit; else zero
    /// @param epoch the patient's epoch when the terms were agreed
    /// @param salt makes the id unique
    struct Terms {
        bytes32 patientKey;
        bytes32 grantee;
        uint8 effect;
        uint8 actions;
        uint16 purposes;
        uint48 validFrom;
        uint48 validUntil;
        bytes32[] studies;
        uint32 dateFrom;
        uint32 dateTo;
        bytes32 parent;
        uint8 shareDepth;
        uint32 epoch;
        bytes32 salt;
    }

    /// @notice One question to decide.
    /// @param actor who asks
    /// @param patientKey whose images
    /// @param studyKey the salted key of the study; one that no consent names means "no particular study"
    /// @param studyDate the study's date as the number YYYYMMDD; zero where it has no valid one
    /// @param action one bit of Terms.actions
    /// @param purpose index of the purpose of use
    struct Question {
        address actor;
        bytes32 patientKey;
        bytes32 studyKey;
        uint32 studyDate;
        uint8 action;
        uint8 purpose;
    }

    /// @notice Where an id stands. Revoked is terminal, also for an id that was never granted.
    enum Status {
        Unused,
        Granted,
        Revoked
    }

    /// @notice What is kept of a consent. For an id revoked before its grant landed only the status is set.
    /// @param status where the id stands
    /// @param effect as in Terms
    /// @param actions as in Terms
    /// @param purposes as in Terms
    /// @param validFrom as in Terms
    /// @param validUntil as in Terms
    /// @param dateFrom as in Terms
    /// @param dateTo as in Terms
    /// @param shareDepth as in Terms
    /// @param grantee as in Terms
    /// @param parent as in Terms
    /// @param studies as in Terms
    struct Consent {
        Status status;
        uint8 effect;
        uint8 actions;
        uint16 purposes;
        uint48 validFrom;
        uint48 validUntil;
        uint32 dateFrom;
        uint32 dateTo;
        uint8 shareDepth;
        bytes32 grantee;
        bytes32 parent;
        bytes32[] studies;
    }

    /// @notice A consent took effect. The grantor's capacity: 1 controller, 2 guardian (a ward's controller too), 3 the
    /// parent's grantee.
    event ConsentGranted(
        bytes32 indexed patientKey,
        bytes32 indexed consentId,
        bytes32 indexed grantee,
        uint8 effect,
        uint8 actions,
        uint16 purposes,
        uint48 validFrom,
        uint48 validUntil,
        bytes32[] studies,
        uint32 dateFrom,
        uint32 dateTo,
        bytes32 parent,
        uint8 shareDepth,
        uint32 epoch,
        bytes32 salt,
        address grantor,
        uint8 capacity
    );
    /// @notice An id was revoked; the patient's epoch is now the one given.
    event ConsentRevoked(
        bytes32 indexed patientKey,
        bytes32 indexed consentId,
        address grantor,
        uint8 capacity,
        uint32 epoch
    );

    /// @notice The caller is neither controller nor valid guardian of the patient.
    error NotGrantor(address caller, bytes32 patientKey);
    /// @notice The signer is neither controller nor valid guardian of the patient.
    error SignerNotGrantor(bytes signer, bytes32 patientKey);
    /// @notice The signature is not the named signer's over this message.
    error SignatureInvalid(bytes signer);
    /// @notice The signed message's deadline has passed.
    error DeadlinePassed(uint48 deadline, uint256 timestamp);
    /// @notice The id was granted or revoked before.
    error ConsentIdUsed(bytes32 patientKey, bytes32 consentId);
    /// @notice The id is revoked already.
    error AlreadyRevoked(bytes32 patientKey, bytes32 consentId);
    /// @notice The terms were agreed before the patient's last revocation.
    error EpochNotCurrent(uint32 given, uint32 current);
    /// @notice The window holds no instant.
    error WindowEmpty(uint48 validFrom, uint48 validUntil);
    /// @notice The window has ended.
    error WindowOver(uint48 validUntil, uint256 timestamp);
    /// @notice An effect other than deny or permit.
    error EffectUnknown(uint8 effect);
    /// @notice No action, or an unknown one.
    error ActionsUnknown(uint8 actions);
    /// @notice No purpose, or an unknown one.
    error PurposesUnknown(uint16 purposes);
    /// @notice Nobody is named.
    error GranteeZero();
    /// @notice More studies than one consent may name.
    error TooManyStudies(uint256 given, uint256 limit);
    /// @notice The study keys are not strictly ascending from above zero.
    error StudiesNotAscending(uint256 index);
    /// @notice The last study date lies before the first.
    error DatesEmpty(uint32 dateFrom, uint32 dateTo);
    /// @notice A permit has a share depth, at most 3, just when it allows sharing on; a deny, a team has none.
    error ShareDepthUnsound(uint8 shareDepth);
    /// @notice There is no such team.
    error GranteeTeamUnknown(bytes32 team);
    /// @notice The consent that would be shared on is not in force, or its grantee is not the grantor, or is no physician.
    error ParentNotShareable(bytes32 patientKey, bytes32 parent);
    /// @notice The terms are wider than those of the consent that is shared on.
    error WiderThanParent(bytes32 patientKey, bytes32 parent);
    /// @notice No grant, or more than one signature may carry.
    error GrantsOutOfBounds(uint256 grants, uint256 studies);

    /// @notice Grants (or denies) as the transaction's sender, who is the controller or a valid guardian; for a consent
    /// that is shared on, the parent's grantee.
    /// @param terms what is granted
    /// @return id the consent's id
    function grant(Terms calldata terms) external returns (bytes32 id);

    /// @notice Grants (or denies) by a signature over Consent. Anybody may relay.
    /// @param terms what is granted
    /// @param wordsHash keccak256 of the words the signer read
    /// @param deadline last second at which the message works
    /// @param signer the controller or a valid guardian, byte for byte
    /// @param signature the signer's signature
    /// @return id the consent's id
    function grantBySignature(
        Terms calldata terms,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external returns (bytes32 id);

    /// @notice Makes several grants by one signature over Consents: all of them or none. Anybody may relay.
    /// @param grants at most 16, which name at most 64 studies together; each as for grantBySignature
    /// @param wordsHash keccak256 of the words the signer read
    /// @param deadline last second at which the message works
    /// @param signer with the right to make each of the grants
    /// @param signature the signer's signature
    /// @return ids the consents' ids, in the order given
    function grantAllBySignature(
        Terms[] calldata grants,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external returns (bytes32[] memory ids);

    /// @notice Revokes as the transaction's sender, who is the controller or a valid guardian. The id need not be
    /// granted yet; its grant then never lands. Voids every grant signed before and not landed.
    /// @param patientKey whose consent
    /// @param id the consent's id
    function revoke(bytes32 patientKey, bytes32 id) external;

    /// @notice Revokes by a signature over Revocation. Anybody may relay.
    /// @param patientKey whose consent
    /// @param id the consent's id
    /// @param wordsHash keccak256 of the words the signer read
    /// @param deadline last second at which the message works
    /// @param signer the controller or a valid guardian, byte for byte
    /// @param signature the signer's signature
    function revokeBySignature(
        bytes32 patientKey,
        bytes32 id,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external;

    /// @notice Whether an actor may do one action for one purpose at the present block's time.
    /// @param question who asks for what
    /// @return permitted the verdict
    /// @return basis the deciding consent's or emergency's id, or the hash of a basis of its own; zero on a denial
    function decide(Question calldata question) external view returns (bool permitted, bytes32 basis);

    /// @notice The id that terms have on this chain and contract.
    /// @param terms any terms
    /// @return id keccak256 of the domain-separated terms
    function consentId(Terms calldata terms) external view returns (bytes32 id);

    /// @notice The ids granted for a patient, revoked ones included, in the order of granting.
    /// @param patientKey whose consents
    /// @return ids in the order of granting
    function consentIds(bytes32 patientKey) external view returns (bytes32[] memory ids);

    /// @notice What is kept of a consent.
    /// @param patientKey whose consent
    /// @param id the consent's id
    /// @return kept status Unused and zero fields for an unknown id
    function consent(bytes32 patientKey, bytes32 id) external view returns (Consent memory kept);

    /// @notice The patient's consent epoch: the number of revocations so far.
    /// @param patientKey whose epoch
    /// @return current what the next grant must carry
    function epoch(bytes32 patientKey) external view returns (uint32 current);
}
