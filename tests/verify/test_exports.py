"""The exported records beside the log: taken in about its order, with a bounded view ahead and behind."""

import random

from app.verify import Flaw, verify
from app.verify.exports import Exports
from tests.core_consent.test_events import DEPLOYMENT
from tests.verify.ledger import T0, hospital


def test_a_record_is_found_as_far_ahead_as_allowed(rng: random.Random) -> None:
    place = hospital(rng)
    kept = [place.keep() for _ in range(6)]
    exports = Exports(place.lines, look_ahead=3)
    assert exports.take(kept[3].logged.commitment) is None  # the fourth: three are looked at
    found = exports.take(kept[2].logged.commitment)
    assert found is not None
    assert found.record == kept[2].record
    assert exports.take(kept[2].logged.commitment) is None  # given out once
    for index in (0, 3, 1, 4, 5):
        assert exports.take(kept[index].logged.commitment) is not None
    assert (exports.taken, exports.findings, list(exports.rest(place.ledger.headers[-1][1]))) == (6, [], [])


def test_a_repetition_is_told_while_it_is_remembered(rng: random.Random) -> None:
    place = hospital(rng)
    kept = [place.keep() for _ in range(4)]
    exports = Exports([*place.lines, place.lines[3], place.lines[0]], look_ahead=2)
    for one in kept:
        assert exports.take(one.logged.commitment) is not None
    left = list(exports.rest(type(kept[0].record.at)(T0 + 10_000)))
    assert [(finding.flaw, finding.line) for finding in exports.findings] == [(Flaw.RECORD_REPEATED, 5)]
    assert [(finding.flaw, finding.line) for finding in left if finding is not None] == [(Flaw.RECORD_UNKNOWN, 6)]


async def test_a_transaction_that_carries_no_batch_is_named(rng: random.Random) -> None:
    place = hospital(rng)
    place.work(4, 2)
    name = place.ledger.logs[-1]["transactionHash"]
    honest = place.ledger.transactions[name]
    place.ledger.transactions[name] = {**honest, "input": honest["input"][: 2 + 2 * (4 + 4 * 32 + 100)]}
    report = await verify(place.ledger, DEPLOYMENT)
    first = report.findings[0]
    assert first.flaw is Flaw.TRANSACTION
    assert first.detail == "a batch cut short"
    assert report.flaws == 1
