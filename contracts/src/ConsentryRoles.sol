// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {AccessControlDefaultAdminRules} from "@openzeppelin/contracts/access/extensions/AccessControlDefaultAdminRules.sol";
import {IConsentryRoles} from "./IConsentryRoles.sol";
import {Roles} from "./Roles.sol";

/// @title Who may do what at the hospital, and until when
/// @notice The default admin changes in two steps with a delay (OpenZeppelin's rules); it alone sets the staff roles.
contract ConsentryRoles is AccessControlDefaultAdminRules, IConsentryRoles {
    struct Window {
        uint48 validFrom;
        uint48 validUntil;
    }

    mapping(bytes32 role => mapping(address account => Window)) private _windows;
    mapping(address account => bytes32 entryHash) private _directory;

    /// @notice Fixes for good what the contract builds on.
    /// @param initialAdmin the first default admin
    /// @param adminDelay seconds between the two steps of the admin's succession
    constructor(address initialAdmin, uint48 adminDelay) AccessControlDefaultAdminRules(adminDelay, initialAdmin) {}

    /// @inheritdoc IConsentryRoles
    function setRole(
        bytes32 role,
        address account,
        uint48 validFrom,
        uint48 validUntil
    ) external override onlyRole(DEFAULT_ADMIN_ROLE) {
        if (role == DEFAULT_ADMIN_ROLE) revert NotAStaffRole(role);
        if (account == address(0)) revert ZeroAccount();
        if (validUntil <= validFrom) revert RoleWindowEmpty(validFrom, validUntil);
        if (validUntil <= block.timestamp) revert RoleWindowOver(validUntil, block.timestamp);
        if (role == Roles.RECORDER && account == defaultAdmin()) revert AdminAndRecorder(account);
        _windows[role][account] = Window(validFrom, validUntil);
        emit RoleSet(role, account, validFrom, validUntil);
    }

    /// @inheritdoc IConsentryRoles
    function withdrawRole(bytes32 role, address account) external override {
        if (msg.sender != account && msg.sender != defaultAdmin()) revert NotAdminNorHolder(msg.sender, account);
        if (_windows[role][account].validUntil == 0) revert RoleNotSet(role, account);
        delete _windows[role][account];
        emit RoleWithdrawn(role, account);
    }

    /// @inheritdoc IConsentryRoles
    function setDirectoryEntry(address account, bytes32 entryHash) external override onlyRole(DEFAULT_ADMIN_ROLE) {
        if (account == address(0)) revert ZeroAccount();
        _directory[account] = entryHash;
        emit DirectoryEntrySet(account, entryHash);
    }

    /// @inheritdoc IConsentryRoles
    function window(
        bytes32 role,
        address account
    ) external view override returns (uint48 validFrom, uint48 validUntil) {
        Window storage w = _windows[role][account];
        return (w.validFrom, w.validUntil);
    }

    /// @inheritdoc IConsentryRoles
    function directoryEntry(address account) external view override returns (bytes32 entryHash) {
        return _directory[account];
    }

    /// @inheritdoc IConsentryRoles
    function holds(bytes32 role, address account) public view override returns (bool held) {
        Window storage w = _windows[role][account];
        return w.validFrom <= block.timestamp && block.timestamp < w.validUntil;
    }

    /// @notice OpenZeppelin's question, answered for staff roles by their windows.
    /// @param role the default admin's role or a staff role
    /// @param account the account asked about
    /// @return held true when the account holds the role now
    function hasRole(
        bytes32 role,
        address account
    ) public view override(AccessControl, IAccessControl) returns (bool held) {
        return role == DEFAULT_ADMIN_ROLE ? super.hasRole(role, account) : holds(role, account);
    }

    /// @notice Always reverts: there is one way in, setRole.
    /// @param role the role asked for
    function grantRole(bytes32 role, address) public pure override {
        revert OnlyBySetRole(role);
    }

    /// @notice Always reverts: there is one way out, withdrawRole.
    /// @param role the role asked for
    function revokeRole(bytes32 role, address) public pure override {
        revert OnlyBySetRole(role);
    }

    /// @notice Always reverts: withdrawRole serves the holder too, and there is always a default admin.
    /// @param role the role asked for
    function renounceRole(bytes32 role, address) public pure override {
        revert OnlyBySetRole(role);
    }

    /// @dev Without a default admin no role could be withdrawn any more, so the zero address cannot succeed.
    function _beginDefaultAdminTransfer(address newAdmin) internal override {
        if (newAdmin == address(0)) revert ZeroAccount();
        super._beginDefaultAdminTransfer(newAdmin);
    }

    /// @dev The second door of "admin and recorder are different accounts"; a window still to come counts too.
    function _acceptDefaultAdminTransfer() internal override {
        (address newAdmin, ) = pendingDefaultAdmin();
        if (_windows[Roles.RECORDER][newAdmin].validUntil > block.timestamp) revert AdminAndRecorder(newAdmin);
        super._acceptDefaultAdminTransfer();
    }
}
