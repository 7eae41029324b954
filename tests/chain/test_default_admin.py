"""Who the default admin is: asked on the real chain, remembered for some seconds, and nobody while nobody says so."""

import asyncio
from typing import Any, cast

from app.chain.default_admin import DefaultAdmin
from app.chain.nodes import Nodes
from app.chain.rpc import NodeUnavailableError
from app.core.identifiers import Address
from tests.support.chain import Chain, signer


async def test_the_chain_says_who_it_is(chain: Chain) -> None:
    assert await DefaultAdmin(chain.nodes, chain.contracts).find() == signer("admin").address


async def test_what_was_answered_is_believed_for_some_seconds_and_asked_once() -> None:
    now = [0.0]
    asked: list[Address | Exception] = []
    answers: list[Address | Exception] = [
        Address(b"a" * 20), NodeUnavailableError("node"), Address(b"b" * 20),
    ]  # fmt: skip

    class _Roles:
        def default_admin(self) -> None:
            return None

    class _Contracts:
        roles = _Roles()

        async def ask(self, _nodes: object, _view: object) -> Address:
            await asyncio.sleep(0)
            answer = answers[len(asked)]
            asked.append(answer)
            if isinstance(answer, Exception):
                raise answer
            return answer

    admin = DefaultAdmin(cast("Nodes", None), cast("Any", _Contracts()), clock=lambda: now[0])
    assert await asyncio.gather(*(admin.find() for _ in range(5))) == [b"a" * 20] * 5
    now[0] = 4.9
    assert await admin.find() == b"a" * 20
    assert len(asked) == 1
    now[0] = 5.0
    assert await admin.find() is None
    assert await admin.find() is None
    assert len(asked) == 2
    now[0] = 10.0
    assert await admin.find() == b"b" * 20
