// The review of an emergency: one finding, a note, one signature.

import { post } from "../api.js";
import { noticeOnNextPage } from "../notices.js";
import { signed } from "../sign.js";
import { _ } from "../words.js";

const form = document.getElementById("review");

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const path = `/api/emergency-access/${form.dataset.emergency}`;
  const finding = form.elements.finding.value;
  const note = form.elements.note.value.trim();
  let salt = null;
  const answer = await signed({
    title: _("Review"),
    issue: async () => {
      const issued = await post(`${path}/review/typed-data`, { finding, note });
      salt = issued.note_salt;
      return issued;
    },
    send: `${path}/review`,
    more: () => ({ note, note_salt: salt }),
    follow: () => path,
    settled: (view) => (view.review?.status === "mined" ? "done" : ""),
    atOnce: finding === "unjustified" ? _("It opens nothing any more.") : "",
    done: _("The review is closed: the chain has it."),
  });
  if (answer === null) return;
  noticeOnNextPage("good", _("You closed the review."));
  location.reload();
});
