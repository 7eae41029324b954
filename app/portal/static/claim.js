// The claim: with the code from the desk somebody takes charge of their record, with a passkey or a wallet. One signature
// over the sentence on the page binds the record and signs in; then the page tells how far it has come.

import { get, post, Refused } from "./api.js";
import { attempts } from "./attempts.js";
import { digestOf, toHex } from "./eip712.js";
import { element } from "./elements.js";
import { canDoPasskeys, deviceKeepsPasskeys, forgetPasskeyMade, makePasskeyOnce, noPasskeys, passkeyName, signWith } from "./passkey.js";
import { accountOf, discover, inWords, noWallet, remember, signTypedDataAs } from "./wallet.js";
import { _ } from "./words.js";

const LOOK_MS = 1000;
const SLOW_MS = 15_000;

const place = document.getElementById("claim");
const part = (id) => document.getElementById(id);
const show = (id, shown) => (part(id).hidden = !shown);
const { say, warn, once } = attempts(place, claimWords);

let code = "";

function claimWords(error) {
  const signIn = element("a", { href: "/signin" }, _("Sign in"));
  if (error.problem === "not-found") {
    return [
      _("This code opens nothing: it is mistyped, its time is over, or it was used already. If it was you who used it, sign in. If not, ask at the desk for a new one."),
      " ",
      signIn,
    ];
  }
  // 401: between showing and signing, the code was used; 409: this very signature was handed in
  if (error.problem === "unauthenticated" || error.problem === "nonce-conflict") {
    return [_("This code has just been used, perhaps in another tab. If that was you, sign in with what you chose there."), " ", signIn];
  }
  return [inWords(error)];
}

/** With this device: a passkey is made once, also where its holder turns back and tries again. */
async function withPasskey() {
  say(_("Your device asks whether it may keep a passkey for this place …"));
  const made = await makePasskeyOnce({ by: { code }, name: passkeyName() });
  await offer(made.signer, (document_) => {
    say(_("Your device asks whether it is you …"));
    return signWith(made.credential_id, document_);
  });
}

function withWallet(wallet) {
  return async () => {
    say(_("Your wallet asks which account to use …"));
    const address = await accountOf(wallet.provider);
    await offer(address, async (document_) => {
      say(_("Read the text in your wallet, then sign it there …"));
      const signature = await signTypedDataAs(wallet.provider, address, document_);
      remember(wallet);
      return signature;
    });
  };
}

/** Shows the document's own words, to be signed or not. */
async function offer(controller, sign) {
  say(_("One moment …"));
  const { typed_data } = await post("/api/enrolments/claim/typed-data", { code, controller });
  part("sentence").textContent = typed_data.message.words;
  show("before", false);
  show("signing", true);
  part("sign").onclick = () => once(() => handIn(typed_data, sign));
  part("sign").focus();
}

async function handIn(document_, sign) {
  const signature = await sign(document_);
  say(_("Handing it in …"));
  await post("/api/enrolments/claim", { code, typed_data: document_, signature, cookie: true });
  // Used: from here on it is in nobody's way, and in no history of this browser
  forgetPasskeyMade();
  history.replaceState(null, "", "/claim");
  show("signing", false);
  await followed(toHex(digestOf(document_)));
  part("counts").textContent = _("It counts. From now on you decide who sees these images, and you see everybody who looked.");
  show("after", true);
  document.querySelector("#after a").focus();
}

async function followed(digest) {
  const begun = Date.now();
  say(_("You are signed in. Your signature is on its way to the chain …"));
  for (;;) {
    const { status } = await get(`/api/enrolments/claim/${digest}`).catch((error) => {
      // A gateway that is away for a moment loses nothing that it has taken
      if (error.problem === "unauthenticated") throw new Refused(_("You signed out. Your signature goes on by itself: sign in again to see it."));
      return { status: "" };
    });
    if (status === "active") return;
    if (status === "failed") {
      throw new Refused(
        _("The chain did not take it: the code was used from somewhere else in the meantime, or its time was over. If it was you, sign in with what you chose there. If not, tell the desk."),
      );
    }
    if (status === "mined") say(_("You are signed in. It is registered; a few more moments until nothing can undo it …"));
    else if (Date.now() - begun > SLOW_MS) {
      say(_("You are signed in. It takes longer than usual. You may close this page: it goes on by itself, and you can sign in later."));
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function back() {
  warn();
  say("");
  show("signing", false);
  show("before", true);
}

async function offerChoices() {
  show("typed", false);
  show("choices", true);
  part("passkey").onclick = () => once(withPasskey);
  part("back").onclick = back;
  if (!canDoPasskeys()) {
    part("here").replaceChildren(element("p", { class: "hint" }, noPasskeys()));
  } else if (!(await deviceKeepsPasskeys())) {
    part("passkey").textContent = _("A phone or security key beside this computer");
  }
  const found = await discover((wallet) => {
    const icon = wallet.icon ? element("img", { src: wallet.icon, alt: "" }) : null;
    const name = _("The wallet {wallet}", { wallet: wallet.name });
    part("wallets").append(element("li", {}, element("button", { type: "button", onclick: () => once(withWallet(wallet)) }, icon, name)));
  });
  if (found.length === 0 && !canDoPasskeys()) warn(noWallet());
}

function begin() {
  code = decodeURIComponent(location.hash.slice(1)).trim();
  if (code !== "") {
    offerChoices();
    return;
  }
  show("typed", true);
  part("typed").addEventListener("submit", (event) => {
    event.preventDefault();
    code = part("code").value.trim();
    if (code !== "") offerChoices();
  });
}

if (location.origin !== place.dataset.origin) {
  // Passkeys, signatures and the session belong to one address: whoever came by another name goes there.
  location.replace(place.dataset.origin + location.pathname + location.search + location.hash);
} else {
  begin();
}
