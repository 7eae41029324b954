"""Request targets for a DICOMweb archive, built from parsed resources and never from what a client sent.

Orthanc does not percent-decode query strings, others do: a value is sent only in characters that mean the same either
way, and everything else becomes a wildcard. The answer is then wider than what was asked, and the gateway filters it
again.
"""

import re

from app.core.dicom.dicomweb import Level, Matching, Representation, Retrieve, Search

_PATIENT_ID = "00100020"
_PATIENT_NAME = "00100010"
# What both adapters need of every row to say whose it is, and in what character set the archive encoded it: without the
# last, Orthanc writes its rows in Latin-1 and silently drops what does not fit, so that two patients may look like one.
_CHARACTER_SET = "00080005"
_IDENTITY = (_PATIENT_ID, "00100021")

# Keys that archives answer with at least everything that matches. Others are left to the gateway's own filter: archives
# ignore them, or compare them as text where PS3.4 compares numbers.
_UID_KEYS = frozenset({"0020000D", "0020000E", "00080018"})
_CODE_KEYS = frozenset({"00080060", "00080061"})
_DATE_KEYS = frozenset({"00080020"})
_TEXT_KEYS = frozenset({_PATIENT_ID, _PATIENT_NAME, "00080050"})

_UID_LIST = re.compile(r"[0-9.]{1,64}(?:[,\\][0-9.]{1,64})*")
_CODE = re.compile(r"[A-Z0-9_]{1,16}")
_DATE_RANGE = re.compile(r"(?=.)(?:[0-9]{8})?-?(?:[0-9]{8})?")
# Sent as they are: what RFC 3986 §3.4 lets stand in a query. A comma would be taken for a list, and strict servers
# refuse a bare caret.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~*?:/@!$()")
_RENDERING_VALUE = re.compile(r"[A-Za-z0-9,.\-_]{1,128}")

_SEARCHED = {Level.STUDY: "/studies", Level.SERIES: "/series", Level.INSTANCE: "/instances"}


def search_target(search: Search, limit: int | None, offset: int, *, character_set: bool = True) -> bytes:
    """The target of a QIDO-RS request (PS3.18 §10.6).

    ``limit`` None asks for everything. ``character_set`` asks the archive to name the character set of each row.
    """
    parts = [f"includefield={tag}" for tag in (*_IDENTITY, *((_CHARACTER_SET,) if character_set else ()))]
    if search.include_all:
        parts.append("includefield=all")
    # Of an attribute in a sequence the whole sequence, for the gateway to choose from.
    named = (*search.include, *(matching.path for matching in search.matching))
    parts.extend(f"includefield={path[0]}" for path in named if path[0] not in (*_IDENTITY, _CHARACTER_SET))
    parts.extend(_matching(search))
    if limit is not None:
        parts.append(f"limit={limit}")
    if offset:
        parts.append(f"offset={offset}")
    return f"{_search_path(search)}?{'&'.join(dict.fromkeys(parts))}".encode("ascii")


def _search_path(search: Search) -> str:
    scope = ""
    if search.study is not None:
        scope = f"/studies/{search.study}"
        if search.series is not None:
            scope += f"/series/{search.series}"
    return scope + _SEARCHED[search.level]


def _matching(search: Search) -> list[str]:
    keys = [
        matching
        for matching in search.matching
        if len(matching.path) == 1 and not matching.empty and not (search.fuzzy and matching.path[0] == _PATIENT_NAME)
    ]
    return [f"{key.path[0]}={value}" for key in keys if (value := sendable(key)) is not None]


def sendable(matching: Matching) -> str | None:
    """The value in characters that every archive understands, matching at least what it matched; None to leave the key
    out.
    """
    tag, value = matching.path[0], matching.value.strip(" ")
    if tag in _UID_KEYS:
        return value.replace("\\", ",") if _UID_LIST.fullmatch(value) else None
    if tag in _CODE_KEYS:
        return value if _CODE.fullmatch(value) else None
    if tag in _DATE_KEYS:
        return value if _DATE_RANGE.fullmatch(value) else None
    if tag not in _TEXT_KEYS:
        return None
    # Orthanc drops what is not ASCII from its index: such a character may stand for nothing there, and so may a space
    # beside it, which then stands at an end.
    pattern = "".join(c if c in _PLAIN else "?" if c.isascii() else "*" for c in value)
    pattern = re.sub(r"[?*]*\*[?*]*", "*", pattern)
    return None if not pattern.strip("*") else pattern


def retrieve_target(retrieve: Retrieve) -> bytes:
    """The target of a WADO-RS request (PS3.18 §10.4). Raises ValueError for rendering values that cannot be sent."""
    path = f"/studies/{retrieve.study}"
    if retrieve.series is not None:
        path += f"/series/{retrieve.series}"
    if retrieve.instance is not None:
        path += f"/instances/{retrieve.instance}"
    path += _below(retrieve)
    if retrieve.query:
        for name, value in retrieve.query:
            if not _RENDERING_VALUE.fullmatch(name) or not _RENDERING_VALUE.fullmatch(value):
                raise ValueError("a rendering parameter that cannot be sent")
        path += "?" + "&".join(f"{name}={value}" for name, value in retrieve.query)
    return path.encode("ascii")


def _below(retrieve: Retrieve) -> str:
    frames = ",".join(map(str, retrieve.frames))
    match retrieve.representation:
        case Representation.DICOM:
            return ""
        case Representation.METADATA:
            return "/metadata"
        case Representation.FRAMES:
            return f"/frames/{frames}"
        case Representation.RENDERED:
            return "/rendered"
        case Representation.RENDERED_FRAMES:
            return f"/frames/{frames}/rendered"
        case Representation.BULKDATA:
            return f"/{retrieve.bulk_word}/" + "/".join(retrieve.bulk_path).lower()
        case _:
            raise ValueError("not asked of an archive")
