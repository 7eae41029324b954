"""``consentry up``, ``serve``, ``demo`` and ``doctor``: the gateway itself."""

import asyncio
import datetime as dt
import logging
import os
import platform
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from app import main as composition
from app import stack
from app.chain.anvil import AnvilError, binary
from app.chain.anvil_state import ChainFolderBusyError
from app.chain.deployment import DeploymentError, check
from app.chain.deployment import load as load_deployment
from app.chain.nodes import Nodes
from app.chain.rpc import RpcError
from app.commands.configured import settings_or_fail
from app.commands.output import CommandError, JsonOption, emit_table, say
from app.demo.story import play
from app.gateway.serving import restart_with_malloc_settings
from app.pacs.origin import OriginRefusedError, OriginUnavailableError
from app.settings import Settings, SettingsError, load
from app.store.engine import StoreUnavailableError, UnfitDatabaseError, open_database
from app.store.identity_desk import IdentityDesk
from app.store.journal import JournalUnavailableError
from app.store.migrate import is_newest
from app.store.patients import Patients
from app.upstream import client_certificate_ends, remote_origin


def up() -> None:
    """Start the whole stack, or resume it from the data folder. Ctrl-C stops it."""
    restart_with_malloc_settings()
    settings = _settings()

    def announce(running: stack.Up) -> None:
        say("")
        say(f"gateway   {settings.origin_url}")
        say(f"DICOMweb  {settings.origin_url}/dicom-web")
        if running.chain is not None:
            say(f"chain     {running.chain.url}")
            say(f"accounts  {settings.data_dir / 'dev.json'}")
        say("Ctrl-C stops it; its state stays in the data folder.")

    _run(stack.up(settings, say, announce))


def serve() -> None:
    """Serve in front of the configured PACS, on the configured chain and deployment."""
    restart_with_malloc_settings()
    settings = _settings()
    if settings.embedded_chain:
        raise CommandError("CONSENTRY_RPC_URL names no node; `consentry up` brings an embedded chain")

    async def run() -> None:
        deployment = await asyncio.to_thread(load_deployment, settings.deployment_path)
        async with composition.running(settings, deployment, say) as gateway:
            await composition.serve(gateway)

    _run(run())


def demo() -> None:
    """Play the whole story against a fresh stack; then stay up, unless DEMO_EXIT=1."""
    ended = play(stay=os.environ.get("DEMO_EXIT", "") not in {"1", "true", "yes"})
    if not ended:
        raise CommandError("a step of the story did not hold")


def doctor(as_json: JsonOption = False) -> None:
    """Check the settings, the chain, the contracts, the archive and the database, one by one."""
    rows: list[dict[str, Any]] = [{"check": "Python", "result": "ok", "detail": platform.python_version()}]
    try:
        settings = load()
        rows.append({"check": "settings", "result": "ok", "detail": ""})
    except SettingsError as error:
        rows += [{"check": "settings", "result": "failed", "detail": text} for text in error.problems]
        settings = None
    if settings is not None:
        rows += asyncio.run(_examine(settings))
    emit_table(rows, ["check", "result", "detail"], as_json)
    if any(row["result"] == "failed" for row in rows):
        sys.exit(1)


async def _examine(settings: Settings) -> list[dict[str, Any]]:
    async def chain() -> str:
        if settings.embedded_chain:
            return f"embedded, {await asyncio.to_thread(binary)}"
        async with Nodes.of(settings.rpc_urls) as nodes:
            await nodes.check_chain(settings.chain_id)
            deployment = await asyncio.to_thread(load_deployment, settings.deployment_path)
            await check(deployment, nodes)
        return "contracts as deployed"

    async def database() -> str:
        if not settings.database_url and not await asyncio.to_thread(settings.data_dir.is_dir):
            return "will be made in the data folder"
        opened = await asyncio.to_thread(open_database, settings.database)
        await asyncio.to_thread(opened.close)
        return "opens"

    async def identities() -> str:
        if not settings.database_url and not await asyncio.to_thread(settings.data_dir.is_dir):
            return "nothing is known yet"
        return await _identities(settings)

    rows = []
    for name, examine in (
        ("chain", chain),
        ("archive", lambda: _archive(settings)),
        ("database", database),
        ("identities", identities),
    ):
        try:
            rows.append({"check": name, "result": "ok", "detail": await examine()})
        except _FORESEEN as error:
            rows.append({"check": name, "result": "failed", "detail": str(error)})
    return rows


async def _archive(settings: Settings) -> str:
    folder = settings.archive_folder
    if folder is not None:
        if settings.pacs_url and not await asyncio.to_thread(folder.is_dir):
            raise OriginUnavailableError("the archive's folder is not there")
        return "embedded"
    until = client_certificate_ends(settings)
    if until is not None and until < dt.datetime.now(dt.UTC):
        raise OriginRefusedError("this gateway's certificate has expired")
    origin = remote_origin(settings)
    try:
        await origin.check()
    finally:
        await origin.aclose()
    return "answers" if until is None else f"answers; this gateway's certificate ends on {until.date()}"


async def _identities(settings: Settings) -> str:
    """How many studies are in doubt, by what was found so far."""
    opened = await asyncio.to_thread(open_database, settings.database)
    try:
        if not await asyncio.to_thread(is_newest, opened):
            return "nothing is known yet"
        patients = Patients(opened)
        await asyncio.to_thread(patients.load)
        desk = IdentityDesk(opened, patients)
        await asyncio.to_thread(desk.resolutions.load)
        await desk.recount()
        patients.close()
    finally:
        await asyncio.to_thread(opened.close)
    number = desk.unresolved
    return f"{number} studies without a patient; see `consentry identity list`" if number else "none in doubt"


_FORESEEN = (
    AnvilError,
    ChainFolderBusyError,
    DeploymentError,
    RpcError,
    OriginUnavailableError,
    StoreUnavailableError,
    UnfitDatabaseError,
    JournalUnavailableError,
    SettingsError,
)


def _settings() -> Settings:
    settings = settings_or_fail()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return settings


def _run(work: Coroutine[Any, Any, None]) -> None:
    # A request to end is a Ctrl-C: otherwise the server, once it has closed, would end the process by the signal, and
    # nothing would be put away.
    signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        say("stopped")
    except _FORESEEN as error:
        raise CommandError(str(error)) from None
