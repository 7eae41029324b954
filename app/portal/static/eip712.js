// EIP-712: the 32 bytes that a typed-data document comes to. A passkey signs them without showing them, so they are made
// here, from the very document whose words are on the page, and taken from nobody.

import { keccak_256 } from "./vendor/noble-hashes/sha3.js";

const WORD = 32;
const text = new TextEncoder();

/** The digest of a document, as eth_signTypedData_v4 signs it. Throws TypeError for what is no such document. */
export function digestOf({ types, primaryType, domain, message }) {
  const separator = structHash(types, "EIP712Domain", domain);
  return keccak_256(joined(Uint8Array.of(0x19, 0x01), separator, structHash(types, primaryType, message)));
}

/** Bytes of lower- or upper-case hexadecimal with 0x in front. Throws TypeError. */
export function fromHex(value) {
  if (typeof value !== "string" || !/^0x([0-9a-fA-F]{2})*$/.test(value)) throw new TypeError("not hexadecimal");
  return Uint8Array.from(value.slice(2).match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

/** Hexadecimal with 0x in front. */
export function toHex(bytes) {
  return "0x" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The parts as one. */
export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A number (BigInt) as a word of 32 bytes. */
export function word(value) {
  if (value < 0n || value >= 1n << 256n) throw new TypeError("out of range");
  return fromHex("0x" + value.toString(16).padStart(2 * WORD, "0"));
}

function structHash(types, name, value) {
  const members = types[name];
  if (typeof value !== "object" || value === null || Object.keys(value).length !== members.length) {
    throw new TypeError("members missing or too many");
  }
  const typeHash = keccak_256(text.encode(encodedType(types, name)));
  return keccak_256(joined(typeHash, ...members.map((member) => encoded(types, member.type, value[member.name]))));
}

/** The type itself, then those it refers to, by name. */
function encodedType(types, name) {
  const referred = new Set();
  const visit = (type) => {
    const bare = type.replace(/\[\]$/, "");
    if (!(bare in types) || referred.has(bare)) return;
    referred.add(bare);
    for (const member of types[bare]) visit(member.type);
  };
  visit(name);
  referred.delete(name);
  const one = (type) => `${type}(${types[type].map((member) => `${member.type} ${member.name}`).join(",")})`;
  return [name, ...[...referred].sort()].map(one).join("");
}

function encoded(types, type, value) {
  if (type.endsWith("[]")) {
    if (!Array.isArray(value)) throw new TypeError("not a list");
    return keccak_256(joined(...value.map((item) => encoded(types, type.slice(0, -2), item))));
  }
  if (Object.hasOwn(types, type)) return structHash(types, type, value);
  if (type === "string") {
    if (typeof value !== "string") throw new TypeError("not a text");
    return keccak_256(text.encode(value));
  }
  if (type === "bytes") return keccak_256(fromHex(value));
  if (type === "bytes32") return ofLength(fromHex(value), WORD);
  if (type === "address") return joined(new Uint8Array(12), ofLength(fromHex(value), 20));
  const bits = Number(/^uint(8|16|32|48|256)$/.exec(type)?.[1]);
  // Beyond this a number in JSON is no longer the one that was meant
  if (!bits || !Number.isSafeInteger(value) || value < 0 || BigInt(value) >= 1n << BigInt(bits)) {
    throw new TypeError("not a number of its type");
  }
  return word(BigInt(value));
}

function ofLength(bytes, length) {
  if (bytes.length !== length) throw new TypeError("bytes of another length");
  return bytes;
}
