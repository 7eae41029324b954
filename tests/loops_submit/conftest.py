"""A site on a real chain: a database, its journal, and submitters that can be started, stopped and killed."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlmodel import col, select

from app.chain.deployment import Deployment
from app.chain.events import EventReader
from app.chain.nodes import Nodes
from app.chain.quantities import items, to_data
from app.core.consent.events import AccessLogged
from app.core.record import LoggedAccess, genesis_head, next_head
from app.loops.backlog_watch import BacklogState, BacklogWatch
from app.loops.lane import Lane, LaneLimits
from app.loops.lane_chain import NodesChain
from app.loops.log_planner import LogPlanner, Pace
from app.loops.submit import Rhythm, Submitter
from app.store.engine import Database, open_database
from app.store.journal import Journal, JournalEntry
from app.store.leadership import Leadership
from app.store.log_batches import LogBatches
from app.store.outbox import CallState, Outbox
from app.store.tables import AccessRecordRow, ChainBatchRow, OutboxCallRow
from tests.support.accesses import random_entry
from tests.support.chain import Chain, signer
from tests.support.postgres import PostgresCluster, postgres_cluster
from tests.support.stores import new_sqlite

on_both = pytest.mark.parametrize(
    "url", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
QUICK = Rhythm(busy_s=0.03, idle_s=0.1)
EAGER = LaneLimits(in_flight=4, stuck_after_s=1.0, resend_after_s=0.2)


def make_submitter(
    database: Database,
    nodes: Nodes,
    deployment: Deployment,
    contracts: object,
    journal: Journal,
    *,
    batch: int = 7,
    limits: LaneLimits = EAGER,
    leadership: Leadership | None = None,
    relayer: str = "relayer",
    alarm: Callable[[BacklogState], None] = lambda _state: None,
    limit_s: int = 600,
) -> Submitter:
    """A submitter with small batches and a quick rhythm, so that a few records take many transactions."""
    asked = NodesChain(nodes, contracts, deployment.chain_id)  # type: ignore[arg-type]  # the test's chain has them
    outbox = Outbox(database)
    recorder = Lane(signer("recorder"), outbox, asked, limits)
    return Submitter(
        recorder=recorder,
        planner=LogPlanner(recorder, LogBatches(database), asked, Pace(0.05, limits.in_flight, batch)),
        relayer=Lane(signer(relayer), outbox, asked, limits),
        leadership=leadership or Leadership(database, "submitter"),
        watch=BacklogWatch(journal.backlog, limit_s, alarm),
        rhythm=QUICK,
    )


@dataclass
class Site:
    """One site's database on one chain. ``entries`` is what its journal has acknowledged, in order."""

    url: str
    database: Database
    journal: Journal
    chain: Chain
    rng: random.Random
    submitters: list[Submitter] = field(default_factory=list)

    def submitter(self, **options: object) -> Submitter:
        one = make_submitter(
            self.database,
            self.chain.nodes,
            self.chain.deployment,
            self.chain.contracts,
            self.journal,
            **options,  # type: ignore[arg-type]  # named as make_submitter names them
        )
        self.submitters.append(one)
        return one

    @asynccontextmanager
    async def submitting(self, **options: object) -> AsyncIterator[Submitter]:
        one = self.submitter(**options)
        running = asyncio.create_task(one.run())
        try:
            yield one
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def look(self, count: int, **fields: object) -> None:
        """That many accesses; about half of them share actor, patient and basis with the one before."""
        entries: list[JournalEntry] = []
        for _ in range(count):
            shared = dict(fields)
            if entries and self.rng.random() < 0.5:
                last = entries[-1].record
                shared |= {"actor": last.actor, "patient": last.patient, "basis": last.basis, "block": last.block}
            entries.append(random_entry(self.rng, **shared))
        await self.journal.append(entries)

    def unsettled(self, *settled: CallState) -> int:
        """Records whose batch is not in one of these states."""
        wanted = settled or (CallState.MINED, CallState.FINAL)
        query = (
            select(AccessRecordRow.row_id)
            .outerjoin(ChainBatchRow, col(ChainBatchRow.batch_id) == col(AccessRecordRow.batch_id))
            .outerjoin(OutboxCallRow, col(OutboxCallRow.call_id) == col(ChainBatchRow.call_id))
            .where(col(OutboxCallRow.state).is_(None) | col(OutboxCallRow.state).not_in(wanted))
        )
        return len(self.database.read(lambda transaction: transaction.exec(query).all()))

    async def until_settled(self, *settled: CallState, mine: bool = False, seconds: float = 120) -> None:
        """Until every record is in a block; ``mine`` makes blocks meanwhile."""
        async with asyncio.timeout(seconds):
            while await asyncio.to_thread(self.unsettled, *settled):
                if mine:
                    await self.chain.mine()
                await asyncio.sleep(0.05)

    async def logged(self) -> list[AccessLogged]:
        """All AccessLogged events on the chain as it is now, in the chain's order."""
        log = self.chain.deployment.address("AccessLog")
        found = await self.chain.rpc("eth_getLogs", {"address": to_data(log), "fromBlock": "0x0", "toBlock": "latest"})
        reader = EventReader(self.chain.deployment)
        events = [reader.read(one) for one in items(found, "the logs")]
        return [event for event in events if isinstance(event, AccessLogged)]

    async def check(self) -> None:
        """Every record exactly once, in row order, gap-free, and the contract's head is ours."""
        rows = self.database.read(
            lambda transaction: transaction.exec(select(AccessRecordRow).order_by(col(AccessRecordRow.seq))).all()
        )
        events = await self.logged()
        assert [event.seq for event in events] == list(range(len(rows)))
        assert [row.seq for row in rows] == list(range(len(rows)))
        assert [(e.commitment, e.accessor, e.patient, e.basis, e.block.number, e.block.hash) for e in events] == [
            (row.commitment, row.actor, row.patient_key, row.basis, row.block_number, row.block_hash) for row in rows
        ]
        head = genesis_head(self.chain.deployment.chain_id, self.chain.deployment.address("AccessLog"))
        for event in events:
            access = LoggedAccess(event.basis, event.accessor, event.patient, event.block, event.commitment)
            head = next_head(head, event.seq, access)
        log = self.chain.contracts.log
        assert await self.chain.contracts.ask(self.chain.nodes, log.head()) == head
        assert await self.chain.contracts.ask(self.chain.nodes, log.next_seq()) == len(rows)


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    with postgres_cluster() as running:
        yield running


@pytest.fixture
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """SQLite, unless the test asks for both with ``on_both``."""
    if getattr(request, "param", "sqlite") == "postgres":
        running: PostgresCluster = request.getfixturevalue("cluster")
        return running.migrated_url()
    return new_sqlite(tmp_path / "site.db")


@pytest.fixture
async def site(url: str, chain: Chain, rng: random.Random) -> AsyncIterator[Site]:
    database = open_database(url)
    journal = Journal(database)
    journal.start()
    yield Site(url, database, journal, chain, rng)
    await asyncio.to_thread(journal.stop)
    database.close()
