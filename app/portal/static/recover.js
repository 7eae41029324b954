// A new key for a record: the code from the desk starts the move, and after the delay one signature finishes it.

import { get, post } from "./api.js";
import { element } from "./elements.js";
import { clearNotices, notice, noticeOnNextPage } from "./notices.js";
import { codeInHand, forgetCode } from "./recovery-code.js";
import { signed } from "./sign.js";
import { inWords } from "./wallet.js";
import { _, moment } from "./words.js";

const LOOK_MS = 1000;
const RUNNING = ["starting", "pending", "ready"];

const form = document.getElementById("use");
const moves = document.getElementById("moves");
const another = document.getElementById("another");

async function takeOver({ id }) {
  const path = `/api/recoveries/${id}/acceptance`;
  const answer = await signed({
    title: _("Take over"),
    issue: () => post(`${path}/typed-data`),
    send: path,
    follow: () => `/api/recoveries/${id}`,
    settled: ({ status }) => (status === "finished" ? "done" : status === "pending" || status === "ready" ? "" : "failed"),
    done: _("This key decides now. The old one does not any more."),
  });
  if (answer === null) return;
  noticeOnNextPage("good", _("This key decides now."));
  location.assign("/");
}

function card(move) {
  const said = {
    starting: _("The code was used. The move is on its way to the chain."),
    pending: _("The old key can object until {time}. Then come back here, and sign in with the same key.", { time: moment(move.ready_at ?? 0) }),
    ready: _("The time to object is over. You can take over now."),
    finished: _("The record was moved to this key."),
    vetoed: _("The old key objected, so nothing was moved. Ask at the desk."),
    replaced: _("This was begun anew. If it was the desk, use the code of the newest letter."),
    failed: _("The chain did not take it, so nothing was moved. Ask at the desk for a new code."),
  }[move.status];
  const next = {
    ready: () => element("button", { type: "button", onclick: () => takeOver(move) }, _("Take over")),
    finished: () => element("a", { class: "button", href: "/" }, _("Go to my images")),
  }[move.status];
  return element("li", { class: "card" }, element("p", {}, said), next?.());
}

/** Of each record what was begun last; again and again while a move is on its way. Resolves to whether any is running. */
async function showMoves() {
  const { recoveries } = await get("/api/recoveries");
  const newest = new Map();
  for (const one of recoveries) {
    const own = one.account?.toLowerCase() === document.body.dataset.actor;
    if (own && !newest.has(one.patient_key)) newest.set(one.patient_key, one);
  }
  const shown = [...newest.values()];
  moves.replaceChildren(...shown.map(card));
  if (shown.some(({ status }) => status === "starting")) setTimeout(() => showMoves().catch(tell), LOOK_MS);
  return shown.some(({ status }) => RUNNING.includes(status));
}

function tell(error) {
  notice("bad", inWords(error));
}

/** Whoever comes back by the letter brings a code that is used: it must not stand beside what is to be done now. */
async function show() {
  const running = await showMoves();
  form.elements.code.value = codeInHand();
  form.hidden = running;
  another.hidden = !running;
}

another.querySelector("button").addEventListener("click", () => {
  another.hidden = true;
  form.hidden = false;
  form.elements.code.focus();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearNotices();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await post("/api/recoveries/claim", { code: form.elements.code.value.trim() });
    forgetCode();
    form.reset();
    notice("good", _("The code was used. Everybody concerned is told."));
    await show();
  } catch (error) {
    const words = {
      "not-found": _("This code opens nothing: it is mistyped, its time is over, or it was used already. Ask at the desk for a new one."),
      conflict: _("This key decides already. Sign in with the key that is to be the new one."),
    }[error.problem];
    notice("bad", words ?? inWords(error));
  } finally {
    button.disabled = false;
  }
});

show().catch(tell);
