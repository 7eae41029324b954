"""The composition root: settings in, a running gateway out. Everything is made here and handed over; nothing is
global.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.api.application import create_application
from app.api.wiring import EmergencyRules
from app.api.wiring import Wiring as ApiWiring
from app.chain.contracts import Contracts
from app.chain.deployment import Deployment, check
from app.chain.nodes import Nodes
from app.core.consent.mirror import Standing
from app.core.http.cors import CorsRules
from app.gateway.cors import Cors
from app.gateway.dicomweb import Dicomweb
from app.gateway.front import Front
from app.gateway.serving import server_config, set_aside_long_lived_objects
from app.keys import id_token_key, site_key
from app.loops.aftermath import Aftermath
from app.loops.odd_identities import Noticed, keep
from app.loops.settle import settle
from app.outgoing import outgoing
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.origin import Origin, OriginUnavailableError
from app.portal.pages import add_pages
from app.portal.program_pages import program_pages
from app.settings import Settings
from app.store.consents import Consents
from app.store.emergencies import Emergencies
from app.store.engine import Database, open_database
from app.store.journal import Journal
from app.store.migrate import upgrade
from app.store.patients import Patients
from app.store.sessions import Sessions
from app.upstream import remote_origin
from app.wirings import (
    Ground,
    Kept,
    Say,
    api_wiring,
    data_path_wiring,
    follower_over,
    identity_scan,
    origins,
    submitter_over,
)

_LOG = logging.getLogger(__name__)

_SETTLE_S = 2.0
_LOOK_FOR_STANDING_S = 0.5
_LOOK_FOR_FILES_S = 10.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway whose loops run; ``application`` is what a server serves."""

    settings: Settings
    deployment: Deployment
    application: ASGIApp
    api: ApiWiring
    loops: tuple[asyncio.Task[None], ...]


@contextlib.asynccontextmanager
async def running(
    settings: Settings, deployment: Deployment, say: Say, durable: Callable[[], int] | None = None
) -> AsyncIterator[Gateway]:
    """A gateway that follows the chain and submits its log, until the block ends.

    ``durable``: the highest block that the chain cannot lose, where that is less than what counts as final.

    Raises SettingsError, DeploymentError, RpcError, StoreUnavailableError, JournalUnavailableError or
    OriginUnavailableError when it cannot begin.
    """
    async with contextlib.AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(Nodes.of(settings.rpc_urls))
        await check(deployment, nodes)
        database = await _database(settings, stack)
        origin = await _origin(settings, stack, say)
        own_site_key = await asyncio.to_thread(site_key, settings)
        signing = await asyncio.to_thread(id_token_key, settings)
        contracts = Contracts.of(deployment)
        delay_s = await contracts.ask(nodes, contracts.patients.move_delay_s())
        ground = Ground(
            settings, deployment, nodes, contracts, database, origin, own_site_key, signing, say, durable, delay_s
        )
        kept = Kept(Patients(database), Consents(database), Emergencies(database), Sessions(database))
        for loaded in (kept.patients, kept.consents, kept.emergencies):
            await asyncio.to_thread(loaded.load)
        stack.callback(kept.patients.close)
        rules = EmergencyRules(
            longest_s=await contracts.ask(nodes, contracts.emergencies.max_duration_s()),
            quota=await contracts.ask(nodes, contracts.emergencies.quota()),
        )
        # The submitter is made below, before the journal starts and calls it.
        journal = Journal(
            database,
            on_commit=lambda: submitter.wake(),  # noqa: PLW0108 - not made yet
            backlog_limit=settings.backlog_limit,
        )
        telling = await outgoing(settings, database, own_site_key, lambda: follower.standing())  # noqa: PLW0108
        follower, submitter = follower_over(ground, telling), submitter_over(ground, journal)
        await asyncio.to_thread(journal.start)
        stack.push_async_callback(asyncio.to_thread, journal.stop)
        noticed = Noticed()
        rest = create_application(api := api_wiring(ground, kept, rules, follower, submitter, journal, telling))
        await asyncio.to_thread(api.identities.resolutions.load)
        add_pages(rest, settings.origin_url, settings.viewer_dir, settings.browser_rpc)
        rest.include_router(program_pages(api))
        application = _application(settings, Dicomweb(data_path_wiring(ground, follower, api, noticed)), rest)
        loops: list[Coroutine[Any, Any, None]] = [follower.run(), submitter.run(), *telling.loops()]
        loops += [settle(kept.consents, kept.emergencies, follower.standing, _SETTLE_S)]
        aftermath = Aftermath(kept.patients, api.erasures, api.recoveries, api.access_requests, follower.standing)
        loops.append(aftermath.run(_SETTLE_S))
        loops += [keep(api.identities, noticed), identity_scan(ground, api.identities).run()]
        if isinstance(origin, ArchiveOrigin):
            loops.append(_keep_indexed(origin))
        tasks = tuple(asyncio.create_task(loop) for loop in loops)
        stack.push_async_callback(_ended, tasks)
        yield Gateway(settings, deployment, application, api, tasks)


