"""Alerts: when a threshold is crossed, when it is armed again, and what is told.

Pure rules over figures; who reads the figures and when is `flows.watch`. A threshold is *reached* when at least so many
percent of the quantity are used, and something is used at all; it *stands* once it was told, until it is armed again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from tallybook.core.instant import instant_text
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.message import MessageType
from tallybook.core.number import to_text
from tallybook.core.threshold import Level, Threshold
from tallybook.core.window import Span

HYSTERESIS_PERCENT = 5
"""How far below a threshold usage must fall, in percent of the quantity, before it counts as recovered."""
BUDGET_MARK = "budget/"
"""Begins the subject of a budget; names of limits have no slash."""
FALLING = frozenset({LimitKind.ROLLING, LimitKind.STOCK, LimitKind.CONCURRENT})
"""Kinds of limits whose usage falls by itself: they recover. A period begins anew instead, a lifetime never does."""
FORECAST_PERCENT = 0
"""Stands where the percent of a threshold does, in the row of a forecast."""
NEVER_US = 0
"""The period of what is counted over no billing period."""


class Source(StrEnum):
    """What an alert is about."""

    LIMIT = "limit"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of one threshold of one value of a subject in one period.

    Attributes:
        arm: How often the threshold was told before this time; counts up when it was armed again.
        standing: Whether it has not been armed again since.
        quantity: What was allowed then, in nanos.
        raised_us: When it was told.
    """

    percent: int
    arm: int
    standing: bool
    quantity: int
    raised_us: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from a figure.

    Attributes:
        raised: Thresholds that are crossed now, the highest last.
        recovered: Thresholds that stood and do no longer, ascending; *silent* ones without a word.
        left: How much more, in nanos, may be used until the next threshold; None if there is none.
    """

    raised: tuple[Threshold, ...]
    recovered: tuple[int, ...]
    silent: tuple[int, ...]
    left: int | None

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        return bool(self.raised or self.recovered or self.silent)


def needed(quantity: int, percent: int) -> int:
    """Return the least usage, in nanos, that reaches *percent* of *quantity*."""
    return max(1, -(-percent * quantity // 100))


def judge(
    used: int,
    quantity: int,
    thresholds: Sequence[Threshold],
    told: Mapping[int, Told],
    *,
    falls: bool,
    hysteresis: int = HYSTERESIS_PERCENT,
) -> Judgement:
    """Decide what to tell.

    Args:
        used: What is used, in nanos.
        quantity: What is allowed.
        thresholds: Those that count, ascending.
        told: What was told before, by percent.
        falls: Whether usage falls by itself, so that falling is told; a period's usage only falls when something is
            taken back, which arms nothing.
        hysteresis: Percent of the quantity below a threshold where it recovers.
    """
    raised: list[Threshold] = []
    recovered: list[int] = []
    silent: list[int] = []
    left: int | None = None
    known = {threshold.percent for threshold in thresholds}
    for percent, before in sorted(told.items()):
        if not before.standing or percent == FORECAST_PERCENT:
            continue
        least = needed(quantity, percent)
        if used < least and before.quantity != quantity:
            (recovered if falls else silent).append(percent)
        elif falls and (used == 0 or used * 100 < (percent - hysteresis) * quantity):
            recovered.append(percent)
        elif percent not in known and used < least:
            silent.append(percent)
    gone = {*recovered, *silent}
    for threshold in thresholds:
        before_ = told.get(threshold.percent)
        if before_ is not None and before_.standing and threshold.percent not in gone:
            continue
        least = needed(quantity, threshold.percent)
        if used >= least:
            raised.append(threshold)
        elif left is None or least - used < left:
            left = least - used
    return Judgement(tuple(raised), tuple(recovered), tuple(silent), left)


# --- what is told ----------------------------------------------------------------------------------------------------


class PeriodTold(msgspec.Struct, frozen=True):
    """Half-open."""

    start: str
    end: str


class UsageAlert(msgspec.Struct, frozen=True):
    """A limit of an account was used up to a threshold, or recovered from it.

    Quantities are decimal strings in the meter's unit. `value` is that of the dimension `per`. `threshold` is in
    percent. `exceeded`: more was used than the limit allows; of a hard limit that is usage that happened by itself.
    """

    alert: str
    account: str
    limit: str
    kind: str
    mode: str
    meter: str | None
    resource: str | None
    per: str | None
    value: str | None
    threshold: int
    used: str
    quantity: str
    remaining: str
    exceeded: bool
    period: PeriodTold | None
    occurred_at: str


class UsageForecast(msgspec.Struct, frozen=True):
    """At the pace of the last days the limit will be used up before its period ends."""

    alert: str
    account: str
    limit: str
    kind: str
    mode: str
    meter: str | None
    per: str | None
    value: str | None
    used: str
    quantity: str
    remaining: str
    expected_at: str
    expected_used: str
    period: PeriodTold
    occurred_at: str


class BudgetAlert(msgspec.Struct, frozen=True):
    """The usage of a period costs so many percent of a budget; amounts are decimal strings in its currency."""

    alert: str
    account: str
    budget: str
    currency: str
    threshold: int
    spent: str
    amount: str
    remaining: str
    exceeded: bool
    period: PeriodTold | None
    occurred_at: str


def period_told(span: Span | None) -> PeriodTold | None:
    """Return the span as messages have it."""
    return None if span is None else PeriodTold(instant_text(span.start_us), instant_text(span.end_us))


def usage_alert(
    alert_id: str,
    account_id: str,
    limit: Limit,
    value: str | None,
    *,
    figures: tuple[int, int, int],
    period: Span | None,
    now_us: int,
) -> UsageAlert:
    """Return what is told of a limit; *figures* are the threshold's percent, and used and quantity in nanos."""
    percent, used, quantity = figures
    return UsageAlert(
        alert=alert_id,
        account=account_id,
        limit=limit.name,
        kind=limit.kind.value,
        mode=limit.mode.value,
        meter=limit.meter,
        resource=limit.resource,
        per=limit.per,
        value=value,
        threshold=percent,
        used=to_text(used),
        quantity=to_text(quantity),
        remaining=to_text(max(0, quantity - used)),
        exceeded=used > quantity,
        period=period_told(period),
        occurred_at=instant_text(now_us),
    )


