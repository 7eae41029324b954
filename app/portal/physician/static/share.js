// Shares on what one was given: a colleague is found, the document is shown and signed.

import { get, post } from "../api.js";
import { element } from "../elements.js";
import { notice, noticeOnNextPage } from "../notices.js";
import { signed } from "../sign.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";

const form = document.getElementById("share");
const button = document.getElementById("sign");
const chosen = document.getElementById("chosen");
const found = document.getElementById("found");
const PAUSE_MS = 300;
const DAY_S = 86400;

let grantee = null;
let searching = 0;

function described(person) {
  return element("span", {}, element("strong", {}, person.name), element("small", {}, [person.organisation, person.registration].filter(Boolean).join(" · ")));
}

function choose(person) {
  grantee = person.grantee;
  chosen.replaceChildren(described(person));
  chosen.hidden = false;
  found.replaceChildren();
  button.disabled = false;
}

const search = document.getElementById("search");
search.addEventListener("input", ({ target }) => {
  const turn = ++searching;
  setTimeout(async () => {
    if (turn !== searching) return;
    const text = target.value.trim();
    if (text === "") return found.replaceChildren();
    try {
      const { people } = await get(`/physician/people?q=${encodeURIComponent(text)}`);
      if (turn !== searching) return;
      const entry = (person) =>
        element("li", {}, element("button", { type: "button", class: "quiet found", onclick: () => choose(person) }, described(person)));
      found.replaceChildren(people.length === 0 ? element("p", {}, _("Nobody of that name is in the directory.")) : element("ul", { class: "choices" }, ...people.map(entry)));
    } catch (error) {
      notice("bad", inWords(error));
    }
  }, PAUSE_MS);
});
// What was typed before anybody listened
if (search.value) search.dispatchEvent(new Event("input"));

function asked() {
  const ticked = (name) => [...form.querySelectorAll(`[name="${name}"]:checked`)].map((one) => one.value);
  const until = Number(form.dataset.until);
  const days = Number(form.elements.days.value);
  const end = days > 0 ? Math.min(Math.floor(Date.now() / 1000) + days * DAY_S, until) : until;
  return {
    grantee,
    scope: "all",
    actions: ["search", ...ticked("action")],
    purposes: ticked("purpose"),
    valid_until: end,
    parent: form.dataset.parent,
  };
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  const answer = await signed({
    title: _("Share on"),
    issue: () => post("/api/consents/typed-data", asked()),
    send: "/api/consents",
    follow: (told) => `/api/consents/${told.consent_id}`,
    settled: (view) => (view.status === "active" ? "done" : view.status === "failed" ? "failed" : ""),
    done: _("It is shared: they may look now."),
  });
  button.disabled = false;
  if (answer === null) return;
  noticeOnNextPage("good", _("You shared it on."));
  location.assign("/physician/patients");
});
