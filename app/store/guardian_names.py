"""What patients call the guardians they named. Not on the chain, not signed: for the eyes of those who act for them."""

import time
from collections.abc import Callable

from app.core.identifiers import PatientKey, Signer
from app.store.engine import Database
from app.store.tables import GuardianNameRow


class GuardianNames:
    """All methods raise StoreUnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def put(self, patient: PatientKey, guardian: Signer, name: str) -> None:
        """Writes the name, in place of an earlier one."""
        row = GuardianNameRow(patient_key=patient, guardian=guardian, name=name, written_at=int(self._clock()))
        await self._database.writing(lambda transaction: transaction.merge(row))

    async def find(self, patient: PatientKey, guardian: Signer) -> str | None:
        """What the patient calls this guardian."""
        row = await self._database.reading(lambda transaction: transaction.get(GuardianNameRow, (patient, guardian)))
        return None if row is None else row.name
