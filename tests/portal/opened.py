"""The portal over a fresh store and a folded state, asked as a browser asks; the archive holds what a test says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI

from app.api.application import create_application
from app.core.consent.terms import Purpose
from app.core.identifiers import Address, Signer, UnixTime
from app.pacs.origin import OriginUnavailableError
from app.portal.pages import add_pages
from app.store.engine import Database
from tests.api.in_process import Answer, InProcess, asked

ORIGIN = "http://localhost:8080"


@dataclass
class Holding:
    """An archive that answers every search with these rows; None: it does not answer."""

    rows: list[dict[str, Any]] | None = field(default_factory=list)

    async def search(self, _search: object) -> list[dict[str, Any]]:
        if self.rows is None:
            raise OriginUnavailableError("silent")
        return self.rows


class Portal:
    """``browser_rpc``: the node that pages may ask."""

    def __init__(
        self, database: Database, folder: Path, rooms: Sequence[APIRouter] = (), browser_rpc: str = ""
    ) -> None:
        self.archive = Holding()
        self.api = InProcess(database, origin=self.archive)  # type: ignore[arg-type]
        self.application: FastAPI = create_application(self.api.wiring)
        add_pages(self.application, ORIGIN, folder, browser_rpc)
        for router in rooms:
            self.application.include_router(router)

    async def open(self, path: str, who: Address | None = None, method: str = "GET", **more: str) -> Answer:
        """``form``: the body; every other keyword is a header."""
        headers = {name.replace("_", "-"): value for name, value in more.items() if name != "form"}
        cookies = [headers.pop("cookie")] if "cookie" in headers else []
        if who is not None:
            token, _ = await self.api.wiring.sessions.create(Signer(who), Purpose.PATRQT, UnixTime(self.api.now + 600))
            cookies.append(f"__Host-consentry={token}")
        if cookies:
            headers["cookie"] = "; ".join(cookies)
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        return await asked(self.application, method, path, sent, more.get("form", "").encode())


def study(uid: str, description: str = "", date: str = "", name: str = "Lind^Eva", **more: Any) -> dict[str, Any]:
    """A row of the patient P-1, as an archive lists it."""
    values = {
        "00100020": "P-1",
        "00100021": "S",
        "0020000D": uid,
        "00081030": description,
        "00080020": date,
        "00080061": "MR",
        **more,
    }
    row: dict[str, Any] = {tag: {"vr": "LO", "Value": [value]} for tag, value in values.items() if value}
    row["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": name}]}
    row["00201208"] = {"vr": "IS", "Value": [3]}
    return row
