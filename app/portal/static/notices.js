// What the page tells its reader while it stands, and what it tells them on the next one.

import { element } from "./elements.js";

const KEPT = "consentry-notice";
const CLASSES = { good: "note", warn: "note warn", bad: "alert" };

/** Say something above the page's content, to screen readers too. `kind`: "good", "warn" or "bad". */
export function notice(kind, ...parts) {
  const place = document.getElementById("notices");
  place.replaceChildren(element("p", { class: CLASSES[kind] }, ...parts));
  if (kind !== "good") place.scrollIntoView({ block: "nearest" });
}

export function clearNotices() {
  document.getElementById("notices").replaceChildren();
}

/** Say it on the page that comes next in this tab. */
export function noticeOnNextPage(kind, text) {
  sessionStorage.setItem(KEPT, JSON.stringify({ kind, text }));
}

export function showKeptNotice() {
  const kept = sessionStorage.getItem(KEPT);
  if (kept === null) return;
  sessionStorage.removeItem(KEPT);
  const { kind, text } = JSON.parse(kept);
  notice(kind, text);
}
