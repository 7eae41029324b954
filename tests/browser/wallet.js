// A wallet extension as a page sees it (EIP-1193, EIP-6963). What it is asked goes to the test, which holds the key.
(() => {
  "use strict";
  const provider = Object.freeze({
    async request({ method, params }) {
      // A window of the wallet that was closed or lies behind others: nobody ever answers
      if (window.walletIsSilent && (method.startsWith("eth_sign") || method === "eth_sendTransaction")) await new Promise(() => {});
      const { result, error } = await window.walletAsked(method, params ?? []);
      if (error) throw Object.assign(new Error(error.message), { code: error.code });
      return result;
    },
    on() {},
    removeListener() {},
  });
  const info = Object.freeze({
    uuid: "c0ffee00-0000-4000-8000-000000000001",
    name: "Test Wallet",
    rdns: "test.wallet",
    icon: "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='teal'/></svg>",
  });
  const announce = () =>
    window.dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: Object.freeze({ info, provider }) }));
  window.addEventListener("eip6963:requestProvider", announce);
  announce();
})();
