// Contract invariant 9, read off the compiled contracts.
import assert from "node:assert/strict";
import test from "node:test";
import { CONTRACTS, artifact } from "../tooling/artifacts.js";

const FORBIDDEN = { 0x32: "ORIGIN", 0xf2: "CALLCODE", 0xf4: "DELEGATECALL", 0xff: "SELFDESTRUCT", 0xf1: "CALL" };

/** The operations of runtime code, without the data of PUSH. */
function operations(bytecode) {
  const code = Buffer.from(bytecode.slice(2), "hex");
  const found = new Set();
  for (let i = 0; i < code.length; i++) {
    found.add(code[i]);
    if (code[i] >= 0x60 && code[i] <= 0x7f) i += code[i] - 0x5f;
  }
  return found;
}

for (const name of CONTRACTS) {
  const { abi, deployedBytecode } = artifact(name);

  test(`inv09 ${name}: nothing payable`, () => {
    const payable = abi.filter((entry) => entry.stateMutability === "payable" || entry.type === "receive");
    assert.deepEqual(payable, []);
  });

  test(`inv09 ${name}: no delegatecall, no tx.origin, no call that could change state elsewhere`, () => {
    const used = operations(deployedBytecode);
    assert.ok(used.has(0x35), "the scan reads code at all");
    const forbidden = Object.entries(FORBIDDEN).filter(([code]) => used.has(Number(code)));
    assert.deepEqual(forbidden, []);
  });

  test(`${name}: state only where it is kept for the events' sake`, () => {
    const used = operations(deployedBytecode);
    // The verifier of passkeys says the same for ever: it has nothing to write, and no event.
    assert.equal(used.has(0x55), name !== "PasskeyVerifier");
    assert.equal(
      abi.some((entry) => entry.type === "event"),
      name !== "PasskeyVerifier",
    );
  });

  test(`${name} fits the size limit of a contract`, () => {
    assert.ok((deployedBytecode.length - 2) / 2 <= 24_576);
  });
}
