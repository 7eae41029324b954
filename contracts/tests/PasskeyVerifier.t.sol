// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {Base64} from "@openzeppelin/contracts/utils/Base64.sol";
import {WebAuthn} from "@openzeppelin/contracts/utils/cryptography/WebAuthn.sol";
import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {IEmergencyAccess} from "../src/IEmergencyAccess.sol";
import {PasskeyVerifier} from "../src/PasskeyVerifier.sol";
import {Roles} from "../src/Roles.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {vm} from "./Vm.sol";

/// @dev A passkey as a browser would use it, with a real P-256 key.
contract PasskeyTest is StagedTest {
    bytes4 private constant MAGIC = PasskeyVerifier.verify.selector;
    bytes4 private constant INVALID = 0xffffffff;
    string private constant RP_ID = "images.example.org";
    uint256 private constant PASSKEY = 0x70617373;
    bytes1 private constant PRESENT = 0x01;
    bytes1 private constant VERIFIED = 0x05;

    PasskeyVerifier private verifier;

    function setUp() public override {
        super.setUp();
        verifier = new PasskeyVerifier(RP_ID);
    }

    function keyOf(uint256 key) private pure returns (bytes memory) {
        (uint256 x, uint256 y) = vm.publicKeyP256(key);
        return abi.encodePacked(x, y);
    }

    function signerOfPasskey(uint256 key) private view returns (bytes memory) {
        return abi.encodePacked(verifier, keyOf(key));
    }

    function dataOf(string memory rpId, bytes1 flags) private pure returns (bytes memory) {
        return abi.encodePacked(sha256(bytes(rpId)), flags, uint32(7));
    }

    // solhint-disable quotes
    function clientData(string memory kind, bytes memory challenge) private pure returns (string memory) {
        return
            string.concat(
                '{"type":"',
                kind,
                '","challenge":"',
                Base64.encodeURL(challenge),
                '","origin":"https://images.example.org","crossOrigin":false}'
            );
    }
    // solhint-enable quotes

    /// @dev What the authenticator answers, made ready for the chain: low s, and where type and challenge begin.
    function assertion(
        uint256 key,
        bytes memory authenticatorData,
        string memory json
    ) private pure returns (WebAuthn.WebAuthnAuth memory auth) {
        bytes32 signedHash = sha256(abi.encodePacked(authenticatorData, sha256(bytes(json))));
        (auth.r, auth.s) = vm.signP256(key, signedHash);
        if (uint256(auth.s) > P256.N / 2) auth.s = bytes32(P256.N - uint256(auth.s));
        (auth.typeIndex, auth.challengeIndex) = (1, 23);
        (auth.authenticatorData, auth.clientDataJSON) = (authenticatorData, json);
    }

    function good(uint256 key, bytes32 hash) private pure returns (WebAuthn.WebAuthnAuth memory) {
        return assertion(key, dataOf(RP_ID, VERIFIED), clientData("webauthn.get", abi.encodePacked(hash)));
    }

    /// @dev abi.encode without the word that says where the tuple begins.
    function packed(WebAuthn.WebAuthnAuth memory auth) private pure returns (bytes memory) {
        return
            abi.encode(
                auth.r,
                auth.s,
                auth.challengeIndex,
                auth.typeIndex,
                auth.authenticatorData,
                auth.clientDataJSON
            );
    }

    function judge(WebAuthn.WebAuthnAuth memory auth, bytes32 hash, bool expected, string memory what) private view {
        bytes4 answer = verifier.verify(keyOf(PASSKEY), hash, packed(auth));
        assertEq(bytes32(answer), bytes32(expected ? MAGIC : INVALID), what);
    }

    function test_packing_is_abi_encode_without_its_first_word() external pure {
        WebAuthn.WebAuthnAuth memory auth = good(PASSKEY, "hash");
        bytes memory whole = abi.encode(auth);
        assertEq(abi.encodePacked(bytes32(uint256(32)), packed(auth)), whole, "the tuple");
    }

    function testFuzz_a_passkeys_signature_is_good_for_its_key_and_hash(
        uint256 key,
        uint256 other,
        bytes32 hash
    ) external view {
        key = bound(key, 1, P256.N - 1);
        other = bound(other, 1, P256.N - 1);
        vm.assume(key != other);
        bytes memory signature = packed(good(key, hash));
        assertEq(bytes32(verifier.verify(keyOf(key), hash, signature)), bytes32(MAGIC), "its own");
        assertEq(bytes32(verifier.verify(keyOf(other), hash, signature)), bytes32(INVALID), "another key");
        assertEq(bytes32(verifier.verify(keyOf(key), ~hash, signature)), bytes32(INVALID), "another hash");
    }

    function testFuzz_a_passkey_of_another_site_is_refused(string memory rpId, bytes32 hash) external view {
        vm.assume(keccak256(bytes(rpId)) != keccak256(bytes(RP_ID)));
        string memory json = clientData("webauthn.get", abi.encodePacked(hash));
        judge(assertion(PASSKEY, dataOf(rpId, VERIFIED), json), hash, false, "another site");
        judge(assertion(PASSKEY, dataOf(RP_ID, VERIFIED), json), hash, true, "this site");
        assertEq(verifier.RP_ID_HASH(), sha256(bytes(RP_ID)), "of its name");
    }

    function testFuzz_the_user_is_present_and_verified(bytes1 flags, bytes32 hash) external view {
        string memory json = clientData("webauthn.get", abi.encodePacked(hash));
        bool there = flags & VERIFIED == VERIFIED;
        // Bits 3 and 4: what is backed up may be backed up.
        bool sound = flags & 0x10 == 0 || flags & 0x08 != 0;
        judge(assertion(PASSKEY, dataOf(RP_ID, flags), json), hash, there && sound, "flags");
        judge(assertion(PASSKEY, dataOf(RP_ID, PRESENT), json), hash, false, "present only");
        judge(assertion(PASSKEY, dataOf(RP_ID, 0x04), json), hash, false, "verified only");
    }

    function test_type_and_challenge_are_what_they_must_be() external view {
        bytes32 hash = keccak256("message");
        bytes memory data = dataOf(RP_ID, VERIFIED);
        judge(assertion(PASSKEY, data, clientData("webauthn.create", abi.encodePacked(hash))), hash, false, "type");
        bytes memory longer = abi.encodePacked(hash, hex"00");
        judge(assertion(PASSKEY, data, clientData("webauthn.get", longer)), hash, false, "a longer challenge");
        judge(assertion(PASSKEY, data, clientData("webauthn.get", "")), hash, false, "no challenge");
        WebAuthn.WebAuthnAuth memory auth = good(PASSKEY, hash);
        auth.challengeIndex = 22;
        judge(auth, hash, false, "challenge elsewhere");
        auth = good(PASSKEY, hash);
        auth.typeIndex = 2;
        judge(auth, hash, false, "type elsewhere");
        for (uint256 far = 1; far != 0; far <<= 1) {
            auth = good(PASSKEY, hash);
            auth.typeIndex = type(uint256).max - far + 1;
            judge(auth, hash, false, "type nowhere");
            auth = good(PASSKEY, hash);
            auth.challengeIndex = type(uint256).max - far + 1;
            judge(auth, hash, false, "challenge nowhere");
        }
    }

    function testFuzz_high_s_and_what_was_changed_are_refused(bytes32 hash, uint8 place) external view {
        WebAuthn.WebAuthnAuth memory auth = good(PASSKEY, hash);
        auth.s = bytes32(P256.N - uint256(auth.s));
        judge(auth, hash, false, "high s");
        auth = good(PASSKEY, hash);
        bytes memory json = bytes(auth.clientDataJSON);
        json[place % json.length] ^= 0x01;
        judge(auth, hash, false, "other client data");
        auth = good(PASSKEY, hash);
        auth.authenticatorData[place % 37] ^= 0x40;
        judge(auth, hash, false, "other authenticator data");
    }

    function testFuzz_truncated_authenticator_data_are_refused(bytes32 hash, uint8 length) external view {
        bytes memory whole = dataOf(RP_ID, VERIFIED);
        bytes memory cut = new bytes(length % 37);
        for (uint256 i = 0; i < cut.length; ++i) cut[i] = whole[i];
        judge(assertion(PASSKEY, cut, clientData("webauthn.get", abi.encodePacked(hash))), hash, false, "cut");
        // Extensions may follow.
        bytes memory extended = abi.encodePacked(whole, hex"a1636162630a");
        judge(assertion(PASSKEY, extended, clientData("webauthn.get", abi.encodePacked(hash))), hash, true, "more");
    }

    function testFuzz_truncated_signatures_are_refused_without_reverting(bytes32 hash, uint16 length) external view {
        bytes memory whole = packed(good(PASSKEY, hash));
        bytes memory cut = new bytes(length % whole.length);
        for (uint256 i = 0; i < cut.length; ++i) cut[i] = whole[i];
        bytes4 answer = verifier.verify(keyOf(PASSKEY), hash, cut);
        // The encoding ends in padding; what is cut there leaves the signature whole.
        uint256 end = whole.length - 32 + (bytes(good(PASSKEY, hash).clientDataJSON).length % 32);
        assertEq(bytes32(answer), bytes32(cut.length < end ? INVALID : MAGIC), "cut");
    }

    function testFuzz_garbage_is_refused_without_reverting(
        bytes memory key,
        bytes32 hash,
        bytes memory junk,
        bytes memory spoiler
    ) external view {
        assertEq(bytes32(verifier.verify(key, hash, junk)), bytes32(INVALID), "any key, any signature");
        assertEq(bytes32(verifier.verify(keyOf(PASSKEY), hash, junk)), bytes32(INVALID), "any signature");
        bytes memory sound = packed(good(PASSKEY, hash));
        assertEq(bytes32(verifier.verify(key, hash, sound)), bytes32(INVALID), "any key");
        bytes memory long = abi.encodePacked(keyOf(PASSKEY), hex"00");
        assertEq(bytes32(verifier.verify(long, hash, sound)), bytes32(INVALID), "a key and more");
        // Words of the head replaced: places and lengths that point anywhere.
        vm.assume(spoiler.length != 0);
        uint256 word = uint8(spoiler[0]) % (sound.length / 32);
        uint256 value = uint256(keccak256(spoiler)) >> ((uint8(spoiler[spoiler.length - 1]) % 32) * 8);
        uint256 before;
        assembly ("memory-safe") {
            let place := add(add(sound, 0x20), mul(word, 0x20))
            before := mload(place)
            mstore(place, value)
        }
        bool unchanged = before == value;
        assertEq(bytes32(verifier.verify(keyOf(PASSKEY), hash, sound)), bytes32(unchanged ? MAGIC : INVALID), "word");
    }

    function testFuzz_keys_off_the_curve_are_refused(bytes32 x, bytes32 y, bytes32 hash) external view {
        bytes memory sound = packed(good(PASSKEY, hash));
        assertEq(bytes32(verifier.verify(abi.encodePacked(x, y), hash, sound)), bytes32(INVALID), "off the curve");
        assertEq(bytes32(verifier.verify(new bytes(64), hash, sound)), bytes32(INVALID), "the point at infinity");
        bytes memory past = abi.encodePacked(P256.P + 5, y);
        assertEq(bytes32(verifier.verify(past, hash, sound)), bytes32(INVALID), "beyond the field");
    }

    function test_inv03_a_patient_claims_grants_and_revokes_with_a_passkey() external {
        bytes memory passkey = signerOfPasskey(PASSKEY);
        assertEq(passkey.length, 84, "verifier, x, y");
        address actor = address(uint160(uint256(keccak256(passkey))));
        vm.prank(registrar);
        patients.enrol(PATIENT, vm.addr(CLAIM_KEY), FOREVER, 0);
        bytes32 digest = Messages.claim(address(patients), PATIENT, passkey, FOREVER);
        bytes memory own = packed(good(PASSKEY, digest));
        patients.claim(PATIENT, passkey, signed(CLAIM_KEY, digest), own, FOREVER, Messages.WORDS);
        assertEq(patients.controllerActor(PATIENT), actor, "actor");
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        bytes memory signature = packed(good(PASSKEY, Messages.consent(address(consents), t, FOREVER)));
        bytes memory another = signerOfPasskey(PASSKEY + 1);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignerNotGrantor.selector, another, PATIENT));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, another, signature);
        bytes32 id = consents.grantBySignature(t, Messages.WORDS, FOREVER, passkey, signature);
        assertTrue(mayView(doctor, PATIENT), "granted");
        digest = Messages.revocation(address(consents), PATIENT, id, FOREVER);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, passkey));
        consents.revokeBySignature(PATIENT, id, Messages.WORDS, FOREVER, passkey, signature);
        signature = packed(good(PASSKEY, digest));
        consents.revokeBySignature(PATIENT, id, Messages.WORDS, FOREVER, passkey, signature);
        assertTrue(!mayView(doctor, PATIENT), "revoked");
    }

    function test_a_holder_breaks_the_glass_with_a_passkey() external {
        bind(PATIENT, ANNA_KEY);
        bytes memory passkey = signerOfPasskey(PASSKEY);
        address actor = address(uint160(uint256(keccak256(passkey))));
        giveRole(Roles.EMERGENCY, actor);
        IEmergencyAccess.Emergency memory e = IEmergencyAccess.Emergency(PATIENT, "why", NOON, NOON + 60, "salt");
        bytes memory signature = packed(good(PASSKEY, Messages.emergency(address(emergencies), e)));
        bytes32 id = emergencies.openBySignature(e, Messages.WORDS, passkey, signature);
        assertEq(emergencies.openFor(PATIENT, actor), id, "open");
    }
}
