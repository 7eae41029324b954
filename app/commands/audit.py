"""``consentry access`` and ``audit``: who looked, and the replay that trusts nobody."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from app.chain.deployment import DeploymentError
from app.chain.deployment import load as load_deployment
from app.chain.quantities import MalformedAnswerError
from app.chain.rpc import Node, RpcError
from app.commands.client import DEFAULT_GATEWAY, GatewayOption, KeystoreOption, signed_in
from app.commands.output import CommandError, JsonOption, emit, emit_table, progress_line
from app.core.exported import to_line
from app.verify import ChainMovedError, Progress, Report, verify

access = typer.Typer(help="Who looked, and the proof of it.", no_args_is_help=True)
audit = typer.Typer(help="Verify the whole log against the chain; export records.", no_args_is_help=True)

_PAGE = 1000


@access.command("list")
def list_accesses(
    patient_key: Annotated[str | None, typer.Option(help="Only this patient's.")] = None,
    limit: Annotated[int, typer.Option(help="At most this many, the newest first.", min=1)] = 100,
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List accesses: a patient's own, an actor's own, or all for an auditor."""
    client = signed_in(gateway, keystore)
    rows: list[dict[str, Any]] = []
    cursor: int | None = None
    while len(rows) < limit:
        page = client.get("/api/accesses", patient_key=patient_key, limit=min(limit - len(rows), _PAGE), cursor=cursor)
        rows += page["accesses"]
        cursor = page["next"]
        if cursor is None:
            break
    emit_table(rows, ["at", "actor_name", "action", "purpose", "study", "seq", "status", "id"], as_json, "no accesses")


@access.command("proof")
def proof(
    record_id: Annotated[str, typer.Argument(help="As in Access-Record-Id.")],
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what opens a record's commitment on the chain."""
    found = signed_in(gateway, keystore).get(f"/api/accesses/{record_id}/proof")
    emit(found, as_json, [f"{name}  {value}" for name, value in found.items()])


@audit.command("export")
def export(
    file: Annotated[Path, typer.Argument(help="Where to; '-' for standard output.", allow_dash=True)],
    gateway: GatewayOption = DEFAULT_GATEWAY,
    keystore: KeystoreOption = None,
) -> None:
    """Export every record that is on the chain, one JSON object a line, for `audit verify --records` (auditors)."""
    client = signed_in(gateway, keystore)
    cursor: int | None = None
    lines: list[str] = []
    while True:
        page = client.get("/api/accesses/export", limit=_PAGE, cursor=cursor)
        lines += [to_line(bytes.fromhex(one["record"][2:]), bytes.fromhex(one["salt"][2:])) for one in page["records"]]
        cursor = page["next"]
        progress_line(f"{len(lines)} records")
        if cursor is None:
            break
    text = "".join(line + "\n" for line in reversed(lines))
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        file.touch(mode=0o600)
        file.write_text(text, encoding="ascii")


@audit.command("verify")
def verify_log(
    rpc: Annotated[str, typer.Option("--rpc", envvar="CONSENTRY_AUDIT_RPC", help="A node of your own choice.")],
    deployment: Annotated[Path, typer.Option(help="The deployment file.", exists=True, dir_okay=False)],
    records: Annotated[
        Path | None, typer.Option(help="Records from `audit export`.", exists=True, dir_okay=False)
    ] = None,
    as_json: JsonOption = False,
    progress: Annotated[
        bool, typer.Option("--progress", help="Say on standard error how far it is, one JSON object a line.")
    ] = False,
) -> None:
    """Replay the chain and decide every access again: complete and authorised, or the exact record that is not."""
    report = verify_chain(rpc, deployment, records, _progress_in_json if progress else _progress)
    emit(_document(report), as_json, report.lines())
    if not report.good:
        sys.exit(1)


def verify_chain(rpc: str, deployment_file: Path, records: Path | None, progress: Progress | None = None) -> Report:
    """Run the replay against one node. Raises CommandError when it cannot be carried out."""

    async def work() -> Report:
        deployment = await asyncio.to_thread(load_deployment, deployment_file)
        async with Node(rpc, "the node") as node:
            with contextlib.ExitStack() as stack:
                lines = None if records is None else stack.enter_context(records.open(encoding="ascii"))
                return await verify(node, deployment, lines, progress)

    try:
        return asyncio.run(work())
    except (DeploymentError, RpcError, MalformedAnswerError, ChainMovedError, OSError) as error:
        raise CommandError(str(error)) from None


def _progress(reached: int, last: int, records: int) -> None:
    progress_line(f"block {reached} of {last}, {records} records")


def _progress_in_json(reached: int, last: int, records: int) -> None:
    sys.stderr.write(json.dumps({"block": reached, "of_blocks": last, "records": records}) + "\n")


def _document(report: Report) -> dict[str, Any]:
    return {
        "good": report.good,
        "records": report.records,
        "opened": report.opened,
        "waiting": report.waiting,
        "orphaned": report.orphaned,
        "erased": report.erased,
        "break_glass": {
            "records": report.glass.records,
            "on_stale_snapshot": None if report.opened is None else report.glass.on_stale_snapshot,
            "not_reviewed": report.glass.not_reviewed,
            "not_justified": report.glass.not_justified,
        },
        "flaws": report.flaws,
        "findings": [str(finding) for finding in report.findings],
        "block": {"number": report.end.number, "hash": "0x" + report.end.hash.hex()},
        "head": "0x" + report.head.hex(),
    }
