"""How the server is started: uvicorn over the guarded wire, and the memory allocator's settings."""

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import uvicorn

from app.gateway.wire import WireLimits, guarded_protocol

# glibc maps and unmaps memory afresh for every block of 128 KB or more; with these it keeps what it has, which doubled
# the rate of large bodies. Read once, at the start of a process.
MALLOC_ENVIRONMENT: Mapping[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": "8388608",
    "MALLOC_TRIM_THRESHOLD_": "268435456",
    "MALLOC_TOP_PAD_": "16777216",
}


def server_config(
    app: Callable[..., Any],
    *,
    host: str,
    port: int,
    limits: WireLimits | None = None,
    trusted_peers: Sequence[str] = (),
    drain_s: int = 10,
) -> uvicorn.Config:
    """The configuration of the one server.

    ``X-Forwarded-*`` is read only from ``trusted_peers`` (addresses or networks); with none it is ignored.
    ``drain_s``: how long running answers may go on after a request to stop.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=guarded_protocol(limits or WireLimits()),
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,  # paths hold study identifiers; the access log proper is the journal
        server_header=False,
        date_header=True,
        proxy_headers=bool(trusted_peers),
        forwarded_allow_ips=list(trusted_peers),
        timeout_keep_alive=20,
        timeout_graceful_shutdown=drain_s,
    )


def restart_with_malloc_settings(environ: Mapping[str, str] = os.environ, argv: Sequence[str] | None = None) -> None:
    """Replace this process by itself with the allocator's settings, unless they are there already. Keeps the pid.

    Does nothing off Linux. To be called before anything is opened. A value that the operator set is left as it is.
    """
    if not sys.platform.startswith("linux") or all(name in environ for name in MALLOC_ENVIRONMENT):
        return
    arguments = list(argv) if argv is not None else sys.orig_argv[1:]
    os.execve(sys.executable, [sys.executable, *arguments], {**MALLOC_ENVIRONMENT, **environ})  # noqa: S606 - itself


def set_aside_long_lived_objects() -> None:
    """Tell the cyclic garbage collector to leave alone what is there now.

    To be called once the mirror has been built: a full collection would otherwise walk every consent, again and again.
    """
    gc.collect()
    gc.freeze()
