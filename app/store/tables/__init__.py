"""The tables. The catalogue knows a table once its module is imported, so every one is named here."""

from app.store.tables.access_log import AccessOutcomeRow, AccessRecordRow
from app.store.tables.audits import VerificationRow
from app.store.tables.chain_work import (
    ChainBatchRow,
    ConsentMessageRow,
    OutboxCallRow,
    OutboxTxRow,
    RevocationMessageRow,
)
from app.store.tables.custody import ErasureRow, GuardianNameRow, RecoveryRow
from app.store.tables.emergencies import EmergencyReviewRow, EmergencyRow
from app.store.tables.identities import IdentityResolutionRow, IdentityScanRow, OddIdentityRow, OddStudyRow
from app.store.tables.notices import (
    ContactChannelRow,
    ContactPatientRow,
    ContactRow,
    KnownAccessorRow,
    NoticeCursorRow,
    NoticeDeliveryRow,
    NoticeRow,
)
from app.store.tables.oauth import OauthClientRow, OauthCodeRow, OauthDeviceRow, OauthFamilyRow, OauthRefreshRow
from app.store.tables.passkeys import InvitationRow, PasskeyChallengeRow, PasskeyRow
from app.store.tables.people import AccessRequestRow, DirectoryEntryRow, PatientRow, SessionRow, SiweNonceRow
from app.store.tables.row import Row, RowId

__all__ = [
    "AccessOutcomeRow",
    "AccessRecordRow",
    "AccessRequestRow",
    "ChainBatchRow",
    "ConsentMessageRow",
    "ContactChannelRow",
    "ContactPatientRow",
    "ContactRow",
    "DirectoryEntryRow",
    "EmergencyReviewRow",
    "EmergencyRow",
    "ErasureRow",
    "GuardianNameRow",
    "IdentityResolutionRow",
    "IdentityScanRow",
    "InvitationRow",
    "KnownAccessorRow",
    "NoticeCursorRow",
    "NoticeDeliveryRow",
    "NoticeRow",
    "OauthClientRow",
    "OauthCodeRow",
    "OauthDeviceRow",
    "OauthFamilyRow",
    "OauthRefreshRow",
    "OddIdentityRow",
    "OddStudyRow",
    "OutboxCallRow",
    "OutboxTxRow",
    "PasskeyChallengeRow",
    "PasskeyRow",
    "PatientRow",
    "RecoveryRow",
    "RevocationMessageRow",
    "Row",
    "RowId",
    "SessionRow",
    "SiweNonceRow",
    "VerificationRow",
]
