// One transaction of the reader's own wallet, for what the chain takes from nobody else: what it does is said in words, the
// wallet sends it, and the page looks until the gateway has seen it in a block.

import { Refused } from "./api.js";
import { notice } from "./notices.js";
import { Steps } from "./steps.js";
import { accountOfSession, mustBeOn, remembered } from "./wallet.js";
import { _ } from "./words.js";

let busy = false;

/**
 * Opens a dialog that goes through it all. Resolves to what was issued once the gateway has seen it, or its reader went on
 * while it is on its way; to null if nothing was sent.
 *
 * title    what is being done
 * issue    async () => {transaction: {to, data, chain_id}, words, …}
 * follow   (issued) => path of something that tells whether the gateway has seen it
 * settled  (view, issued) => whether it has
 * done     what holds then
 */
export async function transacted({ title, issue, follow, settled, done }) {
  if (busy) return null; // the first of two clicks is at it
  busy = true;
  const steps = new Steps(title);
  try {
    if (document.body.dataset.signer !== "wallet") {
      throw new Refused(_("A passkey cannot send transactions. Sign in with the administrator's wallet."), "no-wallet");
    }
    const issued = await steps.unlessLeft(issue());
    steps.show(issued.words);
    const { provider } = await remembered();
    const hash = await steps.unlessLeft(sent(provider, issued.transaction, steps));
    busy = false; // whoever leaves the dialog now leaves something that goes on by itself
    await steps.followed(issued, {
      follow,
      settled: async (view) => (settled(view, issued) ? "done" : (await reverted(provider, hash)) ? "failed" : ""),
      done,
    });
    return issued;
  } catch (error) {
    if (!steps.left) await steps.failed(error);
    return null;
  } finally {
    busy = false;
  }
}

async function sent(provider, { to, data, chain_id }, steps) {
  steps.waiting(_("Read the text, then send it in your wallet …"));
  const from = await accountOfSession(provider);
  await mustBeOn(provider, chain_id);
  if (steps.left) return null; // the wallet was slow to say who it is, and nobody waits for it any more
  const asked = provider.request({ method: "eth_sendTransaction", params: [{ from, to, data, value: "0x0" }] });
  // A wallet cannot be told that nobody waits for it any more
  let answered = false;
  asked.catch(() => {}).finally(() => (answered = true));
  steps.closed.then(() => answered || afterLeaving(asked));
  try {
    return await steps.answered(asked);
  } catch (error) {
    throw inSendersWords(error);
  }
}

async function afterLeaving(asked) {
  notice("warn", _("Your wallet may still ask you. Decline there, if it is not to be sent."));
  await asked.then(
    () => notice("warn", _("Your wallet has sent it after all. Load the page again in a minute to see it.")),
    () => notice("good", _("Your wallet sent nothing.")),
  );
}

/** What wallets and nodes say in many ways: that the account cannot pay. Everything else is as it is for signatures. */
function inSendersWords(error) {
  if (error instanceof Refused) return error;
  const said = [error?.message, error?.data?.message].filter((one) => typeof one === "string").join(" ");
  if (/insufficient (funds|balance)/i.test(said)) {
    return new Refused(_("The account cannot pay for the transaction. Put some of the chain's own coin on it, then try again."), "no-funds");
  }
  const known = [4001, 4100, 4900, 4901, -32002];
  if (known.includes(error?.code)) return error;
  return new Refused(_("Your wallet could not send it, so nothing was changed. Open it, see that it is unlocked, then try again."), "not-sent");
}

/** Whether a block holds it and the contract refused. A wallet that cannot say so, or not yet, is believed to go on. */
async function reverted(provider, hash) {
  const receipt = await provider.request({ method: "eth_getTransactionReceipt", params: [hash] }).catch(() => null);
  return receipt?.status === "0x0";
}
