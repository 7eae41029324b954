"""What people say of odd identities, and what it opens: a truth table, and what must never come through it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from app.core.dicom.dicomweb import Retrieve
from app.core.dicom.storing import FailureReason
from app.core.identifiers import InstanceUid, StudyUid, Subject
from app.core.record import canonical
from app.gateway.ports import Alarm, GatewayLimits
from app.pacs.origin import OriginAnswer
from app.store.erasures import Erasures
from app.store.patients import EnrolledPatient
from tests.gateway.conftest import MakeWorld
from tests.gateway.memory_origin import MemoryOrigin, Stored
from tests.gateway.people import ANNA, BERT, stored
from tests.gateway.uploading import UPLOADER, may_upload, reasons, stored_in, taken, upload
from tests.gateway.world import REGISTRAR, Reply, World

DICOM = ("Accept", 'multipart/related; type="application/dicom"; transfer-syntax=*')
OCTETS = ("Accept", 'multipart/related; type="application/octet-stream"; transfer-syntax=*')
JSON = ("Accept", "application/dicom+json")
# Nobody is enrolled under these.
XAVER = Subject("anna-1", "HOSP-A")
NO_ISSUER = Subject("ANNA-1", "")
NOBODY = Subject("", "")
NOBODY_OF_A = Subject("", "HOSP-A")
STUDY = StudyUid("1.2.70")
OTHER = StudyUid("1.2.71")
PEOPLE = {
    "anna": ANNA,
    "bert": BERT,
    "xaver": XAVER,
    "no issuer": NO_ISSUER,
    "nobody": NOBODY,
    "nobody of a": NOBODY_OF_A,
}

# What the study holds × what was said × whether the physician, whom Anna lets in and Bert does not, sees it.
# "x=anna": xaver and no issuer are Anna. "study=anna": the study, as it is now, is Anna's.
TRUTH: list[tuple[str, dict[str, bool]]] = [
    # the columns: nothing, x=anna, x=bert, study=anna, study=bert, x=anna and study=bert, x=bert and study=anna
    ("anna", dict(zip("0aAsSbB", (True, True, True, True, True, True, True), strict=True))),
    ("bert", dict(zip("0aAsSbB", (False, False, False, False, False, False, False), strict=True))),
    ("xaver", dict(zip("0aAsSbB", (False, True, False, True, False, False, True), strict=True))),
    ("no issuer", dict(zip("0aAsSbB", (False, True, False, True, False, False, True), strict=True))),
    ("nobody", dict(zip("0aAsSbB", (False, False, False, True, False, False, True), strict=True))),
    ("nobody of a", dict(zip("0aAsSbB", (False, False, False, True, False, False, True), strict=True))),
    ("anna, bert", dict(zip("0aAsSbB", (False, False, False, True, False, False, True), strict=True))),
    ("anna, xaver", dict(zip("0aAsSbB", (False, True, False, True, False, False, True), strict=True))),
    ("bert, xaver", dict(zip("0aAsSbB", (False, False, False, True, False, False, True), strict=True))),
    ("no issuer, xaver", dict(zip("0aAsSbB", (False, True, False, True, False, False, True), strict=True))),
    ("anna, nobody", dict(zip("0aAsSbB", (False, False, False, True, False, False, True), strict=True))),
    ("xaver, nobody", dict(zip("0aAsSbB", (False, False, False, True, False, False, True), strict=True))),
    ("nobody, nobody of a", dict(zip("0aAsSbB", (False, False, False, True, False, False, True), strict=True))),
    ("anna, bert, nobody", dict(zip("0aAsSbB", (False, False, False, True, False, False, True), strict=True))),
]
_SAID = {"0": (None, None), "a": ("anna", None), "A": ("bert", None), "s": (None, "anna"), "S": (None, "bert")}
_SAID |= {"b": ("anna", "bert"), "B": ("bert", "anna")}


def holding(words: str, *more: Stored) -> MemoryOrigin:
    """An archive with one odd study, two instances of each identity, and one plain study of Anna's."""
    people = [PEOPLE[word] for word in words.split(", ")]
    files = [
        stored(subject, STUDY, series, instance, canary=f"canary-{series}-{instance}")
        for series, subject in enumerate(people, 1)
        for instance in (1, 2)
    ]
    return MemoryOrigin([*files, stored(ANNA, OTHER, 9, 9, canary="canary-plain", date="20200101"), *more])


