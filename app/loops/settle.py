"""Lets go of revocations that were handed in here once the chain's final state knows them."""

import asyncio
import logging
from collections.abc import Callable

from app.core.consent.mirror import Standing
from app.core.identifiers import ConsentId, PatientKey
from app.store.consents import Consents
from app.store.engine import StoreUnavailableError

_LOG = logging.getLogger(__name__)


async def settle(consents: Consents, standing: Callable[[], Standing | None], interval_s: float) -> None:
    """Runs until cancelled. Also learns of revocations that were handed to other gateways on the same database."""
    while True:
        await asyncio.sleep(interval_s)
        known = standing()
        if known is None:
            continue
        try:
            await consents.refresh()
            await consents.landed([one for one in consents.revoked_here if _final(known, *one)])
        except StoreUnavailableError as error:
            _LOG.error("revocations could not be settled: %s", error)


def _final(standing: Standing, patient: PatientKey, consent: ConsentId) -> bool:
    known = standing.final.patient(patient)
    return known is not None and consent in known.revoked
