"""The two commands of the README as a user runs them: the demonstration holds, the stack resumes after a power cut."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from app.commands.audit import verify_chain
from app.commands.client import Client
from app.demo.story import TO_OPEN
from tests.support.live import Live, live_stack

_PROJECT = Path(__file__).resolve().parents[2]


def _studies(stack: Live, client: Client) -> list[str]:
    answer = requests.get(
        stack.url + "/dicom-web/studies", headers={"Authorization": f"Bearer {client.token}"}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    return [study["0020000D"]["Value"][0] for study in answer.json()]


def _without_numbers(line: str) -> str:
    """The line, whatever its times, hashes and blocks were."""
    return re.sub(r"0x[0-9a-f]+…[0-9a-f]+|\d+", "N", line)


def test_every_step_of_the_demonstration_holds(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    environment = clean | {"CONSENTRY_DATA_DIR": str(tmp_path), "DEMO_EXIT": "1", "PYTHONPATH": str(_PROJECT)}
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "demo"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Every step held" in ended.stdout
    assert ended.stdout.count("✓") >= 15
    assert "14. Who looked" in ended.stdout
    assert "✗" not in ended.stdout
    assert "complete and authorised" in ended.stdout
    readme = (_PROJECT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    printed = {_without_numbers(line) for line in ended.stdout.splitlines()}
    assert {_without_numbers(line) for line in shown.splitlines()} - printed == set(), "the README shows this story"


def test_the_pages_that_the_demonstration_names_are_there(live: Live) -> None:
    for path, _ in TO_OPEN:
        status = requests.get(live.url + path, timeout=30, allow_redirects=False).status_code
        assert status in {200, 303}, path
    assert requests.get(live.url + "/no-such-page", timeout=30, allow_redirects=False).status_code == 404


def test_the_stack_resumes_after_kill_9(tmp_path: Path) -> None:
    with live_stack(tmp_path) as stack:
        consent = stack.granted("patient1", "physician1")
        doctor = stack.signed_in("physician1")
        before = _studies(stack, doctor)
        assert before
        enrolled = stack.document["patients"]
        # The embedded chain is kept half a second after each change; what is younger is replayed from the outbox.
        stack.kill()
        stack.start()
        assert stack.document["patients"] == enrolled
        assert stack.signed_in("patient1").get(f"/api/consents/{consent}")["status"] == "active"
        assert _studies(stack, doctor) == before, "the session and the consent outlive the power cut"
        stack.revoked("patient1", consent)
        assert _studies(stack, doctor) == []
        stack.kill()  # at once: the revocation may be in no block and in no state on disk
        stack.start()
        assert _studies(stack, doctor) == [], "a revocation that was handed in is never forgotten"
        auditor = stack.signed_in("auditor")
        page = auditor.until("/api/accesses", lambda one: all(a["status"] == "final" for a in one["accesses"]), 120)
        assert len(page["accesses"]) >= 2
        report = verify_chain(stack.rpc_url, tmp_path / "deployment.json", None)
        assert report.good, report.lines()
        assert report.records == len(page["accesses"])


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"CONSENTRY_SITE_KEY": "changeme"}, "CONSENTRY_SITE_KEY"),
        ({"CONSENTRY_NO_SUCH_THING": "hunter2hunter2"}, "CONSENTRY_NO_SUCH_THING"),
    ],
)
def test_a_bad_setting_refuses_to_start(tmp_path: Path, settings: dict[str, str], key: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONSENTRY_")}
    environment = clean | settings | {"CONSENTRY_DATA_DIR": str(tmp_path), "PYTHONPATH": str(_PROJECT)}
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "up"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert key in ended.stderr
    assert not any(value in ended.stderr + ended.stdout for value in settings.values())
    assert not list(tmp_path.iterdir()), "nothing was started or written"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_end_puts_everything_away(tmp_path: Path, number: signal.Signals) -> None:
    with live_stack(tmp_path) as stack:
        assert stack.process is not None
        chain = stack.pids["chain"]
        os.kill(stack.process.pid, number)
        assert stack.process.wait(40) == 0
        assert not (tmp_path / "dev.json").exists()
        with pytest.raises(ProcessLookupError):
            os.kill(chain, 0)
        assert "leaked" not in stack.log.read_text()
