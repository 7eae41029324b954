// A new key for a record: the code from the desk starts the move, and after the delay one signature finishes it.

import { get, post } from "./api.js";
import { element } from "./elements.js";
import { clearNotices, notice, noticeOnNextPage } from "./notices.js";
import { signed } from "./sign.js";
import { inWords } from "./wallet.js";
import { _, moment } from "./words.js";

// Signing in leads through another page, which the part behind "#" does not survive; the window's own memory does.
const KEPT = "consentry-recovery-code";
const form = document.getElementById("use");
const moves = document.getElementById("moves");

if (location.hash.length > 1) {
  sessionStorage.setItem(KEPT, decodeURIComponent(location.hash.slice(1)));
  history.replaceState(null, "", location.pathname); // not in the history, where others find it
}

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
    pending: _("The old key can object until {time}. Then come back here.", { time: moment(move.ready_at ?? 0) }),
    ready: _("The time to object is over. You can take over now."),
  }[move.status];
  const button = move.status === "ready" ? element("button", { type: "button", onclick: () => takeOver(move) }, _("Take over")) : null;
  return element("li", { class: "card" }, element("p", {}, said), button);
}

async function show() {
  const { recoveries } = await get("/api/recoveries");
  const own = recoveries.filter((one) => one.account?.toLowerCase() === document.body.dataset.actor);
  const going = own.filter((one) => ["starting", "pending", "ready"].includes(one.status));
  moves.replaceChildren(...going.map(card));
  form.elements.code.value = sessionStorage.getItem(KEPT) ?? "";
  form.hidden = going.length > 0 && form.elements.code.value === "";
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearNotices();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await post("/api/recoveries/claim", { code: form.elements.code.value.trim() });
    sessionStorage.removeItem(KEPT);
    form.reset();
    notice("good", _("The code was used. Everybody concerned is told."));
    await show();
  } catch (error) {
    const said = {
      "not-found": _("This code opens nothing: it is mistyped, its time is over, or it was used already. Ask at the desk for a new one."),
      conflict: _("This key decides already. Sign in with the key that is to be the new one."),
    }[error.problem];
    notice("bad", said ?? inWords(error));
  } finally {
    button.disabled = false;
  }
});

if (form !== null) show().catch((error) => notice("bad", inWords(error)));
