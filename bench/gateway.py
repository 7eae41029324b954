"""The benchmark's gateway, with its real session store, patients, journal (SQLite, synced) and archive client, over a
state folded from events. Run as ``python -m bench.gateway PORT ARCHIVE-URL FOLDER CONSENTS``; prints the token.
"""

import os
import sys
import time
from pathlib import Path

import uvicorn

from app.core.consent.basis import person, role_id
from app.core.consent.events import ConsentGranted, Event, PatientClaimed, PatientEnrolled, RoleSet
from app.core.consent.fold import fold_all
from app.core.consent.mirror import Standing
from app.core.consent.state import GENESIS
from app.core.consent.terms import Action, Capacity, Effect, Purpose, Role, Terms, Window
from app.core.identifiers import Address, BlockHash, BlockRef, ConsentId, PatientKey, Signer, Subject, UnixTime
from app.core.pseudonym import patient_key, study_key
from app.gateway.dicomweb import Dicomweb
from app.gateway.ports import Wiring
from app.gateway.serving import restart_with_malloc_settings, server_config, set_aside_long_lived_objects
from app.pacs.http_client import HttpOrigin
from app.pacs.remote import RemoteOrigin
from app.store.engine import Database, open_database
from app.store.journal import Journal
from app.store.migrate import upgrade
from app.store.patients import Patients
from app.store.sessions import Sessions
from bench.archive_files import PATIENT_ID

_CHAIN_ID = 31337
_REGISTRY = Address(b"\x11" * 20)
_SITE_KEY = b"\x22" * 32
_PHYSICIAN = Address(b"\x33" * 20)
_FROM, _UNTIL = UnixTime(0), UnixTime(2**40)


def events(patients: list[PatientKey]) -> list[Event]:
    """A physician, and for each patient a consent to everything."""
    happened: list[Event] = [RoleSet(role_id(Role.PHYSICIAN), _PHYSICIAN, Window(_FROM, _UNTIL))]
    for number, key in enumerate(patients):
        controller = Address((number + 1).to_bytes(20, "big"))
        terms = Terms(
            patient=key, grantee=person(_PHYSICIAN), effect=Effect.PERMIT,
            actions=Action.SEARCH | Action.VIEW | Action.RETRIEVE, purposes=1 << Purpose.TREAT,
            window=Window(_FROM, _UNTIL), studies=(), epoch=0, consent_nonce=bytes(32),
        )  # fmt: skip
        happened += (
            PatientEnrolled(key, controller, _UNTIL),
            PatientClaimed(key, controller, Signer(controller)),
            ConsentGranted(ConsentId(key), terms, controller, Capacity.CONTROLLER),
        )
    return happened


class Serving:
    """Opens what the gateway needs inside the server's loop, and then stands aside."""

    def __init__(self, database: Database, archive_url: str, consents: int) -> None:
        self._database = database
        self._archive_url = archive_url
        self._consents = consents
        self._dicomweb: Dicomweb | None = None

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
        """ASGI."""
        if scope["type"] == "lifespan":
            await receive()
            await self._open()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert self._dicomweb is not None
        await self._dicomweb(scope, receive, send)

    async def _open(self) -> None:
        patients = Patients(self._database)
        salt, subject = b"\x44" * 32, Subject(PATIENT_ID, "")
        key = patient_key(_SITE_KEY, salt, subject, _CHAIN_ID, _REGISTRY)
        await patients.enrol(subject, key, salt)
        others = [PatientKey(b"\x01" + number.to_bytes(31, "big")) for number in range(self._consents - 1)]
        state = fold_all(GENESIS, events([*others, key]))
        standing = Standing(state, state, BlockRef(1, BlockHash(b"\x55" * 32)), UnixTime(1))
        nothing_revoked: frozenset[tuple[PatientKey, ConsentId]] = frozenset()  # one set, as the store keeps one
        journal = Journal(self._database)
        journal.start()
        sessions = Sessions(self._database)
        token, _ = await sessions.create(Signer(_PHYSICIAN), Purpose.TREAT, UnixTime(int(time.time()) + 86_400))
        self._dicomweb = Dicomweb(
            Wiring(
                origin=RemoteOrigin(HttpOrigin(self._archive_url)),
                sessions=sessions,
                patients=patients,
                journal=journal,
                standing=lambda: standing,
                revoked_here=lambda: nothing_revoked,
                opened_here=dict,
                snapshot=lambda: None,
                study_key_of=_study_key,
                clock=time.time,
                monotonic=time.monotonic,
                random_bytes=os.urandom,
                alarm=lambda kind: print("alarm:", kind.value, file=sys.stderr),
                public_url="http://127.0.0.1/dicom-web",
                gateway_id="bench",
            )
        )
        set_aside_long_lived_objects()
        print(token, flush=True)


def _study_key(salt: bytes, study):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    return study_key(_SITE_KEY, salt, study, _CHAIN_ID, _REGISTRY)


def main(arguments: list[str]) -> None:
    """The command line; see the module's words."""
    restart_with_malloc_settings()
    port, archive_url, folder, consents = arguments
    url = f"sqlite:///{Path(folder) / 'consentry.sqlite'}"
    database = open_database(url)
    upgrade(database)
    uvicorn.Server(server_config(Serving(database, archive_url, int(consents)), host="127.0.0.1", port=int(port))).run()


if __name__ == "__main__":
    main(sys.argv[1:])
