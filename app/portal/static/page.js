// What every page does: times in the reader's own time, what the page before had to say, and the language chosen at once.

import { showKeptNotice } from "./notices.js";
import { sayTimes } from "./times.js";

sayTimes(document);

const chooser = document.querySelector(".language");
chooser.querySelector("button").hidden = true;
chooser.querySelector("select").addEventListener("change", () => chooser.submit());

showKeptNotice();
