"""Chromium from the system, driven for tests: a page that remembers whatever a person would call an error."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

from app.commands.client import sign_typed
from tests.support.needs import PROJECT, require_program

ARTEFACTS = PROJECT / "test-artefacts" / "browser"
_WALLET = Path(__file__).with_name("wallet.js").read_text()
_AXE = (PROJECT / "node_modules" / "axe-core" / "axe.min.js").read_text()
# The viewer draws with WebGL, on a graphics card that is played in software. Pages need none, and are sooner drawn.
_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_NO_CARD = ("--disable-gpu", "--disable-gpu-rasterization", "--disable-gpu-compositing")
_FLAGS = (
    # Nothing of the browser's own goes out, so that what does is the page's
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--disable-dev-shm-usage",
)
# The last two are the browser's own PDF viewer
_LOCAL_SCHEMES = {"data", "blob", "about", "chrome", "chrome-extension"}


@contextmanager
def chromium(*, webgl: bool = False) -> Iterator[Browser]:
    """A headless browser, closed at the end."""
    drawing = _WEBGL if webgl else _NO_CARD
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_program("chromium"), headless=True, args=[*drawing, *_FLAGS, *sandbox]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Wallet:
    """What stands behind the provider: a real key, or somebody who refuses. ``code``: what it throws (EIP-1193).

    ``address``: of the contract that the key signs for, where it is no plain wallet. ``rpc_url``: the node that it
    sends transactions to.
    """

    account: LocalAccount
    code: int | None = None
    chain_id: int = 31337
    knows_chain: bool = True
    asked: list[str] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""
    rpc_url: str = ""

    @property
    def shown(self) -> str:
        """The account that pages are told."""
        return self.address or self.account.address

    def answer(self, method: str, params: list[Any]) -> dict[str, Any]:
        self.asked.append(method)
        if method == "wallet_switchEthereumChain" and not self.knows_chain:  # EIP-3326
            return {"error": {"code": 4902, "message": "unknown chain"}}
        if self.code is not None and method in {"personal_sign", "eth_signTypedData_v4", "eth_sendTransaction"}:
            return {"error": {"code": self.code, "message": "not now"}}
        if method == "eth_sendTransaction":
            return self._sent(*params)
        if method == "eth_getTransactionReceipt":
            return self._node(method, params)
        return {"result": self._done(method, params)}

    def _done(self, method: str, params: list[Any]) -> object:
        if method == "eth_requestAccounts":
            return [self.shown]
        if method == "eth_chainId":
            return hex(self.chain_id)
        if method == "wallet_switchEthereumChain":
            self.chain_id = int(params[0]["chainId"], 16)
            return None
        if method == "eth_signTypedData_v4":
            return self._typed(*params)
        assert method == "personal_sign", method
        message, address = params
        assert address.lower() == self.shown.lower()
        return "0x" + self.account.sign_message(encode_defunct(hexstr=message)).signature.hex()

    def _sent(self, asked: dict[str, str]) -> dict[str, Any]:
        """Signs as wallets do, and hands it to the node: the hash, or what the node says against it."""
        assert asked["from"].lower() == self.shown.lower()
        nonce = int(self._node("eth_getTransactionCount", [self.shown, "pending"])["result"], 16)
        fees: dict[str, Any] = {"gas": 500_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9}
        fields: dict[str, Any] = {
            "to": asked["to"],
            "data": asked["data"],
            "value": int(asked["value"], 16),
            "nonce": nonce,
        }
        signed = self.account.sign_transaction({**fields, **fees, "chainId": self.chain_id, "type": 2})
        return self._node("eth_sendRawTransaction", ["0x" + signed.raw_transaction.hex()])

    def _node(self, method: str, params: list[Any]) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer: dict[str, Any] = requests.post(self.rpc_url, json=body, timeout=30).json()
        return {"error": answer["error"]} if "error" in answer else {"result": answer["result"]}

    def _typed(self, address: str, text: str) -> str:
        """Signs as wallets do, and keeps what it was given."""
        document = json.loads(text)
        assert address.lower() == self.shown.lower()
        assert int(document["domain"]["chainId"]) == self.chain_id, "wallets sign for the chain they are on"
        self.documents.append(document)
        return sign_typed(self.account, document)


class Window:
    """One browser window with a profile of its own: a page, and what went wrong in it."""

    def __init__(
        self, browser: Browser, origin: str, wallet: Wallet | None = None, beside: str = "", **context: Any
    ) -> None:
        """``beside``: another place that the page may ask, a node of the chain."""
        self.origin = origin
        self.beside = beside
        self.wallet = wallet
        self.context: BrowserContext = browser.new_context(
            viewport=context.pop("viewport", {"width": 1280, "height": 800}), **context
        )
        self.context.set_default_timeout(30_000)
        if wallet is not None:
            self.context.expose_binding("walletAsked", lambda _source, method, params: wallet.answer(method, params))
            self.context.add_init_script(_WALLET)
        # A violated policy is an error even where the page carries on without what it was refused.
        self.context.expose_binding("policyViolated", lambda _source, text: self.errors.append(f"policy: {text}"))
        self.context.add_init_script(
            "addEventListener('securitypolicyviolation', (e) =>"
            " window.policyViolated(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`))"
        )
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.answers: list[tuple[int, str]] = []
        self.context.on("request", self._request)
        self.context.on("response", self._response)
        self.context.on("requestfailed", self._failed)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in _LOCAL_SCHEMES and f"{parts.scheme}://{parts.netloc}" not in {self.origin, self.beside}:
            self.foreign.append(request.url)

    def _response(self, response: Response) -> None:
        self.answers.append((response.status, response.url.removeprefix(self.origin)))

    def _failed(self, request: Request) -> None:
        # A page that is left takes what it still loads with it
        if request.failure != "net::ERR_ABORTED":
            self.errors.append(f"failed: {request.failure} {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text}")

    def go(self, path: str) -> None:
        self.page.goto(self.origin + path)

    def keep(self, name: str) -> Path:
        """A screenshot among the test artefacts."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        path = ARTEFACTS / (re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_") + ".png")
        self.page.wait_for_load_state()  # none can be taken of a page that is just being left
        self.page.screenshot(path=path)
        return path

    def violations(self) -> list[str]:
        """What axe-core finds serious or critical on the page (WCAG 2 A and AA, and best practice)."""
        self.page.evaluate(_AXE)
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
        return [
            f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:3]}"
            for one in found
            if one["impact"] in {"serious", "critical"}
        ]

    def must_be_whole(self, name: str) -> None:
        """The page can be read by everybody: one heading, pictures with words, the current entry marked, nothing that
        hangs out at the side, and nothing serious for axe, also in what is folded. A picture of it is kept.
        """
        page = self.page
        page.wait_for_load_state("networkidle")
        assert page.locator("h1").count() == 1
        assert page.locator("main img:not([alt])").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "it hangs out at the side"
        assert page.locator("nav.entries [aria-current=page]").count() == 1
        for details in page.locator("main details").all():
            details.evaluate("(node) => (node.open = true)")
        assert self.violations() == []
        page.screenshot(path=self.keep(name), full_page=True)

    def close(self) -> None:
        self.context.close()
