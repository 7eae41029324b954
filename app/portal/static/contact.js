// Confirms an address with the one-time token behind the link's #, which no server has seen. Asks first: mail programs
// and scanners open links by themselves.
"use strict";

const token = location.hash.slice(1);
const button = document.getElementById("confirm");
history.replaceState(null, "", location.pathname);

function say(where, text) {
  document.getElementById("progress").textContent = where === "progress" ? text : "";
  document.getElementById("alert").textContent = where === "alert" ? text : "";
}

async function confirm() {
  button.disabled = true;
  say("progress", "Confirming …");
  let answer;
  try {
    answer = await fetch("/api/contact/confirmation", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
  } catch {
    button.disabled = false;
    return say("alert", "The gateway cannot be reached. Check your network, then try again.");
  }
  if (answer.ok) return say("progress", "Thank you. You will be told there from now on.");
  if (answer.status === 404) {
    return say("alert", "This link is used up or too old. Sign in and save your address again to get a new one.");
  }
  button.disabled = false;
  return say("alert", `The gateway answered ${answer.status}. Please try again later.`);
}

if (/^[A-Za-z0-9_-]{43}$/.test(token)) {
  button.disabled = false;
  button.addEventListener("click", confirm);
} else {
  say("alert", "This is not the whole link. Open it from the message again.");
}
