// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IConsentRegistry} from "../src/IConsentRegistry.sol";
import {Signatures} from "../src/Signatures.sol";
import {Messages} from "./Messages.sol";
import {StagedTest} from "./Stage.sol";
import {AddressVerifier, BombWallet, BurningWallet, OwnedWallet, RawWallet} from "./Wallets.sol";
import {vm} from "./Vm.sol";

contract SignaturesTest is StagedTest {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    /// @dev External, so that the signature travels as calldata.
    function check(bytes calldata signer, bytes32 digest, bytes calldata signature) external view returns (bool) {
        return Signatures.isValid(signer, digest, signature);
    }

    function testFuzz_key_signature_is_good_and_others_are_not(
        uint256 key,
        uint256 other,
        bytes32 digest
    ) external view {
        key = bound(key, 1, CURVE_ORDER - 1);
        other = bound(other, 1, CURVE_ORDER - 1);
        vm.assume(key != other);
        assertTrue(this.check(signerOf(key), digest, signed(key, digest)), "own");
        assertTrue(!this.check(signerOf(key), digest, signed(other, digest)), "another's");
        assertTrue(!this.check(signerOf(key), ~digest, signed(key, digest)), "another message");
    }

    function testFuzz_high_s_and_odd_v_are_refused(uint256 key, bytes32 digest, uint8 oddV) external view {
        key = bound(key, 1, CURVE_ORDER - 1);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        bytes32 highS = bytes32(CURVE_ORDER - uint256(s));
        assertTrue(!this.check(signerOf(key), digest, abi.encodePacked(r, highS, v == 27 ? 28 : 27)), "high s");
        vm.assume(oddV != 27 && oddV != 28);
        assertTrue(!this.check(signerOf(key), digest, abi.encodePacked(r, s, oddV)), "odd v");
        assertTrue(!this.check(signerOf(key), digest, abi.encodePacked(r, s, v - 27)), "v of 0 or 1");
    }

    function testFuzz_other_lengths_are_refused(bytes32 digest, uint8 length) external view {
        vm.assume(length != 65);
        bytes memory whole = signed(ANNA_KEY, digest);
        bytes memory cut = new bytes(length);
        for (uint256 i = 0; i < length && i < 65; ++i) cut[i] = whole[i];
        assertTrue(!this.check(signerOf(ANNA_KEY), digest, cut), "another length");
    }

    function testFuzz_random_bytes_are_refused(bytes memory signer, bytes32 digest, bytes memory junk) external view {
        assertTrue(!this.check(signer, digest, junk), "junk");
    }

    function test_contract_wallet_and_verifier_answer() external {
        bytes32 digest = keccak256("message");
        bytes memory wallet = abi.encodePacked(address(new OwnedWallet(anna)));
        assertTrue(this.check(wallet, digest, signed(ANNA_KEY, digest)), "wallet, owner");
        assertTrue(!this.check(wallet, digest, signed(BEN_KEY, digest)), "wallet, stranger");
        bytes memory keyed = abi.encodePacked(address(new AddressVerifier()), abi.encode(anna));
        assertTrue(this.check(keyed, digest, signed(ANNA_KEY, digest)), "verifier, owner");
        assertTrue(!this.check(keyed, digest, signed(BEN_KEY, digest)), "verifier, stranger");
        assertTrue(!this.check(abi.encodePacked(anna, hex"01"), digest, signed(ANNA_KEY, digest)), "no verifier there");
    }

    function test_account_with_delegated_code_keeps_its_key() external {
        bytes32 digest = keccak256("message");
        vm.etch(anna, address(new OwnedWallet(ben)).code);
        assertTrue(this.check(signerOf(ANNA_KEY), digest, signed(ANNA_KEY, digest)), "its key");
        assertTrue(this.check(signerOf(ANNA_KEY), digest, signed(BEN_KEY, digest)), "its code");
        vm.etch(anna, address(new BurningWallet()).code);
        assertTrue(this.check(signerOf(ANNA_KEY), digest, signed(ANNA_KEY, digest)), "its key, whatever the code");
    }

    function testFuzz_inv10_only_the_magic_word_is_a_yes(bytes memory answer) external {
        RawWallet wallet = new RawWallet(answer);
        bool yes = answer.length >= 32 && bytes32(answer) == bytes32(IERC1271.isValidSignature.selector);
        assertTrue(this.check(abi.encodePacked(wallet), keccak256("message"), "") == yes, "answer");
    }

    function test_inv10_short_and_dirty_magic_is_a_no() external {
        bytes4 magic = IERC1271.isValidSignature.selector;
        bytes[4] memory answers = [
            abi.encodePacked(magic),
            abi.encodePacked(magic, bytes27(0)),
            abi.encodePacked(magic, bytes27(0), hex"01"),
            abi.encode(uint256(1))
        ];
        for (uint256 i = 0; i < answers.length; ++i) {
            RawWallet wallet = new RawWallet(answers[i]);
            assertTrue(!this.check(abi.encodePacked(wallet), keccak256("message"), ""), "not the magic word");
        }
        RawWallet good = new RawWallet(abi.encode(magic));
        assertTrue(this.check(abi.encodePacked(good), keccak256("message"), ""), "the magic word");
    }

    function test_inv10_gas_burner_is_bounded() external {
        bytes memory burner = abi.encodePacked(address(new BurningWallet()));
        uint256 before = gasleft();
        assertTrue(!this.check(burner, keccak256("message"), ""), "no answer");
        assertTrue(before - gasleft() < Signatures.CHECK_GAS + 30_000, "bounded gas");
        bytes memory keyed = abi.encodePacked(burner, hex"01");
        before = gasleft();
        assertTrue(!this.check(keyed, keccak256("message"), ""), "no answer");
        assertTrue(before - gasleft() < Signatures.CHECK_GAS + 30_000, "bounded gas");
    }

    function test_inv10_answer_of_any_size_costs_no_memory_of_ours() external {
        for (uint256 i = 0; i < 2; ++i) {
            bool reverts = i == 1;
            bytes memory bomb = abi.encodePacked(address(new BombWallet(reverts)));
            uint256 before = gasleft();
            assertTrue(this.check(bomb, keccak256("message"), "") == !reverts, "says yes, or reverts");
            // The wallet pays about 200k for its own memory; copying it here would cost as much again.
            assertTrue(before - gasleft() < 300_000, "bounded return");
        }
    }

    function test_inv10_burner_cannot_stop_the_others() external {
        // A guardian whose wallet burns all its gas does not keep the controller from granting and revoking.
        bind(PATIENT, ANNA_KEY);
        bytes memory burner = abi.encodePacked(address(new BurningWallet()));
        vm.prank(anna);
        patients.setGuardian(PATIENT, burner, FOREVER);
        IConsentRegistry.Terms memory t = openTerms(PATIENT);
        vm.expectRevert(abi.encodeWithSelector(IConsentRegistry.SignatureInvalid.selector, burner));
        consents.grantBySignature(t, Messages.WORDS, FOREVER, burner, "");
        bytes32 id = grantSigned(t, ANNA_KEY);
        revokeSigned(PATIENT, id, ANNA_KEY);
    }

    function testFuzz_actor_of_a_long_signer_is_derived(bytes memory key) external pure {
        vm.assume(key.length > 0);
        bytes memory signer = abi.encodePacked(address(0x1234), key);
        assertEq(
            Signatures.actorOf(signer),
            address(uint160(uint256(keccak256(signer)))),
            "lower twenty bytes of the hash"
        );
        assertEq(Signatures.actorOf(""), address(0), "no signer");
        assertEq(Signatures.actorOf(abi.encodePacked(address(0x1234))), address(0x1234), "itself");
    }
}
