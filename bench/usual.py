"""What most would build: FastAPI behind nginx's auth_request, as FastAPI's tutorial has it, with SQLModel sessions.

It looks the session up, asks for the consent and inserts an access record, committed and synced, for every request.

Run as ``python -m bench.usual PORT DATABASE``.
"""

import sqlite3
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from sqlalchemy import event
from sqlmodel import Field, Session, SQLModel, create_engine, select

from bench.archive_files import STUDY

TOKEN = "bench-token"  # noqa: S105 - opens nothing


class SignedIn(SQLModel, table=True):
    """A session."""

    token: str = Field(primary_key=True)
    actor: str


class Allowed(SQLModel, table=True):
    """A consent to one study."""

    actor: str = Field(primary_key=True)
    study: str = Field(primary_key=True)
    until: float


class Access(SQLModel, table=True):
    """An access record."""

    id: int | None = Field(default=None, primary_key=True)
    at: float
    actor: str
    study: str
    target: str


def build(database: str) -> FastAPI:
    """The application over a database that it makes."""
    engine = create_engine(f"sqlite:///{database}", connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _durable(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    SQLModel.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(SignedIn(token=TOKEN, actor="0x01"))
        session.add(Allowed(actor="0x01", study=STUDY, until=time.time() + 86_400))
        session.commit()
    app = FastAPI()

    def database_session() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    @app.get("/may")
    def may(
        authorization: Annotated[str, Header()],
        x_original_uri: Annotated[str, Header()],
        session: Annotated[Session, Depends(database_session)],
    ) -> Response:
        signed_in = session.get(SignedIn, authorization.removeprefix("Bearer "))
        if signed_in is None:
            raise HTTPException(401)
        study = x_original_uri.split("/")[3]
        allowed = session.exec(
            select(Allowed).where(Allowed.actor == signed_in.actor, Allowed.study == study)
        ).one_or_none()
        now = time.time()
        if allowed is None or allowed.until <= now:
            raise HTTPException(403)
        session.add(Access(at=now, actor=signed_in.actor, study=study, target=x_original_uri))
        session.commit()
        return Response(status_code=204)

    return app


if __name__ == "__main__":
    uvicorn.run(
        build(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
        access_log=False, log_level="warning", timeout_keep_alive=60,
    )  # fmt: skip
