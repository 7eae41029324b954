// Ends programs, makes a token that is shown once, and puts settings on the clipboard. The list is then the gateway's newer one.

import { post } from "../api.js";
import { renew } from "../newer.js";
import { clearNotices, notice } from "../notices.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";

const form = document.getElementById("make");
const shown = document.getElementById("token");
const settings = [...document.querySelectorAll(".setting code")].map((place) => ({ place, text: place.textContent }));

let shownId = "";

/** The token in its place and in the settings; "" takes it away from both. */
function show(token, id = "") {
  shownId = id;
  shown.textContent = token;
  for (const { place, text } of settings) place.textContent = text.replaceAll("TOKEN", () => token || "TOKEN");
  document.getElementById("made").hidden = !token;
}

/** Says what was done, and shows the list it led to. The page stays, for the token it shows is shown once. */
async function done(words) {
  try {
    await renew("acting");
    notice("good", words);
  } catch {
    notice("warn", words, " ", _("The list could not be loaded. Load the page again once you have copied what you need."));
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearNotices();
  const { name, purpose, lifetime, upload } = form.elements;
  const button = form.querySelector(".actions button");
  button.disabled = true;
  try {
    const { id, token } = await post("/api/programs/tokens", {
      name: name.value.trim(),
      purpose: purpose.value,
      lifetime_s: Number(lifetime.value),
      scope: upload?.checked ? "dicomweb dicomweb.upload" : "dicomweb",
    });
    show(token, id);
    await done(_("Copy the token now: it is not shown again."));
  } catch (error) {
    notice("bad", inWords(error));
  }
  button.disabled = false;
});

for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.of).textContent);
      notice("good", _("Copied."));
    } catch {
      notice("bad", _("The browser does not let it be copied: select the text and copy it yourself."));
    }
  });
}

document.getElementById("content").addEventListener("click", async ({ target }) => {
  const button = target.closest(".end");
  if (button === null) return;
  const { program } = button.closest("[data-program]").dataset;
  button.disabled = true;
  try {
    await post(`/api/programs/${program}/end`);
    if (program === shownId) show("");
    await done(_("It is ended."));
  } catch (error) {
    button.disabled = false;
    notice("bad", inWords(error));
  }
});
