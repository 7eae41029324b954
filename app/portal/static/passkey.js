// Passkeys (WebAuthn): made, signed in with, and made to sign typed data. Whatever goes wrong is Refused, in words.

import { get, post, Refused } from "./api.js";
import { enter } from "./entering.js";
import { digestOf, joined, toHex, word } from "./eip712.js";
import { _, moment } from "./words.js";

// Of P-256: what one signature's s and its twin's add up to.
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const TIMEOUT_MS = 180_000;
const MADE = "consentry-passkey-made";

let ownCredential = null;

/** Whether this browser can do passkeys at all. */
export function canDoPasskeys() {
  return window.isSecureContext && typeof window.PublicKeyCredential === "function";
}

/** Whether this very device can keep one, rather than only a phone or key beside it. */
export async function deviceKeepsPasskeys() {
  return canDoPasskeys() && PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable().catch(() => false);
}

export function noPasskeys() {
  return _(
    "This browser cannot use passkeys. Open this page on a phone or computer that is locked with a fingerprint, a face or a PIN, in an up-to-date browser.",
  );
}

/** What the device lists a new one as. */
export function passkeyName() {
  return _("My images, {day}", { day: moment(Date.now() / 1000).slice(0, 40) });
}

/**
 * Makes a passkey: {credential_id, signer, address, name, user_handle}. `by`: {code} of an enrolment, {recovery_code} or
 * {invitation_code}, from the desk; {} where somebody is signed in. `name`: what the device lists it as.
 */
export async function makePasskey({ by = {}, name }) {
  mustBePossible();
  const asked = { ...by, name };
  const { public_key } = await post("/auth/passkey/registration/options", asked);
  const credential = await prompted(() =>
    navigator.credentials.create({
      publicKey: {
        ...public_key,
        challenge: fromWebsafe(public_key.challenge),
        user: { ...public_key.user, id: fromWebsafe(public_key.user.id) },
        timeout: TIMEOUT_MS,
      },
    }),
  );
  const { clientDataJSON, attestationObject } = credential.response;
  const made = await post("/auth/passkey/registration/verify", { ...asked, credential: written(credential, { clientDataJSON, attestationObject }) });
  return { ...made, user_handle: public_key.user.id };
}

/** The same, once for a code in this window: who turns back and tries again needs no second one. */
export async function makePasskeyOnce({ by, name }) {
  const whose = JSON.stringify(by);
  const kept = JSON.parse(sessionStorage.getItem(MADE) ?? "null");
  if (kept?.whose === whose) return kept.made;
  const made = await makePasskey({ by, name });
  sessionStorage.setItem(MADE, JSON.stringify({ whose, made }));
  return made;
}

/** The code was used, or the passkey signed in with: from here on it is in nobody's way. */
export function forgetPasskeyMade() {
  sessionStorage.removeItem(MADE);
}

/**
 * Signs in: what the gateway answered, and a session in this browser. `made`: with this passkey, which was just made, and not
 * with whichever its holder chooses. `which`: asks them for one of several purposes.
 */
export async function signInWithPasskey({ made = null, which = null } = {}) {
  mustBePossible();
  const { public_key } = await post("/auth/passkey/signin/options");
  const credential = await prompted(() =>
    navigator.credentials.get({
      publicKey: {
        ...public_key,
        challenge: fromWebsafe(public_key.challenge),
        timeout: TIMEOUT_MS,
        ...(made === null ? {} : { allowCredentials: allowed(made.credential_id) }),
      },
    }),
  );
  const { clientDataJSON, authenticatorData, signature } = credential.response;
  // A device that is asked for one passkey by name need not say whose it is (WebAuthn §6.3.3, step 13)
  const userHandle = credential.response.userHandle ?? (made === null ? new ArrayBuffer(0) : fromWebsafe(made.user_handle));
  const response = { clientDataJSON, authenticatorData, signature, userHandle };
  try {
    return await enter("/auth/passkey/signin/verify", { credential: written(credential, response) }, which);
  } catch (error) {
    if (error.problem === "passkey-unknown") await forget(public_key.rpId, credential.id);
    throw error;
  }
}

