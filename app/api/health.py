"""Liveness, readiness and metrics. None of them says anything about a patient."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.metrics import CONTENT_TYPE, exposition
from app.api.wiring import Wiring, wiring_of
from app.chain.rpc import RpcError
from app.pacs.origin import OriginInvalidError, OriginRefusedError, OriginUnavailableError

router = APIRouter(tags=["health"])

_CHECK_TIMEOUT_S = 3.0
_GOOD_FOR_S = 2
_OK = "ok"


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process runs and its event loop turns."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request, response: Response) -> dict[str, Any]:
    """Whether requests would be served now: 200, or 503 with what is missing."""
    wiring = wiring_of(request)
    probes: Probes = request.app.state.probes
    pacs, rpc = await probes.results()
    standing, condition = wiring.standing(), wiring.condition()
    writable = wiring.journal.available
    ready = standing is not None and pacs == _OK and writable and not condition.late
    response.status_code = 200 if ready else 503
    response.headers["Cache-Control"] = "no-store"
    return {
        "status": "ready" if ready else "not-ready",
        "chain": {
            "rpc": rpc,
            "standing": "known" if standing is not None else "unknown",
            "head": None if standing is None else standing.block.number,
            "lag_blocks": condition.lag,
            "confirmed_age_s": condition.confirmed_age_s,
            "problem": condition.chain_problem,
        },
        "log": {
            "writable": writable,
            "backlog": condition.waiting,
            "oldest_s": condition.oldest_age_s,
            "late": condition.late,
            "trouble": condition.trouble,
        },
        "pacs": pacs,
    }


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text. Labels hold kinds and counts, never an identifier."""
    wiring = wiring_of(request)
    return Response(
        exposition(
            wiring.condition(),
            standing_known=wiring.standing() is not None,
            unresolved=wiring.identities.unresolved,
        ),
        media_type=CONTENT_TYPE,
    )


class Probes:
    """Asks the archive and the nodes whether they answer: whoever asks meanwhile shares the question, and a good answer
    counts for two seconds, so that nobody outside can make us ask them without end.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._good_until_s = 0.0
        self._asking: asyncio.Task[tuple[str, str]] | None = None

    async def results(self) -> tuple[str, str]:
        """(archive, nodes): "ok" or "unavailable"; of the archive also "credentials-refused"."""
        if self._wiring.clock() < self._good_until_s:
            return _OK, _OK
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def _ask(self) -> tuple[str, str]:
        pacs, rpc = await asyncio.gather(_pacs(self._wiring), _rpc(self._wiring))
        if pacs == rpc == _OK:
            self._good_until_s = self._wiring.clock() + _GOOD_FOR_S
        return pacs, rpc


async def _pacs(wiring: Wiring) -> str:
    try:
        await asyncio.wait_for(wiring.origin.check(), _CHECK_TIMEOUT_S)
    except OriginRefusedError:
        return "credentials-refused"
    except (OriginUnavailableError, OriginInvalidError, TimeoutError):
        return "unavailable"
    return _OK


async def _rpc(wiring: Wiring) -> str:
    try:
        await asyncio.wait_for(wiring.nodes.check_chain(wiring.place.chain_id), _CHECK_TIMEOUT_S)
    except (RpcError, TimeoutError):
        return "unavailable"
    return _OK
