"""The store's fixtures (both databases), and sinks that are real servers."""

from tests.store.conftest import cluster, database, empty_url, opened, url

__all__ = ["cluster", "database", "empty_url", "opened", "url"]
