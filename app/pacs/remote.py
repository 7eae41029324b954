"""The origin server as a DICOMweb archive elsewhere. Every quirk met here was seen on a real Orthanc 1.10 (docs/PACS.md
lists them).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.consent.study_date import only_date
from app.core.dicom.dicomjson import DatasetInvalidError, read_datasets
from app.core.dicom.dicomweb import Level, Matching, Representation, Retrieve, Search
from app.core.dicom.identities import FoundIdentity, StudyIdentities
from app.core.dicom.storing import FailureReason, InstanceName, Refused, Result
from app.core.identifiers import InstanceUid, SeriesUid, StudyUid
from app.pacs.bodies import BytesBody, PutBackBody, discard, read_all
from app.pacs.bulk_links import bulk_target
from app.pacs.http_client import HttpClient, HttpLimits, HttpOrigin
from app.pacs.http_connection import HttpAnswer
from app.pacs.identity import UID_TAGS, study_of, uid_of
from app.pacs.origin import (
    DicomJson,
    InstanceContent,
    ListingTraits,
    Names,
    OriginAnswer,
    OriginBody,
    OriginInvalidError,
    OriginRefusedError,
    OriginTooBroadError,
    OriginUnavailableError,
    Stretch,
    StudySubjects,
    Walked,
)
from app.pacs.remote_listing import REMOTE_LISTING, RemoteListing
from app.pacs.remote_storing import is_answered, refused_by, request_body, result_of
from app.pacs.row_identity import RowIdentities, in_doubt
from app.pacs.targets import retrieve_target, search_target
from app.pacs.tls import TlsIdentity

_DICOM_JSON = b"application/dicom+json"
_ERROR_BODY_BYTES = 64 * 1024
# What a PACS says of bulk data that it knows by another link.
_NO_SUCH_PLACE = (400, 404, 405, 501)
# What a PACS says to credentials that it does not accept.
_REFUSED = (401, 403)
_RENDERED = frozenset({Representation.RENDERED, Representation.RENDERED_FRAMES})
_BY_FRAME = frozenset({Representation.FRAMES, Representation.RENDERED_FRAMES})
_NUMBER_OF_FRAMES = "00280008"
# UIDs in one query: some 4 KB of it.
_NAMED_AT_ONCE = 60
_ANY_SYNTAX = "; transfer-syntax=*"
_NOBODY = FoundIdentity((), ())


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """``page_rows`` rows are asked for at a time; past ``rows`` in one search, or ``page_bytes`` in one page, the
    answer is refused.
    """

    page_rows: int = 200
    rows: int = 50_000
    page_bytes: int = 16 * 1024 * 1024


class RemoteOrigin:
    """An Origin over DICOMweb. ``url`` in ``origin`` is the service's root, such as ``https://host/dicom-web``."""

    def __init__(
        self,
        origin: HttpOrigin,
        limits: HttpLimits | None = None,
        search_limits: SearchLimits | None = None,
        tls: TlsIdentity | None = None,
    ) -> None:
        self._client = HttpClient(origin, limits, tls)
        self._limits = search_limits or SearchLimits()
        self._identities = RowIdentities(self._one_study, self._one_instance)
        self._in_order = RemoteListing(self.search)

    async def search(self, search: Search) -> list[DicomJson]:
        """See Origin. Pages through everything unless ``search.limit`` says how much."""
        rows: list[DicomJson] = []
        wanted = self._limits.rows + 1 if search.limit is None else search.limit
        while len(rows) < wanted:
            size = min(self._limits.page_rows, wanted - len(rows))
            page, more = await self._page(search, size, search.offset + len(rows))
            rows.extend(page)
            if len(rows) > self._limits.rows:
                raise OriginTooBroadError
            if not page or (len(page) < size and not more):
                break
        return rows[: search.limit]

    @property
    def listing(self) -> ListingTraits:
        """See Origin."""
        return REMOTE_LISTING

    async def in_order(
        self, search: Search, after: bytes | None, patient_ids: Sequence[str] | None, rows: int
    ) -> Stretch:
        """See Origin. The size of a piece is that of a span of dates."""
        del rows
        return await self._in_order.stretch(search, after, patient_ids)

    async def names_in_order(self, search: Search, after: bytes | None, rows: int) -> Names | None:
        """See Origin. An archive elsewhere sends rows, and vouches for none."""
        del search, after, rows
        return None

    async def subjects_of(self, study: StudyUid) -> StudySubjects:
        """See Origin. Asks for the study and for every one of its instances: one study may hold several issuers'
        patients.
        """
        rows = await self._study_rows(study)
        found = [FoundIdentity.of_dataset(row) for row in rows]
        if len(rows) > 1 and len(set(found)) == 1:
            found.append(_NOBODY)  # the archive tells two patients apart and its answer does not
        below = await self.search(Search(Level.INSTANCE, study=study)) if rows else []
        named = {one: set[str]() for one in found}
        for row in below:
            named.setdefault(FoundIdentity.of_dataset(row), set()).add(uid_of(row, Level.INSTANCE))
        is_plain = len(named) == 1 and all(one.names_somebody for one in named)
        odd = None if is_plain or not named else StudyIdentities({one: frozenset(uids) for one, uids in named.items()})
        return StudySubjects(frozenset(one.subject for one in named), only_date(rows), odd, len(below))

    async def walk(self, place: str, rows: int) -> Walked:
        """See Origin. Its place is how many rows were passed."""
        passed = int(place or "0")
        found = await self.search(Search(Level.STUDY, limit=rows, offset=passed))
        studies = list(dict.fromkeys(study_of(row) for row in found))
        return Walked(studies, str(passed + len(found)) if len(found) == rows else None)

    async def study_count(self) -> int | None:
        """See Origin."""
        return None

    async def retrieve(self, retrieve: Retrieve, accept: str) -> OriginAnswer:
        """See Origin. Raises ValueError for a request that cannot be put into a URL."""
        target = retrieve_target(retrieve)
        answer = await self._get(target, accept)
        if answer.status in _NO_SUCH_PLACE and retrieve.representation is Representation.BULKDATA:
            answer = await self._bulk_by_its_link(retrieve, accept, answer)
        if answer.status in (400, 500) and retrieve.representation is Representation.FRAMES and _ANY_SYNTAX in accept:
            # Orthanc cannot give big-endian frames as stored, but transcodes them when no syntax is named.
            await discard(answer, _ERROR_BODY_BYTES)
            answer = await self._get(target, accept.replace(_ANY_SYNTAX, ""))
        if answer.status == 200:
            return await self._opened(retrieve, answer)
        if answer.status == 206 and retrieve.representation in _BY_FRAME:
            # dcm4chee leaves out the frames past the last; a list that cannot be given whole is not given.
            await answer.aclose()
            return OriginAnswer(404, "", None, BytesBody())
        status = await self._refusal(answer)
        if status == 400 and retrieve.representation in _BY_FRAME and await self._past_last_frame(retrieve):
            status = 404
        return OriginAnswer(status, "", None, BytesBody())

    async def store(self, name: InstanceName, content: InstanceContent) -> Result:
        """See Origin."""
        target = f"/studies/{name.study}".encode("ascii")
        try:
            answer = await self._client.post(target, _DICOM_JSON, request_body(content))
        except OSError:
            return Refused(name, FailureReason.OUT_OF_RESOURCES)  # it could not be read back, and did not go out whole
        if is_answered(answer.status):
            return await result_of(name, answer)
        return refused_by(name, await self._refusal(answer))

    async def check(self) -> None:
        """See Origin."""
        answer = await self._get(b"/studies?limit=1", _DICOM_JSON.decode())
        status = answer.status
        await discard(answer, _ERROR_BODY_BYTES)
        if status in _REFUSED:
            raise OriginRefusedError(f"the archive refuses this gateway's credentials (it answers {status})")
        if status not in (200, 204, 206):
            raise OriginUnavailableError(f"the archive answers a search with {status}")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    # Searching

    async def _page(
        self, search: Search, size: int | None, offset: int, *, alone: bool = False
    ) -> tuple[list[DicomJson], bool]:
        """One page, and whether the archive says that it cut it short. ``alone``: it is of one study only."""
        answer = await self._get(search_target(search, size, offset), _DICOM_JSON.decode())
        character_set_named = answer.status != 400
        if not character_set_named:
            # Orthanc fails the whole search over one study with several character sets (`\\ISO 2022 IR 87`).
            await discard(answer, _ERROR_BODY_BYTES)
            answer = await self._get(search_target(search, size, offset, character_set=False), _DICOM_JSON.decode())
        more = answer.warned or answer.status == 206  # older archives say so instead of with a Warning
        rows = [_checked(row, search) for row in await self._rows(answer)]
        if not character_set_named and any(map(in_doubt, rows)):
            rows = await (self._established(rows) if alone else self._one_by_one(search, rows))
        return rows, more

    async def _one_by_one(self, search: Search, rows: list[DicomJson]) -> list[DicomJson]:
        """Each row as it is when its study is asked for alone: one study's character sets change no other's answer."""
        of_study: dict[str, dict[str, None]] = {}
        for row in rows:
            of_study.setdefault(study_of(row), {})[uid_of(row, search.level)] = None
        again: dict[tuple[str, str], list[DicomJson]] = {}
        for uids in map(list, of_study.values()):
            for at in range(0, len(uids), _NAMED_AT_ONCE):
                named = _named(search, uids[at : at + _NAMED_AT_ONCE])
                for row in (await self._page(named, None, 0, alone=True))[0]:
                    again.setdefault((study_of(row), uid_of(row, search.level)), []).append(row)
        result = []
        for row in rows:
            # Of one study there may be a row for each of its patients.
            same = again.get((study_of(row), uid_of(row, search.level)))
            result.append(same.pop(0) if same else await self._identities.established(row))
        return result

    async def _established(self, rows: list[DicomJson]) -> list[DicomJson]:
        return [await self._identities.established(row) for row in rows]

    async def _rows(self, answer: HttpAnswer) -> list[DicomJson]:
        if answer.status in (204, 404):
            await discard(answer, _ERROR_BODY_BYTES)
            return []
        if answer.status not in (200, 206):
            raise OriginInvalidError(f"the archive answers a search with {await self._refusal(answer)}")
        body = await read_all(answer, self._limits.page_bytes)
        try:
            return read_datasets(body)
        except DatasetInvalidError as error:
            raise OriginInvalidError(f"the archive's answer is {error}") from None

    async def _study_rows(self, study: StudyUid) -> list[DicomJson]:
        asked = Search(Level.STUDY, matching=(Matching(("0020000D",), study),))
        return [row for row in await self.search(asked) if study_of(row) == study]

    async def _one_study(self, study: StudyUid) -> int:
        """How many rows the archive has for a study: more than one means several patients."""
        asked = Search(Level.STUDY, matching=(Matching(("0020000D",), study),))
        answer = await self._get(search_target(asked, None, 0, character_set=False), _DICOM_JSON.decode())
        return sum(1 for row in await self._rows(answer) if study_of(_checked(row, asked)) == study)

    async def _one_instance(self, study: StudyUid) -> DicomJson | None:
        """The metadata of any one instance of the study, in the characters of its file."""
        asked = Search(Level.INSTANCE, study=study)
        answer = await self._get(search_target(asked, 1, 0, character_set=False), _DICOM_JSON.decode())
        rows = [_checked(row, asked) for row in await self._rows(answer)]
        if not rows:
            return None
        series, instance = SeriesUid(uid_of(rows[0], Level.SERIES)), InstanceUid(uid_of(rows[0], Level.INSTANCE))
        return await self._metadata_of(Retrieve(Representation.METADATA, study, series, instance))

    # Retrieving

    async def _get(self, target: bytes, accept: str) -> HttpAnswer:
        return await self._client.get(target, accept.encode("ascii"))

    async def _bulk_by_its_link(self, retrieve: Retrieve, accept: str, refused: HttpAnswer) -> HttpAnswer:
        """The archive knows the value by another link than ours: by the one in the instance's metadata."""
        metadata = await self._metadata_of(retrieve)
        target = None if metadata is None else bulk_target(retrieve, metadata)
        if target is None or target == retrieve_target(retrieve):
            return refused
        await discard(refused, _ERROR_BODY_BYTES)
        answer = await self._get(target, accept)
        if answer.status == 200 and b"application/dicom" in answer.content_type.lower():
            await answer.aclose()
            raise OriginInvalidError("DICOM files where one value was asked for")
        return answer

    async def _metadata_of(self, retrieve: Retrieve) -> DicomJson | None:
        """The data set of the instance, without what its own links lead to."""
        asked = Retrieve(Representation.METADATA, retrieve.study, retrieve.series, retrieve.instance)
        answer = await self._get(retrieve_target(asked), _DICOM_JSON.decode())
        below = Search(Level.INSTANCE, study=retrieve.study, series=retrieve.series)
        datasets = [_checked(dataset, below) for dataset in await self._rows(answer)]
        if any(uid_of(dataset, Level.INSTANCE) != retrieve.instance for dataset in datasets) or len(datasets) > 1:
            raise OriginInvalidError("the archive's metadata of one instance is not that of one data set")
        return datasets[0] if datasets else None

    async def _opened(self, retrieve: Retrieve, answer: HttpAnswer) -> OriginAnswer:
        content_type = answer.content_type.decode("latin-1")
        body: OriginBody = answer
        if retrieve.representation in _RENDERED:
            first = await answer.read()
            content_type = _image_type(first) or content_type
            body = PutBackBody(first, answer)
        return OriginAnswer(200, content_type, answer.content_length, body)

    async def _refusal(self, answer: HttpAnswer) -> int:
        """The status of an answer that is not passed on. Raises when it is the archive that is at fault."""
        status = answer.status
        await discard(answer, _ERROR_BODY_BYTES)
        if status in _REFUSED:
            raise OriginRefusedError(f"the archive refuses this gateway's credentials (it answers {status})")
        if status >= 500:
            raise OriginUnavailableError(f"the archive failed with {status}")
        if not 400 <= status < 500:
            raise OriginInvalidError(f"the archive answered with {status}, which is not followed")
        return status

    async def _past_last_frame(self, retrieve: Retrieve) -> bool:
        asked = Search(
            Level.INSTANCE,
            study=retrieve.study,
            series=retrieve.series,
            matching=(Matching(("00080018",), str(retrieve.instance)),),
            include=((_NUMBER_OF_FRAMES,),),
        )
        for row in await self.search(asked):
            if uid_of(row, Level.INSTANCE) == retrieve.instance:
                return max(retrieve.frames, default=0) > _frame_count(row)
        return True


