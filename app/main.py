"""The composition root: settings in, a running gateway out. Everything is made here and handed over; nothing is
global.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.api.application import create_application
from app.api.siwe_message import Place
from app.api.wiring import Condition
from app.api.wiring import Wiring as ApiWiring
from app.chain.contracts import Contracts
from app.chain.deployment import Deployment, check
from app.chain.nodes import Nodes
from app.core.consent.mirror import Standing
from app.core.http.cors import CorsRules
from app.core.identifiers import StudyKey, StudyUid, UnixTime
from app.core.pseudonym import study_key
from app.gateway.cors import Cors
from app.gateway.dicomweb import Dicomweb
from app.gateway.front import MOUNT, Front
from app.gateway.ports import Alarm, GatewayLimits
from app.gateway.ports import Wiring as GatewayWiring
from app.gateway.serving import server_config, set_aside_long_lived_objects
from app.keys import RECORDER_INDEX, RELAYER_INDEX, account, site_key
from app.loops.backlog_watch import BacklogState, BacklogWatch
from app.loops.follow import Follower, Rules
from app.loops.lane import Lane
from app.loops.lane_chain import NodesChain
from app.loops.log_planner import LogPlanner, Pace
from app.loops.odd_identities import IdentityScan, Noticed, ScanPace, keep
from app.loops.settle import settle
from app.loops.submit import Submitter
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.origin import Origin, OriginUnavailableError
from app.portal.pages import pages
from app.settings import Settings
from app.store.access_requests import AccessRequests
from app.store.accesses import Accesses
from app.store.consents import Consents
from app.store.directory import Directory
from app.store.engine import Database, open_database
from app.store.identity_desk import IdentityDesk
from app.store.journal import Journal
from app.store.leadership import Leadership
from app.store.log_batches import LogBatches
from app.store.migrate import upgrade
from app.store.outbox import Outbox
from app.store.patients import Patients
from app.store.sessions import Sessions
from app.store.siwe_nonces import SiweNonces
from app.upstream import remote_origin

_LOG = logging.getLogger(__name__)

_CLAIM_LIFETIME_S = 14 * 86400
_SETTLE_S = 2.0
_LOOK_FOR_STANDING_S = 0.5
_LOOK_FOR_FILES_S = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway whose loops run; ``application`` is what a server serves."""

    settings: Settings
    deployment: Deployment
    application: ASGIApp
    api: ApiWiring
    loops: tuple[asyncio.Task[None], ...]


@dataclass(frozen=True, slots=True)
class _Ground:
    """What everything else stands on."""

    settings: Settings
    deployment: Deployment
    nodes: Nodes
    contracts: Contracts
    database: Database
    origin: Origin
    site_key: bytes
    say: Say
    durable: Callable[[], int] | None


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
        contracts = Contracts.of(deployment)
        ground = _Ground(settings, deployment, nodes, contracts, database, origin, own_site_key, say, durable)
        patients, consents, sessions = Patients(database), Consents(database), Sessions(database)
        await asyncio.to_thread(patients.load)
        await asyncio.to_thread(consents.load)
        stack.callback(patients.close)
        # The submitter is made below, before the journal starts and calls it.
        journal = Journal(
            database,
            on_commit=lambda: submitter.wake(),  # noqa: PLW0108 - not made yet
            backlog_limit=settings.backlog_limit,
        )
        follower, submitter = _follower(ground), _submitter(ground, journal)
        await asyncio.to_thread(journal.start)
        stack.push_async_callback(asyncio.to_thread, journal.stop)
        api, noticed = _api(ground, follower, submitter, journal, patients, consents, sessions), Noticed()
        await asyncio.to_thread(api.identities.resolutions.load)
        rest = create_application(api)
        rest.include_router(pages(settings.origin_url, settings.viewer_dir, sessions))
        application = _application(settings, Dicomweb(_data_path(ground, follower, api, noticed)), rest)
        loops: list[Coroutine[Any, Any, None]] = [follower.run(), submitter.run()]
        loops.append(settle(consents, follower.standing, _SETTLE_S))
        loops += [keep(api.identities, noticed), _identity_scan(ground, api.identities).run()]
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
    return Cors(front, CorsRules(_origins(settings.cors_origins), settings.cors_credentials))


def _page_origins(settings: Settings) -> frozenset[bytes]:
    """Our own, and those that the settings trust with the portal's cookie."""
    return _origins((settings.origin_url, *(settings.cors_origins if settings.cors_credentials else ())))


def _origins(named: Sequence[str]) -> frozenset[bytes]:
    return frozenset(origin.encode("ascii") for origin in named)


def _follower(ground: _Ground) -> Follower:
    settings = ground.settings
    rules = Rules(
        confirmations=settings.confirmations,
        poll_interval_s=settings.poll_interval_s,
        standing_max_age_s=settings.standing_max_age_s,
        head_max_age_s=settings.head_max_age_s,
        may_go_back=settings.embedded_chain,
    )

    def progress(done: int, total: int) -> None:
        ground.say(f"reading the chain: block {done} of {total}")

    return Follower(ground.nodes, ground.deployment, rules, progress=progress, durable=ground.durable)


