"""What is put into requests: paths, parameters, header fields and bytes that have broken parsers and proxies."""

SEGMENTS = [
    b"", b".", b"..", b"%2e%2e", b"%2E.", b"%2F", b"%5c", b"%00", b"%0A", b"%0d%0aX: y", b"%ff", b"%c0%af", b";x",
    b"..;", b"%252e%252e", b"\\", b"~", b"*", b"0", b"-1", b"1,2", b"1,,2", b"2,1", b"9" * 70, b"1." * 40 + b"1",
    b"01.02", b"\xd9\xa1", b"%D9%A1", b"%EF%BC%91", b"series", b"instances", b"studies", b"metadata", b"rendered",
    b"thumbnail", b"frames", b"frames/1", b"bulk", b"bulkdata", b"pixeldata", b"7fe00010", b"00100010", b"00420011",
    b"wado", b"system", b"patients", b"tools/find", b"dicom-web", b"STUDIES", b"Metadata",
]  # fmt: skip
QUERIES = [
    b"limit=-1", b"limit=1e9", b"limit=99999999999", b"limit=0", b"limit=1", b"offset=-1", b"offset=9999999",
    b"offset=%31", b"includefield=all", b"includefield=00100010", b"includefield=PatientName,all",
    b"IncludeField=all", b"fuzzymatching=1", b"fuzzymatching=true", b"PatientID=*", b"patientid=*", b"PatientID=",
    b"00100020=%2A", b"PatientID=%00", b"PatientName=*", b"PatientName=Q*", b"PatientName=%5C*", b"StudyDate=-",
    b"StudyDate=20260101-20260131", b"StudyDate=%EF%BC%91", b"00091001=1", b"00400275.00400009=*",
    b"IssuerOfPatientID=HOSP-B", b"accept=application/json", b"accept=image/png", b"accept=%2A/%2A", b"charset=utf-7",
    b"annotation=patient", b"quality=0", b"viewport=0,0", b"viewport=1,1,0,0,1,1", b"viewport=99999,99999",
    b"window=1,0,linear", b"window=nan,inf,linear", b"iccprofile=yes", b"contentType=application/dicom",
    b"frameNumber=0", b"frameNumber=2", b"rows=1", b"columns=100000", b"region=0,0,1,1", b"region=1,1,0,0",
    b"transferSyntax=*", b"anonymize=yes", b"requestType=WADO", b"requestType=wado", b"&&", b"=", b"%", b"%zz",
    b"a" * 3000, b"emptyvaluematching=true",
]  # fmt: skip
HEADERS: list[tuple[bytes, bytes]] = [
    (b"Accept", b"*/*"), (b"Accept", b"application/dicom+json"), (b"Accept", b"application/json;q=0"),
    (b"Accept", b""), (b"Accept", b"application/dicom+xml"),
    (b"Accept", b'multipart/related; type="application/octet-stream"; transfer-syntax=*'),
    (b"Accept", b"image/jpeg;q=0.5, image/*;q=0"), (b"Accept", b"image/gif"), (b"Accept", b"\xff" * 40),
    (b"Accept", b"," * 500), (b"Accept", b'multipart/related; type="'),
    (b"Accept", b"application/dicom; transfer-syntax=1.2.840.10008.1.2.5"),
    (b"Accept", b"multipart/related; type=image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90"),
    (b"Accept", b"a/b;q=1e9"), (b"Accept-Encoding", b"gzip"), (b"Accept-Encoding", b"gzip;q=0, identity;q=0"),
    (b"Accept-Encoding", b"br, deflate, *"), (b"Accept-Charset", b"utf-16"), (b"Range", b"bytes=0-1"),
    (b"Range", b"bytes=-5"), (b"Range", b"bytes=0-,1-2,5-4"), (b"Range", b"bytes=99999999999999999999-"),
    (b"Range", b"items=0-1"), (b"If-Range", b'"x"'), (b"If-None-Match", b"*"),
    (b"If-Modified-Since", b"Sat, 01 Jan 2050 00:00:00 GMT"), (b"X-Forwarded-For", b"127.0.0.1"),
    (b"X-Forwarded-Host", b"evil.example"), (b"X-Forwarded-Proto", b"https"),
    (b"Forwarded", b"for=127.0.0.1;host=evil.example"), (b"X-Original-URL", b"/dicom-web/studies"),
    (b"X-Rewrite-URL", b"/dicom-web/instances"), (b"X-HTTP-Method-Override", b"DELETE"), (b"X-HTTP-Method", b"POST"),
    (b"Origin", b"https://evil.example"), (b"Origin", b"null"), (b"Authorization", b"Bearer x"),
    (b"Authorization", b"Basic YTpi"), (b"Cookie", b"__Host-consentry=x"),
    (b"Cookie", b"a=b; __Host-consentry=" + b"A" * 43), (b"Content-Type", b"application/dicom"),
    (b"Content-Type", b'multipart/related; type="application/dicom"; boundary=""'), (b"Expect", b"100-continue"),
    (b"Expect", b"x"), (b"Connection", b"Authorization, close"), (b"Connection", b"keep-alive"), (b"Upgrade", b"h2c"),
    (b"TE", b"trailers"), (b"X-Long", b"x" * 9000),
]  # fmt: skip
METHODS = [b"GET", b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"PROPFIND", b"QUERY"]
BYTES = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"/", b"?", b"%", b"&", b"\r\n\r\n", b"\r\n ",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b.example\r\n", b"HTTP/1.0", b"HTTP/2.0",
    b"\xff", b"\xc3\xa4", b"0\r\n\r\n",
]  # fmt: skip
