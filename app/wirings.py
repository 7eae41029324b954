"""What the loops, the API and the data path are made of, put together from the ground that `main` lays."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from app.alarms import Alarms
from app.api.oauth.ground import OauthGround
from app.api.oauth.id_tokens import SigningKey
from app.api.oauth.server import OauthServer
from app.api.reports.typesetting import Typesetter
from app.api.siwe_message import Place
from app.api.wiring import Condition, EmergencyRules
from app.api.wiring import Wiring as ApiWiring
from app.chain.contracts import Contracts
from app.chain.default_admin import DefaultAdmin
from app.chain.deployment import Deployment
from app.chain.nodes import Nodes
from app.chain.vouching import Vouching
from app.core.consent.mirror import Standing
from app.core.identifiers import StudyKey, StudyUid, UnixTime
from app.core.pseudonym import study_key
from app.gateway.front import MOUNT
from app.gateway.ports import GatewayLimits
from app.gateway.ports import Wiring as GatewayWiring
from app.keys import RECORDER_INDEX, RELAYER_INDEX, account
from app.loops.backlog_watch import BacklogWatch
from app.loops.follow import Follower, Rules
from app.loops.lane import Lane
from app.loops.lane_chain import NodesChain
from app.loops.log_planner import LogPlanner, Pace
from app.loops.odd_identities import IdentityScan, Noticed, ScanPace
from app.loops.submit import Submitter
from app.outgoing import Outgoing
from app.pacs.archive.origin import ArchiveOrigin
from app.pacs.origin import Origin
from app.settings import Settings
from app.store.access_requests import AccessRequests
from app.store.accesses import Accesses
from app.store.consents import Consents
from app.store.directory import Directory
from app.store.emergencies import Emergencies, TakenBack
from app.store.engine import Database
from app.store.erasures import Erasures
from app.store.guardian_names import GuardianNames
from app.store.identity_desk import IdentityDesk
from app.store.invitations import Invitations
from app.store.journal import Journal
from app.store.leadership import Leadership
from app.store.log_batches import LogBatches
from app.store.outbox import Outbox
from app.store.passkey_challenges import PasskeyChallenges
from app.store.passkeys import Passkeys
from app.store.patients import Patients
from app.store.recoveries import Recoveries
from app.store.sessions import Sessions
from app.store.siwe_nonces import SiweNonces
from app.store.verifications import Verifications

_CLAIM_LIFETIME_S = 14 * 86400

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ground:
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
    alarms: Alarms = field(default_factory=Alarms)


@dataclass(frozen=True, slots=True)
class Kept:
    """What of the database is held in memory, because every request or decision needs it."""

    patients: Patients
    consents: Consents
    emergencies: Emergencies
    sessions: Sessions


def _page_origins(settings: Settings) -> frozenset[bytes]:
    """Our own, and those that the settings trust with the portal's cookie."""
    return origins((settings.origin_url, *(settings.cors_origins if settings.cors_credentials else ())))


def origins(named: Sequence[str]) -> frozenset[bytes]:
    return frozenset(origin.encode("ascii") for origin in named)


def follower_over(ground: Ground, telling: Outgoing) -> Follower:
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


def submitter_over(ground: Ground, journal: Journal) -> Submitter:
    settings = ground.settings
    chain = NodesChain(ground.nodes, ground.contracts, ground.deployment.chain_id, settings.confirmations)
    outbox = Outbox(ground.database)
    recorder = Lane(account(settings.recorder_key, RECORDER_INDEX), outbox, chain)
    return Submitter(
        recorder=recorder,
        planner=LogPlanner(recorder, LogBatches(ground.database), chain, Pace(flush_s=settings.log_flush_s)),
        relayer=Lane(account(settings.relayer_key, RELAYER_INDEX), outbox, chain),
        leadership=Leadership(ground.database, "submit"),
        watch=BacklogWatch(journal.backlog, settings.backlog_alarm_s, ground.alarms.backlog),
    )


def api_wiring(
    ground: Ground,
    kept: Kept,
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
        condition=lambda: _condition(ground, follower, submitter, telling),
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
        vouching=Vouching(ground.nodes, ground.contracts, ground.deployment),
        default_admin=DefaultAdmin(ground.nodes, ground.contracts),
        guardian_names=GuardianNames(database),
        recoveries=Recoveries(database),
        invitations=Invitations(database),
        erasures=Erasures(database, kept.patients),
        identities=IdentityDesk(database, kept.patients),
    )


def identity_scan(ground: Ground, identities: IdentityDesk) -> IdentityScan:
    """An archive of our own is looked through by its index; any other at the rate that the settings allow."""
    is_own = isinstance(ground.origin, ArchiveOrigin)
    pace = ScanPace(0, 200) if is_own else ScanPace(1 / ground.settings.identity_scan_rate, 20)
    return IdentityScan(ground.origin, identities, Leadership(ground.database, "identities"), pace)


def data_path_wiring(ground: Ground, follower: Follower, api: ApiWiring, noticed: Noticed) -> GatewayWiring:
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
        alarm=ground.alarms.archive,
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


def _now() -> UnixTime:
    return UnixTime(int(time.time()))


def _condition(ground: Ground, follower: Follower, submitter: Submitter, telling: Outgoing) -> Condition:
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
        alarms=ground.alarms.counts(),
    )


def _snapshot(follower: Follower, oldest_s: float) -> tuple[Standing, float] | None:
    last = follower.last_standing()
    return last if last is not None and last[1] <= oldest_s else None
