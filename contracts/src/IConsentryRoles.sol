// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// @title Staff roles with an end date
/// @notice All times are Unix seconds; a window holds t when validFrom <= t < validUntil.
interface IConsentryRoles {
    /// @notice A role's window was set or replaced.
    event RoleSet(bytes32 indexed role, address indexed account, uint48 validFrom, uint48 validUntil);
    /// @notice A role was taken away before its end.
    event RoleWithdrawn(bytes32 indexed role, address indexed account);
    /// @notice The directory entry of an account changed; zero means that it has none.
    event DirectoryEntrySet(address indexed account, bytes32 entryHash);

    /// @notice The window holds no instant.
    error RoleWindowEmpty(uint48 validFrom, uint48 validUntil);
    /// @notice The window has ended before it was set.
    error RoleWindowOver(uint48 validUntil, uint256 timestamp);
    /// @notice The default admin's role is not a staff role.
    error NotAStaffRole(bytes32 role);
    /// @notice Staff roles are set by setRole and withdrawn by withdrawRole only.
    error OnlyBySetRole(bytes32 role);
    /// @notice There is no window to withdraw.
    error RoleNotSet(bytes32 role, address account);
    /// @notice Neither the default admin nor the holder asked to withdraw.
    error NotAdminNorHolder(address caller, address account);
    /// @notice One account may not be default admin and recorder.
    error AdminAndRecorder(address account);
    /// @notice The zero address holds nothing and cannot be the next default admin.
    error ZeroAccount();

    /// @notice Sets or replaces the window in which an account holds a role. Only the default admin.
    /// @param role keccak256 of the role's name
    /// @param account the holder
    /// @param validFrom first second of the window
    /// @param validUntil first second after the window; later than validFrom and than now
    function setRole(bytes32 role, address account, uint48 validFrom, uint48 validUntil) external;

    /// @notice Ends a role at once. Only the default admin, or the holder for itself.
    /// @param role keccak256 of the role's name
    /// @param account the holder
    function withdrawRole(bytes32 role, address account) external;

    /// @notice Ties an account to a directory entry kept off chain. Only the default admin.
    /// @param account the account described
    /// @param entryHash hash of the entry; zero removes the tie
    function setDirectoryEntry(address account, bytes32 entryHash) external;

    /// @notice Whether the account's window for the role contains the present block's time.
    /// @param role keccak256 of the role's name
    /// @param account the account asked about
    /// @return held true inside the window
    function holds(bytes32 role, address account) external view returns (bool held);

    /// @notice The window of a role; both ends are zero when it is not set.
    /// @param role keccak256 of the role's name
    /// @param account the account asked about
    /// @return validFrom first second of the window
    /// @return validUntil first second after the window
    function window(bytes32 role, address account) external view returns (uint48 validFrom, uint48 validUntil);

    /// @notice The hash that ties an account to its directory entry.
    /// @param account the account asked about
    /// @return entryHash zero when there is none
    function directoryEntry(address account) external view returns (bytes32 entryHash);
}
