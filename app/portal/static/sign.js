// One signature, from the text to what became of it: the document is fetched, its own words are shown, the wallet or the
// passkey signs that very document, it is handed in, and the page tells how far it has come.

import { get, post, Refused, signInAddress } from "./api.js";
import { dialog } from "./dialog.js";
import { element } from "./elements.js";
import { signWithPasskey } from "./passkey.js";
import { inWords, signTypedData } from "./wallet.js";
import { _ } from "./words.js";

// How an account signs a document, by the session's `data-signer`. A passkey's way is added here, and nowhere else:
// a function of the document that resolves to the signature in hexadecimal, and throws Refused or what it failed with.
const SIGNERS = { wallet: signTypedData, passkey: signWithPasskey };

const LOOK_MS = 1000;
const SLOW_MS = 15_000;
// A wallet's window that was closed or hidden tells nobody
const SILENT_MS = 12_000;

let busy = false;

/** The words of a document, from the document itself: what is shown is what is signed. */
export function wordsOf(document_) {
  return document_.message.words;
}

/**
 * Opens a dialog that goes through it all. Resolves to what the gateway answered, or null if nothing was handed in.
 *
 * title     what is being done
 * issue     async () => {typed_data, …}: the document to sign
 * send      where the signed document goes, or a function of what was issued that says so
 * follow    (answer) => path of something with a `status`, asked until `settled(view)`: "done", "failed" or ""
 * settled   see there
 * more      what else is sent beside the signed document, or a function that says so
 * handedIn  (answer) => …: what else is to be done once the gateway has it
 * atOnce    what holds as soon as it is handed in; "" if nothing does
 * done      what holds once it is settled
 */
export async function signed({ title, issue, send, follow = null, settled = () => "done", more = {}, handedIn = async () => {}, atOnce = "", done }) {
  if (busy) return null; // the first of two clicks is at it
  busy = true;
  const steps = new Steps(title);
  try {
    const issued = await steps.issued(issue);
    const signature = await steps.signature(issued.typed_data);
    const path = typeof send === "function" ? send(issued) : send;
    steps.waiting(_("Handing it in …"));
    const also = typeof more === "function" ? more() : more;
    const answer = await post(path, { typed_data: issued.typed_data, signature, ...also });
    busy = false; // whoever leaves the dialog now leaves something that goes on by itself
    await handedIn(answer);
    await steps.followed(answer, { follow, settled, atOnce, done });
    return answer;
  } catch (error) {
    busy = false;
    if (!steps.left) await steps.failed(error);
    return null;
  } finally {
    busy = false;
  }
}

class Steps {
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

  async issued(issue) {
    const issued = await this.unlessLeft(issue());
    this.words.textContent = wordsOf(issued.typed_data);
    this.words.hidden = false;
    return issued;
  }

  async signature(document_) {
    const sign = SIGNERS[document.body.dataset.signer];
    if (sign === signWithPasskey) {
      await this.unlessLeft(this.read());
      this.waiting(_("Your device asks whether it is you …"));
      return this.unlessLeft(sign(document_));
    }
    this.waiting(_("Read the text, then sign it in your wallet …"));
    const silent = setTimeout(
      () => this.waiting(_("Still waiting for your wallet. If its window is not to be seen, open it from your browser's bar.")),
      SILENT_MS,
    );
    try {
      return await this.unlessLeft(sign(document_));
    } finally {
      clearTimeout(silent);
    }
  }

  /** A device asks for a finger and shows no text: whoever signs with a passkey reads it here first, and says so. */
  async read() {
    this.progress.className = "";
    this.progress.textContent = "";
    await new Promise((resolve) => {
      const go = element("button", { type: "button", onclick: resolve }, _("Sign with your passkey"));
      this.button.before(go);
      go.focus();
    }).finally(() => this.button.previousElementSibling.remove());
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
