// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Break-glass: access without consent, for a short time, told to all and judged by somebody else
/// @notice All times are Unix seconds; a window holds t when validFrom <= t < validUntil.
interface IEmergencyAccess {
    /// @notice What the holder of the emergency role declares.
    /// @param patientKey whose images
    /// @param reasonHash salted hash of the reason, which stays off chain
    /// @param validFrom first second; the holder has the role at this time
    /// @param validUntil first second after; at most MAX_DURATION later
    /// @param salt makes the id unique
    struct Emergency {
        bytes32 patientKey;
        bytes32 reasonHash;
        uint48 validFrom;
        uint48 validUntil;
        bytes32 salt;
    }

    /// @notice What is kept of an emergency.
    /// @param patientKey whose images
    /// @param actor who opened it
    /// @param validFrom as in Emergency
    /// @param validUntil as in Emergency
    /// @param finding 0 not reviewed yet, 1 justified, 2 not justified
    /// @param reviewer who reviewed it; zero until then
    struct Opened {
        bytes32 patientKey;
        address actor;
        uint48 validFrom;
        uint48 validUntil;
        uint8 finding;
        address reviewer;
    }

    /// @notice An emergency was declared; inside its window the actor gets in.
    event EmergencyOpened(
        bytes32 indexed patientKey,
        bytes32 indexed emergencyId,
        address indexed actor,
        bytes32 reasonHash,
        uint48 validFrom,
        uint48 validUntil,
        bytes32 salt
    );
    /// @notice Somebody else judged it: 1 justified, 2 not justified, which ends it. The note stays off chain.
    event EmergencyReviewed(
        bytes32 indexed patientKey,
        bytes32 indexed emergencyId,
        address indexed reviewer,
        uint8 finding,
        bytes32 noteHash
    );

    /// @notice An emergency has an end.
    error MaxDurationZero();
    /// @notice With a quota of zero nobody could ever declare an emergency.
    error QuotaZero();
    /// @notice The patient is not enrolled, or is erased.
    error PatientNotEnrolled(bytes32 patientKey);
    /// @notice The actor's window of the emergency role does not hold the emergency's first second.
    error NotEmergencyHolder(address actor, uint48 validFrom);
    /// @notice The emergency holds no instant, or is longer than MAX_DURATION.
    error DurationUnsound(uint48 validFrom, uint48 validUntil);
    /// @notice The emergency begins more than a minute from now.
    error BeginsTooLate(uint48 validFrom, uint256 timestamp);
    /// @notice The emergency ended more than LATEST ago.
    error LandsTooLate(uint48 validUntil, uint256 timestamp);
    /// @notice The emergency was opened before.
    error EmergencyIdUsed(bytes32 emergencyId);
    /// @notice The actor declared as many emergencies that day (in days since the epoch, UTC) as one may.
    error QuotaUsed(address actor, uint256 day);
    /// @notice There is no such emergency.
    error EmergencyUnknown(bytes32 emergencyId);
    /// @notice A finding other than justified or not justified.
    error FindingUnknown(uint8 finding);
    /// @notice The reviewer is not an auditor now.
    error NotAuditor(address reviewer);
    /// @notice Nobody judges their own emergency.
    error ReviewerIsActor(bytes32 emergencyId);
    /// @notice The emergency was reviewed before.
    error AlreadyReviewed(bytes32 emergencyId);
    /// @notice The signed message's deadline has passed.
    error ReviewDeadlinePassed(uint48 deadline, uint256 timestamp);
    /// @notice The signature is not the named signer's over this message.
    error EmergencySignatureInvalid(bytes signer);

    /// @notice Declares an emergency as the transaction's sender, who held the role at its first second.
    /// @param declared the emergency
    /// @return id its id
    function open(Emergency calldata declared) external returns (bytes32 id);

    /// @notice Declares an emergency by a signature over EmergencyAccess. Anybody may relay, also later: what counts is
    /// the role at the first second, so that a signature made while the chain was away is not lost.
    /// @param declared the emergency
    /// @param wordsHash keccak256 of the words the signer read
    /// @param signer who declares it, as ERC-7913 bytes
    /// @param signature the signer's signature
    /// @return id its id
    function openBySignature(
        Emergency calldata declared,
        bytes32 wordsHash,
        bytes calldata signer,
        bytes calldata signature
    ) external returns (bytes32 id);

    /// @notice Judges an emergency, once, as the transaction's sender: an auditor who did not declare it.
    /// @param id the emergency
    /// @param finding 1 justified, 2 not justified
    /// @param noteHash salted hash of the note, which stays off chain
    function review(bytes32 id, uint8 finding, bytes32 noteHash) external;

    /// @notice Judges an emergency by an auditor's signature over EmergencyReview. Anybody may relay.
    /// @param id the emergency
    /// @param finding 1 justified, 2 not justified
    /// @param noteHash salted hash of the note, which stays off chain
    /// @param wordsHash keccak256 of the words the signer read
    /// @param deadline last second at which the message works
    /// @param signer the auditor, as ERC-7913 bytes
    /// @param signature the signer's signature
    function reviewBySignature(
        bytes32 id,
        uint8 finding,
        bytes32 noteHash,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external;

    /// @notice What is kept of an emergency.
    /// @param id the emergency
    /// @return kept zero fields for an unknown id
    function emergency(bytes32 id) external view returns (Opened memory kept);

    /// @notice How many emergencies an actor declared that begin on a day.
    /// @param actor who declared them
    /// @param day days since the epoch, UTC: validFrom divided by 86,400
    /// @return count at most QUOTA
    function openings(address actor, uint256 day) external view returns (uint32 count);

    /// @notice The emergency that lets an actor in to a patient's images at the present block's time.
    /// @param patientKey whose images
    /// @param actor who asks
    /// @return id the one that landed last, if now lies inside it, it was not found unjustified and the actor holds the
    /// role now; else zero
    function openFor(bytes32 patientKey, address actor) external view returns (bytes32 id);

    /// @notice The id that an emergency has on this chain and contract.
    /// @param declared any emergency
    /// @param actor who declares it
    /// @return id keccak256 of the domain-separated fields
    function emergencyId(Emergency calldata declared, address actor) external view returns (bytes32 id);
}
