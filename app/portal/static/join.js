// Somebody of the staff makes a passkey with their invitation, is signed in with it, and waits for a role.

import { clearNotices, notice } from "./notices.js";
import { canDoPasskeys, makePasskey, noPasskeys, signInWithPasskey } from "./passkey.js";
import { inWords } from "./wallet.js";
import { _ } from "./words.js";

const LOOK_MS = 3000;
// Once the passkey is made the code is used up: who turns back then only signs in.
const MADE = "consentry-passkey-invited";

const place = document.getElementById("join");
const form = document.getElementById("make");
const say = (text) => (document.getElementById("progress").textContent = text);

async function begin(code) {
  let made = JSON.parse(sessionStorage.getItem(MADE) ?? "null");
  if (made?.code !== code) {
    say(_("Your device asks whether it may keep a passkey for this place …"));
    const { credential_id } = await makePasskey({ code, name: _("Consentry, at work") });
    made = { code, credential_id };
    sessionStorage.setItem(MADE, JSON.stringify(made));
  }
  say(_("Your device asks whether it is you …"));
  await signInWithPasskey({ credentialId: made.credential_id });
  sessionStorage.removeItem(MADE);
  location.reload();
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearNotices();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await begin(form.elements.code.value.trim());
  } catch (error) {
    const said = {
      "not-found": _(
        "This code opens nothing: it is mistyped, its time is over, or it was used already. If it was you who used it, sign in. If not, tell whoever invited you.",
      ),
    }[error.problem];
    notice("bad", said ?? inWords(error));
    button.disabled = false;
  }
  say("");
});

/** The start leads whoever has a role to where they work. */
async function hasRole() {
  const answer = await fetch("/", { redirect: "manual", cache: "no-store" });
  return answer.type === "opaqueredirect";
}

async function waitForRole() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    // A gateway that is away for a moment is asked again
    if (!document.hidden && (await hasRole().catch(() => false))) location.assign("/");
  }
}

if (location.origin !== place.dataset.origin) {
  // A passkey belongs to one address: whoever came by another name goes there.
  location.replace(place.dataset.origin + location.pathname + location.search + location.hash);
} else if (form === null) {
  waitForRole();
} else {
  if (location.hash.length > 1) {
    form.elements.code.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname); // not in the history, where others find it
  }
  if (!canDoPasskeys()) notice("bad", noPasskeys());
}
