"""Which programs somebody let in, for them to look at and to end."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from app.api.caller import SignedIn
from app.api.hexadecimal import from_hex
from app.api.wiring import wiring_of
from app.core.http.problem import ProblemError, problem

router = APIRouter(tags=["sign-in for programs"])


@router.get("/api/programs")
async def programs(request: Request, caller: SignedIn) -> dict[str, Any]:
    """The programs that may act for the caller now. Unix seconds; ``ends_at`` is when they have to ask again."""
    ground = wiring_of(request).oauth.ground

    def read() -> list[dict[str, Any]]:
        names = {client.client_id: client.name for client in ground.clients.all()}
        return [
            {
                "id": "0x" + one.family.hex(),
                "client_id": one.client_id,
                "name": names.get(one.client_id, one.client_id),
                "scope": one.allowed.scope,
                "purpose": one.allowed.purpose.name,
                "began_at": one.began_at,
                "ends_at": one.ends_at,
            }
            for one in ground.grants.of_actor(caller.actor)
        ]

    return {"programs": await run_in_threadpool(read)}


@router.post("/api/programs/{identity}/end", status_code=204)
async def end(request: Request, identity: str, caller: SignedIn) -> None:
    """End what the program may do: all its tokens, here at once and on other gateways within two seconds."""
    wiring = wiring_of(request)
    grants = wiring.oauth.ground.grants
    own = {"0x" + one.family.hex() for one in await run_in_threadpool(grants.of_actor, caller.actor)}
    if identity not in own:
        raise ProblemError(problem("not-found"))
    wiring.sessions.forget(await run_in_threadpool(grants.end_family, from_hex(identity)))
