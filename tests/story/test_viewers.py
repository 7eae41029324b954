"""docs/VIEWERS.md, done: each block is run, and what viewers are known to send is sent and read as they read it."""

import email
import io
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from eth_account import Account
from eth_account.messages import encode_defunct
from PIL import Image

from app.settings import load
from tests.support.live import Live
from tests.support.needs import PROJECT

_PAGE = (PROJECT / "docs" / "VIEWERS.md").read_text(encoding="utf-8")
_ORIGIN = "http://localhost:8080"
_PATIENT, _ISSUER = "DEMO-1001", "CONSENTRY-DEMO"
_OHIF_FIELDS = "00081030%2C00080060%2C00080090%2C00100030"
# Weasis writes these lists as they are, commas and all
_WEASIS_STUDY = (
    "00080020,00080030,00080050,00080061,00080090,00081030,"
    "00100010,00100020,00100021,00100030,00100040,0020000D,00200010"
)
_WEASIS_SERIES = "0008103E,00080060,0020000E,00200011,00081190"
_WEASIS_INSTANCE = "00080018,00200013,00081190"


def blocks(language: str, section: str) -> list[str]:
    """The blocks of one section, as they stand."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", _PAGE, re.MULTILINE | re.DOTALL)
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, (language, section)
    return list(found)


@dataclass(frozen=True, slots=True)
class Desk:
    """physician2 at a program, with consent for one patient. ``origin`` as answers name it."""

    origin: str
    token: str
    key: str

    def get(self, path: str, accept: str = "application/dicom+json", **headers: str) -> requests.Response:
        url = path if path.startswith("http") else f"{self.origin}/dicom-web{path}"
        sent = {"Authorization": f"Bearer {self.token}", "Accept": accept, **headers}
        answer = requests.get(url, headers=sent, timeout=60)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer

    def rows(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get(path).json()
        return rows

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return clean | {"PATH": path, "CONSENTRY_TOKEN": self.token, "CONSENTRY_WALLET_KEY": self.key}

    def here(self, block: str) -> str:
        return block.replace(_ORIGIN, self.origin)

    def shell(self, block: str, **variables: str) -> str:
        """What the block prints. Fails the test when it fails."""
        command = ["bash", "-euc", self.here(block)]
        done = subprocess.run(
            command, env=self.environment | variables, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def desk(live: Live) -> Iterator[Desk]:
    consent = live.granted("patient1", "physician2")
    key = live.document["accounts"]["physician2"]
    yield Desk(live.document["gateway_url"], live.signed_in("physician2").token, key)
    live.revoked("patient1", consent)


def one(row: dict[str, Any], tag: str) -> str:
    return str(row[tag]["Value"][0])


def studies(desk: Desk) -> list[str]:
    return [one(row, "0020000D") for row in desk.rows("/studies")]


def parts_of(answer: requests.Response) -> list[Message]:
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.content)
    parts = message.get_payload()
    assert isinstance(parts, list)
    return [part for part in parts if isinstance(part, Message)]


def body(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload


# --- The page ------------------------------------------------------------------------------------------------------


def test_each_block_of_the_page_is_looked_at_here() -> None:
    """A new block needs a test: the ones below take all there are."""
    assert len(re.findall(r"^```\w+$", _PAGE, re.MULTILINE)) == 13


def test_a_token(desk: Desk) -> None:
    block, _ = blocks("sh", "A token for programs")
    token = desk.shell(block + '\nprintf %s "$CONSENTRY_TOKEN"', CONSENTRY_TOKEN="").strip()
    rows = requests.get(
        desk.origin + "/dicom-web/studies", headers={"Authorization": f"Bearer {token}"}, timeout=60
    ).json()
    assert [one(row, "0020000D") for row in rows] == studies(desk) != []


class Person:
    """Somebody at a browser, signed in with the wallet of ``desk``, who lets programs in."""

    def __init__(self, desk: Desk) -> None:
        account = Account.from_key(desk.key)
        self._origin = desk.origin
        self._browser = requests.Session()
        asked = self._post("/auth/siwe/nonce", json={"address": account.address}).json()
        signature = account.sign_message(encode_defunct(text=asked["message"])).signature
        signed = {"message": asked["message"], "signature": "0x" + signature.hex(), "cookie": True}
        cookie = self._post("/auth/siwe/verify", json=signed).headers["set-cookie"]
        self._browser.headers["Cookie"] = cookie.partition(";")[0]

    def allows(self, code: str) -> None:
        answer = self._post("/oauth/device", data={"user_code": code, "answer": "allow"})
        assert (answer.status_code, "goes on by itself now" in answer.text) == (200, True)

    def signs_out(self) -> None:
        assert self._post("/signout", data={}).status_code == 303

    def _post(self, path: str, **more: Any) -> requests.Response:
        headers = {"Origin": self._origin}
        return self._browser.post(self._origin + path, headers=headers, timeout=60, allow_redirects=False, **more)


def test_a_token_without_a_wallet_here(desk: Desk) -> None:
    _, block = blocks("sh", "A token for programs")
    person = Person(desk)
    command = ["bash", "-euc", desk.here(block) + '\nprintf %s "$CONSENTRY_TOKEN"']
    environment = {name: value for name, value in desk.environment.items() if name != "CONSENTRY_WALLET_KEY"}
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as waiting:
        assert waiting.stderr is not None
        assert waiting.stdout is not None
        place, code = re.findall(r"Open (\S+) .* code ([A-Z-]{9})", waiting.stderr.readline())[0]
        assert place == desk.origin + "/oauth/device"
        person.allows(code)
        token = waiting.stdout.read().strip()
        assert waiting.wait(60) == 0
    own = Desk(desk.origin, token, "")
    assert studies(own) == studies(desk)

    def status(path: str) -> int:
        return requests.get(desk.origin + path, headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code

    assert (status("/api/accesses"), status("/dicom-web/studies")) == (403, 200)
    person.signs_out()
    assert status("/dicom-web/studies") == 401, "at once"


def test_programs_are_registered_as_the_page_says(desk: Desk, live: Live) -> None:
    here = {"CONSENTRY_DATA_DIR": str(live.folder), **live.settings}
    registered = json.loads(desk.shell("consentry client list --json", **here))
    assert {one["client_id"] for one in registered} == {"ohif", "desktop"}
    for block in blocks("sh", "Programs that sign in by themselves"):
        desk.shell(block.replace("add ohif ", "add ohif-there "), **here)
    listed = {one["client_id"]: one for one in json.loads(desk.shell("consentry client list --json", **here))}
    assert listed["ohif-there"]["redirect_uris"] == ["https://ohif.hospital.example/callback"]
    assert (listed["workstation"]["native"], listed["workstation"]["device"]) == (True, True)
    # A running gateway knows them at once
    form = {"client_id": "workstation", "scope": "dicomweb"}
    assert requests.post(desk.origin + "/oauth/device_authorization", form, timeout=60).status_code == 200
    for name in ("ohif-there", "workstation"):
        desk.shell(f"consentry client remove {name}", **here)
    assert requests.post(desk.origin + "/oauth/device_authorization", form, timeout=60).status_code == 400


def test_a_desktop_program_of_ones_own(desk: Desk) -> None:
    """A stock OAuth client, which knows nothing of this gateway but its address."""
    (block,) = blocks("python", "A desktop program of your own")
    person = Person(desk)
    command = [sys.executable, "-c", desk.here(block)]
    with subprocess.Popen(command, env=desk.environment, text=True, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        place, code = running.stdout.readline().split()
        assert place == f"{desk.origin}/oauth/device?user_code={code}"
        person.allows(code)
        said = running.stdout.read().splitlines()
        assert running.wait(60) == 0
    assert said == [f"{len(studies(desk))} studies"] * 2


def test_the_viewer_is_fetched_by_a_target_that_exists() -> None:
    (block,) = blocks("sh", "OHIF, with the gateway")
    assert block == "make viewer\n"
    dry = subprocess.run(["make", "-n", "viewer"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert "-m tools.viewer" in dry


# --- OHIF on another origin ------------------------------------------------------------------------------------------


def test_the_setting_for_another_origin_is_one() -> None:
    (block,) = blocks("sh", "OHIF, of your own on another origin")
    name, _, value = block.strip().removeprefix("export ").partition("=")
    assert load({name: value}, dotenv=None).cors_origins == ("https://ohif.hospital.example",)


def ohif_source(desk: Desk) -> dict[str, Any]:
    """The data source of the page, as JavaScript reads it."""
    (block,) = blocks("js", "OHIF, of your own on another origin")
    script = f"globalThis.window = {{config: {{}}}};{desk.here(block)};console.log(JSON.stringify(window.config))"
    node = Path(sys.executable).with_name("node")
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, timeout=60, check=True)
    config = json.loads(done.stdout)
    (source,) = config["dataSources"]
    assert source["sourceName"] == config["defaultDataSourceName"]
    found: dict[str, Any] = source["configuration"]
    return found


def test_what_ohif_asks(desk: Desk) -> None:
    root = ohif_source(desk)["qidoRoot"]
    assert root == ohif_source(desk)["wadoRoot"] == desk.origin + "/dicom-web"
    listed = f"{root}/studies?limit=101&offset=0&fuzzymatching=false&includefield={_OHIF_FIELDS}"
    rows = desk.get(listed).json()
    assert len(rows) == 2
    for row in rows:
        # An empty ModalitiesInStudy ends OHIF's whole worklist
        assert row["00080061"]["Value"]
        assert row["00201208"]["Value"][0] > 0
    assert len(desk.get(listed + "&PatientName=*Lind*").json()) == 2
    assert len(desk.get(listed + "&00100020=*1001*").json()) == 2
    assert len(desk.get(listed + "&ModalitiesInStudy=CT%2CMR").json()) == 2
    assert len(desk.get(listed + "&StudyDate=20260601-20261231").json()) == 1
    assert desk.get(listed + "&00100020=DEMO-1003").json() == [], "priors of somebody else"
    study = one(rows[0], "0020000D")
    assert [one(row, "0020000D") for row in desk.get(f"{listed}&StudyInstanceUID={study}").json()] == [study]
    fields = "00080021%2C00080031%2C0008103E%2C00200011"
    for series in desk.get(f"{root}/studies/{study}/series?includefield={fields}").json():
        at = f"{root}/studies/{study}/series/{one(series, '0020000E')}"
        for instance in desk.get(f"{at}/metadata").json():
            frame = desk.get(
                f"{at}/instances/{one(instance, '00080018')}/frames/1",
                "multipart/related; type=application/octet-stream; transfer-syntax=*",
            )
            (part,) = parts_of(frame)
            assert len(body(part)) > 1000
            assert part.get_param("transfer-syntax") or "transfer-syntax" in str(part["Content-Type"])


# --- dicomweb-client ------------------------------------------------------------------------------------------------


def test_dicomweb_client_from_python(desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setenv("CONSENTRY_TOKEN", desk.token)
    (block,) = blocks("python", "dicomweb-client")
    exec(compile(desk.here(block), "VIEWERS.md", "exec"), {})
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert sorted({line[0] for line in printed}) == sorted(studies(desk))
    assert sum(int(line[2]) for line in printed) == 3


def test_dicomweb_client_from_the_command_line(desk: Desk, tmp_path: Path) -> None:
    search, retrieve = blocks("sh", "dicomweb-client")
    found = json.loads(desk.shell(search))
    assert [row["00081030"]["Value"] for row in found] == [["CT chest"]]
    desk.shell(retrieve, STUDY=one(found[0], "0020000D"), FOLDER=str(tmp_path))
    (saved,) = tmp_path.iterdir()
    assert pydicom.dcmread(saved).PatientID == _PATIENT


# --- 3D Slicer -----------------------------------------------------------------------------------------------------


def _slicer_import(dicomWebEndpoint: str, studyInstanceUID: str, accessToken: str) -> None:  # noqa: N803 - Slicer's names
    """The requests of Slicer's DICOMUtils.importFromDICOMWeb, which makes them with dicomweb-client."""
    client = DICOMwebClient(dicomWebEndpoint, headers={"Authorization": f"Bearer {accessToken}"})
    for series in client.search_for_series(studyInstanceUID):
        uid = one(series, "0020000E")
        instances = client.search_for_instances(study_instance_uid=studyInstanceUID, series_instance_uid=uid)
        whole = client.retrieve_series(study_instance_uid=studyInstanceUID, series_instance_uid=uid)
        each = [client.retrieve_instance(studyInstanceUID, uid, one(row, "00080018")) for row in instances]
        _IMPORTED.extend([*whole, *each])


