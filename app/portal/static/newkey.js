// Nobody is signed in where a record is to get a new key: a passkey is made with the code from the desk and signed in
// with at once, or somebody signs in with what they have.

import { attempts } from "./attempts.js";
import { canDoPasskeys, deviceKeepsPasskeys, makePasskeyOnce, noPasskeys, passkeyName, signInWithPasskey } from "./passkey.js";
import { codeInHand, keepCode } from "./recovery-code.js";
import { inWords } from "./wallet.js";
import { _ } from "./words.js";

const place = document.getElementById("key");
const part = (id) => document.getElementById(id);
const { say, once } = attempts(place, words);

let code = "";

function words(error) {
  if (error.problem === "not-found") askForCode(); // it may be mistyped
  const said = {
    "not-found": _(
      "This code opens nothing: it is mistyped, its time is over, or it was used already. If it was you who used it, sign in with the passkey that you made then. If not, ask at the desk for a new one.",
    ),
    conflict: _("As many passkeys were made with this code as it allows. Sign in with one of them, or ask at the desk for a new code."),
  }[error.problem];
  return [said ?? inWords(error)];
}

async function withNewPasskey() {
  say(_("Your device asks whether it may keep a passkey for this place …"));
  await signedIn(await makePasskeyOnce({ by: { recovery_code: code }, name: passkeyName() }));
}

async function signedIn(made = null) {
  say(_("Your device asks whether it is you …"));
  await signInWithPasskey({ made });
  location.assign(location.pathname);
}

function askForCode() {
  part("code").value = code;
  part("typed").hidden = false;
  part("here").hidden = true;
}

async function offerPasskey() {
  part("typed").hidden = true;
  part("here").hidden = false;
  if (!canDoPasskeys()) part("here").textContent = noPasskeys();
  else if (!(await deviceKeepsPasskeys())) part("passkey").textContent = _("Make a passkey on a phone or security key beside this computer");
}

function begin() {
  code = codeInHand();
  part("passkey").addEventListener("click", () => once(withNewPasskey));
  part("known").addEventListener("click", () => once(signedIn));
  part("typed").addEventListener("submit", (event) => {
    event.preventDefault();
    code = part("code").value.trim();
    if (code === "") return;
    keepCode(code);
    offerPasskey();
    part("passkey")?.focus();
  });
  if (code === "") askForCode();
  else offerPasskey();
  part("choices").hidden = false;
}

if (location.origin !== place.dataset.origin) {
  // Passkeys and the session belong to one address: whoever came by another name goes there.
  location.replace(place.dataset.origin + location.pathname + location.search + location.hash);
} else {
  begin();
}
