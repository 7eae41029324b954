// The code of a recovery, in the window's own memory: signing in leads through other pages, which the part of an address
// behind "#" does not survive.

import { forgetPasskeyMade } from "./passkey.js";

const CODE = "consentry-recovery-code";

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
  forgetPasskeyMade();
}
