// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Which signer controls a patient's pseudonymous key
/// @notice Signers are ERC-7913 bytes. All times are Unix seconds.
interface IPatientRegistry {
    /// @notice All that is known of a patient key.
    /// @param claimKey address of the one-time claim key; zero once claimed
    /// @param claimUntil first second at which the claim key no longer works; zero once claimed
    /// @param controller the signer who controls the key; empty until claimed
    /// @param guardian the named guardian, whether or not its time has ended; empty for none
    /// @param guardianUntil first second at which the guardian no longer acts
    /// @param guardianNonce what the next signed GuardianChange must carry
    /// @param newController the signer to whom a pending move leads; empty for none
    /// @param moveReadyAt first second at which the pending move can be finished; zero for none
    /// @param moveNonce number of the last move started, from 1; what MoveVeto and MoveAcceptance must carry
    /// @param wardUntil first second at which the controller no longer acts as the patient's guardian; zero where the
    /// controller is the patient
    /// @param erased true for good once the patient was erased
    struct Patient {
        address claimKey;
        uint48 claimUntil;
        bytes controller;
        bytes guardian;
        uint48 guardianUntil;
        uint32 guardianNonce;
        bytes newController;
        uint48 moveReadyAt;
        uint32 moveNonce;
        uint48 wardUntil;
        bool erased;
    }

    /// @notice A registrar committed a patient key together with a one-time claim key; with wardUntil for a ward.
    event PatientEnrolled(bytes32 indexed patientKey, address claimKey, uint48 claimUntil, uint48 wardUntil);
    /// @notice A signer took control of an enrolled key.
    event PatientClaimed(bytes32 indexed patientKey, address indexed actor, bytes controller);
    /// @notice A move to a new controller began, replacing any other; it can be vetoed until it is finished.
    event MoveStarted(bytes32 indexed patientKey, bytes newController, uint48 readyAt);
    /// @notice The controller stopped the pending move.
    event MoveVetoed(bytes32 indexed patientKey);
    /// @notice The pending move was finished; wardUntil is as it is now.
    event ControllerMoved(bytes32 indexed patientKey, address indexed actor, bytes controller, uint48 wardUntil);
    /// @notice The guardian was named, replaced or (actor zero, no bytes) removed.
    event GuardianSet(bytes32 indexed patientKey, address indexed actor, bytes guardian, uint48 validUntil);
    /// @notice Nobody controls the key any more, or ever will again.
    event PatientErased(bytes32 indexed patientKey);

    /// @notice The caller is not a registrar.
    error NotRegistrar(address caller);
    /// @notice The caller is neither a registrar nor the controller.
    error NotRegistrarNorController(address caller, bytes32 patientKey);
    /// @notice The caller is not the controller.
    error NotController(address caller, bytes32 patientKey);
    /// @notice A zero patient key or claim key.
    error ZeroKey();
    /// @notice The key has a controller already.
    error AlreadyClaimed(bytes32 patientKey);
    /// @notice The key has no controller yet.
    error NotClaimed(bytes32 patientKey);
    /// @notice The key was never enrolled, or its claim key has run out.
    error NotClaimable(bytes32 patientKey, uint48 claimUntil, uint256 timestamp);
    /// @notice A time that must lie ahead does not.
    error TimeNotAhead(uint48 given, uint256 timestamp);
    /// @notice The signed message's deadline has passed.
    error DeadlinePassed(uint48 deadline, uint256 timestamp);
    /// @notice The signature is not the named signer's over this message.
    error SignatureInvalid(bytes signer);
    /// @notice The new controller is the present one, who acts now.
    error MoveToSame(bytes32 patientKey);
    /// @notice No move is pending.
    error NoMovePending(bytes32 patientKey);
    /// @notice The delay has not run out.
    error MoveNotReady(uint48 readyAt, uint256 timestamp);
    /// @notice Removing a guardian takes no end date.
    error RemovalWithEnd(uint48 validUntil);
    /// @notice The ward's time is over: the controller no longer acts, nor can anybody claim.
    error WardOver(bytes32 patientKey, uint48 wardUntil, uint256 timestamp);
    /// @notice A ward's named guardian must end with the ward's time at the latest.
    error GuardianOutlastsWard(uint48 validUntil, uint48 wardUntil);
    /// @notice The key was never enrolled.
    error NotEnrolled(bytes32 patientKey);
    /// @notice The patient was erased; the key serves nobody again.
    error PatientIsErased(bytes32 patientKey);
    /// @notice A move needs a delay in which it can be vetoed.
    error MoveDelayZero();

    /// @notice Commits a patient key with a one-time claim key; again, while unclaimed, replaces all of it. Only a registrar.
    /// @param patientKey the patient's pseudonymous key
    /// @param claimKey address of the claim key, whose private part the patient carries home
    /// @param claimUntil first second at which it no longer works; ahead of now
    /// @param wardUntil zero: whoever claims acts for themselves; ahead of now: whoever claims acts as the guardian of a
    /// ward (a child, somebody represented), and before this second only
    function enrol(bytes32 patientKey, address claimKey, uint48 claimUntil, uint48 wardUntil) external;

