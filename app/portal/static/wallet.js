// The wallets of this browser: found by EIP-6963, asked by EIP-1193, and what they refuse said in words.

import { Refused } from "./api.js";
import { _ } from "./words.js";

const REMEMBERED = "consentry-wallet";
// Wallets from before EIP-6963 only put themselves on the window, some of them late
const LATE_MS = 400;

/**
 * Calls `found({id, name, icon, provider})` for each wallet as it announces itself. Resolves to all of them once those
 * that come late have had their time.
 */
export function discover(found = () => {}) {
  const known = new Map();
  const add = (id, name, icon, provider) => {
    if (known.has(id)) return;
    const wallet = { id, name, icon: /^data:image\//.test(icon ?? "") ? icon : "", provider };
    known.set(id, wallet);
    found(wallet);
  };
  window.addEventListener("eip6963:announceProvider", ({ detail }) =>
    add(detail.info.rdns ?? detail.info.uuid, String(detail.info.name), detail.info.icon, detail.provider),
  );
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  return new Promise((resolve) =>
    setTimeout(() => {
      const old = window.ethereum;
      if (old && ![...known.values()].some((one) => one.provider === old)) {
        add("window.ethereum", _("your browser's wallet"), "", old);
      }
      resolve([...known.values()]);
    }, LATE_MS),
  );
}

/** The wallet that was signed in with comes first the next time. */
export function remember(wallet) {
  localStorage.setItem(REMEMBERED, wallet.id);
}

/** The wallet to sign with: the one that was signed in with, else the only one, else the first. Throws Refused. */
export async function remembered() {
  const wallets = await discover();
  if (wallets.length === 0) throw new Refused(noWallet(), "no-wallet");
  return wallets.find((one) => one.id === localStorage.getItem(REMEMBERED)) ?? wallets[0];
}

export function noWallet() {
  return _(
    "No wallet was found in this browser. Install a wallet extension, or open this page in your wallet app's own browser, then load it again.",
  );
}

/** The account that the wallet offers. Throws Refused, or what the wallet throws. */
export async function accountOf(provider) {
  const [address] = await provider.request({ method: "eth_requestAccounts" });
  if (!address) throw new Refused(_("The wallet named no account. Choose one in your wallet, then try again."), "no-account");
  return address;
}

/** The account of this session, if the wallet offers it. Throws Refused, or what the wallet throws. */
export async function accountOfSession(provider) {
  const expected = document.body.dataset.actor;
  const offered = await provider.request({ method: "eth_requestAccounts" });
  const address = (offered ?? []).find((one) => one.toLowerCase() === expected);
  if (address) return address;
  const short = `${expected.slice(0, 8)}…${expected.slice(-4)}`;
  throw new Refused(
    _("Your wallet offers another account than the one you signed in with. Choose {account} in your wallet, then try again.", {
      account: short,
    }),
    "wrong-account",
  );
}

/** Signs a document (EIP-712) with the session's account. Throws Refused, or what the wallet throws. */
export async function signTypedData(document_) {
  const { provider } = await remembered();
  return signTypedDataAs(provider, await accountOfSession(provider), document_);
}

/** The same with this account of this wallet. */
export async function signTypedDataAs(provider, address, document_) {
  await mustBeOn(provider, document_.domain.chainId);
  return provider.request({ method: "eth_signTypedData_v4", params: [address, JSON.stringify(document_)] });
}

/** Wallets sign (EIP-712) and send for the chain that they are on, so they are asked to change to it (EIP-3326). */
export async function mustBeOn(provider, chainId) {
  const wanted = "0x" + BigInt(chainId).toString(16);
  const current = () => provider.request({ method: "eth_chainId" });
  if (BigInt(await current()) === BigInt(wanted)) return;
  const wrong = new Refused(
    _("Your wallet is on another chain. Change it to the chain with number {chain}, then try again.", { chain: BigInt(chainId) }),
    "wrong-chain",
  );
  try {
    await provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted }] });
  } catch (error) {
    if (error?.code === 4001) throw error;
    throw wrong;
  }
  if (BigInt(await current()) !== BigInt(wanted)) throw wrong;
}

/** What was thrown, in words (EIP-1193 §5 and EIP-1474 name the codes). */
export function inWords(error) {
  if (error instanceof Refused) return error.message;
  if (error?.code === 4001) return _("You declined in your wallet, so nothing was sent. You can try again.");
  if (error?.code === 4100) return _("Your wallet does not let this page use that account. Allow it there, then try again.");
  if (error?.code === 4900 || error?.code === 4901) return _("Your wallet is not connected. Open it, then try again.");
  if (error?.code === -32002) return _("Your wallet is already waiting for your answer: open it.");
  return _("Your wallet could not sign. Open it, see that it is unlocked, then try again.");
}
