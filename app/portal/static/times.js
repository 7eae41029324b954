// Times in the reader's own time.

import { moment } from "./words.js";

/** Rewrites every time in `part` of the page, which came in UTC. */
export function sayTimes(part) {
  for (const time of part.querySelectorAll("time[data-at]")) {
    time.title = time.textContent;
    time.textContent = moment(Number(time.dataset.at));
  }
}
