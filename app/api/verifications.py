"""The auditor's replay, begun from the portal: the same command that anybody runs at home, as a process of its own."""

import asyncio
import contextlib
import json
import logging
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from app.api.body import Strict, body_of, documented
from app.api.caller import SignedIn
from app.api.hexadecimal import checksum, identifier
from app.api.wiring import Wiring, wiring_of
from app.chain import deployment as deployment_file
from app.core.consent.terms import Role
from app.core.exported import to_line
from app.core.http.problem import ProblemError, problem
from app.store.accesses import LARGEST_PAGE
from app.store.engine import StoreUnavailableError
from app.store.verifications import Run, RunState

_LOG = logging.getLogger(__name__)
router = APIRouter(tags=["audit"])

# So often is written down how far a run has come.
_SAID_EVERY_S = 1.0
_WHAT_IT_NEEDS = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "HOME", "TMPDIR")


class RunAsked(Strict):
    """``records``: also open every commitment with the records that this gateway keeps."""

    records: bool = False


@router.post("/api/verifications", status_code=202, openapi_extra=documented(RunAsked))
async def begin(
    request: Request, caller: SignedIn, asked: Annotated[RunAsked, Depends(body_of(RunAsked))]
) -> dict[str, Any]:
    """Begin a run (auditors), or join the one that goes on."""
    wiring = wiring_of(request)
    caller.must_hold(Role.AUDITOR)
    run, is_new = await wiring.verifications.begin(caller.actor, with_records=asked.records)
    if is_new:
        task = asyncio.create_task(_carried_out(wiring, run))
        # The loop holds tasks weakly
        running: set[asyncio.Task[None]] = request.app.state.verifications
        running.add(task)
        task.add_done_callback(running.discard)
    return run_view(run)


@router.get("/api/verifications")
async def listing(request: Request, caller: SignedIn) -> dict[str, Any]:
    """The newest runs, for auditors."""
    caller.must_hold(Role.AUDITOR)
    return {"runs": [run_view(run) for run in await wiring_of(request).verifications.newest()]}


@router.get("/api/verifications/{run_id}")
async def one(request: Request, caller: SignedIn, run_id: str) -> dict[str, Any]:
    """How far a run has come, and what it found."""
    caller.must_hold(Role.AUDITOR)
    identity = identifier(run_id)
    run = None if identity is None else await wiring_of(request).verifications.find(identity)
    if run is None:
        raise ProblemError(problem("not-found"))
    return run_view(run)


def run_view(run: Run) -> dict[str, Any]:
    """A run as the API shows it."""
    return {
        "id": run.run_id.hex(),
        "asked_by": checksum(run.asked_by),
        "with_records": run.with_records,
        "status": run.state.value,
        "block": run.reached,
        "of_blocks": run.last,
        "records": run.records,
        "report": run.report,
        "started_at": run.started_at,
        "ended_at": None if run.state is RunState.RUNNING else run.changed_at,
    }


async def _carried_out(wiring: Wiring, run: Run) -> None:
    """The run to its end. Whatever happens is written down, as far as the database takes it."""
    try:
        with tempfile.TemporaryDirectory(prefix="consentry-audit-") as folder:
            report = await _replayed(wiring, run, Path(folder))
        state = RunState.FAILED if "error" in report else RunState.GOOD if report["good"] else RunState.BAD
        await wiring.verifications.end(run.run_id, state, report)
        if state is RunState.BAD:
            _LOG.error("ALARM: a verification found %d things wrong in the log", report["flaws"])
    except (StoreUnavailableError, OSError, ValueError, KeyError) as error:
        _LOG.error("a verification could not be carried out: %s", type(error).__name__)
        with contextlib.suppress(StoreUnavailableError):
            await wiring.verifications.end(run.run_id, RunState.FAILED, {"error": "it could not be carried out"})


async def _replayed(wiring: Wiring, run: Run, folder: Path) -> dict[str, Any]:
    """What the command says: its report, or {"error": …}."""
    deployment = folder / "deployment.json"
    await asyncio.to_thread(deployment_file.save, wiring.deployment, deployment)
    command = [sys.executable, "-m", "app.cli", "audit", "verify", "--deployment", str(deployment)]
    if run.with_records:
        records = folder / "records.jsonl"
        await _written_out(wiring, records)
        command += ["--records", str(records)]
    # The node's address may hold credentials, and a command line can be read by every process of the machine
    environment = {name: os.environ[name] for name in _WHAT_IT_NEEDS if name in os.environ}
    environment["CONSENTRY_AUDIT_RPC"] = wiring.nodes.nodes[0].url
    process = await asyncio.create_subprocess_exec(
        *(*command, "--json", "--progress"), stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment
    )
    try:
        assert process.stdout is not None  # noqa: S101 - asked for
        output, said = await asyncio.gather(process.stdout.read(), _followed(wiring, run, process))
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if not output:
        return {"error": said or "it ended without a report"}
    report: dict[str, Any] = json.loads(output)
    return report


async def _followed(wiring: Wiring, run: Run, process: asyncio.subprocess.Process) -> str:
    """Writes down how far it has come; gives the last line that was no progress."""
    assert process.stderr is not None  # noqa: S101 - asked for
    loop, said, at_s = asyncio.get_running_loop(), "", -_SAID_EVERY_S
    async for line in process.stderr:
        text = line.decode("utf-8", "replace").strip()
        try:
            reached, last, records = (int(json.loads(text)[name]) for name in ("block", "of_blocks", "records"))
        except (ValueError, KeyError, TypeError):
            said = text or said
            continue
        if loop.time() - at_s >= _SAID_EVERY_S:
            at_s = loop.time()
            await wiring.verifications.progress(run.run_id, reached, last, records)
    return said


async def _written_out(wiring: Wiring, path: Path) -> None:
    """Every record that opens a commitment, in the order of the log, readable by nobody else."""
    pages: list[Path] = []
    cursor: int | None = None
    while True:
        page = await wiring.accesses.all(LARGEST_PAGE, cursor)
        lines = [to_line(one.body, one.salt) + "\n" for one in reversed(page.accesses) if one.body]
        part = path.with_suffix(f".{len(pages)}")
        part.touch(mode=0o600)
        await asyncio.to_thread(part.write_text, "".join(lines), "ascii")
        pages.append(part)
        cursor = page.cursor
        if cursor is None:
            break
    await asyncio.to_thread(_joined, path, pages)


def _joined(path: Path, pages: list[Path]) -> None:
    """The newest page was read first, and the log begins with the oldest."""
    path.touch(mode=0o600)
    with path.open("w", encoding="ascii") as whole:
        for part in reversed(pages):
            whole.write(part.read_text("ascii"))
            part.unlink()