async def serve(gateway: Gateway) -> None:
    """Serve until SIGINT or SIGTERM; running answers are given some seconds to end.

    None of the loops ends by itself: one that does is a fault of ours, and a gateway without it must not go on. Raises
    what ended it.
    """
    settings = gateway.settings
    server = uvicorn.Server(
        server_config(
            gateway.application, host=settings.host, port=settings.port, trusted_peers=settings.trusted_proxies
        )
    )
    serving = asyncio.create_task(server.serve())
    settling = asyncio.create_task(_set_aside_the_mirror(gateway.api.standing))
    done, _ = await asyncio.wait({serving, *gateway.loops}, return_when=asyncio.FIRST_COMPLETED)
    await _ended([settling])
    if serving not in done:
        _LOG.error("a loop has ended: stopping, so that nothing is served without it")
        server.should_exit = True
        await serving
    for task in done:
        task.result()


async def _set_aside_the_mirror(standing: Callable[[], Standing | None]) -> None:
    """Once the chain has been read, the garbage collector need not walk every consent again and again."""
    while standing() is None:  # noqa: ASYNC110 - the follower tells nobody when
        await asyncio.sleep(_LOOK_FOR_STANDING_S)
    set_aside_long_lived_objects()


def _application(settings: Settings, dicomweb: Dicomweb, api: ASGIApp) -> ASGIApp:
    """Both halves behind one door; pages of other origins may call them where the settings name those origins."""
    front: ASGIApp = Front(dicomweb, api)
    if not settings.cors_origins:
        return front
    return Cors(front, CorsRules(origins(settings.cors_origins), settings.cors_credentials))


async def _database(settings: Settings, stack: contextlib.AsyncExitStack) -> Database:
    if not settings.database_url:
        await asyncio.to_thread(settings.data_dir.mkdir, mode=0o700, parents=True, exist_ok=True)
    database = await asyncio.to_thread(open_database, settings.database)
    stack.push_async_callback(asyncio.to_thread, database.close)
    await asyncio.to_thread(upgrade, database)
    return database


async def _origin(settings: Settings, stack: contextlib.AsyncExitStack, say: Say) -> Origin:
    folder = settings.archive_folder
    if folder is None:
        remote = remote_origin(settings)
        stack.push_async_callback(remote.aclose)
        return remote
    index = settings.data_dir / "archive-index.db"
    await asyncio.to_thread(settings.data_dir.mkdir, mode=0o700, parents=True, exist_ok=True)
    archive = ArchiveOrigin(folder, index)
    stack.push_async_callback(archive.aclose)
    report = await archive.reindex(_every(1000, lambda done, total: say(f"reading the archive: {done} of {total}")))
    say(f"the archive holds {report.instances} instances ({report.refused} files could not be read)")
    return archive


async def _keep_indexed(archive: ArchiveOrigin) -> None:
    """Take in files that are added to the archive's folder."""
    while True:
        await asyncio.sleep(_LOOK_FOR_FILES_S)
        try:
            await archive.reindex()
        except OriginUnavailableError as error:
            _LOG.error("%s", error)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _every(step: int, progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done % step == 0 or done == total:
            progress(done, total)

    return report
