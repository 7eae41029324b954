"""A gateway that is killed (-9, by itself) at one point of the first erasure it is asked for: ``python -m … POINT``."""

import os
import signal
import sys
from typing import Any

from app.store import erasures
from app.store.engine import Database
from app.store.erasures import Erasures
from app.store.outbox import Outbox

# After the intent is stored; after its transaction is signed and stored; after that was mined; in the middle of
# destroying the links; after they are destroyed; after the files were cleaned.
POINTS = ("begun", "signed", "mined", "destroying", "destroyed", "cleaned")
_PLACES: dict[str, tuple[Any, str]] = {
    "begun": (Erasures, "begin"),
    "signed": (Outbox, "signed"),
    "mined": (Outbox, "mined"),
    "cleaned": (Database, "forget_overwritten"),
}
_begun = [False]


def _die_if_begun() -> None:
    if _begun[0]:
        os.kill(os.getpid(), signal.SIGKILL)


def _after(owner: Any, name: str) -> None:
    known = getattr(owner, name)

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        answer = await known(*arguments, **named)
        _die_if_begun()
        return answer

    setattr(owner, name, wrapped)


def _before(owner: Any, name: str) -> None:
    known = getattr(owner, name)

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        _die_if_begun()
        return await known(*arguments, **named)

    setattr(owner, name, wrapped)


def _note_the_beginning() -> None:
    known = Erasures.begin

    async def wrapped(*arguments: Any) -> Any:
        answer = await known(*arguments)
        _begun[0] = True
        return answer

    Erasures.begin = wrapped  # type: ignore[method-assign,assignment]


def _in_the_transaction() -> None:
    known = erasures._destroy_links

    def wrapped(*arguments: Any) -> None:
        known(*arguments)
        _die_if_begun()

    erasures._destroy_links = wrapped  # type: ignore[assignment]


def main(point: str) -> None:
    _note_the_beginning()
    if point == "destroying":
        _in_the_transaction()
    elif point == "destroyed":
        _before(Database, "forget_overwritten")
    else:
        _after(*_PLACES[point])
    from app.commands.running import serve  # noqa: PLC0415 - everything is in place

    serve()


if __name__ == "__main__":
    main(sys.argv[1])
