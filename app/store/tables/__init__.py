"""The tables. The catalogue knows a table once its module is imported, so every one is named here."""

from app.store.tables.access_log import AccessOutcomeRow, AccessRecordRow
from app.store.tables.chain_work import (
    ChainBatchRow,
    ConsentMessageRow,
    OutboxCallRow,
    OutboxTxRow,
    RevocationMessageRow,
)
from app.store.tables.identities import IdentityResolutionRow, IdentityScanRow, OddIdentityRow, OddStudyRow
from app.store.tables.people import AccessRequestRow, DirectoryEntryRow, PatientRow, SessionRow, SiweNonceRow
from app.store.tables.row import Row, RowId

__all__ = [
    "AccessOutcomeRow",
    "AccessRecordRow",
    "AccessRequestRow",
    "ChainBatchRow",
    "ConsentMessageRow",
    "DirectoryEntryRow",
    "IdentityResolutionRow",
    "IdentityScanRow",
    "OddIdentityRow",
    "OddStudyRow",
    "OutboxCallRow",
    "OutboxTxRow",
    "PatientRow",
    "RevocationMessageRow",
    "Row",
    "RowId",
    "SessionRow",
    "SiweNonceRow",
]
