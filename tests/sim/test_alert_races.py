"""Several processes that write the same accounts at the same time, while limits change, tell each crossing once."""

import json
from collections import Counter
from contextlib import ExitStack

from sqlalchemy import text

from tallybook.core.ids import AccountId
from tallybook.ledger.open import Ledger
from tests.support.rooms import OPERATOR, Flows, open_flows
from tests.support.works import in_parallel

ACCOUNTS = 6
BATCHES, SIZE = 12, 5
QUANTITIES = (100, 200, 400)


def put(flows: Flows, quantity: int) -> None:
    """Put every account on a plan with that limit."""
    limit = {"name": "messages", "kind": "period", "meter": "messages", "quantity": str(quantity)}
    flows.accounts.put_plan(f"of-{quantity}", {"limits": [limit]})
    for number in range(ACCOUNTS):
        flows.accounts.put(AccountId(f"acct-{number}"), plan=f"of-{quantity}")


def test_processes_that_race_tell_each_crossing_once(ledger_url: str, store_kind: str) -> None:
    """Two processes on PostgreSQL, two threads on SQLite; a third changes plans meanwhile."""
    with ExitStack() as stack:
        opened = []
        for _ in range(2 if store_kind == "postgresql" else 1):
            ledger = Ledger(ledger_url)
            stack.callback(ledger.close)
            opened.append(stack.enter_context(open_flows(ledger)))
        put(opened[0], QUANTITIES[0])

        def work(worker: int) -> None:
            flows = opened[worker % len(opened)]
            if worker == 2:
                for quantity in QUANTITIES[1:]:
                    put(flows, quantity)
                return
            for batch in range(BATCHES):
                events = [
                    {
                        "id": f"{worker}-{batch}-{number}-{place}",
                        "type": "message",
                        "subject": f"acct-{number}",
                        "data": {"direction": "inbound"},
                    }
                    for number in range(ACCOUNTS)
                    for place in range(SIZE)
                ]
                assert len(events) == flows.ingest.write(events, OPERATOR).accepted

        in_parallel(3, work)
        put(opened[0], QUANTITIES[0])  # and back: everything up to 100 % of 100 is reached by 120 messages
        for number in range(ACCOUNTS):
            account = opened[-1].accounts.get(AccountId(f"acct-{number}"))
            opened[-1].ingest.act(account.id, lambda desk, no=account.no: desk.reconsider(no)).result()
        with opened[0].ledger.reading() as connection:
            bodies = connection.scalars(text("SELECT body FROM outbox WHERE type LIKE 'usage.%'")).all()
            standing = connection.execute(text("SELECT account_no, percent FROM alerts WHERE standing = 1")).all()
    assert 3 * ACCOUNTS == len(standing) == len(set(standing))
    told = Counter((one["account"], one["threshold"], one["quantity"], one["used"]) for one in map(json.loads, bodies))
    assert {1} == set(told.values())
