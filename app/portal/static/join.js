// Somebody of the staff makes a passkey with their invitation, is signed in with it, and waits for a role.

import { attempts } from "./attempts.js";
import { canDoPasskeys, forgetPasskeyMade, makePasskeyOnce, noPasskeys, signInWithPasskey } from "./passkey.js";
import { inWords } from "./wallet.js";
import { _ } from "./words.js";

const LOOK_MS = 3000;

const place = document.getElementById("join");
const form = document.getElementById("make");

function words(error) {
  const said = {
    "not-found": _(
      "This code opens nothing: it is mistyped, its time is over, or it was used already. If it was you who used it, sign in. If not, tell whoever invited you.",
    ),
  }[error.problem];
  return [said ?? inWords(error)];
}

function offerPasskey() {
  const { say, warn, once } = attempts(place, words);
  if (location.hash.length > 1) {
    form.elements.code.value = decodeURIComponent(location.hash.slice(1)).trim();
    history.replaceState(null, "", location.pathname); // not in the history, where others find it
  }
  if (!canDoPasskeys()) warn(noPasskeys());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    once(async () => {
      say(_("Your device asks whether it may keep a passkey for this place …"));
      // Once it is made the code is used up: who turns back then only signs in
      const made = await makePasskeyOnce({ by: { invitation_code: form.elements.code.value.trim() }, name: _("Consentry, at work") });
      say(_("Your device asks whether it is you …"));
      await signInWithPasskey({ made });
      forgetPasskeyMade();
      location.assign(location.pathname);
    });
  });
}

/** The start leads whoever has a role to where they work. */
async function hasRole() {
  const answer = await fetch("/", { redirect: "manual", cache: "no-store" });
  return answer.type === "opaqueredirect";
}

async function waitForRole() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    // A gateway that is away for a moment is asked again
    if (!document.hidden && (await hasRole().catch(() => false))) location.reload();
  }
}

if (location.origin !== place.dataset.origin) {
  // A passkey belongs to one address: whoever came by another name goes there.
  location.replace(place.dataset.origin + location.pathname + location.search + location.hash);
} else if (form !== null) {
  offerPasskey();
} else if (place.dataset.waits === "yes") {
  waitForRole();
}
