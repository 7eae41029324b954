"""Two gateways on one PostgreSQL: what one is asked to erase the other serves no more, and finishes if the one dies."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import requests

from app.chain.anvil import free_port
from app.commands.client import Client
from app.commands.output import CommandError
from app.core.identifiers import Subject
from app.core.keccak import keccak256
from app.demo.samples import ISSUER, PATIENTS, write_samples
from tests.store.conftest import cluster
from tests.story.test_killed_erasure import serve_until_killed
from tests.support.chain import Deployed
from tests.support.differential import (
    EnrolledPerson,
    RunningGateway,
    Zygote,
    archive_settings,
    call_node,
    running_gateway,
)
from tests.support.postgres import PostgresCluster

__all__ = ["cluster"]
pytestmark = pytest.mark.postgres

QUICK_POINTS = ("destroying",)
_HERS = Subject(PATIENTS[0].patient_id, ISSUER)
# PROMISES, P4, as for a revocation: two seconds, and what a busy machine takes to answer.
_OBEYED_WITHIN_S = 5.0
_STAYS_S = 3.0


@dataclass(frozen=True, slots=True)
class Two:
    """``here`` is asked for the erasure, ``there`` has served the patient's images until now."""

    here: RunningGateway
    there: RunningGateway
    database_url: str
    patient: EnrolledPerson
    registrar: Client
    physician: Client

    def at(self, gateway: RunningGateway, client: Client) -> Client:
        """The same session, at that gateway."""
        return Client(gateway.url, client.token)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode()).fetchall()

    def served_there(self) -> dict[str, bool]:
        """What the other gateway still gives of her, by who asks for what."""
        hers, physician, desk = [
            self.at(self.there, one) for one in (self.patient.client, self.physician, self.registrar)
        ]
        return {
            "her own studies": bool(_studies(self.there, hers)),
            "the physician's list": bool(_studies(self.there, physician)),
            # It may finish what was begun, and sees of whom until the link is destroyed
            "her record at the desk": any(one["status"] != "erasing" for one in _patients(desk)),
            "her code to herself": any(one.get("code") for one in _patients(hers)),
            "her number on the physician's page": _HERS.patient_id
            in _page(self.there, physician, "/physician/patients"),
        }

    def erase(self) -> None:
        """Asked of the gateway here, which may die of it."""
        asked = {"reason": "patient-request", "patient_id": _HERS.patient_id, "issuer": _HERS.issuer}
        self.at(self.here, self.registrar).post(f"/api/patients/{self.patient.key}/erasure", asked)


def _studies(gateway: RunningGateway, client: Client) -> int:
    """How many are found; none where the gateway does not say."""
    answer = gateway.ask("/dicom-web/studies", client.token, "application/dicom+json")
    return len(answer.json()) if answer.status == 200 else 0


def _patients(client: Client) -> list[dict[str, object]]:
    found: list[dict[str, object]] = client.get("/api/patients")["patients"]
    return found


def _page(gateway: RunningGateway, client: Client, path: str) -> str:
    headers = {"Authorization": f"Bearer {client.token}"}
    return requests.get(gateway.url + path, headers=headers, timeout=30).text


@contextmanager
def two_gateways(
    zygote: Zygote, deployed: Deployed, cluster: PostgresCluster, folder: Path, *, both: bool = True
) -> Iterator[Two]:
    """``both``: else the other one waits to be started."""
    write_samples(folder / "files")
    url = cluster.new_url()
    pacs = archive_settings(folder / "files")
    with running_gateway(zygote, deployed, folder / "here", pacs, CONSENTRY_DATABASE_URL=url) as here:
        (folder / "there").mkdir()
        own = {"CONSENTRY_PORT": str(free_port()), "CONSENTRY_DATA_DIR": str(folder / "there")}
        there = RunningGateway(zygote, here.settings | own, folder / "there" / "gateway.log")
        patient = here.enrolled([_HERS])[_HERS]
        here.granted(patient, "physician1")
        two = Two(here, there, url, patient, here.signed_in("registrar"), here.signed_in("physician1"))
        patient.client.until(
            "/api/accesses", lambda page: all(one["status"] == "final" for one in page["accesses"]), 60
        )
        try:
            if both:
                there.start()
            yield two
        finally:
            there.stop()


