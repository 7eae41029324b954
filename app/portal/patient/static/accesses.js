// Each entry checked against a node of the chain: the gateway's proof is opened, held to what the page says, and to the
// event that stands on the chain. What the gateway says of itself decides nothing here.

import { get } from "../api.js";
import { element } from "../elements.js";
import { check } from "../proof.js";
import { _, count } from "../words.js";

const list = document.getElementById("entries");
const AT_ONCE = 4;
const AGAIN_MS = 3000;

const states = new Map(); // entry → "good", "bad", "waiting" or "away"

function shownBy(entry) {
  const { id, time, actor, study, action, purpose } = entry.dataset;
  return { id, at: Number(time), actor: actor.toLowerCase(), study, action, purpose, patient: entry.dataset.patient ?? list.dataset.patient };
}

function say(entry, state, why = "") {
  states.set(entry, state);
  const [mark, kind, text] = {
    good: ["✓", "good", _("checked on the chain")],
    bad: ["✗", "bad", _("does not match the chain")],
    waiting: ["…", "off", _("recorded, on its way to the chain")],
    away: ["?", "warn", _("could not be checked")],
    forgotten: ["–", "off", _("forgotten: nothing is left to check")],
  }[state];
  const badge = element("span", { class: `badge ${kind}` }, element("span", { "aria-hidden": "true" }, `${mark} `), text);
  entry.querySelector(".check").replaceChildren(badge, why ? element("small", { class: "soft" }, ` ${why}`) : "");
  const all = [...states.values()];
  const good = all.filter((one) => one === "good").length;
  const bad = all.filter((one) => one === "bad").length;
  document.getElementById("checked").textContent = [
    count("{number} entry checked by your browser.", "{number} entries checked by your browser.", good),
    bad > 0 ? count("{number} entry does not match the chain!", "{number} entries do not match the chain!", bad) : "",
  ].join(" ");
}

async function examine(entry) {
  if (entry.dataset.forgotten) return say(entry, "forgotten");
  if (!entry.dataset.onChain) return wait(entry);
  let proof;
  try {
    proof = await get(`/api/accesses/${entry.dataset.id}/proof`);
  } catch (error) {
    // A reorganisation took its block back: it is on its way again
    return error.problem === "not-found" ? wait(entry) : say(entry, "away", error.message);
  }
  const expected = { rpc: list.dataset.rpc, contract: list.dataset.contract, chainId: Number(list.dataset.chain) };
  const found = await check(proof, shownBy(entry), expected);
  say(entry, found.state, found.why);
}

// What is on its way is asked about together, until the chain has it
const expecting = new Set();
let looking = 0;

function wait(entry) {
  say(entry, "waiting");
  expecting.add(entry);
  looking ||= setTimeout(look, AGAIN_MS);
}

async function look() {
  looking = 0;
  let accesses;
  try {
    ({ accesses } = await get(`/api/accesses?patient_key=${list.dataset.patient}&limit=1000`));
  } catch (error) {
    for (const entry of expecting) say(entry, "away", error.message);
    return expecting.clear();
  }
  const there = new Set(accesses.filter(({ status }) => status !== "recorded").map(({ id }) => id));
  for (const entry of expecting) {
    if (!there.has(entry.dataset.id)) continue;
    expecting.delete(entry);
    entry.dataset.onChain = "yes";
    want(entry);
  }
  if (expecting.size > 0) looking ||= setTimeout(look, AGAIN_MS);
}

// A few at a time: a phone has one connection, and the node serves others too
const queue = [];
let busy = 0;

function want(entry) {
  if (states.get(entry) === "good" || queue.includes(entry)) return;
  queue.push(entry);
  work();
}

async function work() {
  while (queue.length > 0 && busy < AT_ONCE) {
    busy += 1;
    examine(queue.shift()).finally(() => {
      busy -= 1;
      work();
    });
  }
}

if (list !== null && list.dataset.rpc) {
  const entries = [...list.querySelectorAll(".entry")];
  const seen = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      want(target);
    }
  });
  for (const entry of entries) seen.observe(entry);
  const all = document.getElementById("check-all");
  all.hidden = false;
  all.addEventListener("click", () => entries.forEach(want));
}
