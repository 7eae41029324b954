// Invites somebody of the staff to make a passkey, and shows the letter; withdraws invitations.

import { post } from "../api.js";
import { clearNotices, notice } from "../notices.js";
import { inWords } from "../wallet.js";
import { showLetter } from "./letter.js";

const form = document.getElementById("invite");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearNotices();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const made = await post("/api/invitations", { name: form.elements.name.value });
    showLetter(form, { whom: made.name, code: made.code, url: made.join_url, until: made.expires_at });
  } catch (error) {
    button.disabled = false;
    notice("bad", inWords(error));
  }
});

for (const card of document.querySelectorAll(".invitation")) {
  card.querySelector(".end").addEventListener("click", async ({ currentTarget }) => {
    currentTarget.disabled = true;
    try {
      await post(`/api/invitations/${card.dataset.id}`, {}, "DELETE");
      location.reload();
    } catch (error) {
      currentTarget.disabled = false;
      notice("bad", inWords(error));
    }
  });
}
