"""How often somebody may try something that must not be guessed. Kept in memory, bounded."""

from collections import OrderedDict

from app.core.identifiers import Address

_REMEMBERED = 10_000


class Tries:
    """``most`` failures of one actor ``within_s`` seconds."""

    def __init__(self, most: int, within_s: float) -> None:
        self._most = most
        self._within_s = within_s
        self._failures: OrderedDict[Address, list[float]] = OrderedDict()

    def spent(self, actor: Address, now: float) -> bool:
        """Whether the actor has to wait."""
        recent = [at for at in self._failures.get(actor, ()) if now - at < self._within_s]
        return len(recent) >= self._most

    def failed(self, actor: Address, now: float) -> None:
        """Counts a failure."""
        recent = [at for at in self._failures.get(actor, ()) if now - at < self._within_s]
        self._failures[actor] = [*recent, now][-self._most :]
        self._failures.move_to_end(actor)
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)
