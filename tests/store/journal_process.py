"""A process that appends until it is killed or has done its count, and says what it was told: one line per event.

``BEGIN <id>``, then ``ACK <id>`` or ``FAIL <id>``. Written with single system calls, so that a trace shows when.
"""

import argparse
import asyncio
import os
import random
import resource

from app.store.engine import open_database
from app.store.journal import Journal, JournalEntry, JournalUnavailableError
from tests.support.accesses import random_entry


def say(word: str, record_id: bytes) -> None:
    os.write(1, f"{word} {record_id.hex()}\n".encode())


async def append(journal: Journal, entry: JournalEntry) -> None:
    try:
        await journal.append([entry])
    except JournalUnavailableError:
        say("FAIL", entry.record.record_id)
    else:
        say("ACK", entry.record.record_id)


async def run(options: argparse.Namespace) -> None:
    rng = random.Random(options.seed)
    database = open_database(options.url)
    # Others have the database open, as in a gateway: closing the journal's connection is not closing the database.
    others = [database.engine.raw_connection() for _ in range(2)]
    journal = Journal(database)
    journal.start()
    for number in range(options.rounds):
        if options.full_from <= number < options.full_until:
            # A file may not grow past this: to the database it is a full disk.
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        entries = [random_entry(rng) for _ in range(options.callers)]
        for entry in entries:
            say("BEGIN", entry.record.record_id)
        await asyncio.gather(*(append(journal, entry) for entry in entries))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.stop()
    for other in others:
        other.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    for name, default in (("seed", 0), ("rounds", 1), ("callers", 1), ("full-from", 1), ("full-until", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
