// Says who an account is, by the administrator's own wallet.

import { post } from "../api.js";
import { noticeOnNextPage } from "../notices.js";
import { transacted } from "../transact.js";
import { _ } from "../words.js";

const form = document.getElementById("entry");
const FIELDS = ["account", "name", "organisation", "registration"];

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const asked = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value.trim()]));
  const done = _("The chain vouches for this name now.");
  const issued = await transacted({
    title: _("Vouch for a name"),
    issue: () => post("/api/directory/entries", asked),
    follow: ({ account }) => `/api/directory/entries/${account}`,
    settled: (view, made) => view.entry_hash === made.entry_hash,
    done,
  });
  if (issued === null) return;
  noticeOnNextPage("good", done);
  location.reload();
});

for (const card of document.querySelectorAll(".known")) {
  card.querySelector(".change").addEventListener("click", () => {
    for (const name of FIELDS) form.elements[name].value = card.dataset[name];
    form.scrollIntoView({ block: "nearest" });
    form.elements.name.focus();
  });
}
