"""The whole story, played from outside with real wallets and a real DICOMweb client against a fresh stack.

Each step says what it did and what came back, and is held to what must be. ``play`` is true when every step held.
"""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from dicomweb_client.api import DICOMwebClient
from eth_account import Account
from requests import HTTPError
from rich.console import Console

from app.commands.audit import verify_chain
from app.commands.client import Client, sign_in, sign_typed
from app.commands.output import CommandError
from app.demo.fresh_stack import FreshStack, fresh_stack
from app.demo.proof import opens
from app.demo.samples import ISSUER, PATIENTS
from app.demo.seeding import claim_enrolment

if TYPE_CHECKING:
    from collections.abc import Callable

    from eth_account.signers.local import LocalAccount

_PATIENT = PATIENTS[2]  # the first two are enrolled with the development chain
_ACTIVE_WITHIN_S = 60.0
_ON_CHAIN_WITHIN_S = 60.0
_WEEK_S = 7 * 86400

# Pages, and what there is to do on each
TO_OPEN = (
    ("/signin", "sign in"),
    ("/patient", "as patient1: consents, requests, who looked; as her guardian, Camille Moreau's too"),
    ("/physician", "as physician1: the patients, ask for access; as emergency: break the glass"),
    ("/auditor", "as auditor: every access, the emergency and its review, the whole log verified"),
)

_console = Console(highlight=False)


class _StepFailedError(Exception):
    """A step did not hold; the text says which part."""


def play(*, stay: bool) -> bool:
    """Play the story; with ``stay`` the stack then stays up until Ctrl-C. False when a step did not hold."""
    began = time.monotonic()
    with fresh_stack(_tell) as stack:
        story = _Story(stack)
        held = story.run()
        _say(f"\n{'Every step held' if held else 'A step did not hold'} ({time.monotonic() - began:.0f} s).")
        if stay:
            _stay(stack)
    return held


def _stay(stack: FreshStack) -> None:
    _say(f"\nThe stack stays up. Its state is in {stack.folder}.")
    _say("Open in a browser (what is signed there needs a wallet with a key from the accounts file, or a passkey):")
    for path, what in TO_OPEN:
        _say(f"  {stack.gateway}{path:<20} {what}")
    _say("Without a wallet, docs/TUTORIAL.md goes from a passkey to a consent taken back, on `make up`.")
    _say(f"  DICOMweb  {stack.gateway}/dicom-web")
    _say(f"  chain     {stack.rpc_url}")
    _say(f"  accounts  {stack.folder / 'dev.json'}")
    _say("Ctrl-C stops it.")
    stack.wait()


def _tell(text: str) -> None:
    _say(f"  [dim]{text}[/dim]")


def _say(text: str, *, markup: bool = True) -> None:
    _console.print(text, markup=markup, soft_wrap=True)


def _must(holds: object, what: str) -> None:
    if not holds:
        raise _StepFailedError(what)