_IMPORTED: list[pydicom.Dataset] = []


def test_slicer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    library, tools = types.ModuleType("DICOMLib"), types.ModuleType("DICOMLib.DICOMUtils")
    monkeypatch.setattr(tools, "importFromDICOMWeb", _slicer_import, raising=False)
    monkeypatch.setattr(library, "DICOMUtils", tools, raising=False)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    (study, *_) = studies(desk)
    monkeypatch.setenv("STUDY", study)
    monkeypatch.setenv("CONSENTRY_TOKEN", desk.token)
    (block,) = blocks("python", "3D Slicer")
    _IMPORTED.clear()
    exec(compile(desk.here(block), "VIEWERS.md", "exec"), {})
    assert len(_IMPORTED) >= 2
    assert {dataset.StudyInstanceUID for dataset in _IMPORTED} == {study}
    assert all(len(dataset.PixelData) > 1000 for dataset in _IMPORTED)


def test_slicers_browser_pages_to_the_end(desk: Desk) -> None:
    """The extension DICOMwebBrowser asks for the next offset until a page is empty or begins as one before."""
    client = DICOMwebClient(desk.origin + "/dicom-web", headers={"Authorization": f"Bearer {desk.token}"})
    found: list[dict[str, Any]] = []
    while page := client.search_for_studies(offset=len(found), limit=1):
        assert page[0] not in found
        found += page
    assert [one(row, "0020000D") for row in found] == studies(desk)


