"""Alerts: what watching costs ingest, and ten thousand accounts that cross a threshold while they are written.

Both ledgers of the first part take the same batches turn by turn, one of them without anybody watching: CPU of the
whole process is compared, because other work on the machine does not change it. ``python -m tests.bench alerts``.
"""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from tallybook.core.event import decode_events
from tallybook.core.ids import AccountId
from tallybook.house import House
from tests.bench.ledgers import OPERATOR, fresh, opened
from tests.bench.load import TEMPLATES
from tests.bench.report import Figure, say
from tests.bench.scale import ACCOUNTS, BATCH_EVENTS, Scale
from tests.bench.workload import account_ids, fill, templates

ADDED_PERCENT_MAX = 10.0
CROSSING_ACCOUNTS = 10_000
CROSSING_S_MAX = 60.0
TURN_BATCHES = 10
PLAN = {
    "limits": [
        {"name": "messages", "kind": "period", "meter": "messages", "quantity": "100000000"},
        {
            "name": "voice",
            "kind": "period",
            "meter": "call_seconds",
            "filter": {"channel": "voice"},
            "quantity": "100000000",
        },
        {"name": "requests", "kind": "period", "meter": "requests", "per": "api_id", "quantity": "100000000"},
        {"name": "credits", "kind": "rolling", "meter": "credits", "window": "P30D", "quantity": "100000000"},
        {"name": "storage", "kind": "stock", "meter": "storage_mb", "quantity": "100000000"},
    ]
}
SMALL_PLAN = {"limits": [{"name": "messages", "kind": "period", "meter": "messages", "quantity": "10"}]}


def run(scale: Scale, folder: Path) -> list[Figure]:
    """Measure and return the figures."""
    plain_us, watched_us, first_us = _added(scale, folder)
    took_s, messages = _crossing(folder)
    wanted = 3 * CROSSING_ACCOUNTS
    return [
        Figure("alerts", "CPU an event, nobody watching", plain_us, "us"),
        Figure("alerts", "CPU an event, five limits an account watched", watched_us, "us"),
        Figure("alerts", "CPU added by watching", 100 * (watched_us / plain_us - 1), "%", ADDED_PERCENT_MAX),
        Figure("alerts", "the same, accounts seen first included", 100 * (first_us / plain_us - 1), "%"),
        Figure("alerts", "10,000 accounts cross three thresholds", took_s, "s", CROSSING_S_MAX),
        Figure("alerts", "messages queued of those crossings", messages, "messages", wanted, at_least=True),
    ]


def _added(scale: Scale, folder: Path) -> tuple[float, float, float]:
    """Return CPU an event in microseconds: unwatched, watched, and watched with the first look at each account."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    bodies = templates(TEMPLATES, BATCH_EVENTS, ACCOUNTS, [f"{now}Z"])
    batches = max(4 * TURN_BATCHES, scale.direct_events // BATCH_EVENTS // 2)
    spent_s: dict[str, list[float]] = {"plain": [], "watched": []}
    with ExitStack() as stack:
        houses = {}
        for name in spent_s:
            fresh(folder / name)
            houses[name] = stack.enter_context(opened(folder / name))
            houses[name].accounts.put_plan("bench", PLAN)
            for account in account_ids(ACCOUNTS):
                houses[name].accounts.put(AccountId(account), plan="bench", starts_us=0)
        for lane in houses["plain"].ingest._lanes:
            lane._writer._watching = None  # type: ignore[attr-defined]
        for first in range(0, batches, TURN_BATCHES):
            for name, house in houses.items():
                began_s = time.process_time()
                for number in range(first, min(batches, first + TURN_BATCHES)):
                    _write(house, fill(bodies[number % TEMPLATES], f"{number:08x}", now))
                spent_s[name].append(time.process_time() - began_s)
    for name in spent_s:
        shutil.rmtree(folder / name)
    events = batches * BATCH_EVENTS
    per_event = {name: sum(turns) / events * 1e6 for name, turns in spent_s.items()}
    half = len(spent_s["plain"]) // 2
    later = {name: sum(turns[half:]) / (len(turns) - half) / TURN_BATCHES * 1e3 for name, turns in spent_s.items()}
    say(f"  {events:,} events: {per_event}; in the second half {later}")
    return later["plain"], later["watched"], later["plain"] * per_event["watched"] / per_event["plain"]


def _crossing(folder: Path) -> tuple[float, int]:
    """Have every account pass its limit; return how long that took and how many messages wait for delivery."""
    data = folder / "crossing"
    fresh(data)
    with opened(data) as house:
        house.accounts.put_plan("bench", SMALL_PLAN)
        for account in account_ids(CROSSING_ACCOUNTS):
            house.accounts.put(AccountId(account), plan="bench", starts_us=0)
        began_s, cpu_s = time.perf_counter(), time.process_time()
        for body in _crossings():
            _write(house, body)
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        with house.ledger.reading() as connection:
            messages = connection.scalar(text("SELECT count(*) FROM outbox WHERE type LIKE 'usage.%'")) or 0
    shutil.rmtree(data)
    say(f"  {CROSSING_ACCOUNTS:,} accounts crossed in {took_s:.1f} s, {cpu_s:.1f} s of CPU, {messages:,} messages")
    return took_s, messages


def _crossings() -> Iterator[bytes]:
    """Return batches in which every account sends eleven messages, ten accounts of each hundred in a batch."""
    names = account_ids(CROSSING_ACCOUNTS)
    for first in range(0, CROSSING_ACCOUNTS, 100):
        events = [
            {"id": f"{account}-{n}", "type": "message", "subject": account, "data": {"direction": "inbound"}}
            for account in names[first : first + 100]
            for n in range(11)
        ]
        yield json.dumps(events).encode()


def _write(house: House, body: bytes) -> None:
    prepared = house.ingest.prepare(decode_events(body), OPERATOR)
    assert house.ingest.submit(prepared).result().accepted  # or nothing was measured
