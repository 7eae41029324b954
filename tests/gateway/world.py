"""A gateway over a given archive, with real sessions, patients and journal on SQLite, and a chain made of events."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.consent.basis import person, role_id
from app.core.consent.emergencies import OpenedHere
from app.core.consent.events import ConsentGranted, ConsentRevoked, Event, PatientClaimed, PatientEnrolled, RoleSet
from app.core.consent.fold import fold
from app.core.consent.mirror import Standing
from app.core.consent.state import GENESIS, State
from app.core.consent.terms import Action, Capacity, Effect, Purpose, Role, Terms, Window
from app.core.identifiers import (
    Address,
    BlockHash,
    BlockRef,
    ConsentId,
    PatientKey,
    Signer,
    StudyUid,
    Subject,
    UnixTime,
)
from app.core.pseudonym import patient_key, study_key
from app.core.record import AccessRecord, decode
from app.gateway.dicomweb import Dicomweb
from app.gateway.ports import Alarm, GatewayLimits, Wiring
from app.loops.odd_identities import Noticed
from app.pacs.origin import Origin
from app.store.engine import Database, open_database
from app.store.identity_desk import IdentityDesk
from app.store.journal import Journal, JournalEntry, Outcome
from app.store.patients import EnrolledPatient, Patients
from app.store.sessions import Sessions
from tests.support.stores import new_sqlite

CHAIN_ID = 31337
REGISTRY = Address(b"\x11" * 20)
SITE_KEY = b"\x22" * 32
PHYSICIAN = Address(b"\x33" * 20)
REGISTRAR = Address(b"\x35" * 20)
STRANGER = Address(b"\x34" * 20)
ALWAYS = Window(UnixTime(0), UnixTime(2**40))
READ = Action.SEARCH | Action.VIEW | Action.RETRIEVE
PUBLIC_URL = "https://gateway.example/dicom-web"
PAGE_ORIGIN = b"https://gateway.example"


def make_empty_database(folder: Path) -> Path:
    """A database with its tables and nothing in them."""
    path = folder / "empty.sqlite"
    new_sqlite(path)
    return path


@dataclass
class Reply:
    """What came back over ASGI. ``complete``: the application said that this was all."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def header(self, name: str) -> str | None:
        found = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(found) < 2
        return found[0] if found else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        assert self.header("content-type") == "application/problem+json"
        kind: str = self.json()["type"]
        return kind.removeprefix("urn:consentry:problem:")

    @property
    def record_ids(self) -> list[str]:
        listed = self.header("access-record-id")
        return listed.split(",") if listed else []


@dataclass
class NotedJournal:
    """A journal that notes what it is given, and fails, waits or passes on as told."""

    inner: Journal | None = None
    error: Exception | None = None
    gate: asyncio.Event | None = None
    entries: list[JournalEntry] = field(default_factory=list)
    outcomes: dict[bytes, Outcome] = field(default_factory=dict)
    committed: int = 0

    async def append(self, entries: Any) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        if self.inner is not None:
            await self.inner.append(entries)
        self.entries.extend(entries)
        self.committed += 1

    def outcome(self, record_id: Any, outcome: Outcome) -> None:
        assert record_id not in self.outcomes
        self.outcomes[record_id] = outcome
        if self.inner is not None:
            self.inner.outcome(record_id, outcome)

    @property
    def records(self) -> list[AccessRecord]:
        return [decode(entry.body) for entry in self.entries]


