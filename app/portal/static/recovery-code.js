// The code of a recovery, and the passkey made with it, in the window's own memory: signing in leads through other pages,
// which the part of an address behind "#" does not survive.

const CODE = "consentry-recovery-code";
const MADE = "consentry-recovery-passkey";

/** The code that this window has; "" if none. One in the address is taken out of it. */
export function codeInHand() {
  if (location.hash.length > 1) {
    keepCode(decodeURIComponent(location.hash.slice(1)).trim());
    history.replaceState(null, "", location.pathname); // not in the history, where others find it
  }
  return sessionStorage.getItem(CODE) ?? "";
}

export function keepCode(code) {
  sessionStorage.setItem(CODE, code);
}

/** It was used: from here on it is in nobody's way. */
export function forgetCode() {
  sessionStorage.removeItem(CODE);
  sessionStorage.removeItem(MADE);
}

/** What was made with this code in this window, or null: who turns back and tries again needs no second one. */
export function passkeyMadeWith(code) {
  const kept = JSON.parse(sessionStorage.getItem(MADE) ?? "null");
  return kept?.code === code ? kept.made : null;
}

export function keepPasskey(code, made) {
  sessionStorage.setItem(MADE, JSON.stringify({ code, made }));
}
