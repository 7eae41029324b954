"""Keyed pseudonyms: what stands on the chain for a patient and for a study.

HKDF-SHA-256 (RFC 5869) makes one key per patient from the site key and the patient's random salt; HMAC-SHA-256 under
it names the patient and the patient's studies. Without the salt nothing can be matched to a person, site key or not:
deleting it is erasure.
"""

import hashlib
import hmac

from app.core.identifiers import Address, PatientKey, StudyKey, StudyUid, Subject

SITE_KEY_BYTES = 32
SALT_BYTES = 32

# Domains: never change one in use, add another.
_KEY_DOMAIN = b"consentry.pseudonym.v1"
_PATIENT_DOMAIN = b"consentry.patient.v1"
_STUDY_DOMAIN = b"consentry.study.v1"


class Pseudonymizer:
    """Names of one patient on one chain and contract. Making one derives the patient's key; keep it and naming costs
    one HMAC.

    ``contract`` is the PatientRegistry's address. Raises ValueError for a site key or salt of another length than 32
    bytes.
    """

    __slots__ = ("_domain", "_keyed")

    def __init__(self, site_key: bytes, salt: bytes, chain_id: int, contract: Address) -> None:
        if len(site_key) != SITE_KEY_BYTES or len(salt) != SALT_BYTES:
            raise ValueError("site key and salt have 32 bytes each")
        # RFC 5869 with L = 32: one round of expansion.
        extracted = hmac.digest(salt, site_key, hashlib.sha256)
        key = hmac.digest(extracted, _KEY_DOMAIN + b"\x01", hashlib.sha256)
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)
        self._domain = (chain_id.to_bytes(32, "big"), contract)

    def patient(self, subject: Subject) -> PatientKey:
        """The patient's key on the chain."""
        return PatientKey(self._name(_PATIENT_DOMAIN, subject.issuer.encode(), subject.patient_id.encode()))

    def study(self, study: StudyUid) -> StudyKey:
        """The key of one of this patient's studies; the UID counts character by character."""
        return StudyKey(self._name(_STUDY_DOMAIN, study.encode()))

    def _name(self, *parts: bytes) -> bytes:
        mac = self._keyed.copy()
        for part in (*self._domain, *parts):
            mac.update(len(part).to_bytes(4, "big"))
            mac.update(part)
        return mac.digest()


def patient_key(site_key: bytes, salt: bytes, subject: Subject, chain_id: int, contract: Address) -> PatientKey:
    """The patient's key on the chain (Pseudonymizer.patient)."""
    return Pseudonymizer(site_key, salt, chain_id, contract).patient(subject)


def study_key(site_key: bytes, salt: bytes, study: StudyUid, chain_id: int, contract: Address) -> StudyKey:
    """The key of one of the patient's studies (Pseudonymizer.study); ``salt`` is the patient's."""
    return Pseudonymizer(site_key, salt, chain_id, contract).study(study)
