"""The requests of Orthanc's public integration tests of its DICOMweb plugin, as data: what is asked, what differs here.

The names are those of its tests (Plugins/DicomWeb/Run.py of orthanc-tests); the files are others of the same kinds, by
their names in braces, with ``.s``, ``.e`` and ``.i`` for the path of their study, series and instance. Where a row has
no ``here``, whatever passes on the bare Orthanc passes through the gateway with the same content, and what the bare
Orthanc refuses, the gateway refuses.
"""

from dataclasses import dataclass

# In pydicom's wheel.
FILES = {
    "ct": "test_files/CT_small.dcm",
    "big": "test_files/MR_small_bigendian.dcm",
    "jpeg": "test_files/SC_rgb_jpeg_dcmtk.dcm",
    "many": "test_files/examples_ybr_color.dcm",
    "ecg": "test_files/waveform_ecg.dcm",
    "french": "charset_files/chrFren.dcm",
    "german": "charset_files/chrGerm.dcm",
    "greek": "charset_files/chrGreek.dcm",
    "russian": "charset_files/chrRuss.dcm",
    "hebrew": "charset_files/chrHbrw.dcm",
    "arabic": "charset_files/chrArab.dcm",
    "korean": "charset_files/chrI2.dcm",
    "gb18030": "charset_files/chrX2.dcm",
    "utf8": "charset_files/chrX1.dcm",
    "h31": "charset_files/chrH31.dcm",
    "h32": "charset_files/chrH32.dcm",
}
NATIONAL = ("french", "german", "greek", "russian", "hebrew", "arabic", "korean", "gb18030", "utf8", "h31")

