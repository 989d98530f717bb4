"""Large ledgers, built by the real flows in this process and kept from run to run: a year and more of many accounts.

Events are made in a second process, account by account, and imported as an operator imports history. A build that was
cut short goes on where it stopped; events that were written already are duplicates then, as for any client.
"""

import json
import shutil
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from tallybook.core.ids import AccountId
from tallybook.core.key import BILLING_MANAGE, USAGE_READ
from tallybook.core.usual import Batch
from tallybook.house import House
from tests.bench.ledgers import OPERATOR, opened
from tests.bench.report import say
from tests.bench.scale import DAYS
from tests.bench.workload import Event, Mix, account_ids

REQUEST_EVENTS = 5_000
IN_FLIGHT_MAX = 6
ACCOUNTS_AHEAD = 3
"""Accounts whose events are made before they are needed; each is a few megabytes."""
REPORT_S = 15.0
FORMAT = 1
"""To be raised when ledgers that were built before will not do any more."""
_INVENTORY = {"agent": 3, "phone_number": 2, "api_subscription": 5}


@dataclass(frozen=True, slots=True)
class Plot:
    """What a ledger holds."""

    events: int
    accounts: int
    days: int = DAYS

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"ledger-{FORMAT}-{self.events}-{self.accounts}-{self.days}"

    def share(self, place: int) -> int:
        """How many events the account at *place* has."""
        return self.events // self.accounts + (place < self.events % self.accounts)


def token_of(account_id: str) -> str:
    """Return the key that the account's client would send."""
    return f"bench-key-of-{account_id}"


def build(plot: Plot, folder: Path) -> Path:
    """Return the folder of the ledger of *plot*, built if it is not there yet."""
    data = folder / plot.name
    mark = folder / f"{plot.name}.json"
    state = json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else None
    if state is None:
        shutil.rmtree(data, ignore_errors=True)
        state = {**asdict(plot), "accounts_done": 0, "until": datetime.now(UTC).replace(microsecond=0).isoformat()}
    if state["accounts_done"] < plot.accounts:
        say(f"  building {data}: {plot.events:,} events of {plot.accounts:,} accounts over {plot.days} days")
        with opened(data) as house:
            for done in _fill(house, plot, state):
                mark.write_text(json.dumps({**state, "accounts_done": done}), encoding="utf-8")
    return data


def _fill(house: House, plot: Plot, state: dict[str, object]) -> Iterator[int]:
    """Write the accounts that are missing; yield how many are done."""
    ids = account_ids(plot.accounts)
    first = int(str(state["accounts_done"]))
    work = [(ids[place], plot.share(place), plot.days, str(state["until"])) for place in range(first, plot.accounts)]
    began_s = told_s = time.perf_counter()
    written = 0
    with get_context("spawn").Pool(1) as pool:
        ahead = deque(pool.apply_async(_bodies, (one,)) for one in work[:ACCOUNTS_AHEAD])
        for place in range(first, plot.accounts):
            bodies = ahead.popleft().get()
            ahead.extend(pool.apply_async(_bodies, (one,)) for one in work[place - first + ACCOUNTS_AHEAD :][:1])
            written += _write(house, bodies)
            _give_key(house, ids[place], (USAGE_READ, BILLING_MANAGE))
            yield place + 1
            now_s = time.perf_counter()
            if now_s - told_s > REPORT_S:
                told_s = now_s
                left_s = (now_s - began_s) / (place + 1 - first) * (plot.accounts - place - 1)
                say(
                    f"    {place + 1:,} of {plot.accounts:,} accounts, {written / (now_s - began_s):,.0f} events/s,"
                    f" {left_s / 60:.0f} min left"
                )


def _write(house: House, bodies: list[bytes]) -> int:
    waiting = deque([house.ingest.submit(house.ingest.prepare([], OPERATOR))])
    written = 0
    for body in bodies:
        prepared = house.ingest.prepare(Batch(body), OPERATOR, backfill=True)
        assert not prepared.errors, prepared.errors[:3]
        waiting.append(house.ingest.submit(prepared))
        if len(waiting) == IN_FLIGHT_MAX:
            written += waiting.popleft().result().accepted
    return written + sum(future.result().accepted for future in waiting)


def _give_key(house: House, account_id: str, scopes: tuple[str, ...]) -> None:
    known = {key.account_id for key in house.access.list_keys(account_id=AccountId(account_id))}
    if account_id not in known:
        house.access.create_key(AccountId(account_id), scopes, "bench", token=token_of(account_id))


def _bodies(work: tuple[str, int, int, str]) -> list[bytes]:
    """Return the requests that hold one account's history, oldest first."""
    account_id, events, days, until = work
    end = datetime.fromisoformat(until).replace(tzinfo=None)
    start = end - timedelta(days=days)
    mix = Mix(account_id)
    seconds = sorted(mix.dice.randrange(days * 86_400) for _ in range(events))
    made: list[Event] = [
        _owned(account_id, kind, number, start) for kind, n in _INVENTORY.items() for number in range(n)
    ]
    for number, second in enumerate(seconds[: events - len(made)]):
        kind, data = mix.body(account_id)
        envelope = {"specversion": "1.0", "id": f"{account_id}-{number}", "source": "bench", "type": kind}
        time_text = f"{(start + timedelta(seconds=second)).isoformat()}Z"
        made.append({**envelope, "subject": account_id, "time": time_text, "data": data})
    cuts = range(0, len(made), REQUEST_EVENTS)
    return [json.dumps(made[cut : cut + REQUEST_EVENTS], separators=(",", ":")).encode() for cut in cuts]


def _owned(account_id: str, kind: str, number: int, at: datetime) -> Event:
    """Return the event that brought a thing into the account's inventory."""
    short = {"agent": "agent", "phone_number": "number"}.get(kind)
    thing = f"api-{number}" if short is None else f"{short}-{account_id[-3:]}-{number}"
    data = {"kind": kind, "resource_id": thing, "name": f"{kind} {number}"}
    envelope = {"specversion": "1.0", "id": f"{account_id}-{kind}-{number}", "source": "bench"}
    kind_of = {"type": "resource.created", "subject": account_id, "time": f"{at.isoformat()}Z", "data": data}
    return {**envelope, **kind_of}
