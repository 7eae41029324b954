// Looks again every few seconds, while somebody looks at the page: the same page, whose newer part takes the older one's place.

import { clearNotices, notice } from "../notices.js";
import { sayTimes } from "../times.js";
import { _ } from "../words.js";

const LOOK_MS = 5000;
const PARTS = ["health", "hours"];
const shown = (id) => document.getElementById(id);

async function look() {
  const answer = await fetch(location.pathname, { cache: "no-store" });
  if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const before = shown("health").dataset.serves;
  for (const id of PARTS) {
    const newer = document.adoptNode(page.getElementById(id));
    sayTimes(newer);
    shown(id).replaceWith(newer);
  }
  const { serves } = shown("health").dataset;
  // Said aloud when it changes, and not every few seconds
  if (serves !== before) shown("served").textContent = serves === "ready" ? _("The gateway serves.") : _("The gateway does not serve.");
}

let lost = false;

async function again() {
  // Whoever reads a link with the keyboard keeps it
  if (document.hidden || shown("health").contains(document.activeElement)) return;
  try {
    await look();
    if (lost) clearNotices();
    lost = false;
  } catch {
    if (!lost) notice("bad", _("The gateway did not tell how it is, so this is how it was. It is asked again."));
    lost = true;
  }
}

async function forever() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    await again();
  }
}

forever();
