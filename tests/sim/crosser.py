"""A process whose accounts cross thresholds as fast as it can until it is killed: run by `test_kill_alerts`.

    python -m tests.sim.crosser URL CYCLE

Four threads send batches; after each answer they write one line to standard output: ``THREAD BATCH``.
"""

import os
import random
import sys
import threading

from tallybook.ledger.open import Ledger
from tests.support.rooms import OPERATOR, Flows, open_flows

THREADS = 4
ACCOUNTS = 40
QUANTITY = 200
PLAN = {
    "limits": [{"name": "messages", "kind": "period", "meter": "messages", "quantity": str(QUANTITY)}],
    "alerts": list(range(10, 101, 10)),
}


def names(cycle: int) -> list[str]:
    """Return the accounts of a cycle: each cycle crosses anew."""
    return [f"c{cycle}-{number}" for number in range(ACCOUNTS)]


def prepare(flows: Flows, cycle: int) -> None:
    """Put the accounts of a cycle on a plan with many thresholds."""
    flows.accounts.put_plan("crossed", PLAN)
    for name in names(cycle):
        flows.accounts.put(name, plan="crossed", starts_us=0)


def send(flows: Flows, cycle: int, thread: int) -> None:
    """Send batch after batch, for ever."""
    chance = random.Random(f"{cycle}-{thread}")
    for batch in range(1_000_000):
        events = [
            {
                "id": f"{thread}-{batch}-{place}",
                "type": "message",
                "subject": chance.choice(names(cycle)),
                "data": {"direction": "inbound"},
            }
            for place in range(chance.randint(1, 60))
        ]
        assert len(events) == flows.ingest.write(events, OPERATOR).accepted
        os.write(1, f"{thread} {batch}\n".encode())


def main(url: str, cycle: int) -> None:
    """Open the ledger and send until the end."""
    with open_flows(Ledger(url)) as flows:
        prepare(flows, cycle)
        for thread in range(THREADS):
            threading.Thread(target=send, args=(flows, cycle, thread), daemon=True).start()
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
