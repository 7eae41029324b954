// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {IEmergencyAccess} from "../src/IEmergencyAccess.sol";

/// @dev EIP-712 digests and consent ids written down a second time, so that a slip in a contract shows.
library Messages {
    bytes32 internal constant WORDS = keccak256("The words that the person reads.");

    function digest(string memory name, address target, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                target
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function claim(
        address target,
        bytes32 patientKey,
        bytes memory controller,
        uint48 deadline
    ) internal view returns (bytes32) {
        bytes32 kind = keccak256("Claim(string words,bytes32 patientKey,bytes controller,uint48 deadline)");
        return
            digest(
                "Consentry Patients",
                target,
                keccak256(abi.encode(kind, WORDS, patientKey, keccak256(controller), deadline))
            );
    }

    function veto(
        address target,
        bytes32 patientKey,
        uint32 moveNonce,
        uint48 deadline
    ) internal view returns (bytes32) {
        bytes32 kind = keccak256("MoveVeto(string words,bytes32 patientKey,uint32 moveNonce,uint48 deadline)");
        return
            digest("Consentry Patients", target, keccak256(abi.encode(kind, WORDS, patientKey, moveNonce, deadline)));
    }

    function acceptance(
        address target,
        bytes32 patientKey,
        bytes memory controller,
        uint32 moveNonce,
        uint48 deadline
    ) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "MoveAcceptance(string words,bytes32 patientKey,bytes controller,uint32 moveNonce,uint48 deadline)"
        );
        return
            digest(
                "Consentry Patients",
                target,
                keccak256(abi.encode(kind, WORDS, patientKey, keccak256(controller), moveNonce, deadline))
            );
    }

    function guardianChange(
        address target,
        bytes32 patientKey,
        bytes memory guardian,
        uint48 validUntil,
        uint32 guardianNonce,
        uint48 deadline
    ) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "GuardianChange(string words,bytes32 patientKey,bytes guardian,uint48 validUntil,uint32 guardianNonce,uint48 deadline)"
        );
        return
            digest(
                "Consentry Patients",
                target,
                keccak256(abi.encode(kind, WORDS, patientKey, keccak256(guardian), validUntil, guardianNonce, deadline))
            );
    }

    function consent(address target, IConsentRegistry.Terms memory t, uint48 deadline) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "Consent(string words,bytes32 patientKey,bytes32 grantee,uint8 effect,uint8 actions,uint16 purposes,uint48 validFrom,uint48 validUntil,bytes32[] studies,uint32 dateFrom,uint32 dateTo,bytes32 parent,uint8 shareDepth,uint32 epoch,bytes32 salt,uint48 deadline)"
        );
        bytes memory fields = abi.encodePacked(kind, WORDS, fieldsOf(t, sideBySide(t.studies)), uint256(deadline));
        return digest("Consentry Consents", target, keccak256(fields));
    }

    function bundle(
        address target,
        IConsentRegistry.Terms[] memory grants,
        uint48 deadline
    ) internal view returns (bytes32) {
        bytes32 each = keccak256(
            "Grant(bytes32 patientKey,bytes32 grantee,uint8 effect,uint8 actions,uint16 purposes,uint48 validFrom,uint48 validUntil,bytes32[] studies,uint32 dateFrom,uint32 dateTo,bytes32 parent,uint8 shareDepth,uint32 epoch,bytes32 salt)"
        );
        bytes32 kind = keccak256(
            "Consents(string words,Grant[] grants,uint48 deadline)Grant(bytes32 patientKey,bytes32 grantee,uint8 effect,uint8 actions,uint16 purposes,uint48 validFrom,uint48 validUntil,bytes32[] studies,uint32 dateFrom,uint32 dateTo,bytes32 parent,uint8 shareDepth,uint32 epoch,bytes32 salt)"
        );
        bytes32[] memory hashes = new bytes32[](grants.length);
        for (uint256 i = 0; i < grants.length; ++i) {
            hashes[i] = keccak256(bytes.concat(each, fieldsOf(grants[i], sideBySide(grants[i].studies))));
        }
        bytes memory fields = abi.encodePacked(kind, WORDS, sideBySide(hashes), uint256(deadline));
        return digest("Consentry Consents", target, keccak256(fields));
    }

    function teamChange(
        address target,
        bytes32 team,
        address account,
        uint8 part,
        uint48[2] memory ends,
        uint32 nonce,
        uint48 deadline
    ) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "TeamChange(string words,bytes32 team,address account,uint8 part,uint48 validFrom,uint48 validUntil,uint32 teamNonce,uint48 deadline)"
        );
        bytes memory fields = abi.encodePacked(kind, WORDS, team, uint256(uint160(account)), uint256(part));
        fields = abi.encodePacked(fields, uint256(ends[0]), uint256(ends[1]), uint256(nonce), uint256(deadline));
        return digest("Consentry Teams", target, keccak256(fields));
    }

    function revocation(
        address target,
        bytes32 patientKey,
        bytes32 id,
        uint48 deadline
    ) internal view returns (bytes32) {
        bytes32 kind = keccak256("Revocation(string words,bytes32 patientKey,bytes32 consentId,uint48 deadline)");
        return digest("Consentry Consents", target, keccak256(abi.encode(kind, WORDS, patientKey, id, deadline)));
    }

    function emergency(address target, IEmergencyAccess.Emergency memory e) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "EmergencyAccess(string words,bytes32 patientKey,bytes32 reasonHash,uint48 validFrom,uint48 validUntil,bytes32 salt)"
        );
        bytes memory fields = abi.encodePacked(kind, WORDS, e.patientKey, e.reasonHash);
        fields = abi.encodePacked(fields, uint256(e.validFrom), uint256(e.validUntil), e.salt);
        return digest("Consentry Emergency", target, keccak256(fields));
    }

    function emergencyReview(
        address target,
        bytes32 id,
        uint8 finding,
        bytes32 noteHash,
        uint48 deadline
    ) internal view returns (bytes32) {
        bytes32 kind = keccak256(
            "EmergencyReview(string words,bytes32 emergencyId,uint8 finding,bytes32 noteHash,uint48 deadline)"
        );
        bytes memory fields = abi.encodePacked(kind, WORDS, id, uint256(finding), noteHash, uint256(deadline));
        return digest("Consentry Emergency", target, keccak256(fields));
    }

    function emergencyId(
        address target,
        IEmergencyAccess.Emergency memory e,
        address actor
    ) internal view returns (bytes32) {
        bytes memory fields = abi.encodePacked(
            keccak256("consentry.emergency.v1"),
            block.chainid,
            uint256(uint160(target))
        );
        fields = abi.encodePacked(fields, e.patientKey, uint256(uint160(actor)), e.reasonHash);
        return keccak256(abi.encodePacked(fields, uint256(e.validFrom), uint256(e.validUntil), e.salt));
    }

    function consentId(address target, IConsentRegistry.Terms memory t) internal view returns (bytes32) {
        bytes memory fields = abi.encodePacked(
            keccak256("consentry.consent.v2"),
            block.chainid,
            uint256(uint160(target))
        );
        return keccak256(bytes.concat(fields, fieldsOf(t, keccak256(abi.encode(t.studies)))));
    }

    function fieldsOf(IConsentRegistry.Terms memory t, bytes32 studies) private pure returns (bytes memory fields) {
        fields = abi.encodePacked(t.patientKey, t.grantee, uint256(t.effect), uint256(t.actions), uint256(t.purposes));
        fields = abi.encodePacked(fields, uint256(t.validFrom), uint256(t.validUntil), studies);
        fields = abi.encodePacked(fields, uint256(t.dateFrom), uint256(t.dateTo), t.parent, uint256(t.shareDepth));
        return abi.encodePacked(fields, uint256(t.epoch), t.salt);
    }

    /// @dev EIP-712's hash of an array of words, one by one.
    function sideBySide(bytes32[] memory words) private pure returns (bytes32) {
        bytes memory joined;
        for (uint256 i = 0; i < words.length; ++i) joined = bytes.concat(joined, words[i]);
        return keccak256(joined);
    }
}
