// One tap takes a consent back: the text, one signature, and it holds.

import { post } from "../api.js";
import { noticeOnNextPage } from "../notices.js";
import { signed } from "../sign.js";
import { _ } from "../words.js";

for (const button of document.querySelectorAll(".revoke")) {
  button.disabled = false; // a tap before anybody listens would be lost
  button.addEventListener("click", async () => {
    const path = `/api/consents/${button.dataset.consent}`;
    button.disabled = true;
    const answer = await signed({
      title: _("Take back"),
      issue: () => post(`${path}/revocation/typed-data`),
      send: `${path}/revocation`,
      follow: () => path,
      settled: (view) => (view.status === "revoked" && view.final ? "done" : ""),
      atOnce: _("It is taken back: from now on nobody is let in on it here."),
      done: _("It is taken back for good: the chain has it."),
    });
    button.disabled = false;
    if (answer !== null) {
      noticeOnNextPage("good", _("It is taken back."));
      location.reload();
    }
  });
}
