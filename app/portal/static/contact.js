// Confirms an address with the one-time token behind the link's #, which no server has seen. Asks first: mail programs
// and scanners open links by themselves.

import { Refused, post } from "./api.js";
import { element } from "./elements.js";
import { _ } from "./words.js";

const token = location.hash.slice(1);
const button = document.getElementById("confirm");
history.replaceState(null, "", location.pathname);

function say(text) {
  document.getElementById("alert").replaceChildren();
  document.getElementById("progress").textContent = text;
}

function warn(text) {
  document.getElementById("progress").textContent = "";
  document.getElementById("alert").replaceChildren(element("p", { class: "alert" }, text));
}

async function confirm() {
  button.disabled = true;
  say(_("Confirming …"));
  try {
    await post("/api/contact/confirmation", { token });
    say(_("Thank you. You will be told there from now on."));
  } catch (error) {
    if (error instanceof Refused && error.problem === "not-found") {
      return warn(_("This link is used up or too old. Sign in and save your address again to get a new one."));
    }
    button.disabled = false;
    warn(error.message);
  }
}

if (/^[A-Za-z0-9_-]{43}$/.test(token)) {
  button.disabled = false;
  button.addEventListener("click", confirm);
} else {
  warn(_("This is not the whole link. Open it from the message again."));
}
