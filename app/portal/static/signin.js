// Signs in with a passkey, or with a wallet of this browser, which is given a text to sign.

import { post } from "./api.js";
import { element } from "./elements.js";
import { enter } from "./entering.js";
import { canDoPasskeys, noPasskeys, signInWithPasskey } from "./passkey.js";
import { accountOf, discover, inWords, noWallet, remember } from "./wallet.js";
import { _ } from "./words.js";

const place = document.getElementById("signin");
const hats = document.getElementById("hats");
// Where somebody goes who is nobody's patient yet
const BEFORE_ANY_ROLE = ["/recover", "/join"];

// personal_sign takes bytes in hexadecimal: a wallet need not guess whether text is meant.
function hex(text) {
  return "0x" + Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function signedIn(provider) {
  say(_("Your wallet asks which account to use …"));
  const address = await accountOf(provider);
  const { message } = await post("/auth/siwe/nonce", { address });
  say(_("Read the text in your wallet, then sign it there …"));
  const signature = await provider.request({ method: "personal_sign", params: [hex(message), address] });
  say(_("Signing you in …"));
  return enter("/auth/siwe/verify", { message, signature }, whatFor);
}

function say(text) {
  document.getElementById("progress").textContent = text;
}

function warn(...parts) {
  const box = document.getElementById("alert");
  box.replaceChildren();
  if (parts.length > 0) box.append(element("p", { class: "alert" }, ...parts));
}

function goOn() {
  const target = new URL(place.dataset.after, location.origin);
  location.assign(target.origin === location.origin ? target.href : "/");
}

function nothingToSee() {
  warn(
    _(
      "You are signed in, but this account has no role here and is nobody's patient: it will be shown nothing. Is it the right one? Choose another and sign in again, or:",
    ),
    " ",
    element("a", { href: place.dataset.after }, _("Go on all the same")),
  );
}

/** Which of these purposes they come for. */
function whatFor(purposes) {
  const said = {
    TREAT: _("To treat patients"),
    PATRQT: _("For my own images"),
    FAMRQT: _("For somebody I act for"),
  };
  say("");
  hats.hidden = false;
  document.getElementById("hats-title").focus();
  return new Promise((resolve) => {
    const buttons = purposes.map((one) =>
      element("li", {}, element("button", { type: "button", onclick: () => resolve(one) }, said[one] ?? one)),
    );
    hats.querySelector("ul").replaceChildren(...buttons);
  }).finally(() => {
    hats.hidden = true;
    say(_("Signing you in …"));
  });
}

async function choose(how) {
  const buttons = place.querySelectorAll("button");
  warn();
  for (const button of buttons) button.disabled = true;
  try {
    const told = await how();
    if (told.roles.length > 0 || BEFORE_ANY_ROLE.includes(place.dataset.after)) return goOn();
    nothingToSee();
  } catch (error) {
    warn(inWords(error));
  }
  say("");
  for (const button of buttons) button.disabled = false;
}

function withWallet(wallet) {
  return async () => {
    const told = await signedIn(wallet.provider);
    remember(wallet);
    return told;
  };
}

function withPasskey() {
  say(_("Your device asks whether it is you …"));
  return signInWithPasskey({ which: whatFor });
}

function offerPasskey() {
  const button = document.getElementById("passkey");
  if (canDoPasskeys()) button.addEventListener("click", () => choose(withPasskey));
  else button.parentElement.replaceWith(element("p", { class: "hint" }, noPasskeys()));
}

async function listWallets() {
  const list = document.getElementById("wallets");
  const all = await discover((wallet) => {
    const icon = wallet.icon ? element("img", { src: wallet.icon, alt: "" }) : null;
    const name = _("Sign in with {wallet}", { wallet: wallet.name });
    list.append(element("li", {}, element("button", { type: "button", onclick: () => choose(withWallet(wallet)) }, icon, name)));
  });
  if (all.length === 0) list.after(element("p", { class: "hint" }, noWallet()));
}

if (place !== null) {
  if (location.origin !== place.dataset.origin) {
    // The text to sign names one address, and the session belongs to it: whoever came by another name goes there.
    location.replace(place.dataset.origin + location.pathname + location.search);
  } else {
    offerPasskey();
    listWallets();
  }
}
