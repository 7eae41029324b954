// What every page does: times in the reader's own time, the current entry in sight, what the page before had to say, and the language chosen at once.

import { showKeptNotice } from "./notices.js";
import { sayTimes } from "./times.js";

sayTimes(document);

// On a phone there may be more entries than fit: the current one is seen, wherever it stands in the row
document.querySelector(".entries [aria-current=page]")?.scrollIntoView({ inline: "center", block: "nearest" });

// A form that a script takes is inert until every script of the page listens: nothing pressed earlier is lost
addEventListener("DOMContentLoaded", () => {
  for (const form of document.querySelectorAll("form[inert]")) form.inert = false;
});

const chooser = document.querySelector(".language");
chooser.querySelector("button").hidden = true;
chooser.querySelector("select").addEventListener("change", () => chooser.submit());

showKeptNotice();