/** Signs a document (EIP-712) with the passkey of this session: the signature in hexadecimal, as the contracts take it. */
export async function signWithPasskey(document_) {
  ownCredential ??= (await get("/auth/passkey")).credential_id;
  return signWith(ownCredential, document_);
}

/** The same with the passkey of this credential id. */
export async function signWith(credentialId, document_) {
  mustBePossible();
  const credential = await prompted(() =>
    navigator.credentials.get({
      publicKey: {
        challenge: digestOf(document_),
        allowCredentials: allowed(credentialId),
        userVerification: "required",
        timeout: TIMEOUT_MS,
      },
    }),
  );
  return toHex(encodedAssertion(credential.response));
}

function allowed(credentialId) {
  return [{ type: "public-key", id: fromWebsafe(credentialId) }];
}

/** OpenZeppelin's WebAuthnAuth: abi.encode(r, s, challengeIndex, typeIndex, authenticatorData, clientDataJSON). */
export function encodedAssertion({ authenticatorData, clientDataJSON, signature }) {
  const data = new Uint8Array(authenticatorData);
  const client = new Uint8Array(clientDataJSON);
  // One character for each byte, so that a place in the text is a place in the bytes
  const read = Array.from(client, (byte) => String.fromCharCode(byte)).join("");
  const [r, s] = numbersOf(new Uint8Array(signature));
  const heads = [
    r,
    s > ORDER / 2n ? ORDER - s : s, // one of the two: the contract takes the low one
    BigInt(read.indexOf('"challenge":"')),
    BigInt(read.indexOf('"type":"webauthn.get"')),
    192n,
    BigInt(192 + 32 + data.length + padding(data)),
  ];
  return joined(...heads.map(word), tail(data), tail(client));
}

/** The two numbers of a signature in DER. */
function numbersOf(der) {
  const first = 4;
  const second = first + der[3] + 2;
  const number = (at, length) => BigInt(toHex(der.slice(at, at + length)));
  return [number(first, der[3]), number(second, der[second - 1])];
}

function tail(data) {
  return joined(word(BigInt(data.length)), data, new Uint8Array(padding(data)));
}

function padding(data) {
  return (32 - (data.length % 32)) % 32;
}

function mustBePossible() {
  if (!canDoPasskeys()) throw new Refused(noPasskeys(), "no-passkeys");
}

async function prompted(prompt) {
  let credential;
  try {
    credential = await prompt();
  } catch (error) {
    throw new Refused(promptWords(error), error?.name === "NotAllowedError" ? "cancelled" : "passkey-failed");
  }
  if (credential === null) throw new Refused(promptWords(null), "passkey-failed");
  return credential;
}

/** What browsers throw (WebAuthn §5.1.3, §5.1.4), in words. A device tells no page why its holder did not go on. */
function promptWords(error) {
  const said = {
    NotAllowedError: _(
      "Nothing was signed: it was cancelled, took too long, or there is no passkey for this place on this device. You can try again.",
    ),
    InvalidStateError: _("There is a passkey for this on the device already. Sign in with it instead."),
    NotSupportedError: _("This device cannot make the kind of passkey that is needed here. Try another device, or a wallet."),
    ConstraintError: _("This device is not locked with a fingerprint, a face or a PIN. Set that up, then try again."),
    SecurityError: _("Passkeys work only at the address they were made for. Open the link that you were given once more."),
  };
  return said[error?.name] ?? _("The passkey could not be used. Please try again.");
}

/** The device no longer offers what nobody knows here, where it can be told (WebAuthn Level 3). */
async function forget(rpId, credentialId) {
  await window.PublicKeyCredential.signalUnknownCredential?.({ rpId, credentialId }).catch(() => {});
}

function written(credential, response) {
  const parts = Object.entries(response).map(([name, value]) => [name, toWebsafe(value)]);
  const id = toWebsafe(credential.rawId);
  return { id, rawId: id, type: credential.type, response: Object.fromEntries(parts) };
}

function toWebsafe(buffer) {
  const characters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(characters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function fromWebsafe(said) {
  return Uint8Array.from(atob(said.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}
