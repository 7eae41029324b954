"""The usual design with every kindness: no ORM, no threads, one open connection, the study from the path by splitting.

Run as ``python -m bench.usual_lean PORT DATABASE``. The contract is that of `bench.usual`.
"""

import sqlite3
import sys
import time
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, Response

from bench.archive_files import STUDY
from bench.usual import TOKEN


def build(database: str) -> FastAPI:
    """The application over a database that it makes."""
    connection = sqlite3.connect(database, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE session (token TEXT PRIMARY KEY, actor TEXT)",
        "CREATE TABLE consent (actor TEXT, study TEXT, until REAL, PRIMARY KEY (actor, study))",
        "CREATE TABLE access (id INTEGER PRIMARY KEY, at REAL, actor TEXT, study TEXT, target TEXT)",
    ):
        connection.execute(statement)
    connection.execute("INSERT INTO session VALUES (?, ?)", (TOKEN, "0x01"))
    connection.execute("INSERT INTO consent VALUES (?, ?, ?)", ("0x01", STUDY, time.time() + 86_400))
    app = FastAPI()

    @app.get("/may")
    async def may(authorization: Annotated[str, Header()], x_original_uri: Annotated[str, Header()]) -> Response:
        token = authorization.removeprefix("Bearer ")
        session = connection.execute("SELECT actor FROM session WHERE token = ?", (token,)).fetchone()
        if session is None:
            return Response(status_code=401)
        study = x_original_uri.split("/")[3]
        allowed = connection.execute(
            "SELECT until FROM consent WHERE actor = ? AND study = ?", (session[0], study)
        ).fetchone()
        now = time.time()
        if allowed is None or allowed[0] <= now:
            return Response(status_code=403)
        connection.execute(
            "INSERT INTO access (at, actor, study, target) VALUES (?, ?, ?, ?)",
            (now, session[0], study, x_original_uri),
        )
        return Response(status_code=204)

    return app


if __name__ == "__main__":
    uvicorn.run(
        build(sys.argv[2]), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
        access_log=False, log_level="warning", timeout_keep_alive=60,
    )  # fmt: skip