def _submitter(ground: _Ground, journal: Journal) -> Submitter:
    settings = ground.settings
    chain = NodesChain(ground.nodes, ground.contracts, ground.deployment.chain_id, settings.confirmations)
    outbox = Outbox(ground.database)
    recorder = Lane(account(settings.recorder_key, RECORDER_INDEX), outbox, chain)
    return Submitter(
        recorder=recorder,
        planner=LogPlanner(recorder, LogBatches(ground.database), chain, Pace(flush_s=settings.log_flush_s)),
        relayer=Lane(account(settings.relayer_key, RELAYER_INDEX), outbox, chain),
        leadership=Leadership(ground.database, "submit"),
        watch=BacklogWatch(journal.backlog, settings.backlog_alarm_s, _late),
    )


def _api(
    ground: _Ground,
    follower: Follower,
    submitter: Submitter,
    journal: Journal,
    patients: Patients,
    consents: Consents,
    sessions: Sessions,
) -> ApiWiring:
    settings, database = ground.settings, ground.database
    return ApiWiring(
        place=Place(settings.origin_url, ground.deployment.chain_id),
        deployment=ground.deployment,
        site_key=ground.site_key,
        token_lifetime_s=settings.token_lifetime_s,
        claim_lifetime_s=_CLAIM_LIFETIME_S,
        relayer=account(settings.relayer_key, RELAYER_INDEX).address,
        standing=follower.standing,
        condition=lambda: _condition(follower, submitter),
        wake_relay=submitter.wake,
        clock=_now,
        random_bytes=os.urandom,
        origin=ground.origin,
        contracts=ground.contracts,
        nodes=ground.nodes,
        outbox=Outbox(database),
        journal=journal,
        sessions=sessions,
        siwe_nonces=SiweNonces(database),
        patients=patients,
        consents=consents,
        accesses=Accesses(database),
        access_requests=AccessRequests(database),
        directory=Directory(database),
        identities=IdentityDesk(database, patients),
    )


def _identity_scan(ground: _Ground, identities: IdentityDesk) -> IdentityScan:
    """An archive of our own is looked through by its index; any other at the rate that the settings allow."""
    is_own = isinstance(ground.origin, ArchiveOrigin)
    pace = ScanPace(0, 200) if is_own else ScanPace(1 / ground.settings.identity_scan_rate, 20)
    return IdentityScan(ground.origin, identities, Leadership(ground.database, "identities"), pace)


def _data_path(ground: _Ground, follower: Follower, api: ApiWiring, noticed: Noticed) -> GatewayWiring:
    settings, chain_id = ground.settings, ground.deployment.chain_id
    registry = ground.deployment.address("PatientRegistry")

    def study_key_of(salt: bytes, study: StudyUid) -> StudyKey:
        return study_key(ground.site_key, salt, study, chain_id, registry)

    return GatewayWiring(
        origin=ground.origin,
        sessions=api.sessions,
        patients=api.patients,
        journal=api.journal,
        standing=follower.standing,
        revoked_here=lambda: api.consents.revoked_here,
        study_key_of=study_key_of,
        clock=time.time,
        monotonic=time.monotonic,
        random_bytes=os.urandom,
        alarm=_alarm,
        public_url=settings.origin_url + MOUNT.decode(),
        gateway_id=settings.gateway_id,
        limits=GatewayLimits(
            resolution_ttl_s=settings.subject_ttl_s,
            uploads=settings.uploads,
            upload_instance_bytes=settings.upload_instance_bytes,
            upload_request_bytes=settings.upload_request_bytes,
        ),
        spool_folder=settings.data_dir,
        page_origins=_page_origins(settings),
        rulings=lambda: api.identities.resolutions.rulings,
        odd_met=noticed.met,
    )


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


def _now() -> UnixTime:
    return UnixTime(int(time.time()))


def _condition(follower: Follower, submitter: Submitter) -> Condition:
    health, state = follower.health(), submitter.state()
    return Condition(
        chain_problem=health.problem,
        confirmed_age_s=health.confirmed_age_s,
        lag=health.lag,
        reorganisations=health.reorganisations,
        waiting=state.backlog.waiting,
        oldest_age_s=state.backlog.oldest_age_s,
        late=state.backlog.late,
        trouble=tuple(one.value for one in state.trouble),
    )


def _alarm(kind: Alarm) -> None:
    if kind is Alarm.CREDENTIALS_REFUSED:
        _LOG.error("ALARM: the archive refuses this gateway's credentials (%s)", kind.value)
    else:
        _LOG.error("ALARM: the archive's answer was refused (%s)", kind.value)


def _late(state: BacklogState) -> None:
    if state.late:
        _LOG.error("ALARM: %d access records wait, the oldest for %d s", state.waiting, state.oldest_age_s)
    else:
        _LOG.warning("the access log has caught up: %d records wait", state.waiting)
