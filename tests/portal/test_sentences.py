"""Consents in sentences, in both languages; accesses by week as a picture and in words."""

from typing import Any

import pytest

from app.core.consent.terms import Action, Purpose
from app.core.identifiers import UnixTime
from app.portal.language import Languages
from app.portal.patient.sentences import ACTIONS, PURPOSES, SPANS, STATUS, consent_sentence, span_text
from app.portal.patient.weeks import WEEKS, weeks_of
from app.store.accesses import WEEK_S
from tools.messages import ROOMS

LANGUAGES = Languages(ROOMS)
ENGLISH, GERMAN = LANGUAGES.by_tag["en"], LANGUAGES.by_tag["de"]
TITLES = {"1.2": "CT"}
NOW = UnixTime(1_790_000_000)


def consent(**more: Any) -> dict[str, Any]:
    usual = {
        "grantee": "0x" + "1" * 40,
        "grantee_name": "Dr. A",
        "effect": "permit",
        "actions": ["search", "view"],
        "purposes": ["TREAT"],
        "scope": "all",
    }
    return usual | more


@pytest.mark.parametrize(
    ("more", "english", "german"),
    [
        (
            {},
            "Dr. A may view all images, also those still to be made, for treatment.",
            "Dr. A darf alle Bilder, auch die künftigen, ansehen. Zweck: Behandlung.",
        ),
        (
            {"actions": ["search"], "purposes": ["TREAT", "COC"]},
            "Dr. A may find all images, also those still to be made, for treatment or coordination of care.",
            "Dr. A darf alle Bilder, auch die künftigen, finden. Zweck: Behandlung oder Abstimmung der Behandlung.",
        ),
        (
            {"effect": "deny", "actions": ["search", "view", "retrieve"], "scope": {"studies": ["1.2"]}},
            (
                "Dr. A may not view or download the images of one study: CT, for treatment. This wins over anything "
                "allowed."
            ),
            (
                "Dr. A darf die Bilder einer Untersuchung (CT) nicht ansehen oder herunterladen. Zweck: Behandlung. "
                "Das gilt vor allem, was erlaubt ist."
            ),
        ),
        (
            {"scope": {"from_date": "2026-01-05", "to_date": "2026-02-01"}},
            "Dr. A may view all images dated from 5 January 2026 to 1 February 2026, for treatment.",
            "Dr. A darf alle Bilder vom 5. Januar 2026 bis zum 1. Februar 2026 ansehen. Zweck: Behandlung.",
        ),
        (
            {"scope": {"studies": ["1.2", "9.9"], "to_date": "2026-02-01"}},
            "Dr. A may view the images of 2 studies: CT and 9.9 (dated 1 February 2026 or earlier), for treatment.",
            (
                "Dr. A darf die Bilder von 2 Untersuchungen (CT und 9.9) (vom 1. Februar 2026 oder früher) ansehen. "
                "Zweck: Behandlung."
            ),
        ),
        (
            {"grantee": "0x" + "1" * 64, "scope": {"from_date": "2026-01-05"}},
            "The care team Dr. A may view all images dated 5 January 2026 or later, for treatment.",
            "Das Behandlungsteam Dr. A darf alle Bilder vom 5. Januar 2026 oder später ansehen. Zweck: Behandlung.",
        ),
    ],
)
def test_a_consent_is_a_sentence(more: dict[str, Any], english: str, german: str) -> None:
    assert consent_sentence(ENGLISH, consent(**more), TITLES) == english
    assert consent_sentence(GERMAN, consent(**more), TITLES) == german


def test_who_is_not_known_is_said_by_account_or_not_at_all() -> None:
    account = consent(grantee_name=None)
    assert account["grantee"] in consent_sentence(ENGLISH, account, {})
    team = consent(grantee_name=None, grantee="0x" + "1" * 64)
    assert consent_sentence(ENGLISH, team, {}).startswith("A care team that the directory does not know")


def test_everything_that_the_chain_can_say_has_words() -> None:
    assert PURPOSES.keys() == set(Purpose.__members__)
    assert {str(action.name).lower() for action in Action} | {"stored"} == ACTIONS.keys()
    assert STATUS.keys() == {"submitted", "mined", "active", "revoked", "expired", "failed"}
    for days, _ in SPANS:
        assert span_text(ENGLISH, days)
    assert (span_text(ENGLISH, 10), span_text(GERMAN, 2)) == ("10 days", "2 Tage")


def test_a_chart_has_a_bar_for_each_week_and_says_the_same() -> None:
    monday = UnixTime(1_789_948_800)  # 21 September 2026
    counts = {monday: 1, UnixTime(monday - 3 * WEEK_S): 1200, UnixTime(monday - WEEKS * WEEK_S): 5}
    chart = weeks_of(counts, NOW, ENGLISH)
    assert chart is not None
    assert [week.number for week in chart.bars] == [0] * 22 + [1200, 0, 0, 1], "what is older than half a year is not"
    assert chart.bars[-1].day.isoformat() == "2026-09-21"
    assert chart.bars[22].height == chart.height
    assert 0 < chart.bars[-1].height < 5, "one access among many is seen"
    assert all(week.y + week.height == chart.height for week in chart.bars)
    assert chart.text == (
        "In the last half year there were 1,201 accesses. The most in one week: 1,200, in the week of 31 August 2026."
    )
    assert weeks_of({}, NOW, ENGLISH) is None
