"""What every origin server does alike: the embedded archive and a real PACS answer the same questions."""

import io
from collections import defaultdict
from typing import Any

import pytest
from PIL import Image

from app.core.dicom.dicomjson import identity, rewrite_links
from app.core.dicom.dicomweb import Level, Matching, Representation, Retrieve, Search
from app.core.dicom.dicomweb_grammar import parse
from app.core.dicom.identities import Accepted
from app.core.dicom.matching import matches
from app.core.dicom.search_order import rank
from app.core.identifiers import SeriesUid, StudyUid, Subject
from app.pacs.origin import Listed, OriginTooBroadError
from tests.pacs.asking import (
    AS_STORED,
    BULK,
    DICOM_JSON,
    FRAMES_AS_STORED,
    datasets,
    each,
    fetched,
    parts_of,
    retrieval,
)
from tests.pacs.conftest import Served
from tests.support.dicom_files import read_quietly
from tests.support.differential import Held

pytestmark = pytest.mark.asyncio(loop_scope="session")

_UNKNOWN = "2.25.404"


def _uid(row: dict[str, Any], tag: str) -> str:
    return str(row[tag]["Value"][0])


def _chain(row: dict[str, Any]) -> tuple[str, str, str]:
    return _uid(row, "0020000D"), _uid(row, "0020000E"), _uid(row, "00080018")


def _by_study(served: Served) -> dict[str, list[Held]]:
    grouped = defaultdict(list)
    for file in served.collection.files:
        grouped[file.study].append(file)
    return grouped


async def test_it_answers_a_check(served):
    await served.origin.check()


async def test_it_lists_every_instance_and_no_other(served):
    rows = await served.origin.search(Search(Level.INSTANCE))
    expected = {(file.study, file.series, file.instance) for file in served.collection.served}
    assert {_chain(row) for row in rows} == expected


async def test_it_lists_every_series_and_study(served):
    series = await served.origin.search(Search(Level.SERIES))
    studies = await served.origin.search(Search(Level.STUDY))
    files = served.collection.files
    assert {(_uid(row, "0020000D"), _uid(row, "0020000E")) for row in series} == {(f.study, f.series) for f in files}
    assert {_uid(row, "0020000D") for row in studies} == {file.study for file in files}


async def test_every_row_says_whose_it_is(served):
    """In a study of several patients each has a row, which is theirs or nobody's."""
    found = defaultdict(set)
    for row in await served.origin.search(Search(Level.STUDY)):
        found[_uid(row, "0020000D")].add(identity(row).patient_id)
    for study, files in _by_study(served).items():
        expected = {file.subject.patient_id for file in files}
        assert found[study] == expected or (len(expected) > 1 and found[study] <= {*expected, ""})


async def test_a_studys_subjects_are_all_the_patients_in_its_files(served):
    studies = _by_study(served)
    found = await each(studies, lambda study: served.origin.subjects_of(StudyUid(study)))
    for files, subjects in zip(studies.values(), found, strict=True):
        assert {(s.patient_id, s.issuer if s.patient_id else "") for s in subjects.subjects} == {
            (file.subject.patient_id, file.subject.issuer) for file in files
        }


async def test_of_an_odd_study_every_identity_is_told_with_its_instances(served):
    """And of a plain one that it is one patient's."""
    studies = _by_study(served)
    found = await each(studies, lambda study: served.origin.subjects_of(StudyUid(study)))
    odd_ones = 0
    for files, answer in zip(studies.values(), found, strict=True):
        assert answer.instances == len({file.instance for file in files}) or answer.instances == len(files)
        subjects = {file.subject for file in files}
        if len(subjects) == 1 and next(iter(subjects)).patient_id:
            assert (answer.odd, answer.accepted) == (None, Accepted(next(iter(subjects))))
            continue
        odd_ones += 1
        assert answer.odd is not None
        assert answer.accepted == Accepted(None, answer.odd)
        # A PACS may have lost which of two patients' rows was whose: then they are nobody's.
        told = {instance for instances in answer.odd.instances.values() for instance in instances}
        assert told == {file.instance for file in files}
        for identity_found, instances in answer.odd.instances.items():
            for file in files:
                if file.instance in instances and identity_found.names_somebody:
                    assert file.subject == identity_found.subject
        again = await served.origin.subjects_of(StudyUid(files[0].study))
        assert again.odd is not None
        assert again.odd.fingerprint == answer.odd.fingerprint
    assert odd_ones > 5


async def test_an_unknown_study_has_no_subjects(served):
    answer = await served.origin.subjects_of(StudyUid(_UNKNOWN))
    assert (answer.subjects, answer.odd, answer.accepted) == (frozenset(), None, None)


