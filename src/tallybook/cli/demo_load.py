"""Loading the demo: its accounts and keys, and its usage through the same ingest as everything else.

May be cut short and done again: what is in the ledger already stays as it is.
"""

from collections import deque
from concurrent.futures import Future
from contextlib import suppress

from tallybook.cli.demo_cast import CUSTOMERS
from tallybook.cli.demo_data import DAYS, events, first_day
from tallybook.cli.demo_state import DemoState
from tallybook.cli.outcome import stderr_console
from tallybook.cli.progress import shown
from tallybook.cli.rooms import OPERATOR
from tallybook.core.errors import Conflict, StartRefused
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, day_start_us, parse_event_time
from tallybook.core.intake import Receipt
from tallybook.core.key import BILLING_MANAGE, EVENTS_WRITE, LIMITS_WRITE, SCOPES, USAGE_READ
from tallybook.house import House

BATCH_EVENTS = 4_000
BATCHES_UNDER_WAY_MAX = 4
ACCOUNT_SCOPES = (EVENTS_WRITE, USAGE_READ, LIMITS_WRITE, BILLING_MANAGE)
SCOPES_THAT_READ_NOTHING = (EVENTS_WRITE,)


def load(house: House, state: DemoState) -> None:
    """Put the accounts, keys and events of *state* into the ledger; what is there already stays as it is."""
    starts_us = day_start_us(first_day(state.now_us))
    _make_key(house, None, SCOPES, "demo operator", state.operator_key)
    for customer in CUSTOMERS:
        account = AccountId(customer.account)
        house.accounts.put(account, name=customer.name, plan=customer.plan, starts_us=starts_us)
        keys = state.keys[customer.account]
        _make_key(house, account, ACCOUNT_SCOPES, "demo", keys.key)
        _make_key(house, account, SCOPES_THAT_READ_NOTHING, "demo, may not read", keys.key_without_scope)
    _load_events(house, state)


def _load_events(house: House, state: DemoState) -> None:
    under_way: deque[Future[Receipt]] = deque()
    batch: list[object] = []
    first_us = day_start_us(first_day(state.now_us))
    with shown(stderr_console(), f"loading {DAYS} days of usage", DAYS) as report:
        for count, event in enumerate(events(state.now_us, state.seed), start=1):
            batch.append(event)
            if len(batch) == BATCH_EVENTS:
                _send(house, batch, under_way)
                batch = []
                report((parse_event_time(event["time"], "/time") - first_us) // DAY_US, count)
        _send(house, batch, under_way)
        while under_way:
            _check(under_way.popleft().result())


def _make_key(house: House, account: AccountId | None, scopes: tuple[str, ...], name: str, token: str) -> None:
    with suppress(Conflict):  # made before loading was cut short
        house.access.create_key(account, scopes, name, token)


def _send(house: House, batch: list[object], under_way: deque[Future[Receipt]]) -> None:
    if len(under_way) >= BATCHES_UNDER_WAY_MAX:
        _check(under_way.popleft().result())
    under_way.append(house.ingest.submit(house.ingest.prepare(batch, OPERATOR, backfill=True)))


def _check(receipt: Receipt) -> None:
    """Stop at the first event that does not count: the demo's numbers would be wrong without a word."""
    if receipt.conflict or receipt.rejected:
        error = receipt.errors[0]
        raise StartRefused(f"an event of the demo was refused ({error.pointer}: {error.detail}); choose another --data")