    /// @notice Binds an enrolled key to its controller. Anybody may relay.
    /// @param patientKey the patient's pseudonymous key
    /// @param controller the signer who will control it
    /// @param claimSignature the claim key's signature over Claim
    /// @param controllerSignature the controller's signature over the same Claim
    /// @param deadline last second at which the message works
    /// @param wordsHash keccak256 of the words the patient read
    function claim(
        bytes32 patientKey,
        bytes calldata controller,
        bytes calldata claimSignature,
        bytes calldata controllerSignature,
        uint48 deadline,
        bytes32 wordsHash
    ) external;

    /// @notice Begins a move to a new controller, replacing a pending one. Only a registrar or the controller.
    /// @param patientKey the patient's pseudonymous key
    /// @param newController the signer who is to control it
    function startMove(bytes32 patientKey, bytes calldata newController) external;

    /// @notice Stops the pending move. Only the controller.
    /// @param patientKey the patient's pseudonymous key
    function vetoMove(bytes32 patientKey) external;

    /// @notice Stops the pending move by the controller's signature over MoveVeto. Anybody may relay.
    /// @param patientKey the patient's pseudonymous key
    /// @param signature the controller's signature
    /// @param deadline last second at which the message works
    /// @param wordsHash keccak256 of the words the patient read
    function vetoMoveBySignature(
        bytes32 patientKey,
        bytes calldata signature,
        uint48 deadline,
        bytes32 wordsHash
    ) external;

    /// @notice Finishes the pending move after its delay, by the new controller's signature over MoveAcceptance.
    /// A ward's patient acts for themselves from then on just when the move was started after the ward's time. Anybody
    /// may relay.
    /// @param patientKey the patient's pseudonymous key
    /// @param signature the new controller's signature
    /// @param deadline last second at which the message works
    /// @param wordsHash keccak256 of the words the patient read
    function finishMove(bytes32 patientKey, bytes calldata signature, uint48 deadline, bytes32 wordsHash) external;

    /// @notice Names, replaces or (no bytes, end zero) removes the guardian. Only the controller.
    /// @param patientKey the patient's pseudonymous key
    /// @param guardian the guardian's signer
    /// @param validUntil first second at which the guardian no longer acts; a ward's no later than wardUntil
    function setGuardian(bytes32 patientKey, bytes calldata guardian, uint48 validUntil) external;

    /// @notice The same by the controller's signature over GuardianChange. Anybody may relay.
    /// @param patientKey the patient's pseudonymous key
    /// @param guardian the guardian's signer
    /// @param validUntil first second at which the guardian no longer acts
    /// @param signature the controller's signature
    /// @param deadline last second at which the message works
    /// @param wordsHash keccak256 of the words the patient read
    function setGuardianBySignature(
        bytes32 patientKey,
        bytes calldata guardian,
        uint48 validUntil,
        bytes calldata signature,
        uint48 deadline,
        bytes32 wordsHash
    ) external;

    /// @notice Erases a patient for good: nobody controls, guards, claims or enrols the key again. Only a registrar.
    /// @param patientKey a key that was enrolled
    function erase(bytes32 patientKey) external;

    /// @notice All that is known of a patient key.
    /// @param patientKey the patient's pseudonymous key
    /// @return known zero and empty fields for an unknown key
    function patient(bytes32 patientKey) external view returns (Patient memory known);

    /// @notice The controller's actor.
    /// @param patientKey the patient's pseudonymous key
    /// @return actor zero until claimed, and once erased
    function controllerActor(bytes32 patientKey) external view returns (address actor);

    /// @notice The actor of the guardian who may act now.
    /// @param patientKey the patient's pseudonymous key
    /// @return actor zero when there is none or its time has ended
    function guardianActor(bytes32 patientKey) external view returns (address actor);

    /// @notice In which capacity an actor acts for a patient now. A ward's controller is a guardian until the ward's time
    /// is over, and nothing from then on.
    /// @param patientKey the patient's pseudonymous key
    /// @param actor the actor asked about
    /// @return capacity 0 none, 1 controller, 2 guardian
    function capacityOf(bytes32 patientKey, address actor) external view returns (uint8 capacity);

    /// @notice In which capacity a signer, byte for byte, acts for a patient now.
    /// @param patientKey the patient's pseudonymous key
    /// @param signer the signer asked about
    /// @return capacity 0 none, 1 controller, 2 guardian
    function capacityOfSigner(bytes32 patientKey, bytes calldata signer) external view returns (uint8 capacity);

    /// @notice As whom an actor may see a patient's images now, by being who they are. Both may be true.
    /// @param patientKey the patient's pseudonymous key
    /// @param actor the actor asked about
    /// @return asSelf the actor is the controller, and no ward's
    /// @return asGuardian the actor is the named guardian inside its time, or a ward's controller inside the ward's
    function mayActAs(bytes32 patientKey, address actor) external view returns (bool asSelf, bool asGuardian);

    /// @notice Whether the key stands for a patient: enrolled, claimed or not, and not erased.
    /// @param patientKey the patient's pseudonymous key
    /// @return enrolled true from the enrolment to the erasure
    function isEnrolled(bytes32 patientKey) external view returns (bool enrolled);
}
