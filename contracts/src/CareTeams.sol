// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ICareTeams} from "./ICareTeams.sol";
import {IConsentryRoles} from "./IConsentryRoles.sol";
import {Roles} from "./Roles.sol";
import {Signatures} from "./Signatures.sol";

/// @title Care teams, created by the hospital and run by their own leads
/// @notice Nobody leaves a team by themselves: a denial of the team would no longer hold for them.
contract CareTeams is ICareTeams, EIP712 {
    struct Window {
        uint48 validFrom;
        uint48 validUntil;
    }

    bytes32 private constant TEAM_CHANGE_TYPE = keccak256(
        "TeamChange(string words,bytes32 team,address account,uint8 part,uint48 validFrom,uint48 validUntil,uint32 teamNonce,uint48 deadline)"
    );

    // OpenZeppelin's id of the default admin's role.
    bytes32 private constant DEFAULT_ADMIN_ROLE = 0x00;
    uint8 private constant MEMBER = 1;
    uint8 private constant LEAD = 2;

    /// @notice Where staff roles are kept.
    IConsentryRoles public immutable ROLES;

    mapping(bytes32 team => bool) private _known;
    mapping(bytes32 team => uint32) private _nonces;
    mapping(bytes32 team => mapping(uint8 part => mapping(address account => Window))) private _parts;

    /// @notice Fixes for good what the contract builds on.
    /// @param roles where staff roles are kept
    constructor(IConsentryRoles roles) EIP712("Consentry Teams", "1") {
        ROLES = roles;
    }

    /// @inheritdoc ICareTeams
    function createTeam(bytes32 team) external override {
        if (!_isOffice(msg.sender)) revert NotRegistrarNorAdmin(msg.sender);
        if (uint256(team) >> 160 == 0) revert TeamIdIsPerson(team);
        if (_known[team]) revert TeamExists(team);
        _known[team] = true;
        emit TeamCreated(team);
    }

    /// @inheritdoc ICareTeams
    function setPart(bytes32 team, address account, uint8 part, uint48 validFrom, uint48 validUntil) external override {
        _setPart(msg.sender, team, account, part, Window(validFrom, validUntil));
    }

    /// @inheritdoc ICareTeams
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
    ) external override {
        if (deadline < block.timestamp) revert TeamDeadlinePassed(deadline, block.timestamp);
        Window memory w = Window(validFrom, validUntil);
        bytes32 message = _messageHash(team, account, part, w, wordsHash, deadline);
        if (!Signatures.isValid(signer, _hashTypedDataV4(message), signature)) revert TeamSignatureInvalid(signer);
        _setPart(Signatures.actorOf(signer), team, account, part, w);
    }

    /// @inheritdoc ICareTeams
    function partWindow(
        bytes32 team,
        address account,
        uint8 part
    ) external view override returns (uint48 validFrom, uint48 validUntil) {
        Window storage w = _parts[team][part][account];
        return (w.validFrom, w.validUntil);
    }

    /// @inheritdoc ICareTeams
    function exists(bytes32 team) external view override returns (bool known) {
        return _known[team];
    }

    /// @inheritdoc ICareTeams
    function teamNonce(bytes32 team) external view override returns (uint32 nonce) {
        return _nonces[team];
    }

    /// @inheritdoc ICareTeams
    function hasPart(bytes32 team, address account, uint8 part) public view override returns (bool held) {
        Window storage w = _parts[team][part][account];
        return w.validFrom <= block.timestamp && block.timestamp < w.validUntil;
    }

    function _setPart(address by, bytes32 team, address account, uint8 part, Window memory w) private {
        if (part != MEMBER && part != LEAD) revert PartUnknown(part);
        if (!_known[team]) revert TeamUnknown(team);
        if (!hasPart(team, by, LEAD) && !(part == LEAD && _isOffice(by))) revert NotEntitled(by, team);
        if (account == address(0)) revert AccountZero();
        if (w.validUntil == 0) {
            if (_parts[team][part][account].validUntil == 0) revert PartNotSet(team, account);
            if (w.validFrom != 0) revert PartWindowEmpty(w.validFrom, 0);
        } else if (w.validUntil <= w.validFrom || w.validUntil <= block.timestamp) {
            revert PartWindowEmpty(w.validFrom, w.validUntil);
        }
        _parts[team][part][account] = w;
        // Counts direct changes too: they void a signed change that was withheld.
        uint32 next = ++_nonces[team];
        emit TeamPartSet(team, account, part, w.validFrom, w.validUntil, next);
    }

    function _isOffice(address account) private view returns (bool) {
        return
            ROLES.holds(Roles.REGISTRAR, account) ||
            IAccessControl(address(ROLES)).hasRole(DEFAULT_ADMIN_ROLE, account);
    }

    function _messageHash(
        bytes32 team,
        address account,
        uint8 part,
        Window memory w,
        bytes32 wordsHash,
        uint48 deadline
    ) private view returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    TEAM_CHANGE_TYPE,
                    wordsHash,
                    team,
                    account,
                    part,
                    w.validFrom,
                    w.validUntil,
                    _nonces[team],
                    deadline
                )
            );
    }
}
