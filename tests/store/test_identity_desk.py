"""Odd identities in the database, the same on both: what was found, what was said, and what erasure leaves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import text

from app.core.dicom.identities import Accepted, FoundIdentity, StudyIdentities
from app.core.identifiers import Address, PatientKey, StudyUid, Subject
from app.core.oddities import Oddity
from app.core.rulings import StudyRuling
from app.store.engine import ConflictError, Database
from app.store.erasures import Erasures
from app.store.identity_desk import IdentityDesk
from app.store.identity_resolutions import ResolutionKind
from app.store.identity_scans import ScanState
from app.store.odd_studies import MOST_IDENTITIES, Held, SeenStudy, seen
from app.store.patients import EnrolledPatient, Patients

Opened = Callable[[str], Database]
ANNE = EnrolledPatient(PatientKey(b"1" * 32), Subject("4711", "HOSPITAL"), b"s" * 32)
BERT = EnrolledPatient(PatientKey(b"2" * 32), Subject("BERT", ""), b"t" * 32)
ALIAS = Subject("O4711", "")
DESK, OTHER = Address(b"\x0a" * 20), Address(b"\x0b" * 20)
STUDY, SECOND = StudyUid("1.2.3"), StudyUid("1.2.4")
LOOKED_AT, SINCE = b"f" * 32, b"g" * 32


@dataclass
class Gateway:
    """``now`` is what its clock says."""

    desk: IdentityDesk
    patients: Patients
    times: list[int] = field(default_factory=lambda: [1_000])


@pytest.fixture
def made(opened: Opened, url: str) -> Iterator[Callable[[], Gateway]]:
    """Gateways on one database."""
    gateways: list[Gateway] = []
    times = [1_000]

    def make() -> Gateway:
        database = opened(url)
        patients = Patients(database, clock=lambda: times[0])
        desk = IdentityDesk(database, patients, clock=lambda: times[0])
        gateways.append(Gateway(desk, patients, times))
        patients.load()
        desk.resolutions.load()
        return gateways[-1]

    yield make
    for gateway in gateways:
        gateway.patients.close()


@pytest.fixture
async def here(made: Callable[[], Gateway]) -> Gateway:
    gateway = made()
    for one in (ANNE, BERT):
        await gateway.patients.enrol(one.subject, one.key, one.salt)
    return gateway


async def test_what_is_said_counts_here_at_once_and_elsewhere_after_a_refresh(
    here: Gateway, made: Callable[[], Gateway]
) -> None:
    there = made()
    before = there.desk.resolutions.rulings
    alias = await here.desk.resolutions.alias(ALIAS, ANNE.key, "one person", DESK)
    study = await here.desk.resolutions.study(STUDY, LOOKED_AT, BERT.key, "seen on the images", DESK)
    for gateway in (here, there, made()):
        await gateway.desk.resolutions.refresh()
        rulings = gateway.desk.resolutions.rulings
        assert rulings.aliases == {ALIAS: ANNE.key}
        assert rulings.studies == {STUDY: StudyRuling(BERT.key, LOOKED_AT)}
        assert gateway.desk.ownership.of_subject(ALIAS) == ANNE
        await gateway.desk.resolutions.refresh()
        assert gateway.desk.resolutions.rulings is rulings  # a value that stays while nothing changes
    assert there.desk.resolutions.rulings is not before
    assert (alias.kind, alias.alias, alias.made_by, alias.reason) == (ResolutionKind.ALIAS, ALIAS, DESK, "one person")
    assert (study.kind, study.study, study.fingerprint) == (ResolutionKind.STUDY, STUDY, LOOKED_AT)


async def test_what_is_taken_back_never_comes_back(here: Gateway, made: Callable[[], Gateway]) -> None:
    there = made()
    one = await here.desk.resolutions.alias(ALIAS, ANNE.key, "one person", DESK)
    await there.desk.resolutions.refresh()
    stale = there.desk.resolutions._database.read(there.desk.resolutions._changed)
    here.times[0] += 5
    ended = await there.desk.resolutions.withdraw(one.resolution_id, OTHER)
    assert ended is not None
    assert (ended.withdrawn_by, ended.withdrawn_at, ended.made_by) == (OTHER, 1_005, DESK)
    there.desk.resolutions._learn(stale)
    assert there.desk.resolutions.rulings.aliases == {}
    for gateway in (there, here, made()):
        await gateway.desk.resolutions.refresh()
        assert gateway.desk.resolutions.rulings.aliases == {}
    assert await here.desk.resolutions.withdraw(one.resolution_id, DESK) is None
    assert await here.desk.resolutions.withdraw(b"nobody's", DESK) is None
    again = await here.desk.resolutions.alias(ALIAS, BERT.key, "was wrong", DESK)
    assert here.desk.resolutions.rulings.aliases == {ALIAS: BERT.key}
    listed = await here.desk.resolutions.listed(None, 10)
    assert [found.resolution_id for found in listed] == [again.resolution_id, one.resolution_id]
    assert await here.desk.resolutions.listed(None, 10, in_force=True) == [again]
    assert [found.resolution_id for found in await here.desk.resolutions.listed(None, 10, in_force=False)] == [
        one.resolution_id
    ]
    first = await here.desk.resolutions.listed(None, 1)
    assert first + await here.desk.resolutions.listed(first[-1].resolution_id, 9) == listed


async def test_what_contradicts_is_refused_and_named_by_nothing(here: Gateway, made: Callable[[], Gateway]) -> None:
    there = made()
    resolutions = there.desk.resolutions
    await here.desk.resolutions.alias(ALIAS, ANNE.key, "one person", DESK)
    await here.desk.resolutions.study(STUDY, LOOKED_AT, ANNE.key, "seen", DESK)
    with pytest.raises(ConflictError) as caught:
        await resolutions.alias(ALIAS, BERT.key, "another", DESK)
    assert ALIAS.patient_id not in f"{caught.value!r} {caught.value.__context__!r}"
    with pytest.raises(ConflictError):
        await resolutions.alias(BERT.subject, ANNE.key, "enrolled in their own name", DESK)
    with pytest.raises(ConflictError):
        await resolutions.alias(Subject("new", ""), PatientKey(b"9" * 32), "nobody enrolled", DESK)
    with pytest.raises(ConflictError):
        await resolutions.study(STUDY, LOOKED_AT, BERT.key, "the same again", DESK)
    assert await here.desk.resolutions.listed(None, 10, in_force=True) == await resolutions.listed(None, 10)


async def test_a_study_that_was_looked_at_again_has_one_word(here: Gateway, made: Callable[[], Gateway]) -> None:
    there = made()
    first = await here.desk.resolutions.study(STUDY, LOOKED_AT, ANNE.key, "seen", DESK)
    await there.desk.resolutions.study(STUDY, SINCE, BERT.key, "one more instance", OTHER)
    for gateway in (here, there, made()):
        await gateway.desk.resolutions.refresh()
        assert gateway.desk.resolutions.rulings.studies == {STUDY: StudyRuling(BERT.key, SINCE)}
    ended = await here.desk.resolutions.listed(None, 10, in_force=False)
    assert [(one.resolution_id, one.withdrawn_by) for one in ended] == [(first.resolution_id, OTHER)]


def odd(*held: tuple[FoundIdentity, int]) -> Accepted:
    instances = {found: frozenset(f"{found.text}{n}" for n in range(count)) for found, count in held}
    return Accepted(None, StudyIdentities(instances))


NOBODY = FoundIdentity((), (), blank=True)
MIXED = odd((FoundIdentity.of_subject(ANNE.subject), 2), (FoundIdentity.of_subject(ALIAS), 3))


async def test_what_was_found_is_kept_until_it_is_put_right(here: Gateway) -> None:
    studies = here.desk.studies
    await studies.note(
        [seen(STUDY, Oddity.SEVERAL_PATIENTS, MIXED, 0), seen(SECOND, Oddity.BLANK, odd((NOBODY, 4)), 0)]
    )
    here.times[0] += 60
    await studies.note([seen(STUDY, Oddity.SEVERAL_PATIENTS, MIXED, 0)])
    found = await studies.page("", 10)
    assert [(one.study, one.oddity, one.instances) for one in found] == [
        (STUDY, Oddity.SEVERAL_PATIENTS, 5),
        (SECOND, Oddity.BLANK, 4),
    ]
    assert (found[0].first_seen, found[0].last_seen, found[0].fingerprint) == (1_000, 1_060, MIXED.fingerprint)
    assert found[0].identities == (
        Held(FoundIdentity.of_subject(ANNE.subject), 2),
        Held(FoundIdentity.of_subject(ALIAS), 3),
    )
    assert found[1].identities == (Held(NOBODY, 4),)
    assert found[1].identities[0].identity.blank
    assert await studies.page("", 1) + await studies.page(STUDY, 1) == found
    assert await studies.page("", 10, Oddity.BLANK) == found[1:]
    assert await studies.not_seen_since(1_060, 10) == [SECOND]
    await studies.note([SeenStudy(STUDY, None), SeenStudy(StudyUid("not a uid\0"), Oddity.MISSING)])
    assert await studies.page("", 10) == found[1:]


async def test_a_study_of_very_many_identities_is_kept_in_part(here: Gateway) -> None:
    many = odd(*((FoundIdentity.of_subject(Subject(f"P{n:04}", "")), 1) for n in range(MOST_IDENTITIES + 5)))
    await here.desk.studies.note([seen(STUDY, Oddity.SEVERAL_PATIENTS, many, 0)])
    (found,) = await here.desk.studies.page("", 10)
    assert (len(found.identities), found.count, found.instances) == (MOST_IDENTITIES, 105, 105)
    assert not found.is_resolved(here.desk.ownership)
    assert many.fingerprint is not None
    await here.desk.resolutions.study(STUDY, many.fingerprint, ANNE.key, "a day's list", DESK)
    assert found.is_resolved(here.desk.ownership)


async def test_the_unresolved_are_counted(here: Gateway) -> None:
    desk = here.desk
    blank = odd((NOBODY, 4))
    alike = Accepted(ALIAS)
    await desk.studies.note(
        [
            seen(STUDY, Oddity.SEVERAL_PATIENTS, MIXED, 0),
            seen(SECOND, Oddity.BLANK, blank, 0),
            seen(StudyUid("1.2.5"), Oddity.DIFFERS_BY_SPELLING, alike, 7),
            seen(StudyUid("1.2.6"), Oddity.SEVERAL_PATIENTS, Accepted(None), 0),
        ]
    )
    counts = [desk.unresolved]
    await desk.recount()
    counts.append(desk.unresolved)
    one = await desk.resolutions.alias(ALIAS, ANNE.key, "one person", DESK)
    await desk.recount()
    counts.append(desk.unresolved)
    assert blank.fingerprint is not None
    await desk.resolutions.study(SECOND, SINCE, ANNE.key, "of other instances", DESK)
    await desk.recount()
    counts.append(desk.unresolved)
    await desk.resolutions.study(SECOND, blank.fingerprint, ANNE.key, "seen", DESK)
    await desk.recount()
    counts.append(desk.unresolved)
    await desk.resolutions.withdraw(one.resolution_id, DESK)
    await desk.recount()
    assert [*counts, desk.unresolved] == [None, 4, 2, 2, 1, 3]
    assert (await desk.enrolled()).like(FoundIdentity.of_subject(Subject("bert", ""))) == [BERT.subject]


async def test_one_walk_at_a_time_that_goes_on_after_a_restart(here: Gateway, made: Callable[[], Gateway]) -> None:
    assert await here.desk.scans.last() is None
    begun = await here.desk.scans.start(DESK)
    assert (begun.state, begun.place, begun.done, begun.total) == (ScanState.RUNNING, "", 0, None)
    await here.desk.scans.advance("1.2.3", 20, 3, 1, 50)
    await here.desk.scans.troubled("the archive does not answer")
    there = made()
    assert await there.desk.scans.start(OTHER) == await here.desk.scans.last()
    going = await there.desk.scans.last()
    assert going is not None
    assert (going.place, going.done, going.found, going.skipped, going.total) == ("1.2.3", 20, 3, 1, 50)
    assert (going.trouble, going.started_by) == ("the archive does not answer", DESK)
    await there.desk.scans.advance("", 5, 0, 0, 50)
    here.times[0] += 9
    await there.desk.scans.finish()
    ended = await here.desk.scans.last()
    assert ended is not None
    assert (ended.state, ended.done, ended.trouble, ended.finished_at) == (ScanState.FINISHED, 25, "", 1_009)
    anew = await here.desk.scans.start(OTHER)
    assert (anew.state, anew.done, anew.found, anew.finished_at, anew.started_by) == (
        ScanState.RUNNING, 0, 0, None, OTHER,
    )  # fmt: skip


async def test_erasure_ends_what_was_said_of_a_patient_and_leaves_no_name(
    here: Gateway, made: Callable[[], Gateway], database: Database
) -> None:
    there = made()
    await here.desk.resolutions.alias(ALIAS, ANNE.key, "named in the reason", DESK)
    await here.desk.resolutions.study(STUDY, LOOKED_AT, ANNE.key, "seen", DESK)
    kept = await here.desk.resolutions.study(SECOND, LOOKED_AT, BERT.key, "his", OTHER)
    old = await here.desk.resolutions.alias(Subject("OLD", "I"), ANNE.key, "wrong", DESK)
    await here.desk.resolutions.withdraw(old.resolution_id, DESK)
    hers = odd((NOBODY, 1))
    await here.desk.studies.note(
        [
            seen(STUDY, Oddity.BLANK, hers, 0),
            seen(StudyUid("1.9.1"), Oddity.SEVERAL_PATIENTS, MIXED, 0),
            seen(StudyUid("1.9.2"), Oddity.DIFFERS_BY_SPELLING, Accepted(Subject("OLD", "I")), 1),
            seen(SECOND, Oddity.BLANK, hers, 0),
        ]
    )
    await there.desk.resolutions.refresh()
    here.times[0] += 7
    await Erasures(database, here.patients, clock=lambda: here.times[0]).finish(ANNE.key)
    for gateway in (here, there, made()):
        await gateway.desk.resolutions.refresh()
        assert gateway.desk.resolutions.rulings.aliases == {}
        assert gateway.desk.resolutions.rulings.studies == {SECOND: StudyRuling(BERT.key, LOOKED_AT)}
    assert [one.study for one in await here.desk.studies.page("", 10)] == [SECOND]
    listed = await here.desk.resolutions.listed(None, 10)
    assert kept in listed
    assert {(one.patient, one.alias, one.study, one.reason, one.withdrawn_at is None) for one in listed} == {
        (ANNE.key, None, None, "", False),
        (BERT.key, None, SECOND, "his", True),
    }
    with database.engine.connect() as connection:
        tables = ("identity_resolution", "odd_study", "odd_identity")
        left = repr([connection.execute(text(f"SELECT * FROM {name}")).all() for name in tables])
    for name in (ANNE.subject.issuer, ANNE.subject.patient_id, "OLD", "named in the reason", STUDY + "'", "1.9."):
        assert name not in left
    with pytest.raises(ConflictError):
        await there.desk.resolutions.alias(ALIAS, ANNE.key, "erased meanwhile", DESK)
