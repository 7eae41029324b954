// Looks through the archive, says whose an odd study is, and takes that back.

import { get, post, Refused } from "../api.js";
import { clearNotices, notice, noticeOnNextPage } from "../notices.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";

const LOOK_MS = 700;
const scan = document.getElementById("scan");
const bar = scan.querySelector("progress");
const begin = scan.querySelector("button");

async function follow(now) {
  while (now.state === "running") {
    begin.disabled = true;
    bar.hidden = false;
    bar.max = Math.max(now.total ?? 0, now.done, 1);
    bar.value = now.done;
    scan.querySelector("[role=status]").textContent = _("{done} studies looked at, {found} of them odd.", now);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    now = await get("/api/identities/scan");
  }
  location.reload();
}

function failed(error) {
  begin.disabled = false;
  notice("bad", inWords(error));
}

begin.addEventListener("click", () => {
  begin.disabled = true;
  post("/api/identities/scan").then(follow).catch(failed);
});
if (scan.dataset.state === "running") get("/api/identities/scan").then(follow).catch(failed);

async function keyOf(patientId, issuer) {
  const { patients } = await get("/api/patients");
  const found = patients.find((one) => one.patient_id === patientId && one.issuer === issuer);
  if (found === undefined) throw new Refused(_("Nobody is enrolled by that PatientID and issuer."));
  return found.patient_key;
}

async function asked(form) {
  const { whose, patient_id, issuer, reason } = form.elements;
  const said = { reason: reason.value.trim() };
  if (whose.value === "alias") {
    const { key, id, issuer: by } = form.querySelector("[name=whose]:checked").dataset;
    return { ...said, kind: "alias", patient_key: key, patient_id: id, issuer: by };
  }
  const key = await keyOf(patient_id.value.trim(), issuer.value.trim());
  const { study } = form.closest("[data-study]").dataset;
  return { ...said, kind: "study", patient_key: key, study, fingerprint: form.dataset.fingerprint };
}

for (const form of document.querySelectorAll(".odd form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearNotices();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await post("/api/identities/resolutions", await asked(form));
      noticeOnNextPage("good", _("It is written down, and counts from now on."));
      location.reload();
    } catch (error) {
      button.disabled = false;
      notice("bad", error.problem === "conflict" ? _("The study has changed since, or it was said already. Load the page again.") : inWords(error));
    }
  });
}

for (const card of document.querySelectorAll(".said-of")) {
  card.querySelector("button").addEventListener("click", async (event) => {
    event.target.disabled = true;
    try {
      await post(`/api/identities/resolutions/${card.dataset.resolution}`, {}, "DELETE");
      noticeOnNextPage("good", _("It was taken back."));
      location.reload();
    } catch (error) {
      event.target.disabled = false;
      notice("bad", inWords(error));
    }
  });
}