@pytest.mark.parametrize("rows", [1, 7, 1000])
async def test_a_walk_passes_every_study(served, rows):
    expected = {file.study for file in served.collection.files}
    found: list[str] = []
    place = ""
    while True:
        piece = await served.origin.walk(place, rows)
        assert len(piece.studies) <= rows
        found += piece.studies
        if piece.place is None:
            break
        assert piece.place != place
        place = piece.place
    assert set(found) == expected
    assert await served.origin.study_count() in (None, len(expected))


async def test_searching_by_any_patient_id_finds_all_that_match(served):
    """Ids with wildcards, commas and what cannot be sent too: more may come back than matches, never less."""
    expected = defaultdict(set)
    for study, files in _by_study(served).items():
        subjects = {file.subject.patient_id for file in files}
        if len(subjects) == 1 and subjects != {""}:
            expected[subjects.pop()].add(study)

    async def studies_of(patient_id: str) -> set[str]:
        keys = (Matching(("00100020",), patient_id),)
        rows = await served.origin.search(Search(Level.STUDY, matching=keys))
        return {_uid(row, "0020000D") for row in rows if identity(row).patient_id == patient_id}

    for patient_id, found in zip(expected, await each(expected, studies_of), strict=True):
        assert expected[patient_id] <= found, patient_id


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("00100010", "*a*"),
        ("00100010", "novak*"),
        ("00080020", "20040101-20240801"),
        ("00080020", "-20040826"),
        ("00080061", "CT"),
        ("00080061", "CT,MR"),
        ("00080050", "1?"),
        ("00200010", "*"),
        ("00100040", "M"),
    ],
)
async def test_a_search_loses_nothing_that_matches(served, tag, value):
    keys = (Matching((tag,), value),)
    everything = await served.origin.search(Search(Level.STUDY, include=((tag,),)))
    found = await served.origin.search(Search(Level.STUDY, matching=keys))
    expected = {_uid(row, "0020000D") for row in everything if matches(keys, row)}
    assert expected <= {_uid(row, "0020000D") for row in found}


async def test_pages_together_are_the_whole(served):
    whole = [_chain(row) for row in await served.origin.search(Search(Level.INSTANCE))]
    paged: list[tuple[str, str, str]] = []
    while page := await served.origin.search(Search(Level.INSTANCE, limit=37, offset=len(paged))):
        paged.extend(map(_chain, page))
    assert sorted(paged) == sorted(whole)
    assert await served.origin.search(Search(Level.INSTANCE, limit=0)) == []


async def test_a_search_below_a_study_or_series_stays_there(served):
    file = served.collection.served[0]
    below_study = Search(Level.INSTANCE, study=StudyUid(file.study))
    below_series = Search(Level.INSTANCE, study=StudyUid(file.study), series=SeriesUid(file.series))
    expected = {(f.study, f.series, f.instance) for f in served.collection.served if f.study == file.study}
    assert {_chain(row) for row in await served.origin.search(below_study)} == expected
    rows = await served.origin.search(below_series)
    assert {_chain(row) for row in rows} == {chain for chain in expected if chain[1] == file.series}
    unknown = Search(Level.SERIES, study=StudyUid(_UNKNOWN))
    assert await served.origin.search(unknown) == []


async def test_an_instance_comes_back_as_it_was_stored(served):
    async def stored(file: Held) -> bytes:
        target = retrieval(Representation.DICOM, file.study, file.series, file.instance)
        status, content_type, body = await fetched(served.origin, target, AS_STORED)
        assert status == 200
        (part,) = parts_of(content_type, body)
        return part[1]

    files = _unambiguous(served)
    for file, data in zip(files, await each(files, stored), strict=True):
        assert data == file.path.read_bytes(), file.path.name


def _unambiguous(served: Served) -> list[Held]:
    """Without instances that two patients share: which of them an archive gives is its own affair."""
    owners = defaultdict(set)
    for file in served.collection.files:
        owners[file.study, file.series, file.instance].add(file.subject)
    return [f for f in served.collection.served if len(owners[f.study, f.series, f.instance]) == 1]


async def test_a_study_comes_with_all_its_instances(served):
    studies = defaultdict(set)
    for file in _unambiguous(served):
        studies[file.study].add(file.path.read_bytes())

    async def parts(study: str) -> set[bytes]:
        target = retrieval(Representation.DICOM, study)
        status, content_type, body = await fetched(served.origin, target, AS_STORED)
        assert status == 200
        return {data for _, data in parts_of(content_type, body)}

    # Of a study of several patients an archive may give nothing at all.
    held = _by_study(served)
    alone = {study for study in studies if len({file.subject for file in held[study]}) == 1}
    whole = {study for study in alone if len(studies[study]) == len(held[study])}
    assert whole
    for study, found in zip(whole, await each(whole, parts), strict=True):
        assert found == studies[study]


