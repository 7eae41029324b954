"""The request lines of the viewers that hospitals use, as they were seen, over the studies of this room."""

from dataclasses import dataclass, field, replace
from random import Random

from tests.gateway.mutations.canaries import CanaryStudy

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``query`` None: no question mark. ``headers`` without Host, Authorization and Content-Length."""

    method: bytes = b"GET"
    path: bytes = b"/"
    query: bytes | None = None
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    token: bytes | None = None
    extra: tuple[Header, ...] = field(default=())

    @property
    def target(self) -> bytes:
        return self.path if self.query is None else self.path + b"?" + self.query

    def written(self, *, last: bool = False) -> bytes:
        """The message. ``last`` asks the server to close."""
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target), b"Host: gateway.example"]
        if self.token is not None:
            lines.append(b"Authorization: Bearer " + self.token)
        lines += [b"%s: %s" % header for header in (*self.headers, *self.extra)]
        if self.body:
            lines.append(b"Content-Length: %d" % len(self.body))
        if last:
            lines.append(b"Connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body

    def by(self, token: bytes | None) -> "Request":
        return replace(self, token=token)


_JSON = ((b"Accept", b"application/dicom+json"),)
_OCTETS = ((b"Accept", b'multipart/related; type="application/octet-stream"; transfer-syntax=*'),)
_DICOM = ((b"Accept", b'multipart/related; type="application/dicom"; transfer-syntax=*'),)
_ANY = ((b"Accept", b"*/*"),)
_XML = ((b"Accept", b'multipart/related; type="application/dicom+xml"'),)
_JPEG, _PNG = ((b"Accept", b"image/jpeg"),), ((b"Accept", b"image/png"),)
# fmt: off
_TEMPLATES: tuple[tuple[str, str, tuple[Header, ...]], ...] = (
    # OHIF
    ("GET", ("/studies?limit=101&offset=0&fuzzymatching=false"
         "&includefield=00081030%2C00080060%2C00080090%2C00100030"),
     _JSON),
    ("GET", ("/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030&PatientName=*{C}*"
         "&00100020=*{P}*&ModalitiesInStudy=CT%2COT&StudyDate=20250101-20271231"),
     _JSON),
    ("GET", ("/studies?limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060"
         "&StudyInstanceUID={U}"),
     _JSON),
    ("GET", "/studies?00100020={P}&limit=101&includefield=all", _JSON),
    ("GET", "/studies/{U}/series?includefield=00080021%2C00080031%2C0008103E%2C00200011", _JSON),
    ("GET", "/studies/{U}/series/{S}/metadata", _JSON),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/frames/1", _OCTETS),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/frames/1,2",
     ((b"Accept", b'multipart/related; type="image/jls", ' + _OCTETS[0][1]),)),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/bulk/00420011", _OCTETS),
    # dicomweb-client, 3D Slicer
    ("GET", ("/studies?limit=2&offset=1&includefield=00081030&includefield=StudyDescription"
         "&ModalitiesInStudy=CT&ModalitiesInStudy=OT"),
     _JSON),
    ("GET", "/studies?fuzzymatching=true&PatientName={C}", _JSON),
    ("GET", "/series?Modality=OT&limit=5", _JSON),
    ("GET", "/instances?limit=5&includefield=all", _JSON),
    ("GET", "/studies/{U}/instances?limit=2&offset=1", _JSON),
    ("GET", "/studies/{U}/series/{S}/instances?includefield=all", _JSON),
    ("GET", "/studies/{U}", _DICOM),
    ("GET", "/studies/{U}/series/{S}", _DICOM),
    ("GET", "/studies/{U}/series/{S}/instances/{I}", _DICOM),
    ("GET", "/studies/{U}/series/{S}/instances/{I}", ((b"Accept", b"application/dicom; transfer-syntax=*"),)),
    ("GET", "/studies/{U}/metadata", _JSON),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/metadata", _JSON),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/metadata", _XML),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/frames/2", _ANY),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/frames/1",
     ((b"Accept", b'multipart/related; type="application/octet-stream"'),)),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/bulk/7fe00010", _ANY),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/rendered", _JPEG),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/frames/1/rendered?viewport=16,16&quality=50", _PNG),
    ("GET", "/studies/{U}/rendered", _JPEG),
    ("GET", "/studies/{U}/series/{S}/rendered?window=40,400,linear", _JPEG),
    # Weasis
    ("GET", "/studies?00100020={P}&00100021=HOSP-A&includefield=00080020,00080030,00080050,00080061,00081030", _JSON),
    ("GET", "/studies?0020000D={U}&includefield=all", _XML),
    ("GET", "/series?0020000E={S}&includefield=0008103E", _JSON),
    ("GET", "/instances?00080018={I}", _JSON),
    ("GET", "/studies/{U}/series/{S}/thumbnail?viewport=64%2C64", _JPEG),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/thumbnail?viewport=64%2C64", _JPEG),
    ("GET", "/studies/{U}/thumbnail", _ANY),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/frames/1/thumbnail", _ANY),
    # The rest of the standard
    ("GET", "/studies/{U}/pixeldata", _OCTETS),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/pixeldata", _ANY),
    ("GET", "/studies/{U}/series/{S}/bulkdata", _ANY),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/bulkdata/00420011",
     ((b"Accept", b"*/*"), (b"Range", b"bytes=3-40"))),
    ("GET", "/studies/{U}/series/{S}/instances/{I}/rendered?accept=image/png", ()),
    ("HEAD", "/studies/{U}/series/{S}/instances/{I}", _DICOM),
    ("OPTIONS", "/studies/{U}", ((b"Origin", b"https://viewer.example"), (b"Access-Control-Request-Method", b"GET"))),
    ("OPTIONS", "/", ((b"Accept", b"application/vnd.sun.wadl+xml"),)),
    ("POST", "/studies/{U}", ((b"Content-Type", b'multipart/related; type="application/dicom"; boundary=b'),)),
)
_WADO = (
    "requestType=WADO&studyUID={U}&seriesUID={S}&objectUID={I}",
    ("requestType=WADO&studyUID={U}&seriesUID={S}&objectUID={I}&contentType=image%2Fjpeg&rows=16"
    "&columns=16&imageQuality=50"),
    ("requestType=WADO&studyUID={U}&seriesUID={S}&objectUID={I}&contentType=application%2Fdicom"
    "&transferSyntax=1.2.840.10008.1.2.1"),
    ("requestType=WADO&studyUID={U}&seriesUID={S}&objectUID={I}&frameNumber=2&windowCenter=40"
    "&windowWidth=400&region=0,0,0.5,0.5"),
)
# fmt: on
_STORED = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL" + b"\r\n--b--\r\n"


SEEDS = len(_TEMPLATES) + len(_WADO)


def seed_request(which: int, study: CanaryStudy, rng: Random) -> Request:
    """The known request of that number, of this study, of one of its instances."""
    series, instance = rng.choice(study.instances)
    names = {"U": study.study, "S": series, "I": instance, "P": study.subject.patient_id, "C": study.code}
    if which >= len(_TEMPLATES):
        return Request(path=b"/wado", query=_WADO[which - len(_TEMPLATES)].format(**names).encode(), headers=_ANY)
    method, template, headers = _TEMPLATES[which]
    path, _, query = template.format(**names).encode().partition(b"?")
    body = _STORED if method == "POST" else b""
    return Request(method.encode(), b"/dicom-web" + path, query or None, headers, body)
