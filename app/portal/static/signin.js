// Signs in with a wallet of this browser (EIP-6963, EIP-1193): asks for a text, has it signed, gets a session.
"use strict";

const place = document.getElementById("signin");

const SAID = {
  "siwe-expired": "That took too long. Please try again.",
  "siwe-mismatch": "The wallet signed another text than it was given. Please try again.",
  "siwe-malformed": "The wallet signed another text than it was given. Please try again.",
  "bad-signature": "The signature is not that of the account. Choose the account in your wallet, then try again.",
  "chain-unavailable": "The gateway cannot read the chain just now, so it lets nobody in. Please try again in a minute.",
  "log-unavailable": "The gateway cannot write its log just now, so it lets nobody in. Please try again in a minute.",
};

class Refused extends Error {}

async function asked(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Refused("The gateway cannot be reached. Check your network, then try again.");
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const name = String(told.type ?? "").split(":").pop();
  throw new Refused(SAID[name] ?? `The gateway answered ${answer.status}. Please try again later.`);
}

// personal_sign takes bytes in hexadecimal: a wallet need not guess whether text is meant.
function hex(text) {
  return "0x" + Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function signedIn(provider) {
  say("Your wallet asks which account to use …");
  const [address] = await provider.request({ method: "eth_requestAccounts" });
  if (!address) throw new Refused("The wallet named no account. Choose one in your wallet, then try again.");
  const { message } = await asked("/auth/siwe/nonce", { address });
  say("Read the text in your wallet, then sign it there …");
  const signature = await provider.request({ method: "personal_sign", params: [hex(message), address] });
  say("Signing you in …");
  return asked("/auth/siwe/verify", { message, signature, cookie: true });
}

// What a wallet throws, in words (EIP-1193 §5 and EIP-1474 name the codes).
function inWords(error) {
  if (error instanceof Refused) return error.message;
  if (error?.code === 4001) return "You declined in your wallet, so nothing was sent. You can try again.";
  if (error?.code === 4100) return "Your wallet does not let this page use that account. Allow it there, then try again.";
  if (error?.code === -32002) return "Your wallet is already waiting for your answer: open it.";
  return "Your wallet could not sign. Open it, see that it is unlocked, then try again.";
}

function say(text) {
  document.getElementById("progress").textContent = text;
}

function warn(...parts) {
  const box = document.getElementById("alert");
  box.replaceChildren();
  if (parts.length === 0) return;
  const line = document.createElement("p");
  line.className = "alert";
  line.append(...parts);
  box.append(line);
}

function goOn() {
  const target = new URL(place.dataset.after, location.origin);
  location.assign(target.origin === location.origin ? target.href : "/");
}

function nothingToSee() {
  const on = document.createElement("a");
  on.href = place.dataset.after;
  on.textContent = "Go on all the same";
  warn(
    "You are signed in, but this account has no role here and is nobody's patient: it will be shown nothing. " +
      "Is it the right one? Choose another in your wallet and sign in again, or: ",
    on,
  );
}

async function choose(provider, buttons) {
  warn();
  for (const button of buttons()) button.disabled = true;
  try {
    const told = await signedIn(provider);
    if (told.roles.length > 0) return goOn();
    nothingToSee();
  } catch (error) {
    warn(inWords(error));
  }
  say("");
  for (const button of buttons()) button.disabled = false;
}

function listWallets() {
  const list = document.getElementById("wallets");
  const known = new Map();
  const buttons = () => list.querySelectorAll("button");

  function add(id, name, icon, provider) {
    if (known.has(id)) return;
    known.set(id, provider);
    const button = document.createElement("button");
    button.type = "button";
    if (/^data:image\//.test(icon ?? "")) {
      const picture = document.createElement("img");
      picture.src = icon;
      picture.alt = "";
      button.append(picture);
    }
    button.append(`Sign in with ${name}`);
    button.addEventListener("click", () => choose(provider, buttons));
    const entry = document.createElement("li");
    entry.append(button);
    list.append(entry);
    warn();
  }

  window.addEventListener("eip6963:announceProvider", ({ detail }) =>
    add(detail.info.uuid, String(detail.info.name), detail.info.icon, detail.provider),
  );
  window.dispatchEvent(new Event("eip6963:requestProvider"));

  // Wallets from before EIP-6963 only put themselves here, some of them late.
  setTimeout(() => {
    const old = window.ethereum;
    if (old && ![...known.values()].includes(old)) add("window.ethereum", "your browser's wallet", "", old);
    if (known.size === 0) {
      warn(
        "No wallet was found in this browser. Install a wallet extension, or open this page in your wallet app's own " +
          "browser, then load it again.",
      );
    }
  }, 400);
}

if (place !== null) {
  if (location.origin !== place.dataset.origin) {
    // The text to sign names one address, and the session belongs to it: whoever came by another name goes there.
    location.replace(place.dataset.origin + location.pathname + location.search);
  } else {
    listWallets();
  }
}
