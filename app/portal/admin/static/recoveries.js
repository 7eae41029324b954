// Begins the recovery of a lost key, and shows the letter.

import { post } from "../api.js";
import { _ } from "../words.js";
import { makeLetter } from "./letter.js";

const form = document.getElementById("recover");

async function begun() {
  const { patient_id, issuer } = form.elements;
  const whom = patient_id.value.trim();
  const { code, recovery_url, expires_at } = await post("/api/recoveries", { patient_id: whom, issuer: issuer.value.trim() });
  return { whom, code, url: recovery_url, until: expires_at };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  makeLetter(form, form.querySelector("button"), begun, {
    "not-found": _("Nobody is enrolled by that PatientID and issuer."),
    conflict: _("Nobody has taken charge of this record yet: enrol them again, that makes a new letter."),
  });
});
