// Breaks the glass: the text with the reason, one signature, and the session becomes one for an emergency.

import { post } from "../api.js";
import { noticeOnNextPage } from "../notices.js";
import { signed } from "../sign.js";
import { _ } from "../words.js";

const form = document.getElementById("break");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { mrn, issuer, reason, minutes } = form.elements;
  const asked = { patient_id: mrn.value.trim(), issuer: issuer.value.trim(), reason: reason.value.trim().replaceAll(/\s+/g, " ") };
  let salt = "";
  const answer = await signed({
    title: _("Break the glass"),
    issue: async () => {
      const issued = await post("/api/emergency-access/typed-data", { ...asked, minutes: Number(minutes.value) });
      salt = issued.reason_salt;
      return issued;
    },
    send: "/api/emergency-access",
    more: () => ({ ...asked, reason_salt: salt, cookie: true }),
    done: _("You may see this patient's images now."),
  });
  if (answer === null) return;
  noticeOnNextPage("good", _("You may see this patient's images now."));
  location.assign("/physician");
});
