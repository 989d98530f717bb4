"""Forecasts: at the pace of the last days, will a limit be used up before its period ends? Told once a period.

It reads a few accounts a sweep, round and round, beside the lanes; only what is to be told goes through one. It also
has budgets looked at that time alone may have crossed, such as by fees. Not for figures of a forecast (see `cost`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from tallybook.core.alert import FORECAST, FORECAST_PERCENT, UsageForecast, period_told
from tallybook.core.clock import Clock
from tallybook.core.crossing import AlertStore, Crossing
from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, NotFound, ParameterInvalid
from tallybook.core.ids import AccountId, new_id
from tallybook.core.instant import DAY_US, HOUR_US, instant_text
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.meter import Aggregation, Question
from tallybook.core.number import to_text
from tallybook.core.period import billing_period
from tallybook.core.plan import Account
from tallybook.core.ports import PlanSource, UsageReader
from tallybook.core.rules import Own
from tallybook.core.threshold import thresholds_of
from tallybook.core.window import Span, floor_minute, zone

if TYPE_CHECKING:
    from concurrent.futures import Future

ACCOUNTS_A_STEP = 20
ROUND_EVERY_US = HOUR_US
PACE_DAYS = 7
"""The pace is that of the last days of the period."""
ELAPSED_MIN_US = 3 * DAY_US  # days: no calendar, only enough of a period to have a pace
_encode = msgspec.json.Encoder().encode
_T = TypeVar("_T")


class AccountSource(Protocol):
    """Finds accounts: `flows.subscribe`."""

    def get(self, account_id: AccountId) -> Account:
        """Return the account with the plan in force now."""
        ...


class RuleSource(Protocol):
    """Reads rules and budgets as of the last commit."""

    def own(self, account_no: int) -> Own:
        """Return the account's rules and budgets."""
        ...


class Lanes(Protocol):
    """Runs decisions inside lanes: `flows.ingest`."""

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane."""
        ...


@dataclass(frozen=True, slots=True)
class _Pace:
    """What was used of a limit in its period, and of that since *since_us*."""

    limit: Limit
    value: str
    used: int
    recent: int
    since_us: int
    period: Span

    def reached_us(self, quantity: int, now_us: int) -> int | None:
        """Return when *quantity* is used at this pace, None if not in the period, or if it is already."""
        if self.recent <= 0 or self.used >= quantity:
            return None
        at_us = now_us + (quantity - self.used) * (now_us - self.since_us) // self.recent
        return at_us if at_us < self.period.end_us else None

    def expected(self, now_us: int) -> int:
        """Return what will be used at the period's end."""
        return self.used + self.recent * (self.period.end_us - now_us) // (now_us - self.since_us)


class Forecasts:
    """Goes round the accounts."""

    def __init__(
        self,
        store: AlertStore,
        accounts: AccountSource,
        plans: PlanSource,
        usage: UsageReader,
        *,
        rules: RuleSource,
        lanes: Lanes,
        clock: Clock,
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._plans = plans
        self._usage = usage
        self._rules = rules
        self._lanes = lanes
        self._clock = clock
        self._after = ""
        self._rest_until_us = 0

    def step(self) -> int:
        """Look at the next few accounts; always 0, for there is time until the next sweep.

        Raises:
            Unavailable: If the store is away; a later sweep goes on.
        """
        now_us = self._clock.now_us()
        if now_us < self._rest_until_us:
            return 0
        ids = self._store.with_periods(self._after, ACCOUNTS_A_STEP)
        if not ids:
            self._after, self._rest_until_us = "", now_us + ROUND_EVERY_US
            return 0
        self._after = ids[-1]
        for waiting in [one for account_id in ids for one in self._look(account_id, now_us)]:
            waiting.result()
        return 0

    def _look(self, account_id: AccountId, now_us: int) -> "Iterator[Future[object]]":
        account = self._accounts.get(account_id)
        own = self._rules.own(account.no)
        if own.budgets:
            yield self._lanes.act(account_id, lambda desk: desk.reconsider(account.no))
        if not own.rules.forecast:
            return
        for pace in self._paces(account, own, now_us):
            quantity = pace.limit.quantity or 0
            reached_us = pace.reached_us(quantity, now_us)
            if reached_us is not None:
                crossing = _crossing(account, pace, reached_us, now_us)
                yield self._lanes.act(account_id, _telling(account, crossing, now_us))

    def _paces(self, account: Account, own: Own, now_us: int) -> Iterator[_Pace]:
        period = billing_period(now_us, account.anchor_day, zone(account.timezone))
        until_us = floor_minute(now_us)
        if until_us - period.start_us < ELAPSED_MIN_US:
            return
        since_us = max(period.start_us, until_us - PACE_DAYS * DAY_US)  # days: a length of time, no calendar
        windows = [Span(since_us, until_us)]
        if since_us > period.start_us:
            windows.insert(0, Span(period.start_us, since_us))
        for limit in self._foreseeable(account, own, now_us):
            filters = {dimension: (wanted,) for dimension, wanted in limit.filter.items()}
            question = Question(limit.meter or "", windows, () if limit.per is None else (limit.per,), filters)
            try:
                (answer,) = self._usage.ask(account, [question])
            except (Conflict, NotFound, ParameterInvalid):
                continue  # its meter is being filled, or is no more
            for key, values in answer.groups.items():
                value = key[0] if key else ""
                if value is not None:
                    yield _Pace(limit, value, sum(values), values[-1], since_us, period)

    def _foreseeable(self, account: Account, own: Own, now_us: int) -> Iterator[Limit]:
        """Return the limits that usage adds up to within a period, and about which somebody wants to hear."""
        meters = self._usage.scheme.catalogue.meters
        thresholds = self._plans.plan_of(account).alerts if own.rules.thresholds is None else own.rules.thresholds
        for limit in self._plans.limits_of(account, now_us):
            meter = meters.get(limit.meter or "")
            if limit.kind is not LimitKind.PERIOD or limit.quantity is None or meter is None:
                continue
            if meter.aggregation in (Aggregation.COUNT, Aggregation.SUM) and thresholds_of(limit, thresholds):
                yield limit


def _telling(account: Account, crossing: Crossing, now_us: int) -> Callable[[Desk], bool]:
    return lambda desk: desk.cross(account.no, crossing, now_us)


def _crossing(account: Account, pace: _Pace, reached_us: int, now_us: int) -> Crossing:
    limit, quantity = pace.limit, pace.limit.quantity or 0
    alert_id = new_id("alt")
    period = period_told(pace.period)
    assert period is not None  # a forecast is for a period
    body = UsageForecast(
        alert=alert_id,
        account=account.id,
        limit=limit.name,
        kind=limit.kind.value,
        mode=limit.mode.value,
        meter=limit.meter,
        per=limit.per,
        value=pace.value or None,
        used=to_text(pace.used),
        quantity=to_text(quantity),
        remaining=to_text(quantity - pace.used),
        expected_at=instant_text(floor_minute(reached_us)),
        expected_used=to_text(pace.expected(now_us)),
        period=period,
        occurred_at=instant_text(now_us),
    )
    return Crossing(
        alert_id=alert_id,
        subject=limit.name,
        value=pace.value,
        period_us=pace.period.start_us,
        percent=FORECAST_PERCENT,
        arm=0,
        event=FORECAST,
        body=_encode(body),
        quantity=quantity,
    )
