// What was signed, exchanged for a session in this browser, whichever way it was signed.

import { post } from "./api.js";

/**
 * What the gateway answered. `shown`: what was signed. `which`: asks a person who is several things here which of these
 * purposes they come for; nothing is signed anew for it. Left out: the gateway takes the first.
 */
export async function enter(path, shown, which) {
  const told = await post(path, { ...shown, cookie: true, choose: which !== undefined });
  if (told.choose === undefined) return told;
  return post(path, { ...shown, cookie: true, purpose: await which(told.choose) });
}
