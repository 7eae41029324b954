// Asks a patient to be let in, and withdraws what was asked.

import { post, Refused, signInAddress } from "../api.js";
import { element } from "../elements.js";
import { clearNotices, notice, noticeOnNextPage } from "../notices.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";

const form = document.getElementById("ask");
const ACTIONS = { view: ["search", "view"], retrieve: ["search", "view", "retrieve"], share: ["search", "view", "retrieve", "share"] };

function asked() {
  const { code, mrn, issuer, reason, days, actions } = form.elements;
  const purposes = [...form.querySelectorAll('[name="purpose"]:checked')].map((one) => one.value);
  if (!code.value.trim() === !mrn.value.trim()) throw new Refused(_("Give the patient's code or the MRN, one of the two."));
  if (purposes.length === 0) throw new Refused(_("Choose what it is for."));
  const whom = code.value.trim() ? { patient_code: code.value.trim() } : { patient_id: mrn.value.trim(), issuer: issuer.value.trim() };
  return { ...whom, reason: reason.value.trim(), days: Number(days.value), actions: ACTIONS[actions.value], purposes };
}

function tell(error) {
  const said = {
    "invalid-request": _("Please check the code: one of its signs is not right."),
    conflict: _("You have asked this patient already, and they have not answered yet."),
  }[error.problem];
  const on = error.problem === "unauthenticated" ? element("a", { href: signInAddress() }, _("Sign in again")) : "";
  notice("bad", said ?? inWords(error), " ", on);
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearNotices();
  const button = form.querySelector(".actions button");
  button.disabled = true;
  try {
    await post("/api/access-requests", asked());
    noticeOnNextPage("good", _("You asked. If there is such a patient, they see it now."));
    location.reload();
  } catch (error) {
    button.disabled = false;
    tell(error);
  }
});

for (const button of document.querySelectorAll(".withdraw")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await post(`/api/access-requests/${button.closest("[data-request]").dataset.request}/withdrawal`, {});
      noticeOnNextPage("good", _("You withdrew it."));
      location.reload();
    } catch (error) {
      button.disabled = false;
      notice("bad", inWords(error));
    }
  });
}
