// The letter that the desk hands over: its code exists in this window and on paper, nowhere else.

import { element } from "../elements.js";
import { clearNotices, notice } from "../notices.js";
import { generate } from "../vendor/lean-qr/index.js";
import { inWords } from "../wallet.js";
import { _, moment } from "../words.js";

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 4; // modules of white that a reader needs around it (ISO/IEC 18004)

function drawn(text) {
  const code = generate(text);
  let path = "";
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) path += `M${x + QUIET} ${y + QUIET}h1v1h-1z`;
  }
  const size = code.size + 2 * QUIET;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.setAttribute("aria-hidden", "true");
  const black = document.createElementNS(SVG, "path");
  black.setAttribute("d", path);
  svg.append(black);
  return svg;
}

/**
 * Has a letter made by `ask`, an async () => {whom, code, url, until} whose `url` ends in the code, and shows it in the
 * form's place. `said`: words of their own for problems, by name.
 */
export async function makeLetter(form, button, ask, said = {}) {
  clearNotices();
  button.disabled = true;
  try {
    show(form, await ask());
  } catch (error) {
    button.disabled = false;
    notice("bad", said[error.problem] ?? inWords(error));
  }
}

function show(form, { whom, code, url, until }) {
  const letter = document.getElementById("letter");
  const part = (selector) => letter.querySelector(selector);
  part(".for").replaceChildren(element("strong", {}, whom));
  part(".qr").replaceChildren(drawn(url));
  part(".code code").textContent = code;
  part(".address").textContent = url.split("#")[0];
  part(".until").textContent = _("It works until {time}.", { time: moment(until) });
  form.hidden = true;
  letter.hidden = false;
  letter.focus();
}

for (const button of document.querySelectorAll("#letter .print")) button.addEventListener("click", () => window.print());
for (const button of document.querySelectorAll("#letter .done")) button.addEventListener("click", () => location.assign(location.pathname));
