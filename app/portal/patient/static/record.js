// The record's code to the clipboard, and how its owner is told (/api/contact).

import { get, post, Refused } from "../api.js";
import { notice } from "../notices.js";
import { inWords } from "../wallet.js";
import { _, language } from "../words.js";

const copy = document.getElementById("copy");
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById("code").textContent);
    copy.textContent = _("Copied");
  });
}

const contact = document.getElementById("contact");
const email = document.getElementById("email");
const chosen = document.getElementById("contact-language");
const forget = document.getElementById("forget");
let known = null;

function show(view) {
  known = view;
  email.value = view.email?.address ?? "";
  chosen.value = view.email === null && view.webhook === null ? language : view.language;
  forget.hidden = view.email === null && view.webhook === null;
  document.getElementById("email-state").textContent =
    view.email === null
      ? ""
      : view.email.confirmed
        ? _("Confirmed.")
        : _("Not confirmed yet: open the link in the message that was sent there.");
}

async function attempt(work, text) {
  try {
    show(await work());
    notice("good", text);
  } catch (error) {
    notice("bad", inWords(error));
  }
}

document.getElementById("contact-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = { email: email.value.trim() || null, webhook: known.webhook?.address ?? null, language: chosen.value, kinds: known.kinds };
  attempt(() => post("/api/contact", body, "PUT"), _("Saved."));
});

forget.addEventListener("click", () =>
  attempt(async () => {
    await post("/api/contact", {}, "DELETE");
    return get("/api/contact");
  }, _("Forgotten.")),
);

// Where nothing can be sent from here, nothing is asked for
get("/api/contact").then(
  (view) => {
    if (!view.possible.includes("email")) return;
    show(view);
    contact.hidden = false;
  },
  (error) => {
    if (!(error instanceof Refused)) throw error;
  },
);
