// Somebody of the staff makes a passkey with their invitation, is signed in with it, and waits for a role.

import { attempts } from "./attempts.js";
import { canDoPasskeys, makePasskey, noPasskeys, signInWithPasskey } from "./passkey.js";
import { inWords } from "./wallet.js";
import { _ } from "./words.js";

const LOOK_MS = 3000;
// Once the passkey is made the code is used up: who turns back then only signs in.
const MADE = "consentry-passkey-invited";

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
      const code = form.elements.code.value.trim();
      let kept = JSON.parse(sessionStorage.getItem(MADE) ?? "null");
      if (kept?.code !== code) {
        say(_("Your device asks whether it may keep a passkey for this place …"));
        kept = { code, made: await makePasskey({ by: { invitation_code: code }, name: _("Consentry, at work") }) };
        sessionStorage.setItem(MADE, JSON.stringify(kept));
      }
      say(_("Your device asks whether it is you …"));
      await signInWithPasskey({ made: kept.made });
      sessionStorage.removeItem(MADE);
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
