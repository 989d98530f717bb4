"""A process that takes events in as fast as it can until it is killed: run by `test_kill`, which says why.

    python -m tests.sim.sender URL CYCLE

Four threads send batches; after each answer, and never before, they write one line to standard output:
``THREAD UPTO``, where all events of that thread below UPTO have been acknowledged.
"""

import os
import random
import sys
import threading

from tallybook.core.clock import SystemClock
from tests.support.events import EventBody
from tests.support.works import Works

THREADS = 4
BATCH_MAX = 60
ACCOUNTS = 5


def event(cycle: int, thread: int, number: int) -> EventBody:
    """Return an event that is the same whoever makes it."""
    name = f"{cycle}-{thread}-{number}"
    data: EventBody = {"cpu": number, "net": 1, "memory": number, "worker": f"w{number % 7}", "code": number % 900}
    return {
        "id": name,
        "type": "job",
        "subject": f"acct-{number % ACCOUNTS}",
        "time": "2026-03-01T00:00:00Z",
        "data": data,
    }


def send(works: Works, cycle: int, thread: int) -> None:
    """Send batch after batch, with some of the last one again, for ever."""
    chance, number = random.Random(f"{cycle}-{thread}"), 0
    while True:
        upto = number + chance.randint(1, BATCH_MAX)
        first = max(0, number - chance.randint(0, 5))
        receipt = works.write([event(cycle, thread, n) for n in range(first, upto)])
        assert upto - first == receipt.accepted + receipt.duplicate
        number = upto
        os.write(1, f"{thread} {number}\n".encode())


def main(url: str, cycle: int) -> None:
    """Open the ledger and send until the end."""
    works = Works(url, SystemClock(), lanes=2)
    for thread in range(THREADS):
        threading.Thread(target=send, args=(works, cycle, thread), daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
