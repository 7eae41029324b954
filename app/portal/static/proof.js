// Opens the proof of an access: the record's canonical bytes (docs/CHAIN.md), its salted commitment, and the event
// AccessLogged that a node of the chain shows in the transaction's receipt.

import { keccak_256 } from "./vendor/noble-hashes/sha3.js";
import { _ } from "./words.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const RECORD_DOMAIN = keccak_256(encoder.encode("consentry.record.v1"));
const ACCESS_LOGGED = hex(keccak_256(encoder.encode("AccessLogged(bytes32,address,bytes32,uint64,uint64,bytes32,bytes32)")));
const FIELDS = { 1: 15, 2: 16, 3: 16 };
const MODIFICATION = 2;
const ACTIONS = { 1: "search", 2: "view", 4: "retrieve", 8: "share" };
const MODIFICATIONS = { 0x100: "stored" };
const PURPOSES = [
  "TREAT",
  "ETREAT",
  "HPAYMT",
  "HOPERAT",
  "HRESCH",
  "PATRQT",
  "FAMRQT",
  "PWATRNY",
  "PUBHLTH",
  "COC",
  "CAREMGT",
  "HQUALIMP",
];
const PATIENCE_MS = 15_000;

/** What does not hold, in words. */
class Mismatch extends Error {}

export function hex(bytes) {
  return "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bytesOf(text) {
  if (!/^0x([0-9a-f]{2})*$/.test(text)) throw new Mismatch(_("The proof is not well formed."));
  return Uint8Array.from(text.slice(2).match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function number(bytes) {
  return bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** The fields of a record: a version byte, then each field behind its length in four bytes. */
function fieldsOf(body) {
  const found = [];
  let at = 1;
  while (at < body.length) {
    const length = Number(number(body.subarray(at, at + 4)));
    if (at + 4 + length > body.length) throw new Mismatch(_("The proof is not well formed."));
    found.push(body.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  if (found.length !== FIELDS[body[0]]) throw new Mismatch(_("The proof is not well formed."));
  return found;
}

/** What a record says, as the page says it. */
export function recordOf(body) {
  const fields = fieldsOf(body);
  const modified = body[0] === MODIFICATION;
  const said = Number(number(modified ? fields[15] : fields[8]));
  return {
    id: hex(fields[0]).slice(2),
    at: Number(number(fields[1])),
    actor: hex(fields[3]),
    patient: hex(fields[5]),
    study: decoder.decode(fields[6]),
    action: (modified ? MODIFICATIONS : ACTIONS)[said] ?? "",
    purpose: PURPOSES[Number(number(fields[9]))] ?? "",
    basis: hex(fields[10]),
    block: number(fields[11]),
    blockHash: hex(fields[12]),
  };
}

async function ask(rpc, method, params) {
  const answer = await fetch(rpc, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    referrerPolicy: "no-referrer",
    credentials: "omit",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const told = await answer.json();
  if (told.error) throw new Error("the node refused");
  return told.result;
}

let chain = null;

/** The node's chain, asked once for the page. */
function chainOf(rpc) {
  chain ??= ask(rpc, "eth_chainId", []);
  chain.catch(() => (chain = null));
  return chain;
}

/**
 * Whether the chain holds just what the page shows. `shown`: id, at, actor, study, action, purpose, patient.
 * `expected`: the node to ask, and the contract and chain that the page names. Resolves to {state, why}: "good", "bad",
 * or "away" where the node does not answer.
 */
export async function check(proof, shown, expected) {
  try {
    const body = bytesOf(proof.record);
    const commitment = hex(keccak_256(joined(RECORD_DOMAIN, bytesOf(proof.salt), keccak_256(body))));
    const record = recordOf(body);
    for (const name of Object.keys(shown)) {
      if (record[name] !== shown[name]) throw new Mismatch(_("The record says something else than this page."));
    }
    let receipt;
    try {
      if (Number(await chainOf(expected.rpc)) !== expected.chainId) throw new Error("another chain");
      receipt = await ask(expected.rpc, "eth_getTransactionReceipt", [proof.tx_hash]);
    } catch {
      return { state: "away", why: _("The node of the chain does not answer.") };
    }
    mustHold(receipt, proof, record, commitment, expected.contract);
    return { state: "good", why: "" };
  } catch (error) {
    if (!(error instanceof Mismatch) && !(error instanceof TypeError)) throw error;
    return { state: "bad", why: error instanceof Mismatch ? error.message : _("The proof is not well formed.") };
  }
}

function mustHold(receipt, proof, record, commitment, contract) {
  const missing = new Mismatch(_("The chain does not hold this entry."));
  if (receipt === null || receipt.status !== "0x1") throw missing;
  const events = receipt.logs.filter(
    (log) => log.address.toLowerCase() === contract.toLowerCase() && log.topics[0] === ACCESS_LOGGED,
  );
  const word = (log, at) => log.data.slice(2 + 64 * at, 2 + 64 * (at + 1));
  const event = events.find((log) => BigInt("0x" + word(log, 0)) === BigInt(proof.seq));
  if (event === undefined) throw missing;
  const stands =
    "0x" + word(event, 3) === commitment &&
    event.topics[1] === record.basis &&
    event.topics[2] === "0x" + record.actor.slice(2).padStart(64, "0") &&
    event.topics[3] === record.patient &&
    BigInt("0x" + word(event, 1)) === record.block &&
    "0x" + word(event, 2) === record.blockHash;
  if (!stands) throw new Mismatch(_("The chain holds another fingerprint for this entry."));
}
