"""The words of each message: everything that is signed, in plain sentences that names cannot bend."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.identifiers import ConsentId, Grantee, Signer, StudyKey, UnixTime
from app.core.messages import Claim, ConsentOffer, GuardianChange, Message, MoveAcceptance, MoveVeto, Revocation
from app.core.terms import ALL_PURPOSES, Action, Effect, Purpose, Terms, Window
from app.core.words import MAX_NAME_LENGTH, NO_NAMES, Names, moment, plain, words_for
from tests.core_consent.test_typed_data import DEADLINE, MESSAGES, PATIENT, TERMS, WALLET

NAMED = Names(
    grantees={TERMS.grantee: "Dr. Ada Lovelace, Charité"},
    studies={TERMS.studies[0]: "CT chest of 3 March 2026", TERMS.studies[1]: "MR head of 4 March 2026"},
    signers={WALLET: "my phone"},
    consents={ConsentId(b"\x09" * 32): "Dr. Ada Lovelace may view everything until May"},
)
WORKS = " This message works until 17 March 2030, 17:46:40 UTC, and not after."


def consent(**change: Any) -> str:
    return words_for(ConsentOffer(replace(TERMS, **change), DEADLINE), NAMED).removesuffix(WORKS)


def test_a_consent_in_words() -> None:
    assert words_for(ConsentOffer(TERMS, DEADLINE), NAMED) == (
        "I allow “Dr. Ada Lovelace, Charité” to find and view my images of these 2 studies only: "
        "“CT chest of 3 March 2026” and “MR head of 4 March 2026”, for treatment or coordination of care, "
        "from 15 January 2027, 08:00:00 UTC until 16 August 2028, 00:53:20 UTC. "
        "I can take this back at any time." + WORKS
    )
    assert consent(studies=(), actions=Action.RETRIEVE, purposes=1 << Purpose.HRESCH) == (
        "I allow “Dr. Ada Lovelace, Charité” to download (and so view) all my images, also those still to be made, "
        "for research, from 15 January 2027, 08:00:00 UTC until 16 August 2028, 00:53:20 UTC. "
        "I can take this back at any time."
    )
    assert consent(studies=TERMS.studies[:1], effect=Effect.DENY, actions=Action.VIEW | Action.SHARE) == (
        "I forbid “Dr. Ada Lovelace, Charité” to view (and so download) or share on my images of this one study only: "
        "“CT chest of 3 March 2026”, for treatment or coordination of care, "
        "from 15 January 2027, 08:00:00 UTC until 16 August 2028, 00:53:20 UTC. "
        "This wins over anything allowed, until it is taken back."
    )


def test_a_guardian_speaks_of_the_patient_and_teams_are_called_teams() -> None:
    team = Grantee(b"\x08" * 32)
    offer = ConsentOffer(replace(TERMS, grantee=team, studies=()), DEADLINE)
    words = words_for(offer, Names(grantees={team: "Cardiology"}, patient="Jane"))
    assert words.startswith("I allow everyone in the care team “Cardiology” to find and view all “Jane”'s images, ")


def test_the_other_messages_in_words() -> None:
    said = [words_for(message, NAMED).removesuffix(WORKS) for message in MESSAGES]
    assert said[0] == "I take control of this patient record with my key “my phone”. It decides who may see the images."
    assert said[1] == "I stop the move of my patient record to another key (move number 1)."
    assert said[2] == (
        "I take over this patient record with my new key 0x" + "03" * 84 + " (move number 2). "
        "The old key decides no more."
    )
    assert said[3] == (
        "I name “my phone” as my guardian until 18 May 2033, 03:33:20 UTC (change number 0). "
        "Until then my guardian may see my images, and allow and take back access to them as I can."
    )
    assert said[4] == "Nobody is my guardian any more (change number 4)."
    assert said[7] == (
        "I take back the consent “Dr. Ada Lovelace may view everything until May”, at once and for good. "
        "Consents that were signed before and are not registered yet become void."
    )


# What is no meaning but plumbing: which patient (the signer knows), and the numbers that make a message work once.
_UNSAID = {"patient", "epoch", "consent_nonce"}
_OTHER_TERMS = Terms(
    patient=PATIENT,
    grantee=Grantee(b"\x0a" * 32),
    effect=Effect.DENY,
    actions=Action.SHARE,
    purposes=1 << Purpose.HPAYMT,
    window=Window(UnixTime(1), UnixTime(2)),
    studies=(StudyKey(b"\x0b" * 32),),
    epoch=9,
    consent_nonce=b"\x0c" * 32,
)
_OTHERS: list[tuple[Message, Message]] = [
    (MESSAGES[0], Claim(PATIENT, Signer(b"\x0d" * 20), UnixTime(5))),
    (MESSAGES[1], MoveVeto(PATIENT, 7, UnixTime(5))),
    (MESSAGES[2], MoveAcceptance(PATIENT, Signer(b"\x0d" * 20), 7, UnixTime(5))),
    (MESSAGES[3], GuardianChange(PATIENT, Signer(b"\x0d" * 20), UnixTime(7), 7, UnixTime(5))),
    (MESSAGES[7], Revocation(PATIENT, ConsentId(b"\x0e" * 32), UnixTime(5))),
]


@pytest.mark.parametrize(("one", "other"), _OTHERS, ids=lambda message: type(message).__name__)
def test_every_field_is_said(one: Message, other: Message) -> None:
    for field in fields(one):
        if field.name not in _UNSAID:
            change: dict[str, Any] = {field.name: getattr(other, field.name)}
            assert words_for(replace(one, **change), NO_NAMES) != words_for(one, NO_NAMES), field.name


def test_every_term_is_said() -> None:
    one = ConsentOffer(TERMS, DEADLINE)
    for field in fields(TERMS):
        if field.name not in _UNSAID:
            change: dict[str, Any] = {field.name: getattr(_OTHER_TERMS, field.name)}
            other = replace(one, terms=replace(TERMS, **change))
            assert words_for(other, NO_NAMES) != words_for(one, NO_NAMES), field.name
    assert words_for(replace(one, deadline=UnixTime(5)), NO_NAMES) != words_for(one, NO_NAMES)


def test_what_is_allowed_is_told_apart_in_every_combination() -> None:
    for effect in Effect:
        assert len({consent(effect=effect, actions=Action(actions)) for actions in range(1, 16)}) == 15
        assert len({consent(effect=effect, purposes=purposes) for purposes in range(1, ALL_PURPOSES + 1, 7)}) == 585


@pytest.mark.parametrize(
    ("given_name", "shown"),
    [
        ("Dr.  Ada\tLovelace ", "Dr. Ada Lovelace"),
        ("Ada\u202e drawkcab\u2066", "Ada drawkcab"),
        ("A\x00d\x1ba\u200b", "Ada"),
        ('“Ada” «B» "C" „D‟', "'Ada' 'B' 'C' 'D'"),
        ("line\u2028two\nthree", "line two three"),
        ("e\u0301", "é"),
        ("\ud800x\ue000\uffff", "x"),
        ("x" * 161, "x" * 159 + "…"),
        ("x" * 160, "x" * 160),
        (" \u200b ", ""),
    ],
)
def test_names_cannot_leave_their_place(given_name: str, shown: str) -> None:
    assert plain(given_name) == shown


@given(st.text(max_size=400))
def test_names_of_any_kind_make_one_printable_line(name: str) -> None:
    shown = plain(name)
    assert shown.isprintable()
    assert len(shown) <= MAX_NAME_LENGTH
    assert not set(shown) & set('"“”„‟«»\n\r')
    words = words_for(MESSAGES[5], Names(grantees={TERMS.grantee: name}))
    assert words.isprintable()
    assert words.count("“") == words.count("”") == bool(shown)
    assert words.encode()


def test_whoever_has_no_name_is_called_by_the_key() -> None:
    words = words_for(MESSAGES[5], Names(grantees={TERMS.grantee: "\u200b"}))
    assert words.startswith("I allow 0x" + "04" * 20 + " to")
    assert "0x" + "05" * 32 in words


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (0, "1 January 1970, 00:00:00 UTC"),
        (1_900_000_000, "17 March 2030, 17:46:40 UTC"),
        (253_402_300_799, "31 December 9999, 23:59:59 UTC"),
        (253_402_300_800, "second 253402300800 after the start of 1970 UTC"),
        ((1 << 48) - 1, "second 281474976710655 after the start of 1970 UTC"),
    ],
)
def test_times_in_words(at: int, said: str) -> None:
    assert moment(UnixTime(at)) == said
