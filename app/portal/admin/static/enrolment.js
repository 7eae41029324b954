// Enrols a patient, and shows the letter.

import { post } from "../api.js";
import { clearNotices, notice } from "../notices.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";
import { showLetter } from "./letter.js";

const form = document.getElementById("enrol");

function asked() {
  const { patient_id, issuer, ward } = form.elements;
  const body = { patient_id: patient_id.value.trim(), issuer: issuer.value.trim() };
  return ward.value ? { ...body, ward_until: Math.floor(Date.parse(`${ward.value}T00:00:00Z`) / 1000) } : body;
}

async function enrol(body, button) {
  clearNotices();
  button.disabled = true;
  try {
    const made = await post("/api/enrolments", body);
    showLetter(form, { whom: body.patient_id, code: made.code, url: made.claim_url, until: made.expires_at });
  } catch (error) {
    button.disabled = false;
    const said = {
      conflict: _("This patient has taken charge already. If the key is lost, begin under “Lost keys”."),
      "invalid-request": _("Please check what you typed: a day must be ahead, and not more than 25 years."),
    }[error.problem];
    notice("bad", said ?? inWords(error));
  }
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
