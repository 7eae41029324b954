// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Care teams: who leads them and who is a member, and until when
/// @notice All times are Unix seconds; a window holds t when validFrom <= t < validUntil.
interface ICareTeams {
    /// @notice A team exists from now on; it has nobody yet.
    event TeamCreated(bytes32 indexed team);
    /// @notice An account's part in a team was set or replaced or, with validUntil zero, ended. Parts: 1 member, 2 lead.
    event TeamPartSet(
        bytes32 indexed team,
        address indexed account,
        uint8 part,
        uint48 validFrom,
        uint48 validUntil,
        uint32 teamNonce
    );

    /// @notice The caller is neither a registrar nor the admin.
    error NotRegistrarNorAdmin(address caller);
    /// @notice The account may not set this part: members are set by leads; leads by leads, registrars and the admin.
    error NotEntitled(address account, bytes32 team);
    /// @notice The upper 12 bytes of a team's id are not all zero, so that it is no person.
    error TeamIdIsPerson(bytes32 team);
    /// @notice The team exists already.
    error TeamExists(bytes32 team);
    /// @notice There is no such team.
    error TeamUnknown(bytes32 team);
    /// @notice A part other than member or lead.
    error PartUnknown(uint8 part);
    /// @notice Nobody is named.
    error AccountZero();
    /// @notice The window holds no instant, or has ended.
    error PartWindowEmpty(uint48 validFrom, uint48 validUntil);
    /// @notice The account has no such part that could end.
    error PartNotSet(bytes32 team, address account);
    /// @notice The signed message's deadline has passed.
    error TeamDeadlinePassed(uint48 deadline, uint256 timestamp);
    /// @notice The signature is not the named signer's over this message.
    error TeamSignatureInvalid(bytes signer);

    /// @notice Creates a team. Only a registrar or the admin.
    /// @param team its id, whose upper 12 bytes are not all zero
    function createTeam(bytes32 team) external;

    /// @notice Sets, replaces or ends (validUntil zero) an account's part, as the transaction's sender.
    /// @param team the team
    /// @param account whose part
    /// @param part 1 member, 2 lead
    /// @param validFrom first second of the window
    /// @param validUntil first second after the window; zero ends the part
    function setPart(bytes32 team, address account, uint8 part, uint48 validFrom, uint48 validUntil) external;

    /// @notice The same by a lead's (or registrar's, or admin's) signature over TeamChange. Anybody may relay.
    /// @param team the team
    /// @param account whose part
    /// @param part 1 member, 2 lead
    /// @param validFrom first second of the window
    /// @param validUntil first second after the window; zero ends the part
    /// @param wordsHash keccak256 of the words the signer read
    /// @param deadline last second at which the message works
    /// @param signer who signs, as ERC-7913 bytes
    /// @param signature the signer's signature
    function setPartBySignature(
        bytes32 team,
        address account,
        uint8 part,
        uint48 validFrom,
        uint48 validUntil,
        bytes32 wordsHash,
        uint48 deadline,
        bytes calldata signer,
        bytes calldata signature
    ) external;

    /// @notice Whether the account has the part at the present block's time.
    /// @param team the team
    /// @param account whose part
    /// @param part 1 member, 2 lead
    /// @return held false for an unknown team
    function hasPart(bytes32 team, address account, uint8 part) external view returns (bool held);

    /// @notice The window of an account's part.
    /// @param team the team
    /// @param account whose part
    /// @param part 1 member, 2 lead
    /// @return validFrom first second
    /// @return validUntil first second after; zero for none
    function partWindow(
        bytes32 team,
        address account,
        uint8 part
    ) external view returns (uint48 validFrom, uint48 validUntil);

    /// @notice Whether the team was created.
    /// @param team the team
    /// @return known true from its creation on
    function exists(bytes32 team) external view returns (bool known);

    /// @notice How often the team's parts were changed: what the next signed TeamChange must carry.
    /// @param team the team
    /// @return nonce the count of TeamPartSet
    function teamNonce(bytes32 team) external view returns (uint32 nonce);
}
