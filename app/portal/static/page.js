// What every page does: times in the reader's own time, what the page before had to say, and the language chosen at once.

import { showKeptNotice } from "./notices.js";
import { moment } from "./words.js";

for (const time of document.querySelectorAll("time[data-at]")) {
  time.title = time.textContent;
  time.textContent = moment(Number(time.dataset.at));
}

const chooser = document.querySelector(".language");
chooser.querySelector("button").hidden = true;
chooser.querySelector("select").addEventListener("change", () => chooser.submit());

showKeptNotice();
