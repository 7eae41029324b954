"""Every section of the portal, in the order in which somebody who has several sees them. One line each."""

from app.portal.admin.section import ADMIN
from app.portal.auditor.section import AUDITOR
from app.portal.navigation import Section
from app.portal.patient.section import PATIENT
from app.portal.physician.section import PHYSICIAN

SECTIONS: tuple[Section, ...] = (
    PATIENT,
    PHYSICIAN,
    ADMIN,
    AUDITOR,
)
