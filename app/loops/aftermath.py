"""What is left to do here once the chain has said so: links of erased patients are destroyed, recoveries have an end,
requests that nobody answered are forgotten.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.consent.mirror import Standing
from app.core.consent.recovering import OVER, Progress, move_progress
from app.core.identifiers import PatientKey
from app.store.access_requests import AccessRequests
from app.store.engine import ConflictError, StoreUnavailableError
from app.store.erasures import Erasures
from app.store.outbox import CallState
from app.store.patients import Patients
from app.store.recoveries import Ended, Recoveries, Recovery

_LOG = logging.getLogger(__name__)

# Of all patients, so many are looked at in one round for an erasure that came by somebody's own transaction.
_LOOKED_AT = 5_000
# Requests are forgotten by the day; once in so many rounds is often enough.
_FORGET_EVERY = 1_800


@dataclass(slots=True)
class Aftermath:
    """``run`` until cancelled, on every gateway: each step may be done twice, and is done once."""

    patients: Patients
    erasures: Erasures
    recoveries: Recoveries
    requests: AccessRequests
    standing: Callable[[], Standing | None]
    _rounds: int = field(default=0, init=False)
    _to_look_at: list[PatientKey] = field(default_factory=list, init=False)

    async def run(self, interval_s: float) -> None:
        """Never ends by itself; what fails is tried again in the next round."""
        while True:
            await asyncio.sleep(interval_s)
            standing = self.standing()
            if standing is None:
                continue
            try:
                await self.round(standing)
            except (StoreUnavailableError, ConflictError) as error:
                _LOG.error("what the chain has decided could not be carried out here: %s", error)

    async def round(self, standing: Standing) -> None:
        """One round. Raises StoreUnavailableError, ConflictError."""
        await self.patients.refresh()
        for patient in await self.erasures.unfinished():
            # At the head is enough: a reorganisation only delays it, since the call is sent again until it is final.
            if _is_erased(standing, patient, final=False):
                await self.erasures.finish(patient)
        for patient in self._some_patients():
            if _is_erased(standing, patient, final=True):
                await self.erasures.finish(patient)
        await self.erasures.sweep()
        for recovery in await self.recoveries.running():
            await self._follow(standing, recovery)
        if self._rounds % _FORGET_EVERY == 0:
            await self.requests.forget()
        self._rounds += 1

    async def _follow(self, standing: Standing, recovery: Recovery) -> None:
        """Notes the number of a recovery's move once it is seen, and how it ended once that is final."""
        controller, call = recovery.controller, recovery.call
        if controller is None or call is None:
            return
        if call.state is CallState.FAILED:
            await self.recoveries.ended(recovery.recovery_id, Ended.FAILED)
            return
        at_head, final = (state.patient(recovery.patient) for state in (standing.head, standing.final))
        move = None if at_head is None else at_head.move
        if recovery.move_nonce is None:
            if at_head is not None and move is not None and move.controller == controller:
                await self.recoveries.seen(recovery.recovery_id, at_head.move_nonce)
            return
        if final is None or final.move_nonce < recovery.move_nonce:
            return
        progress = move_progress(final, controller, recovery.move_nonce, standing.timestamp)
        if progress in OVER and progress is not Progress.FAILED:
            await self.recoveries.ended(recovery.recovery_id, Ended(progress.value))

    def _some_patients(self) -> list[PatientKey]:
        """The next few of all, so that each comes up again and again and no round takes long."""
        if not self._to_look_at:
            self._to_look_at = [patient.key for patient in self.patients.all()]
        some, self._to_look_at = self._to_look_at[:_LOOKED_AT], self._to_look_at[_LOOKED_AT:]
        return some


def _is_erased(standing: Standing, patient: PatientKey, *, final: bool) -> bool:
    known = (standing.final if final else standing.head).patient(patient)
    return known is not None and known.erased