async def let_in(world: World) -> tuple[EnrolledPatient, EnrolledPatient]:
    """Anna and Bert are enrolled; the physician may see what is Anna's."""
    anna, bert = await world.enrol(ANNA), await world.enrol(BERT)
    world.grant(anna)
    return anna, bert


def requests(origin: MemoryOrigin) -> list[tuple[str, tuple[str, str]]]:
    one = next(file for file in origin.stored if file.study == STUDY)
    series = f"/studies/{STUDY}/series/{one.series}"
    instance = f"{series}/instances/{one.instance}"
    return [
        (f"/studies/{STUDY}", DICOM),
        (f"/studies/{STUDY}/metadata", JSON),
        (f"/studies/{STUDY}/series", JSON),
        (f"/studies/{STUDY}/instances", JSON),
        (series, DICOM),
        (f"{series}/metadata", JSON),
        (instance, DICOM),
        (f"{instance}/frames/1", OCTETS),
        (f"{instance}/rendered", ("Accept", "image/jpeg")),
    ]


def listed(reply: Reply) -> list[str]:
    assert reply.status == 200
    return [row["0020000D"]["Value"][0] for row in reply.json()]


async def assert_is_seen(world: World, origin: MemoryOrigin, anna: EnrolledPatient, *, seen: bool) -> None:
    token = await world.token()
    missing = await world.ask("/studies/1.2.404/metadata", token)
    # Twice: from memory too.
    for target, accept in requests(origin) * 2:
        before = len(world.journal.records)
        reply = await world.ask(target, token, accept)
        if seen:
            assert (reply.status, reply.complete) == (200, True), target
            assert [record.patient for record in world.journal.records[before:]] == [anna.key]
        else:
            assert (reply.status, reply.body, reply.headers) == (404, missing.body, missing.headers), target
    for target in ("/studies", "/studies?StudyDate=20260101", f"/studies?StudyInstanceUID={STUDY}", "/series"):
        found = set(listed(await world.ask(target, token)))
        assert (STUDY in found) == seen, target
    if seen:
        whole = await world.ask(f"/studies/{STUDY}", token, DICOM)
        for file in origin.stored:
            assert (file.canary.encode() in whole.body) == (file.study == STUDY)
    assert world.alarms == []


@pytest.mark.parametrize("said", _SAID)
@pytest.mark.parametrize(("words", "verdicts"), TRUTH, ids=[words for words, _ in TRUTH])
async def test_truth_table(make_world: MakeWorld, words: str, verdicts: dict[str, bool], said: str) -> None:
    origin = holding(words)
    world = await make_world(origin)
    people = dict(zip(("anna", "bert"), await let_in(world), strict=True))
    aliased, ruled = _SAID[said]
    if aliased is not None:
        for subject in (XAVER, NO_ISSUER):
            await world.alias(subject, people[aliased])
    if ruled is not None:
        await world.resolve(STUDY, people[ruled])
    await assert_is_seen(world, origin, people["anna"], seen=verdicts[said])


async def test_the_other_patient_sees_what_is_theirs_now_and_not_by_the_name_in_it(make_world: MakeWorld) -> None:
    origin = holding("anna, bert")
    world = await make_world(origin)
    anna, bert = await let_in(world)
    await world.resolve(STUDY, bert)
    world.grant(bert)
    token = await world.token()
    before = len(world.journal.records)
    assert (await world.ask(f"/studies/{STUDY}", token, DICOM)).status == 200
    assert [record.patient for record in world.journal.records[before:]] == [bert.key]
    assert anna.key != bert.key
    assert ANNA.patient_id.encode() not in b"".join(canonical(record) for record in world.journal.records)


Change = Callable[[World, MemoryOrigin, dict[str, bytes], EnrolledPatient], Awaitable[None]]


