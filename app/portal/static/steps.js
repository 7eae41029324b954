// The dialog that something goes through on its way to the chain: what is done in words, what is waited for, what became
// of it.

import { get, Refused, signInAddress } from "./api.js";
import { dialog } from "./dialog.js";
import { element } from "./elements.js";
import { inWords } from "./wallet.js";
import { _ } from "./words.js";

const LOOK_MS = 1000;
const SLOW_MS = 15_000;
// A wallet's window that was closed or hidden tells nobody
const SILENT_MS = 12_000;

/** The dialog. `left`: its reader closed it. */
export class Steps {
  constructor(title) {
    this.words = element("blockquote", { class: "said", lang: "en", tabindex: "0", hidden: true });
    this.progress = element("p", { role: "status", class: "waiting" }, _("One moment …"));
    this.alert = element("div", { role: "alert" });
    this.button = element("button", { type: "button", class: "quiet", onclick: () => this.box.close() }, _("Cancel"));
    this.box = dialog(title, this.words, this.progress, this.alert, element("p", { class: "actions" }, this.button));
    this.left = false;
    this.closed = new Promise((resolve) =>
      this.box.addEventListener("close", () => {
        this.left = true;
        resolve();
      }),
    );
    this.box.showModal();
  }

  waiting(text) {
    this.progress.className = "waiting";
    this.progress.textContent = text;
  }

  /** What is about to be done, in words. */
  show(words) {
    this.words.textContent = words;
    this.words.hidden = false;
  }

  /** What a wallet answers once it was asked; a wallet that is silent for long is spoken of. */
  async answered(asked) {
    const silent = setTimeout(
      () => this.waiting(_("Still waiting for your wallet. If its window is not to be seen, open it from your browser's bar.")),
      SILENT_MS,
    );
    try {
      return await this.unlessLeft(asked);
    } finally {
      clearTimeout(silent);
    }
  }

  /** Whoever closes the dialog before it is handed in wants nothing handed in, whatever the wallet says later. */
  async unlessLeft(promise) {
    const left = this.closed.then(() => {
      throw new Refused(_("You left, so nothing was sent."), "left");
    });
    left.catch(() => {});
    return Promise.race([promise, left]);
  }

  async followed(answer, { follow, settled, atOnce, done }) {
    this.button.textContent = _("Close");
    const begun = Date.now();
    const said = [atOnce, _("It is on its way to the chain …")].filter(Boolean).join(" ");
    this.waiting(said);
    let state = follow === null ? "done" : "";
    while (state === "" && !this.left) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      state = await get(follow(answer)).then(settled, (error) => {
        // A gateway that is away for a moment loses nothing that it has taken
        if (error.problem === "unauthenticated") throw error;
        return "";
      });
      if (state === "" && Date.now() - begun > SLOW_MS) {
        this.waiting([atOnce, _("It is still on its way to the chain. You may close this page: it goes on by itself.")].filter(Boolean).join(" "));
      }
    }
    if (this.left) return;
    if (state === "failed") {
      throw new Refused(_("The chain did not take it, so nothing was changed. Load the page again, then try once more."), "failed");
    }
    this.progress.className = "note";
    this.progress.textContent = done;
    this.button.focus();
    await this.closed;
  }

  async failed(error) {
    this.progress.textContent = "";
    this.progress.className = "";
    this.alert.replaceChildren(element("p", { class: "alert" }, inWords(error)));
    if (error.problem === "unauthenticated") {
      this.alert.append(element("p", { class: "actions" }, element("a", { class: "button", href: signInAddress() }, _("Sign in again"))));
    }
    this.button.textContent = _("Close");
    this.button.focus();
    await this.closed;
  }
}
