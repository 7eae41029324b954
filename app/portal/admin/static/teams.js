// Founds care teams, and changes who is in them, each time by a signature of a lead or the registrar.

import { get, post } from "../api.js";
import { clearNotices, notice, noticeOnNextPage } from "../notices.js";
import { signed } from "../sign.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";
import { windowOf } from "./days.js";

const LOOK_MS = 1000;
const SLOW_MS = 15_000;

const same = (one, other) => one.toLowerCase() === other.toLowerCase();

async function led(team) {
  const { teams } = await get("/api/care-teams");
  return teams.some((one) => one.team === team && one.leads.length > 0);
}

document.getElementById("found")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = form.querySelector("button");
  clearNotices();
  button.disabled = true;
  try {
    const { valid_until } = windowOf(form.elements);
    const { team } = await post("/api/care-teams", { lead: form.elements.account.value, valid_until });
    notice("good", _("It is on its way to the chain …"));
    const begun = Date.now();
    while (Date.now() - begun < SLOW_MS && !(await led(team))) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const there = await led(team);
    noticeOnNextPage("good", there ? _("The team is founded.") : _("The team is on its way to the chain. Load the page again in a minute."));
    location.reload();
  } catch (error) {
    button.disabled = false;
    notice("bad", inWords(error));
  }
});

async function changed(team, asked, done) {
  const answer = await signed({
    title: _("Change a care team"),
    issue: () => post(`/api/care-teams/${team}/parts/typed-data`, asked),
    send: `/api/care-teams/${team}/parts`,
    follow: () => `/api/care-teams/${team}`,
    settled: (view) => {
      const held = view[`${asked.part}s`].find((one) => same(one.account, asked.account));
      const wanted = asked.valid_until === null ? held === undefined : held?.valid_until === asked.valid_until;
      return wanted ? "done" : "";
    },
    done,
  });
  if (answer === null) return;
  noticeOnNextPage("good", done);
  location.reload();
}

for (const card of document.querySelectorAll(".team")) {
  const { team } = card.dataset;
  card.querySelector("form")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const { account, part } = event.target.elements;
    changed(team, { account: account.value, part: part.value, ...windowOf(event.target.elements) }, _("The team is changed."));
  });
  for (const button of card.querySelectorAll(".end")) {
    const { account, part } = button.closest("li").dataset;
    button.addEventListener("click", () => changed(team, { account, part, valid_until: null }, _("The part is ended.")));
  }
}
