// tests/vectors/passkey.json, asked of the verifier on a chain with a precompile for P-256 and on one without.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { concat } from "ethers";
import { stage } from "../tooling/chain.js";
import { packed, passkey } from "../tooling/passkey.js";
import { FILE } from "../tooling/passkey_vectors.js";

const START = 1_900_000_000;
const MAGIC = "0x024ad318"; // ERC-7913: the selector of verify(bytes,bytes32,bytes)
const CHECK_GAS = 500_000n;
const { rpId, origin, privateKey, x, y, challenge, cases } = JSON.parse(readFileSync(FILE, "utf8"));

for (const hardfork of ["osaka", "prague"]) {
  test(`the vectors of a passkey, ${hardfork}`, async () => {
    const { passkeys } = await stage(START, hardfork);
    const key = concat([x, y]);
    for (const { name, good, signature } of cases) {
      assert.equal(await passkeys.verify(key, challenge, signature), good ? MAGIC : "0xffffffff", name);
      assert.ok((await passkeys.verify.estimateGas(key, challenge, signature)) < CHECK_GAS, `${name}: gas`);
    }
    const fresh = packed(passkey(privateKey).answer(challenge, { rpId, origin }));
    assert.equal(await passkeys.verify(key, challenge, fresh), MAGIC, "signed now");
  });
}

test("the vectors hold both verdicts, and what was answered", () => {
  assert.equal(cases.filter(({ good }) => good).length, 1);
  assert.ok(cases.filter(({ good }) => !good).length > 8);
  for (const { name, answer, signature } of cases.filter(({ answer: given }) => given)) {
    assert.equal(packed(answer), signature, name);
  }
});
