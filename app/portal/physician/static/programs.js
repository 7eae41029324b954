// Ends programs, makes a token that is shown once, and puts settings on the clipboard.

import { post } from "../api.js";
import { clearNotices, notice, noticeOnNextPage } from "../notices.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";

const form = document.getElementById("make");
const shown = document.getElementById("token");
const settings = [...document.querySelectorAll(".setting code")].map((place) => ({ place, text: place.textContent }));

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearNotices();
  const { name, purpose, lifetime, upload } = form.elements;
  const button = form.querySelector(".actions button");
  button.disabled = true;
  try {
    const { token } = await post("/api/programs/tokens", {
      name: name.value.trim(),
      purpose: purpose.value,
      lifetime_s: Number(lifetime.value),
      scope: upload?.checked ? "dicomweb dicomweb.upload" : "dicomweb",
    });
    shown.textContent = token;
    for (const { place, text } of settings) place.textContent = text.replaceAll("TOKEN", () => token);
    document.getElementById("made").hidden = false;
    notice("good", _("Copy the token now: it is not shown again."));
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

for (const button of document.querySelectorAll(".end")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post(`/api/programs/${button.closest("[data-program]").dataset.program}/end`);
      noticeOnNextPage("good", _("It is ended."));
      location.reload();
    } catch (error) {
      button.disabled = false;
      notice("bad", inWords(error));
    }
  });
}