async def test_metadata_names_what_was_asked_for(served):
    async def of_instance(file: Held) -> None:
        target = retrieval(Representation.METADATA, file.study, file.series, file.instance)
        (dataset,) = await datasets(served.origin, target)
        assert _chain(dataset) == (file.study, file.series, file.instance)
        assert identity(dataset).patient_id == file.subject.patient_id

    await each(_unambiguous(served), of_instance)


async def test_metadata_of_a_study_holds_every_instance(served):
    file = max(served.collection.served, key=lambda f: len(_by_study(served)[f.study]))
    found = await datasets(served.origin, retrieval(Representation.METADATA, file.study))
    expected = {(f.study, f.series, f.instance) for f in served.collection.served if f.study == file.study}
    assert {_chain(dataset) for dataset in found} == expected


@pytest.mark.parametrize("representation", [Representation.DICOM, Representation.METADATA])
async def test_what_is_not_there_or_elsewhere_is_not_found(served, representation):
    files = served.collection.served
    file = files[0]
    other = next(f for f in files if f.study != file.study)
    for chain in (
        (_UNKNOWN,),
        (file.study, _UNKNOWN),
        (file.study, other.series),
        (file.study, file.series, _UNKNOWN),
        (file.study, other.series, other.instance),
        (file.study, file.series, other.instance),
        (other.study, file.series, file.instance),
    ):
        accept = AS_STORED if representation is Representation.DICOM else DICOM_JSON
        status, _, body = await fetched(served.origin, retrieval(representation, *chain), accept)
        assert (status, body) == (404, b""), chain


async def test_a_frame_past_the_last_is_not_found(served):
    file = _with_pixels(served)[0]
    for frames in ((2,), (1, 99)):
        target = retrieval(Representation.FRAMES, file.study, file.series, file.instance, frames=frames)
        status, _, _ = await fetched(served.origin, target, FRAMES_AS_STORED)
        assert status == 404


def _with_pixels(served: Served) -> list[Held]:
    """Instances of one frame of ordinary grey pixels, which everything here can show."""
    found = []
    for file in _unambiguous(served):
        dataset = read_quietly(file.path)
        plain = dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1" and dataset.get("BitsAllocated") == 16
        if plain and dataset.get("NumberOfFrames", 1) == 1 and dataset.get("SamplesPerPixel") == 1:
            found.append(file)
    return found


async def test_a_rendered_instance_is_a_picture_of_its_size(served):
    async def picture(file: Held) -> None:
        dataset = read_quietly(file.path)
        for media_type, kind in (("image/png", "PNG"), ("image/jpeg", "JPEG")):
            target = retrieval(Representation.RENDERED, file.study, file.series, file.instance)
            status, content_type, body = await fetched(served.origin, target, media_type)
            assert (status, content_type) == (200, media_type)
            image = Image.open(io.BytesIO(body))
            assert (image.format, image.size) == (kind, (dataset.Columns, dataset.Rows))

    await each(_with_pixels(served)[:8], picture)


async def test_a_rendered_frame_is_a_picture(served):
    file = _with_pixels(served)[0]
    target = retrieval(Representation.RENDERED_FRAMES, file.study, file.series, file.instance, frames=(1,))
    status, content_type, body = await fetched(served.origin, target, "image/jpeg")
    assert (status, content_type, body[:2]) == (200, "image/jpeg", b"\xff\xd8")


async def test_bulk_data_is_the_value_that_the_metadata_left_out(served):
    async def pixels(file: Held) -> None:
        target = retrieval(Representation.METADATA, file.study, file.series, file.instance)
        (dataset,) = await datasets(served.origin, target)
        link = rewrite_links(dataset, "")["7FE00010"]["BulkDataURI"]
        bulk = parse("GET", link.encode(), b"")
        assert isinstance(bulk, Retrieve)
        assert (bulk.representation, bulk.bulk_path) == (Representation.BULKDATA, ("7fe00010",))
        assert (bulk.study, bulk.series, bulk.instance) == (file.study, file.series, file.instance)
        status, content_type, body = await fetched(served.origin, bulk, BULK)
        assert status == 200
        assert parts_of(content_type, body)[0][1] == read_quietly(file.path).PixelData

    await each(_with_pixels(served)[:8], pixels)


async def test_bulk_data_that_is_not_there_is_not_found(served):
    file = _with_pixels(served)[0]
    for path in (("00990010",), ("00081140", "9", "00990010")):
        bulk = retrieval(Representation.BULKDATA, file.study, file.series, file.instance, bulk_path=path)
        assert (await fetched(served.origin, bulk, BULK))[0] == 404


