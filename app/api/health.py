"""Liveness, readiness and metrics. None of them says anything about a patient."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.api.wiring import Wiring, wiring_of
from app.chain.rpc import RpcError
from app.pacs.origin import OriginUnavailableError

router = APIRouter(tags=["health"])

_CHECK_TIMEOUT_S = 3.0


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process runs and its event loop turns."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request, response: Response) -> dict[str, Any]:
    """Whether requests would be served now: 200, or 503 with what is missing."""
    wiring = wiring_of(request)
    pacs, rpc = await asyncio.gather(_pacs(wiring), _rpc(wiring))
    standing = wiring.standing()
    backlog = wiring.journal.backlog()
    age_s = 0 if backlog.oldest_at is None else max(0, wiring.clock() - backlog.oldest_at)
    late = age_s > wiring.backlog_alarm_s
    ready = standing is not None and pacs == "ok" and rpc == "ok" and wiring.journal.available and not late
    response.status_code = 200 if ready else 503
    response.headers["Cache-Control"] = "no-store"
    return {
        "status": "ready" if ready else "not-ready",
        "chain": {
            "rpc": rpc,
            "standing": "known" if standing is not None else "unknown",
            "head": None if standing is None else standing.block.number,
            "head_lag_s": wiring.head_lag_s(),
        },
        "log": {
            "writable": wiring.journal.available,
            "backlog": backlog.waiting,
            "oldest_s": age_s,
            "late": late,
        },
        "pacs": pacs,
    }


@router.get("/metrics")
async def metrics() -> Response:
    """Prometheus text. Labels hold kinds and counts, never an identifier."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _pacs(wiring: Wiring) -> str:
    try:
        await asyncio.wait_for(wiring.origin.check(), _CHECK_TIMEOUT_S)
    except (OriginUnavailableError, TimeoutError):
        return "unavailable"
    return "ok"


async def _rpc(wiring: Wiring) -> str:
    try:
        await asyncio.wait_for(wiring.nodes.check_chain(wiring.place.chain_id), _CHECK_TIMEOUT_S)
    except (RpcError, TimeoutError):
        return "unavailable"
    return "ok"
