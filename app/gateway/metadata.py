"""Metadata (PS3.18 §10.4.1.1.2): read whole within a bound, checked data set by data set, its links made ours."""

import asyncio
from collections.abc import AsyncIterator

from app.core.dicom.dataset_writing import DatasetWriting
from app.core.dicom.dicomjson import DicomJson, check_uids, each_dataset, rewrite_links
from app.core.dicom.dicomweb import Retrieve
from app.core.dicom.identities import Accepted
from app.core.dicom.links import path_of
from app.core.identifiers import InstanceUid, SeriesUid
from app.gateway.ports import Alarm, Wiring
from app.gateway.resolution import Resolution, text_of
from app.pacs.bodies import read_all
from app.pacs.origin import OriginBody, OriginInvalidError

_SERIES_UID = "0020000E"
_INSTANCE_UID = "00080018"
# Data sets handled before others get their turn: some milliseconds of work.
_AT_A_TIME = 16


class Metadata:
    """Turns the archive's metadata into ours."""

    def __init__(self, wiring: Wiring, resolution: Resolution) -> None:
        self._wiring = wiring
        self._resolution = resolution

    async def read(self, asked: Retrieve, accepted: Accepted, body: OriginBody, writing: DatasetWriting) -> bytes:
        """The answer, b"" for nothing. Raises OriginInvalidError and DatasetInvalidError for what may not pass.

        Every data set must name what was asked for, and the patient that the decision was made on.
        """
        base, public_url = path_of(asked), self._wiring.public_url
        shown = [
            writing.one(rewrite_links(dataset, public_url, base))
            async for dataset in self.datasets(asked, accepted, body)
        ]
        return writing.whole(shown) if shown else b""

    async def datasets(self, asked: Retrieve, accepted: Accepted, body: OriginBody) -> AsyncIterator[DicomJson]:
        """Each data set as the archive gave it, once it was found to be what was asked for. Raises as ``read`` does."""
        whole = await read_all(body, self._wiring.limits.metadata_bytes)
        for number, dataset in enumerate(each_dataset(whole)):
            if number % _AT_A_TIME == _AT_A_TIME - 1:
                await asyncio.sleep(0)
            check_uids(dataset, asked.study, asked.series, asked.instance)
            if not accepted.takes_dataset(dataset):
                self._wiring.alarm(Alarm.WRONG_PATIENT)
                raise OriginInvalidError("metadata of another patient")
            self._learn(asked, dataset)
            yield dataset

    def _learn(self, asked: Retrieve, dataset: DicomJson) -> None:
        """Viewers read the metadata of a series and then ask for its instances one by one."""
        series, instance = text_of(dataset, _SERIES_UID), text_of(dataset, _INSTANCE_UID)
        if series is not None:
            self._resolution.learn_member(asked.study, SeriesUid(series), None)
            if instance is not None:
                self._resolution.learn_member(asked.study, SeriesUid(series), InstanceUid(instance))
