// Invites somebody of the staff to make a passkey, and shows the letter; withdraws invitations.

import { post } from "../api.js";
import { notice } from "../notices.js";
import { inWords } from "../wallet.js";
import { makeLetter } from "./letter.js";

const form = document.getElementById("invite");

async function invited() {
  const { name, code, join_url, expires_at } = await post("/api/invitations", { name: form.elements.name.value });
  return { whom: name, code, url: join_url, until: expires_at };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  makeLetter(form, form.querySelector("button"), invited);
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
