// Looks again every few seconds, while somebody looks at the page.

import { renew } from "../newer.js";
import { clearNotices, notice } from "../notices.js";
import { _ } from "../words.js";

const LOOK_MS = 5000;
const shown = (id) => document.getElementById(id);

async function look() {
  const before = shown("health").dataset.serves;
  await renew("health", "hours");
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
