// One signature, from the text to what became of it: the document is fetched, its own words are shown, the wallet or the
// passkey signs that very document, it is handed in, and the page tells how far it has come.

import { post } from "./api.js";
import { element } from "./elements.js";
import { signWithPasskey } from "./passkey.js";
import { Steps } from "./steps.js";
import { signTypedData } from "./wallet.js";
import { _ } from "./words.js";

// How an account signs a document, by the session's `data-signer`. A passkey's way is added here, and nowhere else:
// a function of the document that resolves to the signature in hexadecimal, and throws Refused or what it failed with.
const SIGNERS = { wallet: signTypedData, passkey: signWithPasskey };

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
  const steps = new Signing(title);
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

class Signing extends Steps {
  async issued(issue) {
    const issued = await this.unlessLeft(issue());
    this.show(wordsOf(issued.typed_data));
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
    return this.answered(sign(document_));
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
}
