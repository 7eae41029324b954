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
from app.api.oauth.ground import OauthGround
from app.api.oauth.id_tokens import SigningKey
from app.api.oauth.server import OauthServer
from app.api.reports.typesetting import Typesetter
from app.api.siwe_message import Place
from app.api.wiring import Condition, EmergencyRules
from app.api.wiring import Wiring as ApiWiring
from app.chain.contracts import Contracts
from app.chain.deployment import Deployment, check
from app.chain.nodes import Nodes
from app.chain.vouching import Vouching
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
from app.keys import RECORDER_INDEX, RELAYER_INDEX, account, id_token_key, site_key
from app.loops.aftermath import Aftermath
from app.loops.backlog_watch import BacklogState, BacklogWatch
from app.loops.follow import Follower, Rules
from app.loops.lane import Lane
from app.loops.lane_chain import NodesChain
from app.loops.log_planner import LogPlanner, Pace
from app.loops.settle import settle
from app.loops.submit import Submitter
from app.outgoing import Outgoing, outgoing
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.origin import Origin, OriginUnavailableError
from app.portal.pages import add_pages
from app.portal.program_pages import program_pages
from app.settings import Settings
from app.store.access_requests import AccessRequests
from app.store.accesses import Accesses
from app.store.consents import Consents
from app.store.directory import Directory
from app.store.emergencies import Emergencies, TakenBack
from app.store.engine import Database, open_database
from app.store.erasures import Erasures
from app.store.guardian_names import GuardianNames
from app.store.journal import Journal
from app.store.leadership import Leadership
from app.store.log_batches import LogBatches
from app.store.migrate import upgrade
from app.store.outbox import Outbox
from app.store.passkey_challenges import PasskeyChallenges
from app.store.passkeys import Passkeys
from app.store.patients import Patients
from app.store.recoveries import Recoveries
from app.store.sessions import Sessions
from app.store.siwe_nonces import SiweNonces
from app.store.verifications import Verifications
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
    id_token_key: SigningKey
    say: Say
    durable: Callable[[], int] | None
    move_delay_s: int


@dataclass(frozen=True, slots=True)
class _Kept:
    """What of the database is held in memory, because every request or decision needs it."""

    patients: Patients
    consents: Consents
    emergencies: Emergencies
    sessions: Sessions


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
        ground = _Ground(
            settings, deployment, nodes, contracts, database, origin, own_site_key, signing, say, durable, delay_s
        )
        kept = _Kept(Patients(database), Consents(database), Emergencies(database), Sessions(database))
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
        follower, submitter = _follower(ground, telling), _submitter(ground, journal)
        await asyncio.to_thread(journal.start)
        stack.push_async_callback(asyncio.to_thread, journal.stop)
        rest = create_application(api := _api(ground, kept, rules, follower, submitter, journal, telling))
        add_pages(rest, settings.origin_url, settings.viewer_dir, settings.browser_rpc)
        rest.include_router(program_pages(api))
        application = _application(settings, Dicomweb(_data_path(ground, follower, api)), rest)
        loops: list[Coroutine[Any, Any, None]] = [follower.run(), submitter.run(), *telling.loops()]
        loops += [settle(kept.consents, kept.emergencies, follower.standing, _SETTLE_S)]
        aftermath = Aftermath(kept.patients, api.erasures, api.recoveries, api.access_requests, follower.standing)
        loops += [aftermath.run(_SETTLE_S)]
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


def _follower(ground: _Ground, telling: Outgoing) -> Follower:
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

    return Follower(
        ground.nodes, ground.deployment, rules, progress=progress, durable=ground.durable, listener=telling.listener
    )


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
    kept: _Kept,
    rules: EmergencyRules,
    follower: Follower,
    submitter: Submitter,
    journal: Journal,
    telling: Outgoing,
) -> ApiWiring:
    settings, database = ground.settings, ground.database
    return ApiWiring(
        place=Place(settings.origin_url, ground.deployment.chain_id),
        deployment=ground.deployment,
        site_key=ground.site_key,
        token_lifetime_s=settings.token_lifetime_s,
        claim_lifetime_s=_CLAIM_LIFETIME_S,
        move_delay_s=ground.move_delay_s,
        relayer=account(settings.relayer_key, RELAYER_INDEX).address,
        standing=follower.standing,
        snapshot=lambda: _snapshot(follower, settings.emergency_snapshot_s),
        emergency_rules=rules,
        condition=lambda: _condition(follower, submitter, telling),
        wake_relay=submitter.wake,
        clock=_now,
        random_bytes=os.urandom,
        origin=ground.origin,
        contracts=ground.contracts,
        nodes=ground.nodes,
        outbox=Outbox(database),
        journal=journal,
        sessions=kept.sessions,
        siwe_nonces=SiweNonces(database),
        passkeys=Passkeys(database),
        passkey_challenges=PasskeyChallenges(database),
        patients=kept.patients,
        consents=kept.consents,
        emergencies=kept.emergencies,
        accesses=Accesses(database),
        access_requests=AccessRequests(database),
        directory=Directory(database),
        vouching=Vouching(ground.nodes, ground.contracts, ground.deployment),
        guardian_names=GuardianNames(database),
        recoveries=Recoveries(database),
        erasures=Erasures(database, kept.patients),
        oauth=OauthServer(
            OauthGround.over(
                database,
                settings.origin_url,
                ground.id_token_key,
                _now,
                settings.program_token_lifetime_s,
                settings.program_refresh_lifetime_s,
            )
        ),
        verifications=Verifications(database),
        contacts=telling.contacts,
        reach=telling.reach,
        typesetter=Typesetter(),
    )


def _data_path(ground: _Ground, follower: Follower, api: ApiWiring) -> GatewayWiring:
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
        revoked_here=TakenBack(api.consents, api.emergencies).now,
        opened_here=lambda: api.emergencies.opened,
        snapshot=api.snapshot,
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


def _condition(follower: Follower, submitter: Submitter, telling: Outgoing) -> Condition:
    health, state, notices = follower.health(), submitter.state(), telling.teller.count()
    return Condition(
        chain_problem=health.problem,
        confirmed_age_s=health.confirmed_age_s,
        lag=health.lag,
        reorganisations=health.reorganisations,
        waiting=state.backlog.waiting,
        oldest_age_s=state.backlog.oldest_age_s,
        late=state.backlog.late,
        trouble=tuple(one.value for one in state.trouble),
        notices_waiting=notices.waiting,
        notices_given_up=notices.given_up,
    )


def _alarm(kind: Alarm) -> None:
    if kind is Alarm.CREDENTIALS_REFUSED:
        _LOG.error("ALARM: the archive refuses this gateway's credentials (%s)", kind.value)
    else:
        _LOG.error("ALARM: the archive's answer was refused (%s)", kind.value)


def _snapshot(follower: Follower, oldest_s: float) -> tuple[Standing, float] | None:
    last = follower.last_standing()
    return last if last is not None and last[1] <= oldest_s else None


def _late(state: BacklogState) -> None:
    if state.late:
        _LOG.error("ALARM: %d access records wait, the oldest for %d s", state.waiting, state.oldest_age_s)
    else:
        _LOG.warning("the access log has caught up: %d records wait", state.waiting)