def until(look: Callable[[], bool], within_s: float, what: str) -> None:
    deadline = time.monotonic() + within_s
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def obeyed(two: Two) -> None:
    """The other gateway gives nothing of her, soon and from then on."""
    until(
        lambda: not any(two.served_there().values()), _OBEYED_WITHIN_S, "the other gateway serves what is being erased"
    )
    began = time.monotonic()
    while time.monotonic() < began + _STAYS_S:
        assert not any(two.served_there().values())
        time.sleep(0.2)


def finished(two: Two) -> None:
    """By the other gateway: once on the chain, and no link left in the database."""
    auditor = two.at(two.there, two.registrar)
    told = auditor.until(f"/api/erasures/{two.patient.key}", lambda one: one["status"] == "erased", 60)
    assert told["reason"] == "patient-request"
    assert two.rows("SELECT patient_id, issuer, salt, code FROM patient") == [(None,) * 4]
    assert two.rows("SELECT count(*) FROM patient WHERE erased_at IS NULL") == [(0,)]
    opened = "SELECT count(*) FROM access_record WHERE study_uid IS NOT NULL OR length(body) > 0 OR length(salt) > 0"
    assert two.rows(opened) == [(0,)]
    until(lambda: _patients(auditor) == [], _OBEYED_WITHIN_S, "the desk still reads of whom it was")
    assert two.rows("SELECT count(*) FROM outbox_call WHERE kind = 'erase'") == [(1,)]
    topic = "0x" + keccak256(b"PatientErased(bytes32)").hex()
    asked = {"fromBlock": "0x0", "toBlock": "latest", "topics": [topic]}
    assert len(call_node(two.there.rpc_url, "eth_getLogs", asked)) == 1


def test_what_one_erases_the_other_serves_no_more(
    zygote: Zygote, deployed: Deployed, cluster: PostgresCluster, tmp_path: Path
) -> None:
    with two_gateways(zygote, deployed, cluster, tmp_path) as two:
        assert all(two.served_there().values()), "its caches are warm"
        # Nothing reaches a block, so that the other gateway has it from the database alone
        call_node(two.here.rpc_url, "evm_setAutomine", False)
        two.erase()
        here = two.at(two.here, two.physician)
        assert _studies(two.here, here) == 0, "at once where it was asked for"
        obeyed(two)
        assert two.at(two.there, two.registrar).get(f"/api/erasures/{two.patient.key}")["status"] != "erased"
        (salt,) = two.rows("SELECT salt FROM patient")[0]
        assert salt is not None, "not destroyed before the chain has it"
        call_node(two.here.rpc_url, "evm_setAutomine", True)
        call_node(two.here.rpc_url, "evm_mine")
        finished(two)
        assert not any(two.served_there().values())
        two.here.stop()
        two.there.restart()
        assert not any(two.served_there().values()), "nor once it reads everything anew"


@pytest.mark.soak
def test_what_one_began_and_died_of_the_other_finishes(
    point: str, zygote: Zygote, deployed: Deployed, cluster: PostgresCluster, tmp_path: Path
) -> None:
    with two_gateways(zygote, deployed, cluster, tmp_path, both=False) as two:
        two.here.stop()
        # The one that will die is there first, and so sends the transactions
        process = serve_until_killed(two.here, point)
        try:
            two.there.start()
            assert all(two.served_there().values())
            with suppress(CommandError):  # killed before it could answer
                two.erase()
            obeyed(two)
            process.wait(60)
            assert process.returncode == -9
        finally:
            process.kill()
        finished(two)
        assert not any(two.served_there().values())
