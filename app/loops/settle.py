"""Looks after what was handed in here and counts before it is mined: lets go of revocations that the final state
knows, and learns what other gateways on the same database were handed.
"""

import asyncio
import logging
from collections.abc import Callable

from app.core.consent.mirror import Standing
from app.core.identifiers import ConsentId, PatientKey
from app.store.consents import Consents
from app.store.emergencies import Emergencies
from app.store.engine import StoreUnavailableError

_LOG = logging.getLogger(__name__)


async def settle(
    consents: Consents, emergencies: Emergencies, standing: Callable[[], Standing | None], interval_s: float
) -> None:
    """Runs until cancelled."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            await emergencies.refresh()
            await consents.refresh()
            known = standing()
            if known is not None:
                await consents.landed([one for one in consents.revoked_here if _final(known, *one)])
        except StoreUnavailableError as error:
            _LOG.error("what was handed in here could not be looked after: %s", error)


def _final(standing: Standing, patient: PatientKey, consent: ConsentId) -> bool:
    known = standing.final.patient(patient)
    return known is not None and consent in known.revoked
