"""The reference in words that describe studies: there just then, taken off whole, and beyond guessing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.consent.basis import person
from app.core.consent.emergencies import Opening
from app.core.consent.terms import Action, Effect, Finding, Purpose, Terms, Window
from app.core.identifiers import Address, ConsentId, EmergencyId, PatientKey, StudyKey, UnixTime
from app.core.signing.messages import ConsentOffer, ConsentOffers, EmergencyAccess, EmergencyReview, Revocation
from app.core.signing.reference import RANDOM_BYTES, takes_reference, with_reference, without_reference

_RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
_EVERYTHING = Terms(
    patient=PatientKey(b"p" * 32),
    grantee=person(Address(b"g" * 20)),
    effect=Effect.PERMIT,
    actions=Action.VIEW,
    purposes=1 << Purpose.TREAT,
    window=Window(UnixTime(0), UnixTime(1)),
    studies=(),
    epoch=0,
    consent_nonce=bytes(32),
)
_ONE_STUDY = replace(_EVERYTHING, studies=(StudyKey(b"s" * 32),))
_DEADLINE = UnixTime(9)


@given(st.text(), _RANDOM)
def test_a_reference_comes_off_and_nothing_else(words: str, random: bytes) -> None:
    referred = with_reference(words, random)
    assert referred.startswith(words)
    assert without_reference(referred) == words
    for changed in (referred + " ", referred[:-2] + ".", referred.replace("Reference", "reference")):
        assert without_reference(changed) == changed


@given(_RANDOM, _RANDOM)
def test_all_130_bits_are_in_it(one: bytes, other: bytes) -> None:
    same = [byte & 31 for byte in one] == [byte & 31 for byte in other]
    assert (with_reference("w", one) == with_reference("w", other)) == same


def test_it_takes_its_random_bytes() -> None:
    with pytest.raises(ValueError, match="26 random bytes"):
        with_reference("w", bytes(RANDOM_BYTES - 1))


def test_only_words_that_describe_studies_take_one() -> None:
    assert takes_reference(ConsentOffer(_ONE_STUDY, _DEADLINE))
    assert takes_reference(ConsentOffers((_EVERYTHING, _ONE_STUDY), _DEADLINE))
    assert not takes_reference(ConsentOffer(_EVERYTHING, _DEADLINE))
    assert not takes_reference(ConsentOffers((_EVERYTHING, _EVERYTHING), _DEADLINE))
    opening = Opening(_EVERYTHING.patient, bytes(32), _EVERYTHING.window, bytes(32))
    assert takes_reference(EmergencyAccess(opening))
    emergency = EmergencyId(bytes(32))
    assert takes_reference(EmergencyReview(emergency, Finding.JUSTIFIED, b"n" * 32, _DEADLINE))
    assert not takes_reference(EmergencyReview(emergency, Finding.JUSTIFIED, bytes(32), _DEADLINE))
    assert not takes_reference(Revocation(_EVERYTHING.patient, ConsentId(bytes(32)), _DEADLINE))
