"""The running head over the log, and each transaction's batch beside the events it made."""

from app.chain.events import LogPlace
from app.chain.quantities import address, data, fields, to_data
from app.core.consent.events import AccessLogged
from app.core.identifiers import LogHead, TxHash
from app.core.keccak import keccak256
from app.core.record import LoggedAccess, RecordError, decode_batch, genesis_head, next_head
from app.verify.report import Finding, Flaw
from app.verify.source import Source

_RECORD_CALL = keccak256(b"record(uint64,bytes32,bytes)")[:4]
# expectedSeq, prevHead, where the batch starts, its length
_HEAD_BYTES = 4 * 32


class Batches:
    """Follows the log entry by entry. Where one does not fit, it goes on from what the transaction carried."""

    __slots__ = ("_carried", "_source", "_transaction", "count", "head", "next_seq")

    def __init__(self, source: Source) -> None:
        contract = source.deployment.address("AccessLog")
        self._source = source
        self._transaction: TxHash | None = None
        # What the present transaction carried and no event has shown yet, by sequence number, ascending.
        self._carried: dict[int, LoggedAccess] = {}
        self.head: LogHead = genesis_head(source.deployment.chain_id, contract)
        self.next_seq = 0
        self.count = 0

    async def follow(self, place: LogPlace, access: AccessLogged) -> list[Finding]:
        """Takes the next entry; what is wrong with it, or missing before it."""
        findings: list[Finding] = []
        if place.transaction != self._transaction:
            findings += self.finish()
            findings += await self._open(place.transaction, access.seq)
        while self.next_seq < access.seq and self.next_seq in self._carried:
            findings.append(self._missing())
        self.count += 1
        if access.seq < self.next_seq:
            findings.append(Finding(Flaw.SEQUENCE, access.seq, place.transaction))
            return findings
        findings += self.gap(access.seq)
        logged = LoggedAccess(access.basis, access.accessor, access.patient, access.block, access.commitment)
        carried = self._carried.pop(access.seq, logged)
        if carried != logged:
            findings.append(Finding(Flaw.TRANSACTION, access.seq, place.transaction))
        self._advance(carried)
        return findings

    def gap(self, seq: int) -> list[Finding]:
        """Goes on at ``seq``; the entries before it that were due and are not there, as one finding."""
        due, self.next_seq = self.next_seq, seq
        detail = f"up to {seq - 1}" if seq > due + 1 else ""
        return [Finding(Flaw.MISSING, due, detail=detail)] if seq > due else []

    def finish(self) -> list[Finding]:
        """Ends the present transaction: what it carried and no event showed."""
        return [self._missing() for _ in list(self._carried)]

    def _missing(self) -> Finding:
        seq = next(iter(self._carried))
        self.next_seq = seq
        self._advance(self._carried.pop(seq))
        return Finding(Flaw.MISSING, seq, self._transaction)

    def _advance(self, logged: LoggedAccess) -> None:
        self.head = next_head(self.head, self.next_seq, logged)
        self.next_seq += 1

    async def _open(self, transaction: TxHash, seq: int) -> list[Finding]:
        """Reads what the transaction carried; whether it continues from the entries so far.

        A batch that came through another contract is not in the transaction's own data: then nothing is compared.
        """
        self._transaction = transaction
        members = fields(await self._source.rpc.call("eth_getTransactionByHash", to_data(transaction)), "a transaction")
        body = data(members.get("input"), "a transaction's input")
        to = members.get("to")
        contract = self._source.deployment.address("AccessLog")
        if to is None or address(to) != contract or body[:4] != _RECORD_CALL:
            return []
        words = body[4:]
        expected_seq = int.from_bytes(words[:32], "big")
        prev_head = LogHead(words[32:64])
        length = int.from_bytes(words[96:_HEAD_BYTES], "big")
        try:
            batch = decode_batch(words[_HEAD_BYTES : _HEAD_BYTES + length])
        except RecordError as error:
            return [Finding(Flaw.TRANSACTION, seq, transaction, detail=str(error))]
        if expected_seq < self.next_seq:
            findings = [Finding(Flaw.SEQUENCE, expected_seq, transaction)]
        elif expected_seq == self.next_seq and prev_head != self.head:
            findings = [Finding(Flaw.HEAD, expected_seq, transaction)]
        else:
            findings = self.gap(expected_seq)
        self.next_seq, self.head = expected_seq, prev_head
        self._carried = dict(enumerate(batch, start=expected_seq))
        return findings
