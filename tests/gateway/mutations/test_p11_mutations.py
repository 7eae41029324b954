"""P11: mutated requests bring no unexpected 5xx and not one byte of another patient.

On raw sockets, from the request lines of stock viewers, against a gateway over files that all carry canaries. A long
run says how far it came; ``--first-case`` goes on there, or lets several runs share the work.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from app.core.http.problem import problem
from app.gateway.answering import Answer
from app.gateway.front import Front
from app.gateway.wire import WireLimits
from tests.gateway.conftest import MakeWorld
from tests.gateway.mutations.cases import Case, make_case
from tests.gateway.mutations.people import House, furnish
from tests.gateway.mutations.requests import Request
from tests.gateway.mutations.verdict import Judge, said
from tests.gateway.mutations.wire import Response, exchange
from tests.gateway.running import running

_AT_ONCE = 12
_TOLD_EVERY = 10_000
# An answer that must come has a minute, however slow the machine; one that need not is soon given up.
_PATIENCE_S, _LITTLE_PATIENCE_S = 60.0, 0.4


@pytest.fixture
async def house(make_world: MakeWorld, tmp_path: Path) -> AsyncIterator[House]:
    furnished = await furnish(make_world, tmp_path)
    yield furnished
    await furnished.world.origin.aclose()


class Run:
    """One gateway under fire."""

    def __init__(self, house: House, port: int) -> None:
        self.house, self.port = house, port
        self.judge = Judge(house)
        self.requests = 0
        self._references: dict[Request, tuple[int, bytes | None, bytes]] = {}

    async def reference(self, request: Request) -> tuple[int, bytes | None, bytes]:
        """What is answered to the request alone, on a connection of its own."""
        if request not in self._references:
            message = request.written(last=True)
            received = await exchange(self.port, [message], [request.method], patience_s=_PATIENCE_S)
            (answer,) = self.judge.judge(message, received, [request.method])
            assert answer.whole, message
            self._references[request] = said(answer)
        return self._references[request]

    async def fire(self, case: Case) -> None:
        """Raises AssertionError with the case that found something."""
        patience_s = _PATIENCE_S if case.sure else _LITTLE_PATIENCE_S
        received = await exchange(self.port, case.pieces, case.methods, patience_s=patience_s)
        try:
            answers = self.judge.judge(case.sent, received, case.methods)
            if case.sure:
                await self._in_turn(case, answers)
            if case.refused:
                # A body is refused where it goes wrong: by then its request may have been answered, and nothing else.
                assert not answers or (len(answers) < 3 and answers[-1].status in (400, 431)), "not refused"
        except AssertionError as error:
            raise AssertionError(
                f"{error}\ncase {case.number}, sent {case.pieces!r}\nreceived {received[:2000]!r}"
            ) from None
        self.requests += len(case.requests)

    async def _in_turn(self, case: Case, answers: list[Response]) -> None:
        """Each answer is that of its own request, whoever asked before it on this connection."""
        assert answers, "no answer"
        assert len(answers) <= len(case.requests), "more answers than requests"
        assert all(answer.whole for answer in answers), "cut short"
        if len(answers) < len(case.requests):
            assert answers[-1].value(b"connection") == b"close", "unanswered, and not closed"
        for place, (request, answer) in enumerate(zip(case.requests, answers, strict=False)):
            self.judge.credentials(request, answer)
            if place not in case.changed:
                assert said(answer) == await self.reference(request), f"not the answer to {request.target!r}"


async def test_p11_no_mutated_request_shows_another_patient(
    house: House, seed: int, first_case: int, run_size: Callable[[int, int], int], say: Callable[[str], None]
) -> None:
    wanted = run_size(3_000, 1_000_000)
    limits = WireLimits(head_s=5, body_s=5, linger_s=0.2)
    with running(Front(house.world.dicomweb, _elsewhere), limits) as port:
        run = Run(house, port)
        began = time.monotonic()
        numbers = iter(range(first_case, first_case + wanted))

        async def work() -> None:
            for number in numbers:
                await run.fire(make_case(house, seed, number))
                if run.requests and (number + 1) % _TOLD_EVERY == 0:
                    rate = run.requests / (time.monotonic() - began)
                    say(f"case {number + 1} of {first_case + wanted}: {rate:.0f} requests/s, {run.judge.statuses}")

        await _all([work() for _ in range(_AT_ONCE)])
        assert {200, 204, 400, 401, 404, 405, 406, 431} <= set(run.judge.statuses)


async def _elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
    """What is not DICOMweb is answered by other tests."""
    answer = Answer(receive, send, head_only=scope["method"] == "HEAD")
    await answer.problem(problem("not-found"))
    answer.close()


async def _all(workers: list[Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker)  # type: ignore[arg-type]
