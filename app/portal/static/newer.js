// Parts of a page that are looked at again: the same page is asked for, and its newer parts take the older ones' places.

import { sayTimes } from "./times.js";

/** Puts the newer parts of these ids into their places. Throws, and changes nothing, where the page cannot be had. */
export async function renew(...ids) {
  const answer = await fetch(location.pathname, { cache: "no-store" });
  if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ids) {
    const newer = document.adoptNode(page.getElementById(id));
    sayTimes(newer);
    document.getElementById(id).replaceWith(newer);
  }
}
