// A passkey as a browser's authenticator holds it, with Node's own P-256 (WebAuthn §6.1, §6.3.3).
import { createECDH, createHash, createPrivateKey, sign } from "node:crypto";
import { AbiCoder, concat, getBytes, hexlify, toBeHex } from "ethers";

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
export const [PRESENT, VERIFIED] = [1, 4];

const sha256 = (bytes) => createHash("sha256").update(bytes).digest();
const base64url = (bytes) => Buffer.from(bytes).toString("base64url");

/** privateKey: 32 bytes as hex → {x, y, answer(…), signer(verifier)} */
export function passkey(privateKey) {
  const curve = createECDH("prime256v1");
  curve.setPrivateKey(Buffer.from(getBytes(privateKey)));
  const point = curve.getPublicKey();
  const [x, y] = [point.subarray(1, 33), point.subarray(33)];
  const jwk = { kty: "EC", crv: "P-256", x: base64url(x), y: base64url(y), d: base64url(getBytes(privateKey)) };
  const key = createPrivateKey({ key: jwk, format: "jwk" });

  /** What the authenticator answers to a challenge (hex), as navigator.credentials.get gives it. */
  const answer = (challenge, { rpId, origin, flags = PRESENT | VERIFIED, type = "webauthn.get" }) => {
    const authenticatorData = Buffer.concat([sha256(rpId), Buffer.from([flags, 0, 0, 0, 1])]);
    const clientDataJSON = JSON.stringify({
      type,
      challenge: base64url(getBytes(challenge)),
      origin,
      crossOrigin: false,
    });
    const message = Buffer.concat([authenticatorData, sha256(clientDataJSON)]);
    return {
      authenticatorData: hexlify(authenticatorData),
      clientDataJSON,
      derSignature: hexlify(sign("sha256", message, key)),
    };
  };
  return { x: hexlify(x), y: hexlify(y), answer, signer: (verifier) => concat([verifier, x, y]) };
}

/** An authenticator's answer in the form that the chain takes: low s, abi.encode of WebAuthnAuth without its first word. */
export function packed({ authenticatorData, clientDataJSON, derSignature }, { highS = false } = {}) {
  const [r, s] = fromDer(getBytes(derSignature));
  const isHigh = s > ORDER / 2n;
  const places = ["challenge", "type"].map((name) => clientDataJSON.indexOf(`"${name}":"`));
  return AbiCoder.defaultAbiCoder().encode(
    ["bytes32", "bytes32", "uint256", "uint256", "bytes", "string"],
    [toBeHex(r, 32), toBeHex(isHigh === highS ? s : ORDER - s, 32), ...places, authenticatorData, clientDataJSON],
  );
}

/** The two integers of an ECDSA-Sig-Value (RFC 3279 §2.2.3). */
function fromDer(der) {
  const integers = [];
  let at = 2;
  while (at < der.length) {
    const length = der[at + 1];
    integers.push(BigInt(hexlify(der.subarray(at + 2, at + 2 + length))));
    at += 2 + length;
  }
  return integers;
}
