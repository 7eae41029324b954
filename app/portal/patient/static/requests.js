// Declining a request; accepting leads to the form, and takes a signature.

import { post, signInAddress } from "../api.js";
import { confirmed } from "../dialog.js";
import { element } from "../elements.js";
import { notice, noticeOnNextPage } from "../notices.js";
import { inWords } from "../wallet.js";
import { _ } from "../words.js";

for (const button of document.querySelectorAll(".decline")) {
  button.disabled = false; // a tap before anybody listens would be lost
  button.addEventListener("click", async () => {
    const yes = await confirmed({
      title: _("Decline this request?"),
      parts: [element("p", {}, _("Whoever asked is told that you declined. They may ask again."))],
      action: _("Decline"),
      danger: true,
    });
    if (!yes) return;
    button.disabled = true;
    try {
      await post(`/api/access-requests/${button.closest("[data-request]").dataset.request}/decision`, { decision: "decline" });
      noticeOnNextPage("good", _("You declined."));
      location.reload();
    } catch (error) {
      button.disabled = false;
      const on = error.problem === "unauthenticated" ? element("a", { href: signInAddress() }, _("Sign in again")) : "";
      notice("bad", inWords(error), " ", on);
    }
  });
}
