"""A PACS that knows QIDO-RS and nothing else: ``python -m bench.simulated_pacs PORT INDEX``.

It answers from the index that the embedded archive of the same run reads, in the order of PatientID, with the filters,
``limit`` and ``offset`` that every archive has; it does not know the order of searches.
"""

import json
import sqlite3
import sys
import zlib
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

_WHERE = {"00100020": "patient_id = ?", "0020000D": "study = ?"}
_UNLIMITED = 2**31


class SimulatedPacs:
    """ASGI."""

    def __init__(self, index: str) -> None:
        self._connection = sqlite3.connect(f"file:{index}?mode=ro", uri=True, check_same_thread=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - as ASGI is
        """One request."""
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        body = self._answer(scope["path"], scope["query_string"].decode())
        head = [(b"content-type", b"application/dicom+json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str, query: str) -> bytes:
        if path.endswith("/instances"):  # of one study: all of them are its patient's
            study = path.split("/")[-2]
            row = json.loads(self._rows("study = ?", [study], 1, 0)[0])
            row["0020000E"] = {"vr": "UI", "Value": [study + ".1"]}
            row["00080018"] = {"vr": "UI", "Value": [study + ".1.1"]}
            return json.dumps([row]).encode()
        clauses, values = ["1 = 1"], list[str]()
        limit, offset = _UNLIMITED, 0
        for name, value in parse_qsl(query):
            if name == "limit":
                limit = int(value)
            elif name == "offset":
                offset = int(value)
            elif name == "00080020":
                first, dash, last = value.partition("-")
                clauses.append("date BETWEEN ? AND ?")
                values += [first or "0", (last or "9") if dash else first]
            elif name == "00100010":
                clauses.append("name GLOB ?")
                values.append(value.casefold())
            elif name == "00080050":
                clauses.append("accession = ?")
                values.append(value)
            elif name in _WHERE:
                clauses.append(_WHERE[name])
                values.append(value)
        return b"[" + b",".join(self._rows(" AND ".join(clauses), values, limit, offset)) + b"]"

    def _rows(self, where: str, values: list[str], limit: int, offset: int) -> list[bytes]:
        query = f"SELECT attributes FROM study WHERE {where} ORDER BY patient_id LIMIT {limit} OFFSET {offset}"  # noqa: S608
        return [zlib.decompress(row[0]) for row in self._connection.execute(query, values)]


def main(arguments: list[str]) -> None:
    """The command line; see the module's words."""
    port, index = arguments
    uvicorn.run(SimulatedPacs(index), host="127.0.0.1", port=int(port), log_level="error")


if __name__ == "__main__":
    main(sys.argv[1:])
