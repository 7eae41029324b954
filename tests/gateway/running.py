"""A server on a free port in a thread of its own, and raw bytes to and from it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from app.gateway.serving import server_config
from app.gateway.wire import WireLimits


@contextmanager
def running(app: Any, limits: WireLimits | None = None) -> Iterator[int]:
    """Serve ``app`` as in production (uvloop, guarded wire); yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = server_config(app, host="127.0.0.1", port=0, limits=limits, drain_s=1)
    config.lifespan = "off"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join(60)
        listener.close()
    assert not thread.is_alive()


def exchange(port: int, *pieces: bytes, timeout_s: float = 60.0, pause_s: float = 0.0) -> bytes:
    """Send the pieces, say no more, and read until the server closes. Fails when it does not close in time."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as client:
        for piece in pieces:
            client.sendall(piece)
            if pause_s:
                time.sleep(pause_s)
        return read_to_end(client)


def read_to_end(client: socket.socket) -> bytes:
    received = bytearray()
    try:
        while data := client.recv(65536):
            received += data
    except ConnectionResetError:
        received += b"<reset>"
    return bytes(received)