async def _withdraw(world: World, _origin: MemoryOrigin, made: dict[str, bytes], _anna: EnrolledPatient) -> None:
    for identity in made.values():
        assert await world.desk.resolutions.withdraw(identity, REGISTRAR) is not None


async def _erase(world: World, _origin: MemoryOrigin, _made: dict[str, bytes], anna: EnrolledPatient) -> None:
    await Erasures(world.database, world.patients).finish(anna.key)


def _adds(subject: Subject) -> Change:
    async def change(_world: World, origin: MemoryOrigin, _made: dict[str, bytes], _anna: EnrolledPatient) -> None:
        origin.stored.append(stored(subject, STUDY, 7, 7, canary="canary-foreign"))

    return change


async def _takes_away(_world: World, origin: MemoryOrigin, _made: dict[str, bytes], _anna: EnrolledPatient) -> None:
    del origin.stored[0]


async def _swaps(_world: World, origin: MemoryOrigin, _made: dict[str, bytes], _anna: EnrolledPatient) -> None:
    """As many instances as before."""
    one = origin.stored[0]
    origin.stored[0] = replace(one, instance=f"{one.instance}.99", canary="canary-foreign")  # type: ignore[arg-type]


CHANGES: list[tuple[str, str, Change, bool]] = [
    # what the study holds, what happens after it was said to be Anna's, whether it is still seen
    ("withdrawn", "anna, bert", _withdraw, False),
    ("withdrawn, blank", "nobody", _withdraw, False),
    ("erased", "nobody", _erase, False),
    ("a third patient", "anna, bert", _adds(XAVER), False),
    ("a blank beside names", "anna, bert", _adds(NOBODY), False),
    ("a name beside blanks", "nobody", _adds(BERT), False),
    ("her own beside blanks", "nobody", _adds(ANNA), False),
    ("one more blank", "nobody", _adds(NOBODY), False),
    ("one blank less", "nobody", _takes_away, False),
    ("one blank for another", "nobody", _swaps, False),
    ("one more of a name that was looked at", "anna, bert", _adds(ANNA), True),
    ("one less of a name that was looked at", "anna, bert", _takes_away, True),
    ("her issuer, blank", "nobody of a", _adds(NOBODY), False),
]


