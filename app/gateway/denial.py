"""When a 404 is answered: at a multiple of a fixed step, so that the time it took to find out does not show."""

import asyncio
import math
from collections.abc import Callable


class Denials:
    """``step_s`` 0 answers at once. It should exceed what a look-up in the archive usually takes."""

    def __init__(self, monotonic: Callable[[], float], step_s: float) -> None:
        self._monotonic = monotonic
        self._step_s = step_s

    async def wait(self, began_s: float) -> None:
        """Until the next multiple of the step after ``began_s``, the first one at the earliest."""
        if self._step_s:
            passed_s = self._monotonic() - began_s
            due_s = max(1, math.ceil(passed_s / self._step_s)) * self._step_s
            await asyncio.sleep(due_s - passed_s)
