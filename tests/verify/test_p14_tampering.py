"""P14: any flipped bit, dropped, swapped, forked or rolled-back record is found by the verifier, and named."""

import copy
import random
from collections.abc import Callable
from typing import Any

import pytest

from app.core.exported import to_line
from app.core.record import RecordError, commit
from app.verify import Flaw, Report, verify
from tests.core_consent.test_events import DEPLOYMENT
from tests.verify.ledger import Hospital, Ledger, hospital

# Where each field of AccessLogged lies: in a topic, or in a word of the data.
FIELDS = {
    "basis": ("topics", 1),
    "accessor": ("topics", 2),
    "patientKey": ("topics", 3),
    "seq": ("data", 0),
    "decisionBlock": ("data", 1),
    "decisionBlockHash": ("data", 2),
    "commitment": ("data", 3),
}


@pytest.fixture
def worked(rng: random.Random, run_size: Callable[[int, int], int]) -> Hospital:
    made = hospital(rng)
    made.work(run_size(12, 400), 4)
    return made


async def report_of(ledger: Ledger, lines: list[str] | None) -> Report:
    return await verify(ledger, DEPLOYMENT, lines)


def _accesses(ledger: Ledger) -> list[int]:
    """Where in the logs the accesses are."""
    return [
        index for index, log in enumerate(ledger.logs) if len(log["data"]) == 2 + 8 * 32 and len(log["topics"]) == 4
    ]


