// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ConsentRegistry} from "../src/ConsentRegistry.sol";
import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {AddressVerifier, OwnedWallet} from "./Wallets.sol";
import {vm} from "./Vm.sol";

contract ConsentGrantTest is StagedTest {
    function setUp() public override {
        super.setUp();
        bind(PATIENT, ANNA_KEY);
        bind(OTHER_PATIENT, BEN_KEY);
    }

    function grantAs(address sender, IConsentRegistry.Terms memory t) private returns (bytes32) {
        vm.prank(sender);
        return consents.grant(t);
    }

    function refused(IConsentRegistry.Terms memory t, bytes memory reason) private {
        vm.prank(anna);
        vm.expectRevert(reason);
        consents.grant(t);
    }

    function studies(uint256 count) private pure returns (bytes32[] memory keys) {
        keys = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) keys[i] = bytes32(i + 1);
    }

    function testFuzz_id_and_digest_are_as_written(IConsentRegistry.Terms memory t, uint48 deadline) external {
        assertEq(consents.consentId(t), Messages.consentId(address(consents), t), "id");
        // The digest: a signature over any sound terms is accepted.
        t.patientKey = PATIENT;
        t.grantee = bytes32(bound(uint256(t.grantee), 1, type(uint160).max));
        t.effect %= 2;
        t.actions = uint8(bound(t.actions, 1, 15));
        t.purposes = uint16(bound(t.purposes, 1, 4095));
        t.validUntil = uint48(bound(t.validUntil, NOON + 1, type(uint48).max));
        t.validFrom = uint48(bound(t.validFrom, 0, t.validUntil - 1));
        (t.epoch, t.parent) = (0, 0);
        bool shares = t.effect == 1 && t.actions >= 8;
        t.shareDepth = shares ? uint8(bound(t.shareDepth, 1, 3)) : 0;
        if (t.dateTo < t.dateFrom) (t.dateFrom, t.dateTo) = (t.dateTo, t.dateFrom);
        t.studies = studies(t.studies.length % 65);
        deadline = uint48(bound(deadline, NOON, type(uint48).max));
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, deadline));
        bytes32 id = consents.grantBySignature(t, Messages.WORDS, deadline, signerOf(ANNA_KEY), signature);
        IConsentRegistry.Consent memory kept = consents.consent(PATIENT, id);
        assertEq(uint256(kept.status), 1, "granted");
        assertEq(abi.encode(kept.grantee, kept.effect), abi.encode(t.grantee, t.effect), "to whom");
        assertEq(abi.encode(kept.actions, kept.purposes), abi.encode(t.actions, t.purposes), "what for");
        assertEq(abi.encode(kept.validFrom, kept.validUntil), abi.encode(t.validFrom, t.validUntil), "when");
        assertEq(abi.encode(kept.studies), abi.encode(t.studies), "which");
        assertEq(abi.encode(kept.dateFrom, kept.dateTo), abi.encode(t.dateFrom, t.dateTo), "from which days");
        assertEq(abi.encode(kept.parent, kept.shareDepth), abi.encode(t.parent, t.shareDepth), "shared on");
        assertEq(consents.consentIds(PATIENT)[0], id, "listed");
    }

    function testFuzz_inv01_only_controller_or_valid_guardian_grants(address sender, uint48 instant) external {
        vm.assume(sender != anna && sender != stranger);
        vm.prank(anna);
        patients.setGuardian(PATIENT, signerOf(STRANGER_KEY), NOON + 1 days);
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.validUntil = FOREVER;
        vm.warp(bound(instant, NOON, NOON + 2 days));
        vm.prank(sender);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.NotGrantor.selector, sender, PATIENT));
        consents.grant(t);
        if (block.timestamp < NOON + 1 days) {
            grantAs(stranger, t);
        } else {
            vm.prank(stranger);
            vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.NotGrantor.selector, stranger, PATIENT));
            consents.grant(t);
            bytes memory late = signed(STRANGER_KEY, Messages.consent(address(consents), t, FOREVER));
            vm.expectRevert(
                abi.encodeWithSelector(IConsentRegistry.SignerNotGrantor.selector, signerOf(STRANGER_KEY), PATIENT)
            );
            consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(STRANGER_KEY), late);
            grantAs(anna, t);
        }
        assertTrue(mayView(doctor, PATIENT), "the authorised grant counts");
    }

    function testFuzz_inv01_consent_counts_inside_its_window(uint48 from, uint48 length, uint48 instant) external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.validFrom = uint48(bound(from, 0, FOREVER - 2));
        t.validUntil = t.validFrom + uint48(bound(length, 1, FOREVER - 1 - t.validFrom));
        vm.assume(t.validUntil > NOON);
        grantAs(anna, t);
        uint256[4] memory instants = [
            bound(instant, NOON, FOREVER - 1),
            t.validFrom,
            t.validUntil,
            uint256(t.validUntil) - 1
        ];
        for (uint256 i = 0; i < instants.length; ++i) {
            vm.warp(instants[i]);
            bool inside = t.validFrom <= instants[i] && instants[i] < t.validUntil;
            assertTrue(mayView(doctor, PATIENT) == inside, "window");
        }
    }

    function testFuzz_wrong_signer_is_refused(uint256 key) external {
        key = bound(key, 1, type(uint128).max);
        vm.assume(key != ANNA_KEY);
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes memory forged = signed(key, Messages.consent(address(consents), t, FOREVER));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, signerOf(ANNA_KEY)));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), forged);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignerNotGrantor.selector, signerOf(key), PATIENT));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(key), forged);
    }

    function test_inv03_signed_grant_works_once() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes32 id = grantSigned(t, ANNA_KEY);
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, FOREVER));
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.ConsentIdUsed.selector, PATIENT, id));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        refused(t, abi.encodeWithSelector(IConsentRegistry.ConsentIdUsed.selector, PATIENT, id));
    }

    function testFuzz_inv03_signed_grant_works_on_one_chain(uint64 chain) external {
        chain = uint64(bound(chain, 1, type(uint32).max));
        vm.assume(chain != block.chainid);
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, FOREVER));
        bytes32 id = consents.consentId(t);
        uint256 home = block.chainid;
        vm.chainId(chain);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, signerOf(ANNA_KEY)));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        assertTrue(consents.consentId(t) != id, "another id on another chain");
        vm.chainId(home);
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
    }

    function test_inv03_signed_grant_works_for_one_contract() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, FOREVER));
        ConsentRegistry another = new ConsentRegistry(roles, patients, teams, emergencies);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, signerOf(ANNA_KEY)));
        another.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
        assertTrue(another.consentId(t) != consents.consentId(t), "another id at another contract");
    }

    function test_inv03_signed_grant_works_for_one_patient() external {
        // Even for another patient of the same controller: the patient is in what was signed.
        bytes32 third = keccak256("patient three");
        bind(third, ANNA_KEY);
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, FOREVER));
        t.patientKey = third;
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, signerOf(ANNA_KEY)));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, signerOf(ANNA_KEY), signature);
    }

    function testFuzz_deadline_is_the_last_second(uint48 deadline, uint48 instant) external {
        deadline = uint48(bound(deadline, NOON, NOON + 100));
        vm.warp(bound(instant, NOON, NOON + 100));
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, deadline));
        if (block.timestamp > deadline) {
            vm.expectRevert(
                abi.encodeWithSelector(IConsentRegistry.DeadlinePassed.selector, deadline, uint256(block.timestamp))
            );
        }
        consents.grantBySignature(t, Messages.WORDS, deadline, signerOf(ANNA_KEY), signature);
    }

    function testFuzz_each_field_is_signed(uint8 field) external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.studies = studies(2);
        bytes memory signature = signed(ANNA_KEY, Messages.consent(address(consents), t, FOREVER));
        bytes32 words = Messages.WORDS;
        uint48 deadline = FOREVER;
        field = field % 15;
        if (field == 0) t.grantee = person(stranger);
        if (field == 1) t.effect = 0;
        if (field == 2) t.actions = 15;
        if (field == 3) t.purposes = 3;
        if (field == 4) t.validFrom -= 1;
        if (field == 5) t.validUntil += 1;
        if (field == 6) t.studies = studies(3);
        if (field == 7) t.studies = studies(0);
        if (field == 8) t.salt = 0;
        if (field == 9) words = keccak256("Other words.");
        if (field == 10) deadline += 1;
        if (field == 11) t.dateFrom = 20200101;
        if (field == 12) t.dateTo = 20200101;
        if (field == 13) t.epoch = 1;
        if (field == 14) t.shareDepth = 1;
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, signerOf(ANNA_KEY)));
        consents.grantBySignature(t, words, deadline, signerOf(ANNA_KEY), signature);
    }

    function test_unsound_terms_are_refused() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.grantee = 0;
        refused(t, abi.encodeWithSelector(IConsentRegistry.GranteeZero.selector));
        t = openTerms(PATIENT);
        t.effect = 2;
        refused(t, abi.encodeWithSelector(IConsentRegistry.EffectUnknown.selector, 2));
        t = openTerms(PATIENT);
        t.actions = 0;
        refused(t, abi.encodeWithSelector(IConsentRegistry.ActionsUnknown.selector, 0));
        t.actions = 17;
        refused(t, abi.encodeWithSelector(IConsentRegistry.ActionsUnknown.selector, 17));
        t = openTerms(PATIENT);
        t.purposes = 0;
        refused(t, abi.encodeWithSelector(IConsentRegistry.PurposesUnknown.selector, 0));
        t.purposes = 4097;
        refused(t, abi.encodeWithSelector(IConsentRegistry.PurposesUnknown.selector, 4097));
        t = openTerms(PATIENT);
        t.validUntil = t.validFrom;
        refused(t, abi.encodeWithSelector(IConsentRegistry.WindowEmpty.selector, NOON, NOON));
        t.validFrom = 0;
        refused(t, abi.encodeWithSelector(IConsentRegistry.WindowOver.selector, NOON, uint256(NOON)));
        t = openTerms(PATIENT);
        t.epoch = 1;
        refused(t, abi.encodeWithSelector(IConsentRegistry.EpochNotCurrent.selector, 1, 0));
        t = openTerms(PATIENT);
        (t.dateFrom, t.dateTo) = (20200102, 20200101);
        refused(t, abi.encodeWithSelector(IConsentRegistry.DatesEmpty.selector, 20200102, 20200101));
    }

    function testFuzz_a_permit_has_a_share_depth_just_when_it_allows_sharing(uint8 actions, uint8 depth) external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.actions = uint8(bound(actions, 1, 15));
        t.shareDepth = depth % 6;
        if ((t.actions & 8 != 0) != (t.shareDepth != 0) || t.shareDepth > 3) {
            refused(t, abi.encodeWithSelector(IConsentRegistry.ShareDepthUnsound.selector, t.shareDepth));
        } else {
            grantAs(anna, t);
        }
        (t.effect, t.actions, t.shareDepth) = (0, 15, 1);
        refused(t, abi.encodeWithSelector(IConsentRegistry.ShareDepthUnsound.selector, 1));
    }

    function test_unsound_studies_are_refused() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.studies = studies(65);
        refused(t, abi.encodeWithSelector(IConsentRegistry.TooManyStudies.selector, 65, 64));
        t.studies = studies(3);
        t.studies[2] = t.studies[1];
        refused(t, abi.encodeWithSelector(IConsentRegistry.StudiesNotAscending.selector, 2));
        t.studies[0] = 0;
        refused(t, abi.encodeWithSelector(IConsentRegistry.StudiesNotAscending.selector, 0));
        t.studies = studies(64);
        grantAs(anna, t);
    }

    function test_unclaimed_patients_grant_nothing() external {
        IConsentRegistry.Terms memory t = openTerms(keccak256("nobody"));
        vm.prank(address(0));
        vm.expectPartialRevert(IConsentRegistry.NotGrantor.selector);
        consents.grant(t);
        vm.expectPartialRevert(IConsentRegistry.SignerNotGrantor.selector);
        consents.grantBySignature(t, Messages.WORDS, FOREVER, "", "");
    }

    function test_contract_wallet_and_passkey_grant_by_signature() external {
        bytes memory wallet = abi.encodePacked(address(new OwnedWallet(stranger)));
        bytes memory passkey = abi.encodePacked(address(new AddressVerifier()), abi.encode(stranger));
        bytes[2] memory signers = [wallet, passkey];
        for (uint256 i = 0; i < signers.length; ++i) {
            vm.prank(anna);
            patients.setGuardian(PATIENT, signers[i], FOREVER);
            IConsentRegistry.Terms memory t = openTerms(PATIENT);
            t.salt = bytes32(i);
            bytes memory signature = signed(STRANGER_KEY, Messages.consent(address(consents), t, FOREVER));
            bytes32 id = consents.grantBySignature(t, Messages.WORDS, FOREVER, signers[i], signature);
            assertEq(uint256(consents.consent(PATIENT, id).status), 1, "granted");
        }
    }

    function test_care_team_consent_names_no_person() external {
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        t.grantee = bytes32(uint256(uint160(doctor)) | (1 << 200));
        refused(t, abi.encodeWithSelector(IConsentRegistry.GranteeTeamUnknown.selector, t.grantee));
        vm.prank(registrar);
        teams.createTeam(t.grantee);
        grantAs(anna, t);
        assertTrue(!mayView(doctor, PATIENT), "the upper bytes tell a team from a person");
    }
}
