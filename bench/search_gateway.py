"""The data path over a given archive for the search benchmark, with callers who may see so much of it."""

import asyncio
import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path

from immutables import Map
from starlette.types import Message, Scope

from app.core.consent.basis import person, role_id
from app.core.consent.events import NO_WARD
from app.core.consent.grants import Consent, append
from app.core.consent.mirror import Standing
from app.core.consent.state import Patient, Revoked, State
from app.core.consent.terms import Action, Capacity, Effect, Purpose, Role, Window
from app.core.identifiers import (
    Address,
    BlockHash,
    BlockRef,
    ConsentId,
    Grantee,
    PatientKey,
    Signer,
    Subject,
    UnixTime,
)
from app.core.pseudonym import study_key
from app.gateway.dicomweb import Dicomweb
from app.gateway.ports import Wiring
from app.pacs.origin import Origin
from app.store.engine import Database, open_database
from app.store.journal import Journal
from app.store.migrate import upgrade
from app.store.patients import EnrolledPatient
from app.store.sessions import Sessions
from bench.search_archive import patient_of

_ALWAYS = Window(UnixTime(0), UnixTime(2**40))
_SALT = b"\x44" * 32


@dataclass(frozen=True, slots=True)
class Caller:
    """A physician to whom so many patients have opened everything."""

    name: str
    permitted: int
    actor: Address
    token: str


class Enrolled:
    """Everyone in the archive, without a row in a database for each."""

    def __init__(self, patients: int) -> None:
        self._by_subject = {
            Subject(patient_of(number), ""): EnrolledPatient(_key(number), Subject(patient_of(number), ""), _SALT)
            for number in range(patients)
        }
        self._by_key = {patient.key: patient for patient in self._by_subject.values()}

    def by_subject(self, subject: Subject) -> EnrolledPatient | None:
        """See PatientsPort."""
        return self._by_subject.get(subject)

    def by_key(self, key: PatientKey) -> EnrolledPatient | None:
        """See PatientsPort."""
        return self._by_key.get(key)


class SearchGateway:
    """Answers searches in this process."""

    def __init__(self, origin: Origin, database: Database, journal: Journal, sessions: Sessions) -> None:
        self._origin, self._database, self._journal, self._sessions = origin, database, journal, sessions
        self._standing: Standing | None = None
        self._dicomweb: Dicomweb | None = None

    @classmethod
    async def over(cls, origin: Origin, folder: Path) -> "SearchGateway":
        """With a journal and sessions of its own in the folder."""
        await asyncio.to_thread(folder.mkdir)
        database = open_database(f"sqlite:///{folder / 'consentry.sqlite'}")
        upgrade(database)
        journal = Journal(database)
        journal.start()
        return cls(origin, database, journal, Sessions(database))

    async def callers(self, patients: int, sizes: list[int]) -> list[Caller]:
        """One caller for each size, each seeing patients spread over the whole archive."""
        callers, seen = [], []
        for size in sizes:
            actor = Address(size.to_bytes(20, "big"))
            token, _ = await self._sessions.create(Signer(actor), Purpose.TREAT, UnixTime(int(time.time()) + 86_400))
            seen.append((actor, {number * patients // size for number in range(size)}))
            callers.append(Caller(f"may see {size:,}", size, actor, token))
        state = _state(patients, seen)
        self._standing = Standing(state, state, BlockRef(1, BlockHash(b"\x55" * 32)), UnixTime(1))
        self._dicomweb = Dicomweb(self._wiring(Enrolled(patients)))
        gc.freeze()  # as the gateway does once it is ready
        return callers

    async def ask(self, target: str, caller: Caller) -> tuple[int, bytes]:
        """Status and body of the answer to a request below /dicom-web."""
        path, _, query = target.partition("?")
        scope: Scope = {
            "type": "http", "method": "GET", "raw_path": b"/dicom-web" + path.encode(), "path": "/dicom-web" + path,
            "query_string": query.encode(), "headers": [(b"authorization", b"Bearer " + caller.token.encode())],
        }  # fmt: skip
        status, pieces = 0, []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            pieces.append(message.get("body", b""))

        assert self._dicomweb is not None
        await self._dicomweb(scope, receive, send)
        return status, b"".join(pieces)

    async def aclose(self) -> None:
        """Let go of everything."""
        self._journal.stop()
        self._database.close()
        await self._origin.aclose()

    def _wiring(self, patients: Enrolled) -> Wiring:
        nothing_revoked: frozenset[tuple[PatientKey, ConsentId]] = frozenset()
        return Wiring(
            origin=self._origin,
            sessions=self._sessions,
            patients=patients,
            journal=self._journal,
            standing=lambda: self._standing,
            revoked_here=lambda: nothing_revoked,
            opened_here=dict,
            snapshot=lambda: None,
            study_key_of=lambda salt, study: study_key(b"\x22" * 32, salt, study, 31337, Address(b"\x11" * 20)),
            clock=time.time,
            monotonic=time.monotonic,
            random_bytes=os.urandom,
            alarm=lambda kind: print("alarm:", kind.value),
            public_url="http://127.0.0.1/dicom-web",
            gateway_id="bench",
        )


def _key(number: int) -> PatientKey:
    return PatientKey(b"\x01" + number.to_bytes(31, "big"))


def _state(patients: int, callers: list[tuple[Address, set[int]]]) -> State:
    """What folding the enrolments and grants would give, put together at once: a million take seconds so."""
    role = role_id(Role.PHYSICIAN)
    nobody: Map[ConsentId, Revoked] = Map()
    enrolled, named = {}, dict[Grantee, dict[PatientKey, Grantee]]()
    for number in range(patients):
        key, controller = _key(number), Address((number + 1).to_bytes(20, "big"))
        live = {}
        for actor, numbers in callers:
            if number in numbers:
                grantee = person(actor)
                live[grantee] = append(b"", _consent(key, grantee, actor, number))
                named.setdefault(grantee, {})[key] = grantee
        enrolled[key] = Patient(
            key=key, claim_key=None, claim_until=UnixTime(2**40), controller=Signer(controller), actor=controller,
            guardian=None, guardian_nonce=0, move=None, move_nonce=0, epoch=0, granted=len(live), dated=0,
            live=Map(live), ids=None, revoked=nobody, ward_until=NO_WARD, erased=False,
        )  # fmt: skip
    return State(
        patients=Map(enrolled),
        roles=Map({(role, actor): _ALWAYS for actor, _ in callers}),
        directory=Map(),
        named=Map({grantee: Map(keys) for grantee, keys in named.items()}),
        acting=Map(),
        claiming=Map(),
        teams=Map(),
        member_of=Map(),
        emergencies=Map(),
        broken_by=Map(),
        broken_for=Map(),
        openings=Map(),
    )


def _consent(key: PatientKey, grantee: Grantee, actor: Address, number: int) -> Consent:
    return Consent(
        id=ConsentId(actor[-16:] + number.to_bytes(16, "big")), patient=key, grantee=grantee, ordinal=0, epoch=0,
        effect=Effect.PERMIT, actions=Action.SEARCH | Action.VIEW | Action.RETRIEVE, purposes=1 << Purpose.TREAT,
        window=_ALWAYS, studies=(), capacity=Capacity.CONTROLLER,
    )  # fmt: skip
