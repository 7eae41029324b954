// Enrols a patient, and shows the letter.

import { post } from "../api.js";
import { _ } from "../words.js";
import { makeLetter } from "./letter.js";

const form = document.getElementById("enrol");

function asked() {
  const { patient_id, issuer, ward } = form.elements;
  const body = { patient_id: patient_id.value.trim(), issuer: issuer.value.trim() };
  return ward.value ? { ...body, ward_until: Math.floor(Date.parse(`${ward.value}T00:00:00Z`) / 1000) } : body;
}

function enrol(body, button) {
  const ask = async () => {
    const { code, claim_url, expires_at } = await post("/api/enrolments", body);
    return { whom: body.patient_id, code, url: claim_url, until: expires_at };
  };
  return makeLetter(form, button, ask, {
    conflict: _("This patient has taken charge already. If the key is lost, begin under “Lost keys”."),
    "invalid-request": _("Please check what you typed: a day must be ahead, and not more than 25 years."),
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  enrol(asked(), form.querySelector("button"));
});

// Until somebody takes charge, a new letter takes the place of the one before
for (const button of document.querySelectorAll(".again")) {
  button.addEventListener("click", () => {
    const { id, issuer, ward } = button.dataset;
    enrol({ patient_id: id, issuer, ...(ward ? { ward_until: Number(ward) } : {}) }, button);
  });
}
