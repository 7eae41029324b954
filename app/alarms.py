"""Alarms: said in the log, and counted since the start by their kind."""

import logging
from collections import Counter

from app.gateway.ports import Alarm
from app.loops.backlog_watch import BacklogState

_LOG = logging.getLogger(__name__)

LATE = "log-late"


class Alarms:
    """Called from the loops and the data path, all in one event loop."""

    def __init__(self) -> None:
        self._raised: Counter[str] = Counter()

    def counts(self) -> tuple[tuple[str, int], ...]:
        """Each kind that was raised, and how often."""
        return tuple(sorted(self._raised.items()))

    def archive(self, kind: Alarm) -> None:
        """The archive's answer was refused, or it refuses us."""
        self._raised[kind.value] += 1
        if kind is Alarm.CREDENTIALS_REFUSED:
            _LOG.error("ALARM: the archive refuses this gateway's credentials (%s)", kind.value)
        else:
            _LOG.error("ALARM: the archive's answer was refused (%s)", kind.value)

    def backlog(self, state: BacklogState) -> None:
        """Records wait too long for the chain, or do not any more."""
        if state.late:
            self._raised[LATE] += 1
            _LOG.error("ALARM: %d access records wait, the oldest for %d s", state.waiting, state.oldest_age_s)
        else:
            _LOG.warning("the access log has caught up: %d records wait", state.waiting)