class World:
    """Build it inside a running event loop, ``close`` it at the end."""

    def __init__(self, empty: Path, folder: Path, origin: Origin, limits: GatewayLimits | None = None) -> None:
        """``empty``: a database with its tables, to copy; making them takes longer than most tests."""
        shutil.copy(empty, folder / "gateway.sqlite")
        self.database: Database = open_database(f"sqlite:///{folder / 'gateway.sqlite'}")
        self.origin = origin
        self.sessions = Sessions(self.database)
        self.patients = Patients(self.database)
        self.desk = IdentityDesk(self.database, self.patients)
        self.noticed = Noticed()
        inner = Journal(self.database)
        inner.start()
        self.journal = NotedJournal(inner)
        self.state: State = GENESIS
        self.final: State | None = None
        self.known = True
        self.revoked: frozenset[tuple[PatientKey, ConsentId]] = frozenset()
        self.opened_here: dict[Address, dict[PatientKey, OpenedHere]] = {}
        self.snapshot: tuple[Standing, float] | None = None
        self.alarms: list[Alarm] = []
        self.now: Callable[[], float] = time.time
        self.monotonic: Callable[[], float] = time.monotonic
        self._block = 1
        self._stood: Standing | None = None
        self.dicomweb = Dicomweb(self.wiring(limits or GatewayLimits(denial_step_s=0)))
        self.happens(RoleSet(role_id(Role.PHYSICIAN), PHYSICIAN, ALWAYS))
        self.happens(RoleSet(role_id(Role.PHYSICIAN), STRANGER, ALWAYS))

    def wiring(self, limits: GatewayLimits) -> Wiring:
        return Wiring(
            origin=self.origin,
            sessions=self.sessions,
            patients=self.patients,
            journal=self.journal,
            standing=self.standing,
            revoked_here=lambda: self.revoked,
            opened_here=lambda: self.opened_here,
            snapshot=lambda: self.snapshot,
            study_key_of=self.study_key,
            clock=lambda: self.now(),  # noqa: PLW0108 - replaced by tests later
            monotonic=lambda: self.monotonic(),  # noqa: PLW0108 - the same
            random_bytes=os.urandom,
            alarm=self.alarms.append,
            public_url=PUBLIC_URL,
            gateway_id="test",
            limits=limits,
            page_origins=frozenset({PAGE_ORIGIN}),
            rulings=lambda: self.desk.resolutions.rulings,
            odd_met=self.noticed.met,
        )

    def close(self) -> None:
        assert self.journal.inner is not None
        self.journal.inner.stop()
        self.patients.close()
        self.database.close()

    # The chain

    def standing(self) -> Standing | None:
        if not self.known:
            return None
        block = BlockRef(self._block, BlockHash(self._block.to_bytes(32, "big")))
        final, stood = self.final or self.state, self._stood
        # The same object while nothing changes, as the follower's.
        if stood is None or stood.final is not final or stood.head is not self.state or stood.block != block:
            self._stood = stood = Standing(final, self.state, block, UnixTime(1))
        return stood

    def happens(self, event: Event) -> None:
        self.state = fold(self.state, event)
        self._block += 1

    def study_key(self, salt: bytes, study: StudyUid) -> Any:
        return study_key(SITE_KEY, salt, study, CHAIN_ID, REGISTRY)

    async def enrol(self, subject: Subject) -> EnrolledPatient:
        salt = os.urandom(32)
        key = patient_key(SITE_KEY, salt, subject, CHAIN_ID, REGISTRY)
        controller = self.controller(key)
        self.happens(PatientEnrolled(key, controller, UnixTime(2**40)))
        self.happens(PatientClaimed(key, controller, Signer(controller)))
        return await self.patients.enrol(subject, key, salt)

    def controller(self, key: PatientKey) -> Address:
        return Address(key[:20])

    def grant(
        self,
        patient: EnrolledPatient,
        actions: Action = READ,
        *studies: StudyUid,
        grantee: Address = PHYSICIAN,
        effect: Effect = Effect.PERMIT,
        purposes: int = 1 << Purpose.TREAT,
        window: Window = ALWAYS,
    ) -> ConsentId:
        known = self.state.patient(patient.key)
        assert known is not None
        consent = ConsentId(os.urandom(32))
        keys = tuple(sorted(self.study_key(patient.salt, study) for study in studies))
        depth = int(effect is Effect.PERMIT and Action.SHARE in actions)
        who, nonce = person(grantee), os.urandom(32)
        terms = Terms(patient.key, who, effect, actions, purposes, window, keys, known.epoch, nonce, share_depth=depth)
        self.happens(ConsentGranted(consent, terms, self.controller(patient.key), Capacity.CONTROLLER))
        return consent

    def revoke(self, patient: EnrolledPatient, consent: ConsentId) -> None:
        known = self.state.patient(patient.key)
        assert known is not None
        grantor = self.controller(patient.key)
        self.happens(ConsentRevoked(patient.key, consent, grantor, Capacity.CONTROLLER, known.epoch + 1))

    # What people say of odd identities

    async def alias(self, subject: Subject, patient: EnrolledPatient) -> bytes:
        made = await self.desk.resolutions.alias(subject, patient.key, "the same person", REGISTRAR)
        return made.resolution_id

    async def resolve(self, study: StudyUid, patient: EnrolledPatient) -> bytes:
        """The study as the archive has it now is the patient's."""
        accepted = (await self.origin.subjects_of(study)).accepted
        assert accepted is not None
        assert accepted.fingerprint is not None
        made = await self.desk.resolutions.study(study, accepted.fingerprint, patient.key, "looked at", REGISTRAR)
        return made.resolution_id

    # Asking

    async def token(
        self, actor: Address = PHYSICIAN, purpose: Purpose = Purpose.TREAT, expires_in_s: int = 3600
    ) -> str:
        token, _ = await self.sessions.create(Signer(actor), purpose, UnixTime(int(time.time()) + expires_in_s))
        return token

    async def ask(
        self,
        target: str,
        token: str | None,
        *headers: tuple[str, str],
        method: str = "GET",
        on_piece: Callable[[bytes], Any] | None = None,
    ) -> Reply:
        """One request straight into the application: /wado, or a path below /dicom-web."""
        given = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        if token is not None:
            given.append((b"authorization", b"Bearer " + token.encode()))
        return await ask(self.dicomweb, target, given, method=method, on_piece=on_piece)


async def ask(
    app: Any,
    target: str,
    headers: list[tuple[bytes, bytes]],
    *,
    method: str = "GET",
    on_piece: Callable[[bytes], Any] | None = None,
) -> Reply:
    path, _, query = target.partition("?")
    mounted = path if path == "/wado" else f"/dicom-web{path}"
    scope = {
        "type": "http",
        "method": method,
        "raw_path": mounted.encode("latin-1"),
        "path": mounted,
        "query_string": query.encode("latin-1"),
        "headers": headers,
    }
    reply = Reply()

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        assert not reply.complete
        if message["type"] == "http.response.start":
            assert not reply.status
            reply.status = message["status"]
            reply.headers = list(message["headers"])
        else:
            assert reply.status
            body = message.get("body", b"")
            reply.body += body
            reply.complete = not message.get("more_body", False)
            if on_piece is not None:
                waited = on_piece(body)
                if waited is not None:
                    await waited

    await app(scope, receive, send)
    return reply
