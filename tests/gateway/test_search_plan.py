"""How a search is put to the archive, as a table of what either way would cost."""

from dataclasses import replace

import pytest

from app.core.dicom.dicomweb import Level, Matching, Search
from app.core.identifiers import Subject
from app.gateway.search_plan import Way, plan, wanted
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.origin import ListingTraits
from app.pacs.remote_listing import REMOTE_LISTING

ANY = Search(Level.STUDY)
PATIENT = Search(Level.STUDY, matching=(Matching(("00100020",), "P1"),))
WILD = Search(Level.STUDY, matching=(Matching(("00100020",), "P*"),))
NAMED = Search(Level.STUDY, matching=(Matching(("0020000D",), "1.2,1.3"),))
EMPTY = Search(Level.STUDY, matching=(Matching(("0020000D",), '""', empty=True),))
SERIES = Search(Level.SERIES)
EMBEDDED = ArchiveOrigin.listing.fget(None)  # type: ignore[attr-defined]

COSTS = [
    # search, patients naming the caller, rows wanted, share of rows visible so far → way, number told, else
    (REMOTE_LISTING, ANY, 0, 101, 1.0, Way.BY_PATIENT, True, Way.TOO_BROAD),
    (REMOTE_LISTING, ANY, 3, 101, 1.0, Way.BY_PATIENT, True, Way.TOO_BROAD),
    (REMOTE_LISTING, ANY, 200, 101, 1.0, Way.BY_PATIENT, True, Way.TOO_BROAD),
    (REMOTE_LISTING, ANY, 201, 101, 1.0, Way.WHOLE, False, Way.BY_PATIENT),
    (REMOTE_LISTING, ANY, 1_000, 101, 0.001, Way.WHOLE, False, Way.BY_PATIENT),
    (REMOTE_LISTING, ANY, 1_000, 101, 0.0001, Way.BY_PATIENT, False, Way.TOO_BROAD),
    (REMOTE_LISTING, ANY, 2_000, 500_000, 1.0, Way.BY_PATIENT, False, Way.TOO_BROAD),
    (REMOTE_LISTING, ANY, 2_001, 500_000, 0.0001, Way.WHOLE, False, Way.TOO_BROAD),
    (REMOTE_LISTING, ANY, 900_000, 101, 0.9, Way.WHOLE, False, Way.TOO_BROAD),
    (REMOTE_LISTING, WILD, 900_000, 101, 0.9, Way.WHOLE, False, Way.TOO_BROAD),
    (REMOTE_LISTING, EMPTY, 900_000, 101, 0.9, Way.WHOLE, False, Way.TOO_BROAD),
    (REMOTE_LISTING, PATIENT, 3, 101, 1.0, Way.BY_PATIENT, True, Way.TOO_BROAD),
    (REMOTE_LISTING, PATIENT, 900_000, 101, 0.9, Way.NAMED, True, Way.TOO_BROAD),
    (REMOTE_LISTING, NAMED, 3, 101, 1.0, Way.NAMED, True, Way.TOO_BROAD),
    (REMOTE_LISTING, NAMED, 900_000, 101, 1.0, Way.NAMED, True, Way.TOO_BROAD),
    (REMOTE_LISTING, SERIES, 2_000, 101, 1.0, Way.BY_PATIENT, False, Way.TOO_BROAD),
    (REMOTE_LISTING, SERIES, 2_001, 101, 1.0, Way.TOO_BROAD, False, Way.TOO_BROAD),
    (EMBEDDED, ANY, 1_000, 101, 1.0, Way.WHOLE, False, Way.BY_PATIENT),
    (EMBEDDED, ANY, 1_000, 101, 0.001, Way.BY_PATIENT, False, Way.TOO_BROAD),
    (EMBEDDED, ANY, 20_001, 101, 0.02, Way.WHOLE, False, Way.TOO_BROAD),
    (EMBEDDED, SERIES, 900_000, 101, 0.9, Way.WHOLE, False, Way.TOO_BROAD),
]


@pytest.mark.parametrize("row", COSTS)
def test_the_cheaper_way_is_taken(row: tuple[ListingTraits, Search, int, int, float, Way, bool, Way]) -> None:
    traits, search, named, need, share, way, counted, otherwise = row
    found = plan(search, named, need, share, traits, counted_patients=200)
    assert (found.way, found.counted, found.otherwise) == (way, counted, otherwise)


def test_going_through_costs_no_more_than_the_other_way_before_it_is_given_up() -> None:
    """So that many hidden studies at most double what the cheaper way costs."""
    found = plan(ANY, 1_000, 101, 1.0, REMOTE_LISTING, counted_patients=200)
    assert found.most_rows == min(REMOTE_LISTING.rows, 1_000 * REMOTE_LISTING.rows_at_once)
    assert plan(ANY, 2_001, 101, 1.0, REMOTE_LISTING, counted_patients=200).most_rows == REMOTE_LISTING.rows


def test_whether_the_number_is_told_does_not_depend_on_what_the_archive_holds() -> None:
    for named in (0, 3, 200, 201, 5_000, 900_000):
        told = {
            plan(ANY, named, 101, share, traits, counted_patients=200).counted
            for share in (1.0, 0.5, 1e-6)
            for traits in (REMOTE_LISTING, EMBEDDED, replace(REMOTE_LISTING, rows=1))
        }
        assert told == {named <= 200}


def test_only_the_patients_that_the_search_may_find_are_asked_for() -> None:
    subjects = [Subject("P1", ""), Subject("P1", "A"), Subject("P2", "A"), Subject("Q1", "B")]
    issuer = Search(Level.STUDY, matching=(Matching(("00100021",), "A"),))
    assert [wanted(search, subjects) for search in (ANY, PATIENT, WILD, issuer)] == [
        ["P1", "P2", "Q1"],
        ["P1"],
        ["P1", "P2"],
        ["P1", "P2"],
    ]
