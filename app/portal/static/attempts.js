// A page on which one thing is done at a time: what it waits for, and what went wrong, in #progress and #alert.

import { element } from "./elements.js";

/**
 * `place`: whose buttons rest meanwhile. `words`: of an error, as a list of text and nodes.
 *
 * say   (text) => …: what is waited for, "" for nothing
 * warn  (...parts) => …: what went wrong, nothing for nothing
 * once  async (what) => …: does it, once at a time: the first of two clicks is at it. What goes wrong is said, and it
 *       can be tried again.
 */
export function attempts(place, words) {
  const progress = document.getElementById("progress");
  const alert = document.getElementById("alert");
  let busy = false;

  function say(text) {
    progress.textContent = text;
    progress.className = text ? "waiting" : "";
  }

  function warn(...parts) {
    alert.replaceChildren(...(parts.length > 0 ? [element("p", { class: "alert" }, ...parts)] : []));
  }

  async function once(what) {
    if (busy) return;
    busy = true;
    warn();
    for (const button of place.querySelectorAll("button")) button.disabled = true;
    try {
      await what();
    } catch (error) {
      warn(...words(error));
    } finally {
      busy = false;
      say("");
      for (const button of place.querySelectorAll("button")) button.disabled = false;
    }
  }

  return { say, warn, once };
}
