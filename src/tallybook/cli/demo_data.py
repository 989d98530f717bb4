"""The usage of the demo: 400 days of events up to now, the same for the same instant and seed.

Weekdays are busier than weekends, days than nights, this year than last; on one day nothing worked. Pure: no clock,
no I/O. Who the customers are is in `demo_cast`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from tallybook.cli.demo_cast import CUSTOMERS, Api, Customer, Thing
from tallybook.core.instant import DAY_US, day_of, day_start_us, instant_text

DAYS = 400
OUTAGE_DAY = DAYS - 45
"""The day, counted from the first, on which nothing worked."""

SEED = 7
SOURCE = "demo"

_GROWTH_FIRST, _GROWTH_LAST = 0.35, 1.0
_WEEKDAYS = (1.05, 1.12, 1.1, 1.08, 1.0, 0.42, 0.34)
_HOURS = (1, 1, 1, 1, 2, 4, 9, 18, 34, 48, 52, 50, 44, 46, 50, 49, 44, 36, 26, 18, 12, 7, 4, 2)
_HOURS_SUMMED = tuple(itertools.accumulate(_HOURS))
_DAY_HOURS = tuple(range(24))
_MODELS = ("atlas-large", "atlas-large", "atlas-small", "atlas-small", "atlas-small", "mosaic-2")
_ERRORS = (400, 401, 404, 404, 422, 429, 500, 503)

Event = dict[str, object]
Data = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Day:
    """One day of one customer: its number from the first day, the calendar day, and its own dice."""

    number: int
    date: date
    dice: Random

    def volume(self, per_day: int) -> int:
        """Return how many of something happen today, where *per_day* is an ordinary weekday at full growth."""
        growth = _GROWTH_FIRST + (_GROWTH_LAST - _GROWTH_FIRST) * self.number / (DAYS - 1)
        expected = per_day * growth * _WEEKDAYS[self.date.weekday()] * self.dice.uniform(0.88, 1.12)
        return int(expected + self.dice.random())

    def pick(self, things: Sequence[Thing]) -> Thing | None:
        """Return one of the things that exist today, the heavy ones more often."""
        living = [thing for thing in things if self.has(thing)]
        return self.dice.choices(living, weights=[thing.weight for thing in living])[0] if living else None

    def has(self, thing: Thing) -> bool:
        """Say whether the thing exists the whole day."""
        return thing.first < self.number and (thing.last is None or self.number < thing.last)

    def spread(self, usual: int, *, most: int | None = None) -> int:
        """Return a number that is usually around *usual*, now and then much more."""
        drawn = max(1, round(usual * self.dice.lognormvariate(-0.15, 0.55)))
        return drawn if most is None else min(drawn, most)


def first_day(now_us: int) -> date:
    """Return the first day that the demo of *now_us* has events on."""
    return day_of(now_us) - timedelta(days=DAYS - 1)


def events(now_us: int, seed: int = SEED) -> Iterator[Event]:
    """Yield every event of the demo up to *now_us*, day by day."""
    start = first_day(now_us)
    for number in range(DAYS):
        if number == OUTAGE_DAY:
            continue
        day = start + timedelta(days=number)
        found = _events_of_all(day, number, seed)
        if day_start_us(day) + DAY_US > now_us:
            until = _text_ms(now_us)
            found = (event for event in found if str(event["time"]) <= until)
        yield from found


def _events_of_all(day: date, number: int, seed: int) -> Iterator[Event]:
    for customer in CUSTOMERS:
        dice = Random(f"{seed}/{customer.account}/{day.isoformat()}")  # noqa: S311 - a demo, not a secret
        yield from _day_events(customer, _Day(number, day, dice))


def _day_events(customer: Customer, day: _Day) -> Iterator[Event]:
    yield from _things_of_the_day(customer, day)
    for kind, per_day, make in _streams(customer):
        times = _times(day, day.volume(per_day))
        for number, time in enumerate(times):
            for part, (event_type, data) in enumerate(make(customer, day, number)):
                yield {
                    "id": f"{kind}-{day.date:%Y%m%d}-{number}{'.' * (part > 0)}{part or ''}",
                    "source": SOURCE,
                    "type": event_type,
                    "subject": customer.account,
                    "time": time,
                    "data": data,
                }


def _text_ms(instant_us: int) -> str:
    return f"{instant_text(instant_us)[:19]}.{instant_us // 1_000 % 1_000:03d}Z"


def _times(day: _Day, count: int) -> list[str]:
    hours = day.dice.choices(_DAY_HOURS, cum_weights=_HOURS_SUMMED, k=count)
    head = day.date.isoformat()
    written = []
    for hour in hours:
        minute, rest_ms = divmod(int(day.dice.random() * 3_600_000), 60_000)
        written.append(f"{head}T{hour:02d}:{minute:02d}:{rest_ms // 1_000:02d}.{rest_ms % 1_000:03d}Z")
    return written


# --- the inventory ----------------------------------------------------------------------------------------------------


def _things_of_the_day(customer: Customer, day: _Day) -> Iterator[Event]:
    for thing in customer.things:
        for change, number in (("created", thing.first), ("released", thing.last)):
            if number == day.number:
                yield {
                    "id": f"{thing.kind}-{thing.id}-{change}",
                    "source": SOURCE,
                    "type": f"resource.{change}",
                    "subject": customer.account,
                    "time": f"{day.date.isoformat()}T00:00:30Z",
                    "data": _thing_data(thing),
                }


def _thing_data(thing: Thing) -> Data:
    data: Data = {"kind": thing.kind, "resource_id": thing.id, "name": thing.name}
    if thing.shared is not None:
        data["shared"] = thing.shared
    if thing.active is not None:
        data["active"] = thing.active
    return data


# --- what happens on a day --------------------------------------------------------------------------------------------

_Made = list[tuple[str, Data]]
_Make = Callable[[Customer, _Day, int], _Made]


def _streams(customer: Customer) -> Iterator[tuple[str, int, _Make]]:
    """Yield (kind, number on a weekday, maker) of everything the customer does."""
    if customer.messages:
        yield "msg", customer.messages, _message
    if customer.voice_calls:
        yield "voice", customer.voice_calls, _voice_call
    if customer.chat_calls:
        yield "chat", customer.chat_calls, _chat_call
    if customer.completions:
        yield "llm", customer.completions, _completion
    if customer.credits:
        yield "credit", customer.credits, _credit
    if customer.workflow_runs:
        yield "run", customer.workflow_runs, _workflow_run
    if customer.storage_mb:
        yield "storage", 3, _storage
    for api in customer.apis:
        yield f"req-{api.id}", api.per_day, _requests_of(api)


def _agent(customer: Customer, day: _Day) -> Data:
    agent = day.pick([thing for thing in customer.things if thing.kind == "agent"])
    return {} if agent is None else {"agent_id": agent.id, "agent_name": agent.name}


def _delivered(customer: Customer, day: _Day) -> _Made:
    if not customer.deliveries:
        return []
    return [("webhook.delivery", {"status": "failed" if day.dice.random() < 0.011 else "success"})]


def _message(customer: Customer, day: _Day, _number: int) -> _Made:
    direction = "inbound" if day.dice.random() < 0.56 else "outbound"
    return [("message", {"direction": direction, **_agent(customer, day)}), *_delivered(customer, day)]


def _voice_call(customer: Customer, day: _Day, number: int) -> _Made:
    return _call(customer, day, f"voice-{day.date:%Y%m%d}-{number}", channel="voice", usual_s=customer.voice_s)


def _chat_call(customer: Customer, day: _Day, number: int) -> _Made:
    return _call(customer, day, f"chat-{day.date:%Y%m%d}-{number}", channel="chat", usual_s=customer.chat_s)


def _call(customer: Customer, day: _Day, call_id: str, *, channel: str, usual_s: int) -> _Made:
    data: Data = {
        "call_id": call_id,
        "channel": channel,
        "direction": "inbound" if day.dice.random() < 0.7 else "outbound",
        "duration_s": day.spread(usual_s, most=840),
        **_agent(customer, day),
    }
    phone = day.pick([thing for thing in customer.things if thing.kind == "phone_number"])
    if channel == "voice" and phone is not None:
        data["number_id"] = phone.id
    return [("call", data), *_delivered(customer, day)]


def _completion(customer: Customer, day: _Day, _number: int) -> _Made:
    tokens = {"input_tokens": day.spread(1_900), "output_tokens": day.spread(310)}
    return [("llm.completion", {"model": day.dice.choice(_MODELS), **tokens, **_agent(customer, day)})]


def _credit(customer: Customer, day: _Day, _number: int) -> _Made:
    amount = (customer.credit * day.dice.randint(40, 160) / 100).quantize(Decimal("0.01"))
    return [("credit.spend", {"amount": amount, **_agent(customer, day)})]


def _workflow_run(_customer: Customer, day: _Day, _number: int) -> _Made:
    workflow = day.dice.choice(("confirm-booking", "confirm-booking", "follow-up", "daily-report"))
    status = "failed" if day.dice.random() < 0.04 else "success"
    return [
        ("workflow.started", {"workflow_id": workflow}),
        ("workflow.finished", {"workflow_id": workflow, "status": status}),
    ]


def _storage(customer: Customer, day: _Day, _number: int) -> _Made:
    megabytes = Decimal(customer.storage_mb) * (day.number + 100) / (DAYS + 99)
    return [("storage.snapshot", {"megabytes": megabytes.quantize(Decimal("0.1"))})]


def _requests_of(api: Api) -> _Make:
    """Return the maker of requests to *api*, which the customer may have subscribed to later than the first day."""

    def requests(customer: Customer, day: _Day, _number: int) -> _Made:
        subscription = next((thing for thing in customer.things if thing.id == api.id), None)
        if subscription is not None and not day.has(subscription):
            return []
        method, endpoint = api.endpoints[int(len(api.endpoints) * day.dice.random() ** 1.7)]
        failed = day.dice.random() * 1_000 < api.errors_permille
        status = day.dice.choice(_ERRORS) if failed else 201 if method == "POST" else 200
        data: Data = {
            "api_id": api.id,
            "api_name": api.name,
            "endpoint": endpoint,
            "method": method,
            "status": status,
            "latency_ms": day.spread(api.latency_ms),
        }
        return [("api.request", data)]

    return requests
