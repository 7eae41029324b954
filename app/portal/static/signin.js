// Signs in with a wallet of this browser: asks for a text, has it signed, gets a session.

import { post } from "./api.js";
import { element } from "./elements.js";
import { accountOf, discover, inWords, noWallet, remember } from "./wallet.js";
import { _ } from "./words.js";

const place = document.getElementById("signin");

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
  return post("/auth/siwe/verify", { message, signature, cookie: true });
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
      "You are signed in, but this account has no role here and is nobody's patient: it will be shown nothing. Is it the right one? Choose another in your wallet and sign in again, or:",
    ),
    " ",
    element("a", { href: place.dataset.after }, _("Go on all the same")),
  );
}

async function choose(wallet, buttons) {
  warn();
  for (const button of buttons()) button.disabled = true;
  try {
    const told = await signedIn(wallet.provider);
    remember(wallet);
    if (told.roles.length > 0) return goOn();
    nothingToSee();
  } catch (error) {
    warn(inWords(error));
  }
  say("");
  for (const button of buttons()) button.disabled = false;
}

async function listWallets() {
  const list = document.getElementById("wallets");
  const buttons = () => list.querySelectorAll("button");
  const all = await discover((wallet) => {
    const icon = wallet.icon ? element("img", { src: wallet.icon, alt: "" }) : null;
    const name = _("Sign in with {wallet}", { wallet: wallet.name });
    list.append(element("li", {}, element("button", { type: "button", onclick: () => choose(wallet, buttons) }, icon, name)));
  });
  if (all.length === 0) warn(noWallet());
}

if (place !== null) {
  if (location.origin !== place.dataset.origin) {
    // The text to sign names one address, and the session belongs to it: whoever came by another name goes there.
    location.replace(place.dataset.origin + location.pathname + location.search);
  } else {
    listWallets();
  }
}
