"""The words of each message: everything that is signed, in plain sentences that names cannot bend."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.consent.basis import person
from app.core.consent.terms import (
    ALL_PURPOSES,
    NO_PARENT,
    Action,
    DateSpan,
    Effect,
    Finding,
    Purpose,
    TeamPart,
    Terms,
    Window,
)
from app.core.identifiers import Address, ConsentId, EmergencyId, Grantee, PatientKey, Signer, StudyKey, UnixTime
from app.core.signing.messages import (
    Claim,
    ConsentOffer,
    ConsentOffers,
    EmergencyAccess,
    EmergencyReview,
    GuardianChange,
    Message,
    MoveAcceptance,
    MoveVeto,
    Revocation,
    TeamChange,
)
from app.core.signing.words import MAX_NAME_LENGTH, MAX_WRITTEN_LENGTH, NO_NAMES, Names, moment, plain, words_for
from tests.core_consent.test_typed_data import DEADLINE, MESSAGES, OPENING, PATIENT, TEAM, TERMS, WALLET

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


def test_an_emergency_in_words() -> None:
    told = " The patient will be told, and somebody else will review it."
    when = "from 15 January 2027, 08:00:00 UTC until 15 January 2027, 12:00:00 UTC, because: "
    named = Names(patient="Anna Example", written={OPENING.reason_hash: "unconscious,\nno “relatives”\u202e here"})
    assert words_for(EmergencyAccess(OPENING), named) == (
        f"This is an emergency. I look at the images of “Anna Example” without their consent, {when}"
        "“unconscious, no 'relatives' here”." + told
    )
    assert words_for(EmergencyAccess(OPENING), NO_NAMES) == (
        f"This is an emergency. I look at the images of the patient record 0x{PATIENT.hex()} without their consent, "
        f"{when}what has the hash 0x{'0c' * 32}." + told
    )
    longest = Names(written={OPENING.reason_hash: "x" * (MAX_WRITTEN_LENGTH + 1)})
    assert "“" + "x" * (MAX_WRITTEN_LENGTH - 1) + "…”" in words_for(EmergencyAccess(OPENING), longest)


def test_a_review_in_words() -> None:
    emergency, note = EmergencyId(b"\x0e" * 32), b"\x0f" * 32
    named = Names(emergencies={emergency: "Dr. Grace Hopper, 3 March 2026"}, written={note: "was in shock"})
    review = EmergencyReview(emergency, Finding.JUSTIFIED, note, DEADLINE)
    assert words_for(review, named) == (
        "I have reviewed the emergency “Dr. Grace Hopper, 3 March 2026”. I find that it was justified. "
        "My note: “was in shock”. This cannot be changed." + WORKS
    )
    assert words_for(replace(review, finding=Finding.NOT_JUSTIFIED, note_hash=bytes(32)), NO_NAMES) == (
        f"I have reviewed the emergency 0x{'0e' * 32}. I find that it was not justified: it opens nothing any more. "
        "This cannot be changed." + WORKS
    )


def test_a_ward_in_words() -> None:
    ward = replace(NAMED, patient="Ben Example", ward_until=UnixTime(1_900_000_000))
    end = (
        "Until 17 March 2030, 17:46:40 UTC it decides who may see the images. From then on it decides nothing: "
        "the record goes to the person." + WORKS
    )
    assert words_for(Claim(PATIENT, WALLET, DEADLINE), ward) == (
        "I take charge of this patient record as the guardian of “Ben Example”, with my key “my phone”. " + end
    )
    assert words_for(MoveAcceptance(PATIENT, WALLET, 3, DEADLINE), replace(ward, patient="")) == (
        "I take charge of this patient record as the guardian of the person whose record this is, with my key "
        "“my phone” (move number 3). The old key decides no more. " + end
    )


def test_dates_in_words() -> None:
    def scope(first: int, last: int, **change: Any) -> str:
        return consent(dates=DateSpan(first, last), studies=(), **change).split(" to find and view ", 1)[1]

    assert scope(20200229, 0).startswith(
        "all my images of studies dated 29 February 2020 or later, also those still to be made, for treatment"
    )
    assert scope(0, 20191231).startswith("all my images of studies dated 31 December 2019 or earlier, also")
    assert scope(20200101, 20201231).startswith(
        "all my images of studies dated from 1 January 2020 to 31 December 2020, both included, also"
    )
    assert scope(20201399, 0).startswith("all my images of studies dated day number 20201399 or later")
    assert scope(20200229, 0).endswith("UTC. Studies without a date are left out. I can take this back at any time.")
    assert "Studies without a date are forbidden too." in consent(
        dates=DateSpan(20200229, 0), effect=Effect.DENY, studies=TERMS.studies[:1]
    )
    assert "my images of studies dated 29 February 2020 or later, of this one study only: “CT" in consent(
        dates=DateSpan(20200229, 0), studies=TERMS.studies[:1]
    )


def test_sharing_on_in_words() -> None:
    once = consent(actions=Action.VIEW | Action.SHARE, share_depth=1)
    assert once.endswith(
        "UTC. It may be shared on to others, who may not share it on further; nobody gets more than this, "
        "and all of it ends with this. I can take this back at any time."
    )
    thrice = consent(actions=Action.VIEW | Action.SHARE, share_depth=3)
    assert "shared on to others, and those again, at most 3 times in a row; nobody gets more" in thrice
    onward = consent(parent=ConsentId(b"\x09" * 32), studies=())
    assert onward.startswith(
        "I share on what the consent “Dr. Ada Lovelace may view everything until May” gives me. "
        "I allow “Dr. Ada Lovelace, Charité” to find and view all the patient's images, "
        "also those still to be made, for"
    )
    assert onward.endswith("UTC. It ends with what it is shared from, and the patient can take it back at any time.")


def test_several_grants_in_words() -> None:
    deny = replace(TERMS, effect=Effect.DENY)
    words = words_for(ConsentOffers((TERMS, deny), DEADLINE), NAMED)
    one, two = (words_for(ConsentOffer(terms, DEADLINE), NAMED).removesuffix(WORKS) for terms in (TERMS, deny))
    assert words == f"I agree to these 2 things, all or none of them. (1) {one} (2) {two}{WORKS}"
    alone = words_for(ConsentOffers((TERMS,), DEADLINE), NAMED)
    assert alone == f"I agree to this one thing. (1) {one}{WORKS}"
    other = replace(deny, patient=PatientKey(b"\x0f" * 32))
    mixed = words_for(ConsentOffers((TERMS, other), DEADLINE), NAMED)
    assert f"(1) For the patient record 0x{'01' * 32}: I allow" in mixed
    assert f"(2) For the patient record 0x{'0f' * 32}: I forbid" in mixed


def test_changes_of_a_team_in_words() -> None:
    names = Names(grantees={TEAM: "Cardiology", person(Address(b"\x0b" * 20)): "Dr. Grace Hopper"})
    member, ended = (words_for(message, names).removesuffix(WORKS) for message in MESSAGES[10:12])
    assert member == (
        "I make “Dr. Grace Hopper” a member of the care team “Cardiology” from 15 January 2027, 08:00:00 UTC until "
        "16 August 2028, 00:53:20 UTC (change number 3). What patients allow or forbid the team then holds for them."
    )
    assert (
        ended == "From now on “Dr. Grace Hopper” is no longer a lead of the care team “Cardiology” (change number 4)."
    )
    change = MESSAGES[10]
    assert isinstance(change, TeamChange)
    lead = replace(change, part=TeamPart.LEAD)
    assert words_for(lead, names).removesuffix(WORKS).endswith("A lead says who is a member, and who leads.")


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
    dates=DateSpan(20010101, 20020202),
    parent=ConsentId(b"\x0d" * 32),
    share_depth=3,
)
_OTHERS: list[tuple[Message, Message]] = [
    (MESSAGES[0], Claim(PATIENT, Signer(b"\x0d" * 20), UnixTime(5))),
    (MESSAGES[1], MoveVeto(PATIENT, 7, UnixTime(5))),
    (MESSAGES[2], MoveAcceptance(PATIENT, Signer(b"\x0d" * 20), 7, UnixTime(5))),
    (MESSAGES[3], GuardianChange(PATIENT, Signer(b"\x0d" * 20), UnixTime(7), 7, UnixTime(5))),
    (MESSAGES[7], Revocation(PATIENT, ConsentId(b"\x0e" * 32), UnixTime(5))),
    (
        MESSAGES[10],
        TeamChange(
            Grantee(b"\x0e" * 32), Address(b"\x0d" * 20), TeamPart.LEAD, UnixTime(7), UnixTime(9), 7, UnixTime(5)
        ),
    ),
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


@given(st.data())
def test_terms_that_differ_are_said_differently(data: st.DataObject) -> None:
    """Whatever two consents differ in, but for what is plumbing, their words differ; alone and among others."""
    days = st.sampled_from([0, 20200101, 20200102, 20201399, 99999999])
    terms = st.builds(
        Terms,
        patient=st.just(PATIENT),
        grantee=st.sampled_from([TERMS.grantee, TEAM, person(Address(b"\x08" * 20))]),
        effect=st.sampled_from(Effect),
        actions=st.integers(1, 15).map(Action),
        purposes=st.integers(1, ALL_PURPOSES),
        window=st.builds(Window, st.integers(0, 3).map(UnixTime), st.integers(4, 7).map(UnixTime)),
        studies=st.sampled_from([(), TERMS.studies, TERMS.studies[:1], TERMS.studies[1:]]),
        epoch=st.just(0),
        consent_nonce=st.just(bytes(32)),
        dates=st.builds(DateSpan, days, days),
        parent=st.sampled_from([NO_PARENT, ConsentId(b"\x0d" * 32)]),
        share_depth=st.integers(0, 3),
    )
    one, other, third = data.draw(terms), data.draw(terms), data.draw(terms)
    for names in (NO_NAMES, NAMED):
        alone = [words_for(ConsentOffer(each, DEADLINE), names) for each in (one, other)]
        assert (alone[0] == alone[1]) == (one == other)
        among = [words_for(ConsentOffers((third, each), DEADLINE), names) for each in (one, other)]
        assert (among[0] == among[1]) == (one == other)


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
