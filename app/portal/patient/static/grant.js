// The form that lets somebody in: each change fetches the document that would be signed, shows its own words and what
// they would change, and the button signs that very document.

import { get, post, Refused } from "../api.js";
import { element } from "../elements.js";
import { clearNotices, notice, noticeOnNextPage } from "../notices.js";
import { signed, wordsOf } from "../sign.js";
import { inWords } from "../wallet.js";
import { _, language } from "../words.js";

const form = document.getElementById("grant");
const button = document.getElementById("sign");
const ACTIONS = { view: ["search", "view"], retrieve: ["search", "view", "retrieve"], share: ["search", "view", "retrieve", "share"] };
// Whoever is kept out is kept out whatever they come for
const EVERY_PURPOSE = [
  "TREAT",
  "ETREAT",
  "HPAYMT",
  "HOPERAT",
  "HRESCH",
  "PATRQT",
  "FAMRQT",
  "PWATRNY",
  "PUBHLTH",
  "COC",
  "CAREMGT",
  "HQUALIMP",
];
const PAUSE_MS = 300;
// A document works for an hour; one that was shown long ago is asked for again, and read again
const FRESH_MS = 45 * 60 * 1000;
const DAY_S = 86400;
const MOST = 16;
const DRAFT = `consentry-draft-${location.pathname}${location.search}`;

const chosen = new Map();
let shown = null; // {issued, grants, at}: what the page shows now
let asking = null;
let waiting = 0;

const value = (name) => form.elements[name] && (form.elements[name].value ?? "");
const ticked = (name) => [...form.querySelectorAll(`[name="${name}"]:checked`)].map((one) => one.value);

// --- Whom

function choose(person) {
  if (chosen.size < MOST) chosen.set(person.grantee, person);
  showChosen();
  changed();
}

function nameOf(person) {
  return person.name || person.grantee;
}

function showChosen() {
  const entry = (person) =>
    element(
      "li",
      { class: "person" },
      described(person),
      element(
        "button",
        {
          type: "button",
          class: "quiet small",
          onclick: () => {
            chosen.delete(person.grantee);
            showChosen();
            changed();
            document.getElementById("search").focus();
          },
        },
        _("Leave out"),
        element("span", { class: "unseen" }, `: ${nameOf(person)}`),
      ),
    );
  document.getElementById("chosen").replaceChildren(...[...chosen.values()].map(entry));
}

function described(person) {
  const more = [person.team ? _("care team") : "", person.organisation, person.registration].filter(Boolean).join(" · ");
  const doubt = person.verified ? null : element("small", { class: "doubt" }, _("Nobody has verified who this is."));
  return element("span", {}, element("strong", {}, nameOf(person)), element("small", {}, more), doubt);
}

let searching = 0;
const search = document.getElementById("search");
search.addEventListener("input", ({ target }) => {
  const turn = ++searching;
  setTimeout(async () => {
    if (turn !== searching) return;
    const place = document.getElementById("found");
    const text = target.value.trim();
    if (text === "") return place.replaceChildren();
    try {
      const path = new URL(form.dataset.people, location.origin);
      path.searchParams.set("q", text);
      const { people } = await get(path);
      if (turn !== searching) return;
      const entries = people.map((person) =>
        element(
          "li",
          {},
          element(
            "button",
            {
              type: "button",
              class: "quiet found",
              onclick: () => {
                choose(person);
                target.value = "";
                place.replaceChildren();
                target.focus();
              },
            },
            described(person),
          ),
        ),
      );
      place.replaceChildren(
        entries.length > 0 ? element("ul", { class: "choices" }, ...entries) : element("p", { class: "soft" }, _("Nobody of that name was found.")),
      );
    } catch (error) {
      place.replaceChildren(element("p", { class: "alert" }, inWords(error)));
    }
  }, PAUSE_MS);
});
// What was typed before anybody listened
if (search.value) search.dispatchEvent(new Event("input"));

// --- What the form says, as the API takes it

function scope() {
  if (value("scope") === "studies") {
    const studies = ticked("study");
    return studies.length > 0 ? { studies } : null;
  }
  if (value("scope") === "dates") {
    const dates = Object.fromEntries(["from_date", "to_date"].map((name) => [name, value(name)]).filter(([, day]) => day));
    return Object.keys(dates).length > 0 ? dates : null;
  }
  return "all";
}

/** One grant for each of the chosen, or null while something is missing. */
function grants() {
  const denies = value("effect") === "deny";
  const purposes = denies ? EVERY_PURPOSE : ticked("purpose");
  const images = scope();
  if (chosen.size === 0 || purposes.length === 0 || images === null) return null;
  const common = {
    patient_key: form.dataset.patient,
    scope: images,
    actions: denies ? ACTIONS.share : ACTIONS[value("actions")],
    purposes,
    valid_until: Math.floor(Date.now() / 1000) + Number(value("days")) * DAY_S,
    effect: value("effect"),
  };
  return [...chosen.keys()].map((grantee) => ({ ...common, grantee }));
}

// --- What would be signed, and what it would change

function changed() {
  for (const [id, shownFor] of [["studies", "studies"], ["dates", "dates"]]) {
    const place = document.getElementById(id);
    if (place) place.hidden = value("scope") !== shownFor;
  }
  for (const one of form.querySelectorAll('[name="actions"], [name="purpose"]')) {
    one.closest("fieldset").hidden = value("effect") === "deny";
  }
  shown = null;
  button.disabled = true;
  keepDraft();
  clearTimeout(waiting);
  waiting = setTimeout(preview, PAUSE_MS);
}