async def _listing(served: Served, search: Search, patient_ids: list[str] | None = None) -> list[Listed]:
    """All of a listing, piece by piece."""
    found: list[Listed] = []
    after: bytes | None = None
    while True:
        stretch = await served.origin.in_order(search, after, patient_ids, 1)
        found.extend(stretch.listed)
        after = stretch.after
        if after is None:
            return found


def _unmixed(served: Served) -> dict[str, set[str]]:
    """PatientIDs by study, of the studies of one patient."""
    subjects = {study: {file.subject for file in files} for study, files in _by_study(served).items()}
    return {study: {subject.patient_id for subject in found} for study, found in subjects.items() if len(found) == 1}


NAMED = (
    (),
    (Matching(("00080020",), "19000101-20991231"),),
    (Matching(("00080020",), "20200101"),),
    (Matching(("00080061",), "CT,MR"),),
    (Matching(("00080061",), "C*"),),
    (Matching(("00080020",), "19000101-20991231"), Matching(("00080030",), "1200-")),
    (Matching(("00100010",), "*a*"),),
)


@pytest.mark.parametrize(
    "matching", NAMED, ids=lambda matching: "&".join(f"{key.path[0]}={key.value}" for key in matching)
)
async def test_studies_told_by_name_are_those_of_the_listing(served, matching):
    search = Search(Level.STUDY, matching=matching)
    listed = [(one.study, one.subject, one.sole) for one in await _listing(served, search)]
    for size in (1, 3):  # one by one, the rows of a study of several patients too
        after: bytes | None = None
        named: list[tuple[StudyUid, Subject, bool]] = []
        while (names := await served.origin.names_in_order(search, after, size)) is not None:
            assert len(names.listed) == names.cost <= size
            named.extend(names.listed)
            after = names.after
        assert named == listed[: len(named)]
    assert await served.origin.names_in_order(Search(Level.SERIES), None, 3) is None


@pytest.mark.parametrize("level", list(Level))
async def test_a_listing_is_in_the_order_of_searches_and_holds_every_row_once(served, level):
    if level not in served.origin.listing.whole:
        with pytest.raises(OriginTooBroadError):
            await _listing(served, Search(level))
        return
    listed = await _listing(served, Search(level))
    places = [(one.rank, one.subject) for one in listed]
    assert [place for place, _ in places] == sorted(place for place, _ in places)
    assert len(set(places)) == len(places)
    assert all(rank(level, one.read()) == one.rank and identity(one.read()) == one.subject for one in listed)
    unmixed = _unmixed(served)
    expected = {
        rank(level, row) for row in await served.origin.search(Search(level)) if _uid(row, "0020000D") in unmixed
    }
    assert {one.rank for one in listed if one.study in unmixed} == expected
    assert {one.study for one in listed} == set(_by_study(served))
    assert all(one.study in unmixed for one in listed if one.sole)


@pytest.mark.parametrize("level", list(Level))
async def test_a_listing_of_some_patients_is_theirs(served, level):
    unmixed = _unmixed(served)
    wanted = sorted({next(iter(found)) for found in unmixed.values()} - {""})[::3]
    listed = await _listing(served, Search(level), wanted)
    assert [one.rank for one in listed] == sorted(one.rank for one in listed)
    theirs = {study for study, found in unmixed.items() if found <= set(wanted)}
    assert {one.study for one in listed if one.subject.patient_id in wanted and one.study in unmixed} == theirs


_LISTED_BY = [
    ("00100010", "*a*"),
    ("00100010", "[x"),
    ("00100010", "a?*=*"),
    ("00080020", "20040101-20240801"),
    ("00080020", "20040826"),
    ("00080061", "CT,MR"),
    ("00080061", "C?"),
    ("00080050", "1*"),
    ("00080050", "1"),
    ("00100020", "?*"),
    ("00200010", "1"),
]


async def test_a_listing_holds_just_what_matches(served):
    unmixed = _unmixed(served)
    everything = await served.origin.search(Search(Level.STUDY, include=tuple({(tag,) for tag, _ in _LISTED_BY})))
    for tag, value in _LISTED_BY:
        keys = (Matching((tag,), value),)
        expected = {uid for row in everything if matches(keys, row) and (uid := _uid(row, "0020000D")) in unmixed}
        listed = await _listing(served, Search(Level.STUDY, matching=keys))
        assert {one.study for one in listed if one.study in unmixed} == expected, (tag, value)


async def test_a_listing_finds_what_has_no_value(served):
    keys = (Matching(("00080020",), '""', empty=True),)
    everything = await served.origin.search(Search(Level.STUDY))
    expected = {_uid(row, "0020000D") for row in everything if not row.get("00080020", {}).get("Value")}
    listed = await _listing(served, Search(Level.STUDY, matching=keys))
    unmixed = _unmixed(served)
    assert {one.study for one in listed if one.study in unmixed} == {one for one in expected if one in unmixed}