class _Story:
    """The people of the story and what they know at each step."""

    def __init__(self, stack: FreshStack) -> None:
        self._stack = stack
        self._physician: LocalAccount = stack.account("physician1")
        self._wallet: LocalAccount = Account.create()
        self._patient = Client(stack.gateway)
        self._doctor = Client(stack.gateway)
        self._code = ""
        self._patient_key = ""
        # Of her two studies she shares the one of the knee; the other stays her own.
        self._shared = ""
        self._private = ""
        self._consent = ""

    def run(self) -> bool:
        """Every step in its order; the first that fails ends the story."""
        steps: tuple[tuple[str, Callable[[], str]], ...] = (
            ("Enrol: the desk enrols a patient, who claims with a wallet of her own", self._enrol),
            ("Sign in: a physician signs in with a wallet", self._sign_in),
            ("Denied: without consent her images do not exist for him", self._denied),
            ("Request: he asks her, and says why", self._request),
            ("Grant: she reads one sentence and signs it", self._grant),
            ("Search: he finds exactly what she allowed", self._search),
            ("Fetch: he retrieves the images, unchanged", self._fetch),
            ("View: and looks at a rendered picture", self._view),
            ("Revoke: she takes it back", self._revoke),
            ("Denied: from that moment nothing is there any more", self._denied_again),
            ("Emergency: without her consent another physician breaks the glass, and says why", self._emergency),
            ("Review: an auditor reads why, and closes it", self._review),
            ("Guardian: she names somebody who may act for her", self._guardian),
            ("Who looked: she sees each access, and checks it on the chain herself", self._who_looked),
            ("Verify: an auditor replays the chain without trusting the gateway", self._verify),
        )
        for number, (title, step) in enumerate(steps, start=1):
            _say(f"\n[bold]{number:2}. {title}[/bold]")
            began = time.monotonic()
            try:
                said = step()
            except (_StepFailedError, CommandError, HTTPError) as error:
                _say(f"    [red]✗ {error}[/red]")
                return False
            _say(f"    [green]✓[/green] {said} [dim]({time.monotonic() - began:.1f} s)[/dim]")
        return True

    def _enrol(self) -> str:
        registrar, _ = sign_in(self._stack.gateway, self._stack.account("registrar"))
        enrolled = registrar.post("/api/enrolments", {"patient_id": _PATIENT.patient_id, "issuer": ISSUER})
        self._patient_key = enrolled["patient_key"]
        _say(f"    The desk hands over the one-time code {enrolled['code']}")
        self._patient = claim_enrolment(self._stack.gateway, self._wallet, enrolled["code"])
        found = _dicomweb(self._patient).search_for_studies()
        _must(len(found) == len(_PATIENT.studies), "the patient does not see her own studies")
        self._private, self._shared = (_value(study, "0020000D") for study in found)
        return (
            f"{self._wallet.address} controls the patient key {_short(self._patient_key)} and sees {len(found)} studies"
        )

    def _sign_in(self) -> str:
        self._doctor, answer = sign_in(self._stack.gateway, self._physician)
        _must("PHYSICIAN" in answer["roles"], "the chain does not give the physician his role")
        return f"{answer['address']} holds {', '.join(answer['roles'])}; the session is for {answer['purpose']}"

    def _denied(self) -> str:
        found = _dicomweb(self._doctor).search_for_studies()
        _must(not found, "a study is found without consent")
        real, invented = _status(self._doctor, self._shared), _status(self._doctor, "1.2.826.0.1.3680043.8.498.1")
        _must(real == invented, "a hidden study is answered otherwise than one that does not exist")
        _must(real[0] == 404, f"a hidden study is answered with {real[0]}")
        return "search: 0 studies; her study and an invented one: 404, the same bytes"

    def _request(self) -> str:
        reason = "Knee pain since September: I would like to compare with your earlier MR."
        body = {"patient_id": _PATIENT.patient_id, "issuer": ISSUER, "reason": reason, "days": 7}
        asked = self._doctor.post("/api/access-requests", body)
        waiting = self._patient.get("/api/access-requests")["requests"]
        _must([one["id"] for one in waiting] == [asked["id"]], "the request did not reach the patient")
        return f"she reads: {waiting[0]['requester_name']} asks: {waiting[0]['reason']}"

    def _grant(self) -> str:
        request = self._patient.get("/api/access-requests")["requests"][0]
        issued = self._patient.post(
            "/api/consents/typed-data",
            {
                "grantee": request["requester"],
                "scope": {"studies": [self._shared]},
                "actions": ["search", "view", "retrieve"],
                "purposes": request["purposes"],
                "valid_until": int(time.time()) + _WEEK_S,
            },
        )
        _say(f"    “{issued['words']}”", markup=False)
        document = issued["typed_data"]
        body = {"typed_data": document, "signature": sign_typed(self._wallet, document)}
        self._consent = self._patient.post("/api/consents", body)["consent_id"]
        decision = {"decision": "accept", "consent_id": self._consent}
        self._patient.post(f"/api/access-requests/{request['id']}/decision", decision)
        path = f"/api/consents/{self._consent}"
        # The mirror may see the block a moment before the sender has the receipt.
        active = self._patient.until(
            path, lambda view: view["status"] == "active" and view["tx_hash"], _ACTIVE_WITHIN_S
        )
        return f"consent {_short(self._consent)} is active, in transaction {_short(active['tx_hash'])}"

    def _search(self) -> str:
        found = _dicomweb(self._doctor).search_for_studies()
        uids = [study["0020000D"]["Value"][0] for study in found]
        _must(uids == [self._shared], "the search does not give exactly the study she allowed")
        _must(_status(self._doctor, self._private)[0] == 404, "her other study is not hidden")
        return f"1 study: {found[0]['0020000D']['Value'][0]}; the one she did not name stays hidden"

    def _fetch(self) -> str:
        client, study = _dicomweb(self._doctor), self._shared
        instances = client.search_for_instances(study)
        fetched = client.retrieve_study(study)
        _must(len(fetched) == len(instances) > 0, "not every instance came")
        originals = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, self._stack.archive.glob("*.dcm"))}
        for dataset in fetched:
            same = np.array_equal(dataset.pixel_array, originals[dataset.SOPInstanceUID].pixel_array)
            _must(same, "the pixels are not those in the archive")
        metadata = client.retrieve_study_metadata(study)
        _must(len(metadata) == len(instances), "the metadata is not complete")
        first = instances[0]
        frames = client.retrieve_instance_frames(study, _value(first, "0020000E"), _value(first, "00080018"), [1])
        return f"{len(fetched)} instances, pixel for pixel; metadata; 1 frame of {len(frames[0])} bytes"

    def _view(self) -> str:
        client, study = _dicomweb(self._doctor), self._shared
        first = client.search_for_instances(study)[0]
        picture = client.retrieve_instance_rendered(
            study, _value(first, "0020000E"), _value(first, "00080018"), media_types=("image/png",)
        )
        _must(picture.startswith(b"\x89PNG"), "the picture is no PNG")
        return f"a PNG of {len(picture)} bytes"

    def _revoke(self) -> str:
        path = f"/api/consents/{self._consent}/revocation"
        document = self._patient.post(f"{path}/typed-data")["typed_data"]
        self._patient.post(path, {"typed_data": document, "signature": sign_typed(self._wallet, document)})
        status = _status(self._doctor, self._shared)[0]
        _must(status == 404, f"after the revocation the study is answered with {status}")
        return "handed in; the very next request is refused, before any block holds it"

    def _denied_again(self) -> str:
        _must(not _dicomweb(self._doctor).search_for_studies(), "the search still finds a study")
        path = f"/api/consents/{self._consent}"
        view = self._patient.get(path)
        _must(view["status"] == "revoked", "the consent is not shown as revoked")
        return "search: 0 studies; fetch: 404; the consent is shown as revoked"

    def _emergency(self) -> str:
        actor = self._stack.account("emergency")
        client, _ = sign_in(self._stack.gateway, actor, "ETREAT")
        _must(not _dicomweb(client).search_for_studies(), "the purpose alone opens something")
        asked = {
            "patient_id": _PATIENT.patient_id,
            "issuer": ISSUER,
            "reason": "Unconscious after a fall; no relative can be reached.",
        }
        issued = client.post("/api/emergency-access/typed-data", asked)
        _say(f"    “{issued['words']}”", markup=False)
        document = issued["typed_data"]
        signed = {
            "reason_salt": issued["reason_salt"],
            "typed_data": document,
            "signature": sign_typed(actor, document),
        }
        opened = client.post("/api/emergency-access", asked | signed)
        self._emergency_id, self._opened = opened["emergency_id"], Client(self._stack.gateway, opened["access_token"])
        found = _dicomweb(self._opened).search_for_studies()
        _must(len(found) == len(_PATIENT.studies), "the emergency does not open all her studies")
        told = self._patient.get("/api/emergency-access")["emergencies"]
        _must([one["id"] for one in told] == [self._emergency_id], "the patient is not told")
        return f"{len(found)} studies at once; she is told: {told[0]['actor_name']}: {told[0]['reason']}"

    def _review(self) -> str:
        auditor = self._stack.account("auditor")
        client, _ = sign_in(self._stack.gateway, auditor)
        # What is reviewed must be on the chain
        client.until(
            f"/api/emergency-access/{self._emergency_id}", lambda view: view["status"] == "final", _ON_CHAIN_WITHIN_S
        )
        path = f"/api/emergency-access/{self._emergency_id}/review"
        said = {"finding": "unjustified", "note": "A relative was in the waiting room."}
        issued = client.post(f"{path}/typed-data", said)
        document = issued["typed_data"]
        signed = {"typed_data": document, "signature": sign_typed(auditor, document)}
        client.post(path, signed | {"note": said["note"], "note_salt": issued["note_salt"]})
        status = _status(self._opened, self._shared)[0]
        _must(status == 404, f"after the review the study is answered with {status}")
        return f"unjustified: {said['note']} The emergency opens nothing any more ({status})"

    def _guardian(self) -> str:
        guardian = self._stack.account("patient1")
        path = f"/api/patients/{self._patient_key}/guardian"
        asked = {"guardian": guardian.address, "valid_until": int(time.time()) + _WEEK_S}
        issued = self._patient.post(f"{path}/typed-data", asked)
        _say(f"    “{issued['words']}”", markup=False)
        document = issued["typed_data"]
        self._patient.post(path, {"typed_data": document, "signature": sign_typed(self._wallet, document)})
        client, _ = sign_in(self._stack.gateway, guardian)

        def named(answer: dict[str, Any]) -> bool:
            return self._patient_key in {one["patient_key"] for one in answer["patients"]}

        client.until("/api/patients", named, _ACTIVE_WITHIN_S)
        return f"{guardian.address} acts for her for a week, and no longer"

    def _who_looked(self) -> str:
        def all_there(answer: dict[str, Any]) -> bool:
            return all(access["seq"] is not None for access in answer["accesses"])

        accesses = self._patient.until("/api/accesses", all_there, _ON_CHAIN_WITHIN_S)["accesses"]
        _must(len(accesses) > 0, "no access is listed")
        for access in sorted(accesses, key=lambda one: one["seq"]):
            proof = self._patient.get(f"/api/accesses/{access['id']}/proof")
            verified = opens(proof, self._stack.rpc_url, access)
            when = datetime.fromtimestamp(access["at"], UTC).strftime("%H:%M:%S")
            who = "herself" if access["actor"] == self._wallet.address else access["actor_name"].partition(",")[0]
            mark = "[green]✓[/green]" if verified else "[red]✗[/red]"
            where = f"tx {_short(access['tx_hash'])} block {access['block']}"
            _say(f"    {when}  {mark} #{access['seq']:<2} {who:<18} {access['action']:<8} {where}")
            _must(verified, f"access {access['id']} does not open its commitment on the chain")
        actors = {access["actor"] for access in accesses}
        _must(self._physician.address in actors, "the physician's accesses are missing")
        return f"{len(accesses)} accesses, each opened against its event on the chain"

    def _verify(self) -> str:
        report = verify_chain(self._stack.rpc_url, self._stack.folder / "deployment.json", None)
        _must(report.good, "; ".join(report.lines()))
        return report.lines()[0]


def _dicomweb(client: Client) -> DICOMwebClient:
    return DICOMwebClient(f"{client.gateway}/dicom-web", headers={"Authorization": f"Bearer {client.token}"})


def _status(client: Client, study: str) -> tuple[int, bytes]:
    """Status and body of a request for a study's metadata."""
    try:
        _dicomweb(client).retrieve_study_metadata(study)
    except HTTPError as error:
        return error.response.status_code, error.response.content
    return 200, b""


def _value(dataset: dict[str, Any], tag: str) -> str:
    return str(dataset[tag]["Value"][0])


def _short(hexadecimal: str) -> str:
    return f"{hexadecimal[:10]}…{hexadecimal[-4:]}"