# --- Weasis --------------------------------------------------------------------------------------------------------


def test_weasis(desk: Desk) -> None:
    (block,) = blocks("text", "Weasis")
    url, request = re.findall(r'--(?:url|request) "([^"]+)"', desk.here(block))
    patient, issuer = unquote(request.removeprefix("patientID=")).split("^^^")
    assert (patient, issuer) == (_PATIENT, _ISSUER)
    asked = f"{url}/studies?00100020={patient}&00100021={issuer}&includefield={_WEASIS_STUDY}"
    rows = desk.get(asked).json()
    assert sorted(one(row, "0020000D") for row in rows) == sorted(studies(desk))
    assert all({"00100020", "00100010", "00080020", "0020000D"} <= row.keys() for row in rows)
    assert desk.get(f"{url}/studies?00100020=DEMO-1003&includefield={_WEASIS_STUDY}").json() == []
    assert len(desk.get(asked + "&limit=1&offset=1").json()) == 1
    pictures = 0
    for study in rows:
        for series in desk.get(f"{url}/studies/{one(study, '0020000D')}/series?includefield={_WEASIS_SERIES}").json():
            # Without RetrieveURL Weasis shows the series and loads nothing of it
            place = one(series, "00081190")
            assert place.startswith(desk.origin + "/dicom-web/studies/")
            for instance in desk.get(f"{place}/instances?includefield={_WEASIS_INSTANCE}").json():
                retrieve = one(instance, "00081190")
                assert retrieve.startswith(place + "/instances/")
                answer = desk.get(retrieve, 'multipart/related;type="application/dicom";transfer-syntax=*')
                (part,) = parts_of(answer)
                dataset = pydicom.dcmread(io.BytesIO(body(part)))
                assert dataset.SOPInstanceUID == one(instance, "00080018")
            for picture in ("thumbnail?viewport=256%2C256", "rendered?viewport=256%2C256"):
                answer = desk.get(f"{place}/{picture}", "image/jpeg")
                with Image.open(io.BytesIO(answer.content)) as image:
                    assert image.format == "JPEG"
                    assert max(image.size) <= 256
                pictures += 1
    assert pictures >= 4


def test_what_the_page_says_of_the_viewer_holds() -> None:
    from tools.viewer import PACKAGE, VERSION  # noqa: PLC0415 - beside what it is compared with

    assert f"`{PACKAGE}` {VERSION}" in _PAGE
