"""Pseudonyms: the published constructions, told apart by everything that goes in."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.core.identifiers import Address, StudyUid, Subject
from app.core.pseudonym import Pseudonymizer, patient_key, study_key

SITE_KEY, SALT = b"\x11" * 32, b"\x22" * 32
CONTRACT = Address(b"\x33" * 20)
SUBJECT = Subject("MRN-1", "Sankt Anna")


def test_the_construction_is_hkdf_then_hmac() -> None:
    """Against another implementation of HKDF, and the framing written out."""
    key = HKDF(hashes.SHA256(), 32, salt=SALT, info=b"consentry.pseudonym.v1").derive(SITE_KEY)

    def name(*parts: bytes) -> bytes:
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(key, framed, hashlib.sha256)

    place = (31337).to_bytes(32, "big"), CONTRACT
    expected = name(*place, b"consentry.patient.v1", b"Sankt Anna", b"MRN-1")
    assert patient_key(SITE_KEY, SALT, SUBJECT, 31337, CONTRACT) == expected
    assert study_key(SITE_KEY, SALT, StudyUid("1.2.3"), 31337, CONTRACT) == name(
        *place, b"consentry.study.v1", b"1.2.3"
    )


def test_everything_that_goes_in_counts() -> None:
    subjects = [SUBJECT, Subject("MRN-1", ""), Subject("", "MRN-1"), Subject("MRN-1Sankt Anna", ""), Subject("", "")]
    names = {patient_key(SITE_KEY, SALT, subject, 1, CONTRACT) for subject in subjects}
    names |= {
        patient_key(b"\x12" * 32, SALT, SUBJECT, 1, CONTRACT),
        patient_key(SITE_KEY, b"\x23" * 32, SUBJECT, 1, CONTRACT),
        patient_key(SITE_KEY, SALT, SUBJECT, 2, CONTRACT),
        patient_key(SITE_KEY, SALT, SUBJECT, 1, Address(b"\x34" * 20)),
        patient_key(SITE_KEY, SALT, Subject("mrn-1", "Sankt Anna"), 1, CONTRACT),
    }
    assert len(names) == 10
    studies = {study_key(SITE_KEY, SALT, StudyUid(uid), 1, CONTRACT) for uid in ("1.2.3", "1.2.03", "1.2.3.", "")}
    assert len(studies) == 4
    assert not names & studies


def test_one_patient_is_derived_once() -> None:
    names = Pseudonymizer(SITE_KEY, SALT, 1, CONTRACT)
    for uid in ("1.2", "1.3", "1.2"):
        assert names.study(StudyUid(uid)) == study_key(SITE_KEY, SALT, StudyUid(uid), 1, CONTRACT)
    assert names.patient(SUBJECT) == patient_key(SITE_KEY, SALT, SUBJECT, 1, CONTRACT)


@pytest.mark.parametrize(("site_key", "salt"), [(b"", SALT), (SITE_KEY, b""), (SITE_KEY + b"\0", SALT)])
def test_short_keys_and_salts_are_refused(site_key: bytes, salt: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonymizer(site_key, salt, 1, CONTRACT)


def test_spaces_that_somebody_typed_around_an_id_are_not_part_of_it() -> None:
    assert Subject.typed(" MRN-1  ", " Sankt Anna ") == SUBJECT
    assert Subject.typed("\tMRN 1", "") == Subject("\tMRN 1", "")