async function preview() {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  const wanted = grants();
  clearNotices();
  if (wanted === null) return showWords(null);
  const [first, ...also] = wanted;
  const body = also.length > 0 ? { ...first, also } : first;
  try {
    const issued = await post("/api/consents/typed-data", body, "POST", { signal });
    const meaning = language === "en" ? [] : (await post(form.dataset.sentence, body, "POST", { signal })).sentences;
    if (signal.aborted) return;
    showWords(issued, meaning);
    shown = { issued, grants: wanted, at: Date.now() };
    button.disabled = false;
    await showWhatIf(wanted, signal);
  } catch (error) {
    if (signal.aborted) return;
    showWords(null);
    notice("bad", inWords(error));
  }
}

function showWords(issued, meaning = []) {
  const words = document.getElementById("words");
  words.textContent = issued === null ? "" : wordsOf(issued.typed_data);
  words.hidden = issued === null;
  const list = document.getElementById("meaning");
  list.replaceChildren(...meaning.map((text) => element("li", {}, text)));
  list.hidden = meaning.length === 0;
  document.getElementById("incomplete").hidden = issued !== null;
  document.getElementById("what-if").replaceChildren();
}

/** A study that the grant is about: consents to some studies say nothing of the others. */
function exampleStudy(images) {
  if (images === "all") return undefined;
  return images.studies?.[0];
}

async function showWhatIf(wanted, signal) {
  const lines = [];
  for (const grant of wanted.filter((one) => !chosen.get(one.grantee).team).slice(0, 5)) {
    if (grant.scope !== "all" && !grant.scope.studies) continue; // whether a date is among them, the words say
    const action = grant.actions.includes("retrieve") ? "retrieve" : "view";
    const question = { actor: grant.grantee, action, purpose: grant.purposes[0], consent: grant };
    const study = exampleStudy(grant.scope);
    const answer = await post("/api/explain", study ? { ...question, study } : question, "POST", { signal });
    lines.push(element("li", {}, changes(nameOf(chosen.get(grant.grantee)), grant, answer)));
  }
  if (signal.aborted || lines.length === 0) return;
  document
    .getElementById("what-if")
    .replaceChildren(element("h3", {}, _("What this changes")), element("ul", {}, ...lines));
}

function changes(name, grant, { now, then }) {
  const before = now.verdict === "permit";
  if (grant.effect === "deny") {
    if (then.verdict === "permit") return _("{name} acts for this record, and so may look all the same.", { name });
    return before
      ? _("{name} may look now, and may not any more once you have signed.", { name })
      : _("{name} may not look now, and stays out whatever else is allowed.", { name });
  }
  if (then.verdict === "permit") {
    return before
      ? _("{name} may do this already; this is one reason more.", { name })
      : _("{name} may not do this now, and may once you have signed and the chain has it.", { name });
  }
  if (then.denied_by.length > 0) return _("{name} stays out: something that you forbade wins over this.", { name });
  return _("{name} may still not do this once you have signed.", { name });
}

// --- Signing

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (shown === null || button.disabled) return;
  if (Date.now() - shown.at > FRESH_MS) {
    await preview();
    notice("warn", _("This page was open for long, so the text was made again. Please read it once more, then sign."));
    return;
  }
  button.disabled = true;
  const { issued } = shown;
  const request = form.dataset.request;
  const permits = value("effect") === "permit";
  const answer = await signed({
    title: permits ? _("Let somebody in") : _("Keep somebody out"),
    issue: async () => {
      if (request) await mustBeOpen(request);
      return issued;
    },
    send: "/api/consents",
    follow: ({ consent_id }) => `/api/consents/${consent_id}`,
    settled: ({ status }) => (status === "active" ? "done" : status === "failed" || status === "revoked" ? "failed" : ""),
    done: permits ? _("Done: they may look now.") : _("Done: they may not look."),
    handedIn: async ({ consent_id }) => {
      sessionStorage.removeItem(DRAFT);
      if (request && permits) await accept(request, consent_id);
    },
  });
  if (answer === null) return preview();
  noticeOnNextPage("good", permits ? _("You let somebody in.") : _("You keep somebody out."));
  location.assign(form.dataset.back);
});

/** The request is answered with the consent. Answered elsewhere in the meantime, it stays as it is, and so does this. */
async function accept(request, consent_id) {
  try {
    await post(`/api/access-requests/${request}/decision`, { decision: "accept", consent_id });
  } catch (error) {
    if (error.problem !== "conflict") throw error;
  }
}

async function mustBeOpen(request) {
  const { status } = await get(`/api/access-requests/${request}`);
  if (status !== "open") throw new Refused(_("This request was answered already, perhaps in another tab. Nothing was signed."), "conflict");
}

// --- What was chosen survives signing in again

function keepDraft() {
  const fields = [...new FormData(form).entries()].filter(([, text]) => typeof text === "string");
  sessionStorage.setItem(DRAFT, JSON.stringify({ fields, chosen: [...chosen.values()] }));
}

function begin() {
  const kept = JSON.parse(sessionStorage.getItem(DRAFT) ?? "null");
  const back = document.referrer !== "" && new URL(document.referrer).pathname === "/signin";
  if (kept !== null && back) {
    for (const one of form.querySelectorAll('[name][type="checkbox"], [name][type="radio"]')) {
      one.checked = kept.fields.some(([name, text]) => name === one.name && text === one.value);
    }
    for (const [name, text] of kept.fields) if (name.endsWith("_date")) form.elements[name].value = text;
    for (const person of kept.chosen) chosen.set(person.grantee, person);
  } else {
    for (const person of JSON.parse(document.getElementById("preset").textContent)) chosen.set(person.grantee, person);
  }
  showChosen();
  changed();
}

form.addEventListener("change", changed);
// Enter in the search is no signature
document.getElementById("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") event.preventDefault();
});
begin();