# --- the types of messages -------------------------------------------------------------------------------------------

RECOVERED, FORECAST = "usage.recovered", "usage.forecast"

_MARCH = PeriodTold("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")


def _usage(level: Level, about: str, percent: int, used: str, remaining: str) -> MessageType:
    example = UsageAlert(
        alert="alt_5f0c61",
        account="acme",
        limit="messages",
        kind="period",
        mode="hard",
        meter="messages",
        resource=None,
        per=None,
        value=None,
        threshold=percent,
        used=used,
        quantity="10000",
        remaining=remaining,
        exceeded=percent > 100,
        period=_MARCH,
        occurred_at="2026-03-15T12:00:00Z",
    )
    return MessageType(f"usage.{level}", about, UsageAlert, example)


def _budget(level: Level, about: str, percent: int, spent: str, remaining: str) -> MessageType:
    example = BudgetAlert(
        alert="alt_5f0c62",
        account="acme",
        budget="monthly",
        currency="USD",
        threshold=percent,
        spent=spent,
        amount="500",
        remaining=remaining,
        exceeded=False,
        period=_MARCH,
        occurred_at="2026-03-15T12:00:00Z",
    )
    return MessageType(f"budget.{level}", about, BudgetAlert, example)


_RECOVERED_EXAMPLE = UsageAlert(
    alert="alt_5f0c63",
    account="acme",
    limit="credits",
    kind="rolling",
    mode="hard",
    meter="credits",
    resource=None,
    per=None,
    value=None,
    threshold=80,
    used="3700",
    quantity="5000",
    remaining="1300",
    exceeded=False,
    period=PeriodTold("2026-02-13T12:00:00Z", "2026-03-15T12:01:00Z"),
    occurred_at="2026-03-15T12:00:00Z",
)
_FORECAST_EXAMPLE = UsageForecast(
    alert="alt_5f0c64",
    account="acme",
    limit="messages",
    kind="period",
    mode="hard",
    meter="messages",
    per=None,
    value=None,
    used="6800",
    quantity="10000",
    remaining="3200",
    expected_at="2026-03-23T06:00:00Z",
    expected_used="13940",
    period=_MARCH,
    occurred_at="2026-03-15T12:00:00Z",
)

ALERT_TYPES = (
    _usage(Level.WARNING, "Usage came near a limit: 80 % of it, unless thresholds say otherwise.", 80, "8000", "2000"),
    _usage(Level.CRITICAL, "Usage came very near a limit: 95 % of it.", 95, "9500", "500"),
    _usage(Level.OVERAGE, "A limit is used up: 100 % of it, or a higher threshold.", 100, "10000", "0"),
    _usage(
        Level.LIMIT_REACHED, "A threshold was reached that a plan or an account gave this event.", 80, "8000", "2000"
    ),
    MessageType(
        RECOVERED,
        "Usage of a rolling, stock or concurrency limit fell clearly below a threshold that was told.",
        UsageAlert,
        _RECOVERED_EXAMPLE,
    ),
    MessageType(
        FORECAST,
        "At the pace of the last days a limit will be used up before its period ends; once a period.",
        UsageForecast,
        _FORECAST_EXAMPLE,
    ),
    _budget(Level.WARNING, "The cost of a period came near a budget.", 80, "400", "100"),
    _budget(Level.CRITICAL, "The cost of a period came very near a budget.", 95, "475", "25"),
    _budget(Level.OVERAGE, "A budget is spent.", 100, "500", "0"),
    _budget(Level.LIMIT_REACHED, "A threshold of a budget was reached that was given this event.", 80, "400", "100"),
)
"""All that alerts tell."""