def _checked(row: object, search: Search) -> DicomJson:
    """The row, if it names its UIDs and lies below what was searched. Raises OriginInvalidError."""
    if not isinstance(row, dict):
        raise OriginInvalidError("a row that is not a data set")
    for level in Level:
        if level <= search.level:
            uid = uid_of(row, level)
            scope = {Level.STUDY: search.study, Level.SERIES: search.series}.get(level)
            if scope is not None and uid != scope:
                raise OriginInvalidError("a row of another study or series")
    return row


def _named(search: Search, uids: list[str]) -> Search:
    """The search for just these of what it lists."""
    own = (UID_TAGS[search.level],)
    others = tuple(key for key in search.matching if key.path != own)
    return replace(search, matching=(*others, Matching(own, ",".join(uids))), limit=None, offset=0)


def _frame_count(row: DicomJson) -> int:
    try:
        return int(row[_NUMBER_OF_FRAMES]["Value"][0])
    except (KeyError, IndexError, TypeError, ValueError):
        return 1  # PS3.3 §C.7.6.6: absent for an image of one frame


def _image_type(first: bytes) -> str | None:
    """What an image is by its first bytes: Orthanc labels some JPEG as image/png."""
    if first.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if first.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if first.startswith(b"\x00\x00\x00\x0cjP  \r\n\x87\n"):
        return "image/jp2"
    return "image/gif" if first.startswith((b"GIF87a", b"GIF89a")) else None
