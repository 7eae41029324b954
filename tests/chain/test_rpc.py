"""One node over HTTP: bounded in time and size, strict about answers, and silent about its address."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from app.chain.anvil import free_port
from app.chain.quantities import MalformedAnswerError, data, quantity
from app.chain.rpc import Call, Limits, Node, NodeRefusedError, NodeUnavailableError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = "k3y-in-the-path"


@dataclass(slots=True)
class Server:
    port: int
    answer: Answer | None = None
    bodies: list[Any] = field(default_factory=list)

    def node(self, **limits: Any) -> Node:
        return Node(f"http://user:{SECRET}@127.0.0.1:{self.port}/{SECRET}", "node 1", Limits(**limits))

    def says(self, text: str, status: int = 200) -> None:
        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(text=text, status=status)

        self.answer = answer


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    found = Server(free_port())

    async def handle(request: web.Request) -> web.StreamResponse:
        found.bodies.append(await request.json())
        assert found.answer is not None
        return await found.answer(request)

    application = web.Application()
    application.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", found.port).start()
    yield found
    await runner.cleanup()


def result(value: Any, identity: int = 0) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": identity, "result": value})


async def test_a_call_and_its_result(server: Server) -> None:
    server.says(result("0x7a69"))
    async with server.node() as node:
        assert quantity(await node.call("eth_chainId"), "the chain id") == 31337
    assert server.bodies == [{"jsonrpc": "2.0", "id": 0, "method": "eth_chainId", "params": []}]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing of the kind",
        "{",
        "[" * 100_000,
        "[]",
        "null",
        '{"jsonrpc": "2.0", "id": 0}',
        '{"jsonrpc": "1.0", "id": 0, "result": 1}',
        '{"jsonrpc": "2.0", "id": 1, "result": 1}',
        '{"jsonrpc": "2.0", "id": 0, "error": "no"}',
        '{"jsonrpc": "2.0", "id": 0, "result": ' + "9" * 5000 + "}",
    ],
)
async def test_what_is_not_an_answer_is_none(server: Server, text: str) -> None:
    server.says(text)
    async with server.node() as node:
        with pytest.raises(NodeUnavailableError):
            await node.call("eth_chainId")


@pytest.mark.parametrize("status", [301, 404, 500, 503])
async def test_an_error_page_is_no_answer(server: Server, status: int) -> None:
    server.says("<html>", status)
    async with server.node() as node:
        with pytest.raises(NodeUnavailableError, match=f"status {status}"):
            await node.call("eth_chainId")


async def test_a_redirection_is_not_followed(server: Server) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        if request.path == "/elsewhere":
            return web.Response(text=result("0x1"))
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    server.answer = elsewhere
    async with server.node() as node:
        with pytest.raises(NodeUnavailableError, match="status 307"):
            await node.call("eth_chainId")


async def test_a_refusal_keeps_the_nodes_words_out_of_its_text(server: Server) -> None:
    error = {"code": 3, "message": f"execution reverted: {SECRET}", "data": "0x08c379a0"}
    server.says(json.dumps({"jsonrpc": "2.0", "id": 0, "error": error}), 400)
    async with server.node() as node:
        with pytest.raises(NodeRefusedError) as refused:
            await node.call("eth_call")
    assert (refused.value.code, refused.value.data) == (3, bytes.fromhex("08c379a0"))
    assert SECRET in refused.value.reason
    assert SECRET not in str(refused.value)


async def test_a_batch_is_sorted_by_identity_and_holds_refusals(server: Server) -> None:
    refusal = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "no"}}
    server.says(f"[{result('b', 1)}, {json.dumps(refusal)}]")
    async with server.node() as node:
        first, second = await node.batch([Call("a"), Call("b", ("0x1",))])
    assert isinstance(first, NodeRefusedError)
    assert second == "b"


@pytest.mark.parametrize("said", [[0], [0, 1, 2], [0, 0], [1, 7], [True, 0]])
async def test_a_batch_that_is_not_answered_one_to_one_is_no_answer(server: Server, said: list[int]) -> None:
    server.says(json.dumps([{"jsonrpc": "2.0", "id": one, "result": 1} for one in said]))
    async with server.node() as node:
        with pytest.raises(NodeUnavailableError):
            await node.batch([Call("a"), Call("b")])


async def test_a_batch_refused_as_a_whole_raises(server: Server) -> None:
    server.says(json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": -32005, "message": "too many"}}))
    async with server.node() as node:
        with pytest.raises(NodeRefusedError):
            await node.batch([Call("a"), Call("b")])
        assert await node.batch([]) == []


async def test_the_deadline_is_for_the_whole_answer(server: Server) -> None:
    async def dribble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for character in result("0x1"):
            await response.write(character.encode())
            await asyncio.sleep(1)
        return response

    server.answer = dribble
    async with server.node(deadline_s=0.2) as node:
        began = asyncio.get_running_loop().time()
        with pytest.raises(NodeUnavailableError, match="in time"):
            await node.call("eth_chainId")
        assert asyncio.get_running_loop().time() - began < 10


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
async def test_an_answer_is_bounded_to_the_byte(server: Server, size: int, *, fits: bool) -> None:
    text = result("")
    server.says(text + " " * (size - len(text)))
    async with server.node(answer_bytes=1000) as node:
        if fits:
            assert await node.call("eth_chainId") == ""
        else:
            with pytest.raises(NodeUnavailableError, match="more than it may"):
                await node.call("eth_chainId")


async def test_a_compressed_answer_is_not_unpacked(server: Server) -> None:
    async def packed(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    server.answer = packed
    async with server.node() as node:
        with pytest.raises(NodeUnavailableError, match="encoding"):
            await node.call("eth_chainId")


async def test_a_pooled_connection_that_was_closed_is_replaced(server: Server) -> None:
    async def close_after(_request: web.Request) -> web.StreamResponse:
        response = web.Response(text=result("0x1", len(server.bodies) - 1))
        response.force_close()
        return response

    server.answer = close_after
    async with server.node() as node:
        for _ in range(3):
            assert await node.call("eth_chainId") == "0x1"


async def test_no_text_shows_the_address(caplog: pytest.LogCaptureFixture) -> None:
    async with Node(f"http://user:{SECRET}@127.0.0.1:{free_port()}/{SECRET}", "node 2") as node:
        with pytest.raises(NodeUnavailableError, match="node 2") as unavailable:
            await node.call("eth_chainId")
        assert SECRET not in str(unavailable.value)
        assert unavailable.value.__suppress_context__
        assert SECRET not in repr(node)
    assert SECRET not in caplog.text


@pytest.mark.parametrize("text", ["0x", "0x01", "1", "0xG", "0x" + "f" * 65, 1, None, "0x1\n", "0X1"])
def test_quantities_are_strict(text: object) -> None:
    with pytest.raises(MalformedAnswerError) as malformed:
        quantity(text, "the thing")
    assert str(malformed.value) == "the thing is not a quantity"


@pytest.mark.parametrize(
    ("text", "size"),
    [("0x0", None), ("00", None), ("0x00", 2), (None, None), ("0xzz", 1), ("0x00 00", None), ("0x 00", 1)],
)
def test_data_is_strict(text: object, size: int | None) -> None:
    with pytest.raises(MalformedAnswerError):
        data(text, "the thing", size)