@pytest.mark.parametrize(("words", "change", "seen"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
async def test_p11_it_holds_only_for_what_was_looked_at(
    make_world: MakeWorld,
    words: str,
    change: Change,
    *,
    seen: bool,
) -> None:
    origin = holding(words)
    now = [1_000.0]
    world = await make_world(origin)
    world.monotonic = lambda: now[0]
    anna, _ = await let_in(world)
    made = {"study": await world.resolve(STUDY, anna)}
    token = await world.token()
    targets = requests(origin)
    for target, accept in targets:
        assert (await world.ask(target, token, accept)).status == 200, target
    await change(world, origin, made, anna)
    # At once: what is remembered of an odd study never shows an instance that was not looked at.
    fresh = [one for one in origin.stored if one.canary == "canary-foreign"]
    paths = [f"/studies/{STUDY}/series/{one.series}/instances/{one.instance}" for one in fresh]
    first = [(f"{path}/frames/1", OCTETS) for path in paths]
    first += [(f"{path}/rendered", ("Accept", "image/jpeg")) for path in paths] + [(path, DICOM) for path in paths]
    for target, accept in [*first, *targets]:
        reply = await world.ask(target, token, accept)
        assert seen or b"canary-foreign" not in reply.body, target
    now[0] += 3_700
    origin.calls.clear()
    await assert_is_seen_or_gone(world, targets, token, seen=seen)


async def assert_is_seen_or_gone(
    world: World, targets: list[tuple[str, tuple[str, str]]], token: str, *, seen: bool
) -> None:
    statuses = {target: (await world.ask(target, token, accept)).status for target, accept in targets}
    if seen:
        assert 200 in statuses.values()
        assert statuses[f"/studies/{STUDY}"] == 200
    else:
        assert set(statuses.values()) == {404}
    found = listed(await world.ask("/studies", token))
    assert (STUDY in found) == seen


@pytest.mark.parametrize("words", ["nobody", "anna, bert", "nobody of a", "xaver, nobody"])
async def test_p11_a_part_of_somebody_else_is_refused_while_it_passes(make_world: MakeWorld, words: str) -> None:
    """The archive answers with a file that was not there when it was asked whose the study is."""
    origin = holding(words)
    world = await make_world(origin)
    anna, _ = await let_in(world)
    await world.resolve(STUDY, anna)
    token = await world.token()
    one = origin.stored[0]
    for subject, instance in [
        (Subject("CARL", ""), one.instance),
        (NOBODY, InstanceUid("1.2.3.4.5")),
        (BERT, InstanceUid("1.2.3.4.6")),
    ]:
        if words == "anna, bert" and subject == BERT:
            continue
        foreign = replace(one, subject=subject, instance=instance, canary="canary-foreign")

        def swapped(retrieve: Retrieve, answer: OriginAnswer, foreign: Stored = foreign) -> OriginAnswer:
            sound, origin.stored = origin.stored, [foreign]
            try:
                return origin._answer(replace(retrieve, instance=None), "application/dicom")
            finally:
                origin.stored = sound

        origin.answer_with = swapped
        world.alarms.clear()
        for target, accept in [(f"/studies/{STUDY}", DICOM), (f"/studies/{STUDY}/metadata", JSON)]:
            reply = await world.ask(target, token, accept)
            assert (reply.status, reply.problem) == (502, "upstream-invalid")
            assert b"canary-foreign" not in reply.body
        assert world.alarms == [Alarm.WRONG_PATIENT, Alarm.UPSTREAM_INVALID] * 2


async def test_p04_an_answer_that_runs_is_cut_when_it_is_withdrawn(make_world: MakeWorld) -> None:
    origin = holding("nobody")
    origin.piece_bytes = 50
    world = await make_world(origin)
    anna, _ = await let_in(world)
    made = await world.resolve(STUDY, anna)
    token = await world.token()
    whole = await world.ask(f"/studies/{STUDY}", token, DICOM)
    at_s = world.now()
    world.now = lambda: at_s  # neither the chain nor the clock changes: the withdrawal alone must do it

    async def withdraw() -> None:
        await world.desk.resolutions.withdraw(made, REGISTRAR)

    pieces = 0

    def on_piece(_body: bytes) -> Awaitable[None] | None:
        nonlocal pieces
        pieces += 1
        return withdraw() if pieces == 2 else None

    reply = await world.ask(f"/studies/{STUDY}", token, DICOM, on_piece=on_piece)
    assert reply.status == 200
    assert not reply.complete
    assert len(reply.body) < len(whole.body)
    assert (await world.ask(f"/studies/{STUDY}", token, DICOM)).status == 404


async def test_who_is_enrolled_in_their_own_name_is_nobody_elses_alias(make_world: MakeWorld) -> None:
    origin = holding("xaver")
    world = await make_world(origin)
    anna, _ = await let_in(world)
    await world.alias(XAVER, anna)
    await assert_is_seen(world, origin, anna, seen=True)
    await world.enrol(XAVER)
    await assert_is_seen(world, origin, anna, seen=False)


async def test_every_denial_asks_the_archive_once_whatever_was_said(make_world: MakeWorld) -> None:
    for words in ("xaver", "nobody", "anna, bert", "anna, xaver"):
        origin = holding(words)
        world = await make_world(origin)
        _, bert = await let_in(world)
        await world.alias(XAVER, bert)
        await world.resolve(STUDY, bert)
        token = await world.token()
        for study in (STUDY, "1.2.404"):
            for below in ("", "/series/1.2.70.1", "/series/1.2.70.1/instances/1.2.70.1.1"):
                for _ in range(3):
                    origin.calls.clear()
                    reply = await world.ask(f"/studies/{study}{below}", token, DICOM)
                    assert (reply.status, origin.calls) == (404, [f"subjects {study}"])


async def test_a_permitted_instance_of_an_odd_study_costs_no_question(make_world: MakeWorld) -> None:
    origin = holding("nobody")
    world = await make_world(origin)
    anna, _ = await let_in(world)
    await world.resolve(STUDY, anna)
    token = await world.token()
    target = requests(origin)[7][0]
    for expected in (3, 1):
        origin.calls.clear()
        assert (await world.ask(target, token, OCTETS)).status == 200
        assert len(origin.calls) == expected


async def test_searches_count_what_was_resolved_for_the_patient(make_world: MakeWorld) -> None:
    """NumberOfPatientRelatedStudies and the Warning, under all of a patient's names."""
    more = [stored(XAVER, "1.2.80", date="20250505"), stored(NOBODY, "1.2.81", date="20250506")]
    origin = holding("anna, bert", *more)
    world = await make_world(origin)
    anna, _ = await let_in(world)
    await world.alias(XAVER, anna)
    for study in (STUDY, StudyUid("1.2.81")):
        await world.resolve(study, anna)
    token = await world.token()
    reply = await world.ask("/studies?includefield=00201200", token)
    assert listed(reply) == [STUDY, STUDY, "1.2.81", "1.2.80", OTHER]
    assert {row["00201200"]["Value"][0] for row in reply.json()} == {4}
    assert len(reply.record_ids) == 1
    first = await world.ask("/studies?limit=3", token)
    assert listed(first) == [STUDY, STUDY, "1.2.81"]
    assert "2 additional results" in str(first.header("warning"))
    assert listed(await world.ask("/studies?limit=3&offset=3", token)) == ["1.2.80", OTHER]
    assert listed(await world.ask("/studies?PatientID=ANNA-1", token)) == [STUDY, OTHER]
    assert listed(await world.ask("/studies?PatientID=BERT-2", token)) == [STUDY]
    assert listed(await world.ask("/studies?PatientID=anna-1", token)) == ["1.2.80"]


async def test_uploads_of_an_alias_are_the_patients_and_never_make_a_study_odd(make_world: MakeWorld) -> None:
    origin = holding("nobody", stored(XAVER, "1.2.80"))
    world = await make_world(origin)
    anna, bert = await let_in(world)
    may_upload(world)
    token = await world.token(UPLOADER)
    fresh = taken(XAVER, "1.2.81")
    refused = await upload(world, token, fresh.part10())
    assert reasons(refused) == {fresh.instance: FailureReason.NOT_AUTHORIZED}
    await world.alias(XAVER, anna)
    await world.resolve(STUDY, anna)
    beside = taken(XAVER, "1.2.80")
    reply = await upload(world, token, fresh.part10(), beside.part10())
    assert sorted(stored_in(reply)) == sorted([fresh.instance, beside.instance])
    assert {record.patient for record in world.journal.records} == {anna.key}
    # Into the odd study that was said to be hers, under her own name or none; under another name into one of hers.
    own, blank, other = taken(ANNA, STUDY), taken(NOBODY, STUDY, 2), taken(XAVER, OTHER)
    reply = await upload(world, token, own.part10(), blank.part10(), other.part10())
    assert reasons(reply) == dict.fromkeys((own.instance, blank.instance, other.instance), FailureReason.NOT_AUTHORIZED)
    # One study was said to be somebody else's than its name.
    await world.resolve(StudyUid("1.2.80"), bert)
    late = taken(XAVER, "1.2.80", 5)
    assert reasons(await upload(world, token, late.part10())) == {late.instance: FailureReason.NOT_AUTHORIZED}


async def test_odd_studies_that_come_by_are_noticed(make_world: MakeWorld) -> None:
    origin = holding("anna, bert")
    world = await make_world(origin, GatewayLimits(denial_step_s=0))
    await let_in(world)
    token = await world.token()
    for study in (STUDY, OTHER, "1.2.404"):
        await world.ask(f"/studies/{study}/metadata", token)
    noticed = world.noticed.take()
    assert [(one.study, one.oddity and one.oddity.value) for one in noticed] == [(STUDY, "several-patients")]
    assert [(held.identity.subject, held.instances) for held in noticed[0].identities] == [(ANNA, 2), (BERT, 2)]
    assert world.noticed.take() == []