JSON = "application/dicom+json"
OCTETS = "multipart/related; type=application/octet-stream"
DICOM = "multipart/related; type=application/dicom"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. ``accept`` None sends no such header. ``here``: the status through the gateway where it is not the
    bare Orthanc's success or refusal, and ``why``.
    """

    test: str
    target: str
    accept: str | None = None
    method: str = "GET"
    here: int | None = None
    why: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def _each(test: str, target: str, *accepts: str | None) -> list[Asked]:
    return [Asked(test, target, accept) for accept in accepts]


_ALL_THREE = (
    "PS3.18 §9.4.1 requires the study, the series and the object: by the object alone nobody's consent is asked"
)
_NO_PATIENT_ATTRIBUTE = "not an attribute of the standard: unknown and private ones are refused rather than ignored"
_XML_IN_PARTS = (
    "PS3.18 §8.7.3.2: native XML comes as parts, so multipart/related; type=application/dicom+xml asks for it"
)
_BELOW = "PS3.18 §10.6.1.2: a search of studies matches attributes of patients and studies, not of their instances"

_WADO = "/wado?requestType=WADO"
_CT_URI = "{ct.uri}"

REQUESTS: tuple[Asked, ...] = (
    # --- WADO-URI
    Asked("wado_dicom", "/wado"),
    Asked("wado_dicom", _WADO),
    Asked("wado_dicom", "/wado?objectUID={ct.instance}"),
    Asked("wado_dicom", f"{_WADO}&contentType=application/dicom&objectUID={{ct.instance}}", here=400, why=_ALL_THREE),
    Asked(
        "wado_dicom",
        f"{_WADO}&contentType=application/dicom&objectUID={{ct.instance}}&seriesUID={{ct.series}}",
        here=400,
        why=_ALL_THREE,
    ),
    Asked(
        "wado_dicom",
        f"{_WADO}&contentType=application/dicom&objectUID={{ct.instance}}&studyUID={{ct.study}}",
        here=400,
        why=_ALL_THREE,
    ),
    Asked("wado_dicom", f"{_WADO}&contentType=application/dicom&{_CT_URI}"),
    Asked("wado_dicom", f"{_WADO}&objectUID={{ct.instance}}&seriesUID=nope"),
    Asked("wado_dicom", f"{_WADO}&objectUID={{ct.instance}}&studyUID=nope"),
    Asked("wado_dicom", f"{_WADO}&objectUID={{ct.instance}}&seriesUID=nope&studyUID=nope"),
    Asked("wado_image", f"{_WADO}&objectUID={{ct.instance}}", here=400, why=_ALL_THREE),
    Asked("wado_image", f"{_WADO}&{_CT_URI}"),
    Asked("wado_image", f"{_WADO}&{_CT_URI}&contentType=image/png"),
    Asked("compare_wado_uri_and_rs", f"{_WADO}&{_CT_URI}&contentType=image/jpeg"),
    # --- QIDO-RS
    *_each("server_get", "/studies", "application/dicom+json", "application/json", None),
    Asked("server_get", "/studies", "application/dicom+xml", here=406, why=_XML_IN_PARTS),
    Asked("bitbucket_issue_53", "/studies?limit=1", "application/json"),
    Asked("bitbucket_issue_53", "/studies?limit=1&offset=1", "application/json"),
    Asked("bitbucket_issue_111", "/studies?StudyInstanceUID={ct.study}"),
    Asked("bitbucket_issue_112", "/studies?0020000D={ct.study}"),
    Asked("bitbucket_issue_113", "/studies?StudyInstanceUID={utf8.study}"),
    Asked("qido_fields", "/studies?0020000D={ct.study}&includefield=Rows"),
    Asked("qido_fields", "/studies?0020000D={ct.study}&Rows=129", here=400, why=_BELOW),
    Asked("qido_fields", "/studies?0020000D={ct.study}&Rows=128", here=400, why=_BELOW),
    Asked("qido_fields", "/instances?0020000D={ct.study}&Rows=129"),
    Asked("qido_fields", "/instances?0020000D={ct.study}&Rows=128"),
    Asked("qido_fields", "{ct.e}/instances?includefield=00081140"),
    *(Asked("encodings_qido", f"/studies?0020000D={{{name}.study}}") for name in NATIONAL),
    *(
        Asked("qido_parent_attributes", target)
        for target in (
            "/studies",
            "/studies?0020000D={ct.study}",
            "/series",
            "/instances",
            "{ct.s}/series",
            "{ct.e}/instances",
            "/series?0020000D={ct.study}",
            "/series?0020000D={ct.study}&includefield=00100010&includefield=00080020",
            "/instances?0020000D={ct.study}",
            "/instances?0020000E={ct.series}",
            "/instances?0020000D={ct.study}&0020000E={ct.series}",
            "/instances?0020000D={ct.study}&includefield=00100010&includefield=00080020",
        )
    ),
    Asked(
        "bitbucket_issue_168",
        "/studies?0020000D={ct.study}&includefield=00091001",
        here=400,
        why=_NO_PATIENT_ATTRIBUTE,
    ),
    Asked(
        "bitbucket_issue_168",
        "/studies?00090010=Lunit&includefield=00091001",
        here=400,
        why=_NO_PATIENT_ATTRIBUTE,
    ),
    # The name in the Russian file, which has Latin letters among its own
    Asked(
        "bitbucket_issue_56",
        "/studies?PatientName=%D0%9B%D1%8E%D0%BAce%D0%BC%D0%B1yp%D0%B3",
        "application/json",
        here=200,
        why="Orthanc 1.10 does not decode the query; the gateway does, and matches the names itself",
    ),
    Asked(
        "bitbucket_issue_56",
        "/studies?PatientName=%D0%BB%D1%8E%D0%BAce%D0%BC*",
        "application/json",
        here=200,
        why="the same, whatever the case",
    ),
    # --- Metadata
    *_each("wado_hierarchy", "{ct.i}/metadata", "application/nope", JSON, None),
    Asked("wado_hierarchy", "{ct.e}/metadata"),
    Asked("wado_hierarchy", "{ct.s}/metadata"),
    Asked("wado_hierarchy", "/studies/nope/series/{ct.series}/instances/{ct.instance}/metadata"),
    Asked("wado_hierarchy", "{ct.s}/series/nope/instances/{ct.instance}/metadata"),
    Asked("wado_hierarchy", "{ct.e}/instances/nope/metadata"),
    Asked("wado_hierarchy", "{ct.s}/series/nope/metadata"),
    Asked("wado_hierarchy", "/studies/nope/metadata"),
    Asked("bitbucket_issue_143", "{ct.e}/instances/0.0.0.0.0/metadata"),
    Asked("bitbucket_issue_143", "/studies/0.0.0.0.0/series/{ct.series}/instances/{ct.instance}/metadata"),
    Asked("bitbucket_issue_143", "{ct.s}/series/0.0.0.0.0/instances/{ct.instance}/metadata"),
    Asked("bitbucket_issue_143", "/studies/0.0.0.0.0/series/0.0.0.0.0/instances/0.0.0.0.0/metadata"),
    *(Asked("encodings_wado_metadata", f"{{{name}.s}}/metadata") for name in (*NATIONAL, "h32")),
    *_each(
        "multiple_mime_accept_wado_rs",
        "{ct.s}/metadata",
        "application/json, application/dicom+json",
        "application/json",
        "toto, application/dicom+json",
        "application/json, tata",
        "toto",
        "toto, tata",
        "multipart/related;type=application/dicom+xml",
        "application/json, application/dicom+xml",
        "application/dicom+xml, application/json",
    ),
    *_each(
        "issue_216",
        "{ct.s}/metadata",
        "image/webp, */*;q=0.8, text/html, application/xhtml+xml, application/xml;q=0.9",
        "text/html, application/xhtml+xml, application/xml, image/webp, */*;q=0.8",
        "text/html, image/gif, image/jpeg, */*; q=.2, */*; q=.2",
    ),
    Asked(
        "issue_216",
        "{ct.s}/metadata",
        "text/html, application/xhtml+xml, application/xml;q=0.9, image/webp, */*;q=0.8",
        here=200,
        why="*/* accepts what there is; Orthanc before 1.12.1 does not see that",
    ),
    *_each(
        "accept_negotiation",
        "{ct.s}/metadata",
        "multipart/related; type=application/dicom+xml",
        'multipart/related; type="application/dicom+xml"',
        'multipart/related; type="application/nope"',
        "multipart/related; type=application/dicom+xml; transfer-syntax=nope",
    ),
    *(
        Asked("forwarded_headers", "{ct.s}/metadata", headers=(header,))
        for header in (
            ("Forwarded", "host=my-domain;proto=https"),
            ("X-Forwarded-Host", "my-domain"),
        )
    ),
    # --- Bulk data
    Asked("wado_pixel_data", "{many.i}/bulk/7fe00010"),
    Asked("wado_pixel_data", "{ct.i}/bulk/7fe00010"),
    Asked("wado_hierarchy_bulk", "{ecg.i}/bulk/54000100/1/54001010"),
    Asked("wado_hierarchy_bulk", "{ecg.i}/bulk/54000100/2/54001010"),
    Asked("wado_hierarchy_bulk", "{ecg.i}/bulk/54000100/9/54001010"),
    *_each(
        "accept_negotiation",
        "{ct.i}/bulk/7fe00010",
        "multipart/nope",
        "multipart/related",
        "multipart/related;type=application/octet-stream",
        'multipart/related;   type =  "application/octet-stream"  ',
        "multipart/related;type=application/nope",
    ),
    Asked(
        "accept_negotiation",
        "{ct.i}/bulk/0010,0010",
        here=400,
        why="no link of the metadata leads there: tags are written in eight digits, and names are in the metadata",
    ),
    # --- Frames
    Asked("bitbucket_issue_96", "{ct.i}/frames/0", OCTETS),
    Asked("bitbucket_issue_96", "{ct.i}/frames/2", OCTETS),
    *_each(
        "bitbucket_issue_96",
        "{ct.i}/frames/1",
        None,
        OCTETS,
        'multipart/related; type="application/octet-stream"',
        'multipart/related; type="nope"',
        "multipart/related; type=nope",
        "nope",
    ),
    Asked("bugzilla_219", "{big.i}/frames/1", OCTETS),
    *_each(
        "frames_transcoding",
        "{jpeg.i}/frames/1",
        "multipart/related; type=image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50",
        "multipart/related; type=application/octet-stream",
        "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",
    ),
    *(
        Asked(
            "frames_transcoding",
            f"{{many.i}}/frames/{frames}",
            "multipart/related; type=image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50",
        )
        for frames in ("1", "2", "1,2", "30")
    ),
    Asked("bitbucket_issue_164", "{many.i}/frames/5", OCTETS),
    # --- Rendered
    *(Asked("rendered", f"{{ct.i}}/{what}") for what in ("frames/0/rendered", "frames/1/rendered", "rendered")),
    Asked("rendered", "{ct.i}/frames/2/rendered"),
    *(Asked("rendered", f"{{many.i}}/frames/{number}/rendered", "image/jpeg") for number in (0, 1, 30, 31)),
    *(Asked("rendered_studies_series", f"{{ct.{level}}}/rendered", "image/jpeg") for level in "sei"),
    Asked("compare_wado_uri_and_rs", "{ct.i}/frames/1/rendered?window=200,800,linear"),
    Asked("compare_wado_uri_and_rs", "{ct.i}/rendered?window=200,800,linear", "image/png"),
    # --- DICOM files
    *_each(
        "wado_transcoding",
        "{jpeg.i}",
        "nope",
        f"{DICOM}; transfer-syntax=*",
        f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.4.50",
    ),
    *_each(
        "accept_negotiation",
        "{ct.s}",
        "multipart/nope",
        None,
        "multipart/related",
        DICOM,
        'multipart/related; type="application/dicom"',
        "multipart/related; type=application/nope",
        "multipart/related; transfer-syntax=*",
        f"{DICOM}; transfer-syntax=*",
        "multipart/related; transfer-syntax=nope",
        f"{DICOM}; transfer-syntax=1.2.840.10008.1.2.1",
    ),
    # --- Methods
    Asked("allowed_methods", "/studies", method="PUT"),
    Asked("allowed_methods", "/studies", method="DELETE"),
)
