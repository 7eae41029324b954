"""When to try again, and when to give up."""

from app.core.identifiers import UnixTime

GIVE_UP_AFTER_S = 86_400
_FIRST_S = 30
_LONGEST_S = 3_600


def next_attempt(now: UnixTime, failures: int, chance: float) -> UnixTime:
    """Twice as long after each failure (the first is 1), up to an hour; ``chance`` in [0, 1) spreads it over the upper
    half, so that what failed together does not come back together.
    """
    longest = min(_FIRST_S << min(failures - 1, 16), _LONGEST_S)
    return UnixTime(now + int(longest * (1 + chance) / 2))


def is_given_up(created_at: UnixTime, now: UnixTime) -> bool:
    """Whether it has been tried for long enough."""
    return now - created_at >= GIVE_UP_AFTER_S
