// The gateway's JSON API, whose problems (RFC 9457) become words.

import { _ } from "./words.js";

/** What a person can be told. `name`: of the problem, or what kept the gateway from answering. */
export class Refused extends Error {
  constructor(words, name = "") {
    super(words);
    this.name = "Refused";
    this.problem = name;
  }
}

function words(name, status) {
  const said = {
    unauthenticated: _("Your session has ended. Sign in again, and you come back here."),
    forbidden: _("This account may not do that. Is it the right one, and is this page still open as the one you signed in with?"),
    "not-found": _("That is not there any more. Load the page again to see how things stand."),
    "nonce-conflict": _(
      "This was done already, perhaps in another tab, or something was taken back since you opened this page. Load the page again to see how things stand.",
    ),
    conflict: _("This was decided already, perhaps in another tab. Load the page again to see how things stand."),
    "bad-signature": _("The signature is not that of the account. Choose the account in your wallet, then try again."),
    "invalid-typed-data": _("What was signed is not what was shown, or it took too long. Nothing was changed. Please try again."),
    "invalid-request": _("The gateway does not take it in this form. Please check what you chose."),
    "transaction-refused": _("The chain would refuse this now. Load the page again to see how things stand."),
    "chain-unavailable": _("The gateway cannot read the chain just now, so it does nothing. Please try again in a minute."),
    "log-unavailable": _("The gateway cannot write its log just now, so it does nothing. Please try again in a minute."),
    "upstream-unavailable": _("The picture archive does not answer just now. Please try again in a minute."),
    "upstream-timeout": _("The picture archive takes too long just now. Please try again in a minute."),
    "too-many-requests": _("That was a little too often. Please wait a minute, then try again."),
    "siwe-expired": _("That took too long. Please try again."),
    "siwe-mismatch": _("The wallet signed another text than it was given. Please try again."),
    "passkey-expired": _("That took too long. Please try again."),
    "passkey-unknown": _("This passkey is not known here, or not any more. Use another one, or a wallet."),
    "siwe-malformed": _("The wallet signed another text than it was given. Please try again."),
  };
  return said[name] ?? _("The gateway answered {status}. Please try again later.", { status });
}

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(path, { ...options, cache: "no-store" });
  } catch {
    throw new Refused(_("The gateway cannot be reached. Check your network, then try again."), "unreachable");
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const name = String(told.type ?? "").split(":").pop();
  throw new Refused(words(name, answer.status), name);
}

/** What is at the path. Throws Refused. */
export function get(path, options = {}) {
  return asked(path, options);
}

/** What came of sending `body`. Throws Refused. */
export function post(path, body = {}, method = "POST", options = {}) {
  return asked(path, {
    ...options,
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** Where to sign in and come back from. */
export function signInAddress() {
  return "/signin?next=" + encodeURIComponent(location.pathname + location.search);
}
