"""A node that lies: it passes JSON-RPC on to a real one and twists what comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from app.chain.anvil import free_port
from app.chain.rpc import Node, NodeRefusedError

# Method, parameters and the true result to what is said instead.
Twist = Callable[[str, list[Any], Any], Any]


def honest(_method: str, _params: list[Any], result: Any) -> Any:
    return result


@dataclass(slots=True)
class LyingNode:
    """``twist`` may be changed at any time. ``delay_s`` comes between each two bytes of an answer, when not 0."""

    behind: Node
    port: int = field(default_factory=free_port)
    twist: Twist = honest
    delay_s: float = 0.0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        said = [await self._one(call) for call in body] if isinstance(body, list) else await self._one(body)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        text = json.dumps(said).encode()
        if not self.delay_s:
            await response.write(text)
        else:
            for at in range(len(text)):
                await response.write(text[at : at + 1])
                await asyncio.sleep(self.delay_s)
        await response.write_eof()
        return response

    async def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(call["method"])
        try:
            result = await self.behind.call(call["method"], *call["params"])
        except NodeRefusedError as refused:
            error = {"code": refused.code, "message": refused.reason}
            return {"jsonrpc": "2.0", "id": call["id"], "error": error}
        twisted = self.twist(call["method"], call["params"], result)
        return {"jsonrpc": "2.0", "id": call["id"], "result": twisted}


@asynccontextmanager
async def lying_node(behind: Node) -> AsyncIterator[LyingNode]:
    """Runs one on loopback until the end of the block."""
    node = LyingNode(behind)
    application = web.Application(client_max_size=1 << 26)
    application.router.add_post("/", node.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", node.port).start()
    try:
        yield node
    finally:
        await runner.cleanup()
