// The record's code to the clipboard, and how its owner is told (/api/contact).

import { get, post, Refused } from "../api.js";
import { notice, noticeOnNextPage } from "../notices.js";
import { signed } from "../sign.js";
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

// --- Guardian, and a move that nobody asked for: each one signature

const { patient, now } = document.getElementById("record").dataset;

async function change(options, text) {
  const answer = await signed({ follow: () => now, ...options });
  if (answer === null) return;
  noticeOnNextPage("good", text);
  location.reload();
}

/** Names or removes the guardian, and waits until the chain counts that change. */
function changeGuardian(body, title, done, name) {
  const path = `/api/patients/${patient}/guardian`;
  let number = 0;
  return change(
    {
      title,
      issue: async () => {
        const issued = await post(`${path}/typed-data`, body);
        number = Number(issued.typed_data.message.guardianNonce);
        return issued;
      },
      send: path,
      more: name ? { name } : {},
      settled: ({ guardian_nonce }) => (guardian_nonce > number ? "done" : ""),
      done,
    },
    done,
  );
}

document.getElementById("guardian-form")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const day = new Date(`${document.getElementById("guardian-until").value}T23:59:59Z`);
  const body = { guardian: document.getElementById("guardian-account").value.trim(), valid_until: Math.floor(day / 1000) };
  const name = document.getElementById("guardian-name").value.trim();
  changeGuardian(body, _("Name a guardian"), _("They may act for this record now."), name);
});

document
  .getElementById("guardian-remove")
  ?.addEventListener("click", () => changeGuardian({}, _("End the guardianship"), _("Nobody is guardian of this record now.")));

document.getElementById("veto")?.addEventListener("click", () => {
  const path = `/api/recoveries/${patient}/veto`;
  change(
    {
      title: _("Stop the move"),
      issue: () => post(`${path}/typed-data`),
      send: path,
      settled: ({ moving }) => (moving ? "" : "done"),
      done: _("The move is stopped. Your key decides as before."),
    },
    _("The move is stopped."),
  );
});

// A tap before anybody listens would be lost
for (const button of document.querySelectorAll("#veto, #guardian-remove, #guardian-form button")) button.disabled = false;

// --- How its owner is told

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
