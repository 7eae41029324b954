"""Where a gateway is killed in the middle of an erasure: in ``make test`` where most can go wrong, in ``make soak`` at
each point.
"""

import pytest

from tests.story.killed_erasure import POINTS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "point" in metafunc.fixturenames:
        points = POINTS if metafunc.config.getoption("--profile") == "soak" else metafunc.module.QUICK_POINTS
        metafunc.parametrize("point", points)