def _flipped(log: dict[str, Any], where: tuple[str, int], bit: int) -> dict[str, Any]:
    part, index = where
    changed = copy.deepcopy(log)
    text = changed["topics"][index] if part == "topics" else changed["data"]
    at = 0 if part == "topics" else 32 * index
    body = bytearray.fromhex(text[2:])
    body[at + bit // 8] ^= 1 << bit % 8
    if part == "topics":
        changed["topics"][index] = "0x" + body.hex()
    else:
        changed["data"] = "0x" + body.hex()
    return changed


async def test_p14_an_honest_log_is_complete_and_authorised(worked: Hospital) -> None:
    for lines in (None, worked.lines, worked.lines[::-1]):
        report = await report_of(worked.ledger, lines)
        assert report.good, report.lines()
        assert report.records == len(worked.kept)
        assert report.lines()[0] == f"complete and authorised, {len(worked.kept)} records"
        assert report.opened == (None if lines is None else len(lines))
        assert (report.head, report.end) == (worked.ledger.head, worked.ledger.last)


@pytest.mark.soak
@pytest.mark.parametrize("name", FIELDS)
async def test_p14_a_flipped_bit_of_any_field_is_found_and_named(
    worked: Hospital, rng: random.Random, name: str
) -> None:
    ledger = worked.ledger
    for seq, index in enumerate(_accesses(ledger)):
        honest = ledger.logs[index]
        # Bits that still are a value of the field's type: others are refused as no log of ours at all.
        low, high = {"accessor": (96, 256), "seq": (192, 256), "decisionBlock": (192, 256)}.get(name, (0, 256))
        ledger.logs[index] = _flipped(honest, FIELDS[name], rng.randrange(low, high))
        for lines in (None, worked.lines):
            report = await report_of(ledger, lines)
            assert not report.good
            assert any(finding.seq == seq for finding in report.findings), report.lines()
            assert report.lines()[0].startswith("NOT in order")
        ledger.logs[index] = honest
    assert (await report_of(ledger, worked.lines)).good


async def test_p14_a_dropped_record_is_named(worked: Hospital) -> None:
    ledger = worked.ledger
    whole = ledger.logs
    for seq, index in enumerate(_accesses(ledger)):
        ledger.logs = whole[:index] + whole[index + 1 :]
        report = await report_of(ledger, None)
        assert [(finding.flaw, finding.seq) for finding in report.findings] == [(Flaw.MISSING, seq)]


async def test_p14_swapped_records_are_found(worked: Hospital, rng: random.Random) -> None:
    ledger = worked.ledger
    whole = list(ledger.logs)
    accesses = _accesses(ledger)
    for first in accesses[:-1]:
        second = rng.choice([other for other in accesses if other > first])
        ledger.logs = list(whole)
        place = ("blockNumber", "blockHash", "logIndex", "transactionHash")
        for here, there in ((first, second), (second, first)):
            ledger.logs[here] = {**whole[there], **{name: whole[here][name] for name in place}}
        report = await report_of(ledger, None)
        assert not report.good


async def test_p14_a_dropped_or_repeated_batch_is_found(worked: Hospital) -> None:
    ledger = worked.ledger
    whole = list(ledger.logs)
    batches = sorted({whole[index]["transactionHash"] for index in _accesses(ledger)})
    assert len(batches) == 4
    for batch in batches:
        ledger.logs = [log for log in whole if log["transactionHash"] != batch]
        assert not (await report_of(ledger, None)).good
    ledger.logs = whole
    again = ledger.mine()
    for count, index in enumerate(
        index for index in _accesses(ledger) if whole[index]["transactionHash"] == batches[0]
    ):
        place = {"blockNumber": hex(again.number), "blockHash": "0x" + again.hash.hex(), "logIndex": hex(count)}
        ledger.logs.append({**whole[index], **place})
    assert not (await report_of(ledger, None)).good


async def test_p14_a_rolled_back_or_forked_log_is_found(worked: Hospital, rng: random.Random) -> None:
    """The contract's own head is somewhere else than the records lead to."""
    ledger = worked.ledger
    honest_head, honest_seq = ledger.head, ledger.seq
    ledger.head = type(honest_head)(rng.randbytes(32))
    assert [finding.flaw for finding in (await report_of(ledger, None)).findings] == [Flaw.HEAD]
    ledger.head, ledger.seq = honest_head, honest_seq + 1
    assert [finding.flaw for finding in (await report_of(ledger, None)).findings] == [Flaw.MISSING]
    ledger.seq = honest_seq - 1
    assert [finding.flaw for finding in (await report_of(ledger, None)).findings] == [Flaw.COUNT]


async def test_p14_a_changed_transaction_is_found(worked: Hospital, rng: random.Random) -> None:
    """A node that changes the transaction and not its events, bit by bit."""
    ledger = worked.ledger
    name = ledger.logs[_accesses(ledger)[-1]]["transactionHash"]
    honest = ledger.transactions[name]
    body = bytearray.fromhex(honest["input"][2:])
    used = 4 + 4 * 32 + int.from_bytes(body[100:132], "big")
    for at in [*range(4, 68), *rng.sample(range(132, used), 40)]:
        changed = bytearray(body)
        changed[at] ^= 1 << rng.randrange(8)
        ledger.transactions[name] = {**honest, "input": "0x" + changed.hex()}
        assert not (await report_of(ledger, None)).good, at


async def test_p14_a_batch_that_claims_another_head_before_it_is_named(worked: Hospital) -> None:
    """Later batches fit again, so only the transaction itself shows it."""
    ledger = worked.ledger
    accesses = _accesses(ledger)
    names = [ledger.logs[index]["transactionHash"] for index in accesses]
    second = next(name for name in names if name != names[0])
    body = bytearray.fromhex(ledger.transactions[second]["input"][2:])
    body[4 + 32] ^= 1
    ledger.transactions[second] = {**ledger.transactions[second], "input": "0x" + body.hex()}
    report = await report_of(ledger, None)
    assert (report.findings[0].flaw, report.findings[0].seq) == (Flaw.HEAD, names.index(second))


async def test_p14_every_byte_of_an_exported_record_counts(worked: Hospital) -> None:
    lines = worked.lines
    kept = worked.kept[0]
    for at in range(len(kept.body)):
        changed = bytearray(kept.body)
        changed[at] ^= 1
        try:
            line = to_line(bytes(changed), kept.salt)
        except RecordError:
            line = lines[0].replace(kept.body.hex(), changed.hex())
        report = await report_of(worked.ledger, [line, *lines[1:]])
        assert any(finding.flaw is Flaw.RECORD_MISSING and finding.seq == 0 for finding in report.findings)


async def test_p14_exports_that_are_not_the_log(worked: Hospital) -> None:
    lines, kept = worked.lines, worked.kept
    middle = len(lines) // 2

    async def flaws(changed: list[str]) -> list[tuple[Flaw, object]]:
        report = await report_of(worked.ledger, changed)
        return [(finding.flaw, finding.seq if finding.seq is not None else finding.line) for finding in report.findings]

    assert await flaws(lines[:middle] + lines[middle + 1 :]) == [(Flaw.RECORD_MISSING, middle)]
    assert await flaws([*lines, "not a record"]) == [(Flaw.RECORD_UNREADABLE, len(lines) + 1)]
    assert await flaws([lines[-1], *lines]) == [(Flaw.RECORD_REPEATED, len(lines) + 1)]
    stranger = worked.keep()
    old = [*lines, stranger.line]
    report = await report_of(worked.ledger, old)
    assert (report.good, report.waiting) == (True, 1)
    assert any("not on the chain yet" in line for line in report.lines())
    for _ in range(80):
        worked.ledger.mine()
    assert await flaws(old) == [(Flaw.RECORD_UNKNOWN, len(old))]
    other_salt = to_line(kept[0].body, bytes(32))
    assert commit(kept[0].body, bytes(32)) != kept[0].logged.commitment
    found = await flaws([other_salt, *lines[1:]])
    assert found == [(Flaw.RECORD_MISSING, 0), (Flaw.RECORD_UNKNOWN, 1)]
