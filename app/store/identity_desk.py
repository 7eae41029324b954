"""Everything about odd identities in one hand: what was found, what was said of it, and who is meant."""

import asyncio
import time
from collections.abc import Callable

from app.core.oddities import Enrolled
from app.store.engine import Database
from app.store.identity_resolutions import IdentityResolutions
from app.store.identity_scans import IdentityScans
from app.store.odd_studies import OddStudies
from app.store.ownership import Ownership
from app.store.patients import Patients

# Making the index goes through all patients: a second for a million.
_ENROLLED_TTL_S = 60.0


class IdentityDesk:
    """``unresolved``: how many studies are nobody's, as last counted; None before that."""

    def __init__(self, database: Database, patients: Patients, *, clock: Callable[[], float] = time.time) -> None:
        self.resolutions = IdentityResolutions(database, clock=clock)
        self.studies = OddStudies(database, clock=clock)
        self.scans = IdentityScans(database, clock=clock)
        self.ownership = Ownership(patients, lambda: self.resolutions.rulings)
        self.unresolved: int | None = None
        self._patients = patients
        self._enrolled = Enrolled(())
        self._enrolled_until = 0.0

    async def enrolled(self) -> Enrolled:
        """Who is enrolled, no older than a minute."""
        if time.monotonic() >= self._enrolled_until:
            self._enrolled = await asyncio.to_thread(lambda: Enrolled(one.subject for one in self._patients.all()))
            self._enrolled_until = time.monotonic() + _ENROLLED_TTL_S
        return self._enrolled

    async def recount(self) -> None:
        """Count what is unresolved. Raises StoreUnavailableError."""
        self.unresolved = await self.studies.unresolved(self.ownership)
