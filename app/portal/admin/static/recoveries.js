// Begins the recovery of a lost key, and shows the letter.

import { post } from "../api.js";
import { clearNotices, notice } from "../notices.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";
import { showLetter } from "./letter.js";

const form = document.getElementById("recover");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearNotices();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const body = { patient_id: form.elements.patient_id.value.trim(), issuer: form.elements.issuer.value.trim() };
    const made = await post("/api/recoveries", body);
    showLetter(form, { whom: body.patient_id, code: made.code, url: made.recovery_url, until: made.expires_at });
  } catch (error) {
    button.disabled = false;
    const said = {
      "not-found": _("Nobody is enrolled by that PatientID and issuer."),
      conflict: _("Nobody has taken charge of this record yet: enrol them again, that makes a new letter."),
    }[error.problem];
    notice("bad", said ?? inWords(error));
  }
});
