"""Care teams as the chain has them: who is a member, who leads, and until when."""

from dataclasses import dataclass, replace

from immutables import Map

from app.core.consent.terms import TeamPart, Window
from app.core.identifiers import Address, UnixTime

_NOBODY: Map[Address, Window] = Map()


@dataclass(frozen=True, slots=True)
class Team:
    """A team. ``nonce`` counts its changes. A part whose window is over stays until it is ended or replaced."""

    nonce: int = 0
    members: Map[Address, Window] = _NOBODY
    leads: Map[Address, Window] = _NOBODY

    def part(self, part: TeamPart) -> Map[Address, Window]:
        return self.members if part is TeamPart.MEMBER else self.leads

    def has(self, part: TeamPart, account: Address, now: UnixTime) -> bool:
        """Whether the account has the part at ``now``."""
        window = self.part(part).get(account)
        return window is not None and window.holds(now)

    def with_part(self, part: TeamPart, account: Address, window: Window | None) -> "Team":
        """The team after one more change: the part set or, without a window, ended."""
        before = self.part(part)
        after = before.delete(account) if window is None else before.set(account, window)
        if part is TeamPart.MEMBER:
            return replace(self, members=after, nonce=self.nonce + 1)
        return replace(self, leads=after, nonce=self.nonce + 1)


NEW_TEAM = Team()
