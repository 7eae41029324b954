"""What Prometheus reads: counts and ages, never an identifier."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.registry import Collector

from app.api.wiring import Condition

__all__ = ["CONTENT_TYPE", "exposition"]


def exposition(condition: Condition, *, standing_known: bool, unresolved: int | None) -> bytes:
    """The text of ``/metrics`` for this moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gauges(condition, standing_known=standing_known, unresolved=unresolved))
    return generate_latest(registry)


class _Gauges(Collector):
    def __init__(self, condition: Condition, *, standing_known: bool, unresolved: int | None) -> None:
        self._condition = condition
        self._unresolved = unresolved
        self._standing_known = standing_known

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._condition
        for name, meaning, value in (
            (
                "consentry_standing_known",
                "1 while the chain's state is known well enough to decide",
                self._standing_known,
            ),
            ("consentry_head_confirmed_age_seconds", "Since the head was last confirmed", now.confirmed_age_s),
            ("consentry_head_lag_blocks", "Between the nodes' head and ours", now.lag),
            ("consentry_reorganisations", "Reorganisations followed since the start", now.reorganisations),
            ("consentry_log_backlog_records", "Access records that no block holds yet", now.waiting),
            ("consentry_log_backlog_age_seconds", "Age of the oldest of them", now.oldest_age_s),
            ("consentry_log_late", "1 while the oldest record has waited too long", now.late),
            ("consentry_submitting_troubles", "Things that keep records or messages from the chain", len(now.trouble)),
            ("consentry_notices_waiting", "Messages to people that are still to be delivered", now.notices_waiting),
            ("consentry_notices_given_up", "Messages to people given up in thirty days", now.notices_given_up),
            ("consentry_unresolved_studies", "Studies whose patient the archive leaves in doubt", self._unresolved),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, meaning, value=float(value))
