"""Ingest and measure over a ledger, wired by hand: with one's own catalogue, several lanes, prices, small bounds.

Not all flows with the built-in plans (see `rooms`).
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from types import TracebackType
from typing import Self, TypeVar

from tallybook.core.clock import Clock, FrozenClock
from tallybook.core.event import decode_events
from tallybook.core.ids import AccountId
from tallybook.core.instant import INSTANT_MAX_US, instant_text
from tallybook.core.intake import Receipt
from tallybook.core.key import SCOPES, Caller
from tallybook.core.meter import Answer, Question
from tallybook.core.plan import Account
from tallybook.core.price import Price
from tallybook.core.usual import Batch
from tallybook.core.window import Span, all_time
from tallybook.flows.fill import Fill
from tallybook.flows.ingest import QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX, CommitSeen, Ingest
from tallybook.flows.measure import Measure
from tallybook.flows.metering import Metering
from tallybook.ledger.accounts import LedgerAccounts
from tallybook.ledger.commit import Committer
from tallybook.ledger.fills import Fills
from tallybook.ledger.open import Ledger
from tallybook.ledger.schemes import Schemes
from tallybook.ledger.usage import Usage
from tests.support.events import CATALOGUE, NOW_US, EventBody, json_of

T = TypeVar("T")
OPERATOR = Caller("key_operator", None, frozenset(SCOPES))
BUILTIN = files("tallybook").joinpath("data", "catalogue.toml").read_text(encoding="utf-8")
Epochs = Sequence[tuple[Span, Sequence[Price]]]
FREE: Epochs = ((Span(0, INSTANT_MAX_US), ()),)


class Prices:
    """Says which prices each account had when; free unless told."""

    def __init__(self) -> None:
        self.of: dict[str, Epochs] = {}

    def price_epochs(self, account: Account) -> Epochs:
        """Return the epochs that were told for the account."""
        return self.of.get(account.id, FREE)


class Works:
    """One process's worth of ingest and measure; a context manager that drains and closes."""

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        *,
        own: str | None = CATALOGUE,
        lanes: int = 1,
        series_an_hour_max: int = 100_000,
        accounts_auto_create: bool = True,
        queue_events_max: int = QUEUE_EVENTS_MAX,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        seen: Callable[[CommitSeen], None] | None = None,
    ) -> None:
        self.clock = clock or FrozenClock(NOW_US)
        self.ledger = Ledger(url)
        self.prices = Prices()
        schemes = Schemes(self.ledger, lanes_count=lanes)
        try:
            self.metering = Metering(schemes, self.clock, builtin=BUILTIN, own=own, own_name="own.toml")
        except BaseException:
            self.ledger.close()
            raise
        self.committers = [
            Committer(
                self.ledger, lane, series_an_hour_max=series_an_hour_max, accounts_auto_create=accounts_auto_create
            )
            for lane in range(lanes)
        ]
        self.ingest = Ingest(
            self.committers,
            self.metering,
            self.clock,
            queue_events_max=queue_events_max,
            queue_bytes_max=queue_bytes_max,
            seen=seen,
        )
        self.measure = Measure(Usage(self.ledger), self.metering, self.prices)
        self.fill = Fill(Fills(self.ledger, series_an_hour_max=series_an_hour_max), self.metering)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is queued and close the ledger."""
        self.ingest.close()
        self.fill.close()
        self.ledger.close()

    def write(self, events: object, caller: Caller = OPERATOR, *, backfill: bool = True) -> Receipt:
        """Send events as the wire does, as JSON, and wait until they are safe."""
        body = json_of(events)
        sent = Batch(body) if body.startswith(b"[") else decode_events(body)
        return self.ingest.write(sent, caller, backfill=backfill)

    def account(self, account_id: str) -> Account:
        """Return an account that exists."""
        found = LedgerAccounts(self.ledger).get(AccountId(account_id), self.clock.now_us())
        assert found is not None
        return found

    def ask(self, account_id: str, *questions: Question) -> list[Answer]:
        """Answer questions about an account that exists."""
        return self.measure.ask(self.account(account_id), questions)

    def total(self, account_id: str, meter: str, span: Span | None = None, **filters: str) -> int:
        """Return one number: a meter's value over a span, or over all time, in nanos."""
        told: Mapping[str, tuple[str, ...]] = {name: (value,) for name, value in filters.items()}
        return self.ask(account_id, Question(meter, (span or all_time(),), (), told))[0].value

    def groups(self, account_id: str, meter: str, *group_by: str, span: Span | None = None) -> dict[object, int]:
        """Return a meter's value over a span by group; a single dimension's groups are its bare values."""
        (answer,) = self.ask(account_id, Question(meter, (span or all_time(),), group_by))
        return {key[0] if len(group_by) == 1 else key: values[0] for key, values in answer.groups.items()}


def named(events: Iterable[Mapping[str, object]], account_id: str, first: int = 0) -> list[dict[str, object]]:
    """Give each event the account and an id of its own."""
    return [{"id": f"e{n}", "subject": account_id, **event} for n, event in enumerate(events, start=first)]


def job(event_id: str, account_id: str = "acme", **data: object) -> EventBody:
    """Return an event of NOW_US."""
    return {"id": event_id, "type": "job", "subject": account_id, "time": instant_text(NOW_US), "data": data}


def outcomes(receipt: Receipt) -> tuple[int, int, int, int]:
    """Return how many were accepted, duplicate, in conflict and rejected."""
    return receipt.accepted, receipt.duplicate, receipt.conflict, receipt.rejected


def in_parallel(count: int, work: Callable[[int], T]) -> list[T]:
    """Run *work* in so many threads that all begin together."""
    barrier = threading.Barrier(count)

    def run(number: int) -> T:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))
