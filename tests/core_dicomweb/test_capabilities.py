"""The Capabilities Description says what the grammar takes, all of it and nothing else (PS3.18 §8.9, Annex H)."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import pytest

from app.core.dicom.capabilities import JSON, WADL, describe
from app.core.dicom.dicomweb import Retrieve, Search
from app.core.dicom.dicomweb_grammar import ROUTES, parse
from app.core.dicom.negotiation import negotiate
from app.core.http.problem import Problem

BASE = 'https://gateway.example/dicom-web?"<&'
NAMESPACE = "{http://wadl.dev.java.net/2009/02}"
EXAMPLE = {"study": "1.2", "series": "1.3", "instance": "1.4", "frames": "7", "bulk": "7fe00010/1/00080018"}


def _wadl() -> ET.Element:
    described = describe(BASE, [])
    assert described is not None
    assert described[0] == WADL
    return ET.fromstring(described[1])


def _methods(resource: ET.Element, above: str = "") -> Iterator[tuple[str, ET.Element]]:
    path = f"{above}/{resource.attrib['path']}"
    for method in resource.findall(f"{NAMESPACE}method"):
        yield path, method
    for below in resource.findall(f"{NAMESPACE}resource"):
        yield from _methods(below, path)


def _all() -> list[tuple[str, ET.Element]]:
    (resources,) = _wadl()
    assert resources.attrib == {"base": BASE}
    return [one for resource in resources for one in _methods(resource)]


def test_every_route_is_described_and_no_other() -> None:
    described = sorted((path, method.attrib["name"]) for path, method in _all())
    served = [(route.template, name) for route in ROUTES for name in route.methods if name not in {"HEAD", "OPTIONS"}]
    assert described == sorted(served)
    assert len(described) > 25


def test_each_transaction_has_a_name_of_its_own() -> None:
    names = [method.attrib["id"] for _path, method in _all()]
    # One resource under two words, as archives write BulkDataURIs
    assert names.count("RetrieveBulkdata") == 2
    assert len(set(names)) == len(names) - 1
    assert {"SearchForStudies", "SearchForStudySeries", "SearchForStudySeriesInstances", "SearchForInstances"} <= set(
        names
    )
    assert {"RetrieveStudy", "RetrieveSeriesMetadata", "RetrieveRenderedInstance", "RetrieveFrames"} <= set(names)
    assert {"StoreInstances", "StoreStudyInstances"} <= set(names)


@pytest.mark.parametrize(("path", "method"), _all(), ids=lambda one: one if isinstance(one, str) else one.attrib["id"])
def test_what_is_described_is_served(path: str, method: ET.Element) -> None:
    raw_path = path.format(**EXAMPLE).encode()
    asked = parse(method.attrib["name"], raw_path, b"")
    assert not isinstance(asked, Problem)
    if not isinstance(asked, Retrieve | Search):
        return
    options = [one.attrib["value"] for one in method.iter(f"{NAMESPACE}option")]
    answers = method.find(f"{NAMESPACE}response")
    assert answers is not None
    assert options == [one.attrib["mediaType"] for one in answers]
    for media_type in options:
        chosen = negotiate(asked, [media_type.encode()])
        assert not isinstance(chosen, Problem), media_type
        envelope = f'multipart/related; type="{chosen.media_type}"' if chosen.multipart else chosen.media_type
        assert envelope == media_type
    anything = negotiate(asked, [])
    assert not isinstance(anything, Problem)
    parameters = [one.attrib["name"] for one in method.iter(f"{NAMESPACE}param") if one.attrib["style"] == "query"]
    assert "accept" in parameters
    valid = {"viewport": "9,9", "window": "1,2,linear", "quality": "9", "annotation": "patient", "iccprofile": "no"}
    valid |= {"limit": "1", "offset": "1", "includefield": "all", "accept": "*/*", "charset": "utf-8"}
    valid |= {"fuzzymatching": "false", "multiplevaluematching": "false", "emptyvaluematching": "false"}
    for name in parameters:
        answered = parse("GET", raw_path, f"{name}={valid.get(name, '')}".encode())
        assert isinstance(answered, Retrieve | Search), name
        if name in {"viewport", "window", "quality", "annotation", "iccprofile"}:
            assert isinstance(answered, Retrieve)
            assert answered.query == ((name, valid[name]),)
        elif name not in valid:
            assert isinstance(answered, Search)
            assert len(answered.matching) == 1


def test_storing_takes_files_and_answers_with_a_data_set() -> None:
    """PS3.18 Tables 10.5.3-1 and 10.5.4-1: what a store's body is of, and its answer."""
    stores = [method for _path, method in _all() if method.attrib["name"] == "POST"]
    assert len(stores) == 2
    for method in stores:
        taken, answered = (
            [
                one.attrib["mediaType"]
                for part in method.iter(f"{NAMESPACE}{name}")
                for one in part
                if one.tag == f"{NAMESPACE}representation"
            ]
            for name in ("request", "response")
        )
        assert taken == ['multipart/related; type="application/dicom"']
        assert answered == ["application/dicom+json"]


def test_json_says_the_same() -> None:
    described = describe(BASE, [b"application/json"])
    assert described is not None
    assert described[0] == JSON
    resources = json.loads(described[1])["application"]["resources"]
    assert resources["base"] == BASE

    def flat(resource: dict[str, Any], above: str = "") -> Iterator[tuple[Any, ...]]:
        path = f"{above}/{resource['path']}"
        for method in resource["method"]:
            answers = method["response"]["representation"]
            yield path, method["name"], method["id"], method["request"]["param"], answers
        for below in resource["resource"]:
            yield from flat(below, path)

    in_json = [one for resource in resources["resource"] for one in flat(resource)]
    in_wadl = []
    for path, method in _all():
        parameters = [one.attrib["name"] for one in method.iter(f"{NAMESPACE}param") if one.attrib["style"] == "query"]
        response = method.find(f"{NAMESPACE}response")
        assert response is not None
        answers = [one.attrib["mediaType"] for one in response]
        in_wadl.append((path, method.attrib["name"], method.attrib["id"], parameters, answers))
    assert in_json == in_wadl


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", WADL),
        ("*/*", WADL),
        ("application/vnd.sun.wadl+xml", WADL),
        ("application/json, application/vnd.sun.wadl+xml", JSON),
        ("application/json;q=0.5, application/vnd.sun.wadl+xml", WADL),
        ("text/html", None),
        ("application/vnd.sun.wadl+xml;q=0", None),
        ("application/vnd.sun.wadl+xml;q=0, */*", JSON),
        ("application/*;q=0, */*", None),
        ("application/*;q=0, application/json;q=0.1, */*", JSON),
        ("application/json, */*;q=0", JSON),
        ("/", None),
    ],
)
def test_the_form_is_negotiated(accept: str, media_type: str | None) -> None:
    described = describe(BASE, [accept.encode()])
    assert (described[0] if described else None) == media_type
