"""What alerts ought to say, told the plain way: every figure is added up anew from a list, every time."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tallybook.core.instant import DAY_US, MINUTE_US
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.number import NANOS
from tallybook.core.period import billing_period
from tallybook.core.window import zone

LATE_US = 35 * DAY_US
PERCENTS = (50, 80, 100)
FALLING = {LimitKind.ROLLING, LimitKind.STOCK}


@dataclass(frozen=True)
class Happened:
    """One event: of which meter, how much (in units), with which value of which dimension, when."""

    meter: str
    amount: int
    value: str
    time_us: int


@dataclass
class Row:
    """One row of the history."""

    percent: int
    arm: int
    late: bool
    quantity: int
    standing: bool = True


def event_of(limit: Limit, percent: int) -> str:
    """Return what a percent is told as; 80 of what a period allows an API has a name of its own."""
    if percent == 80 and (limit.kind, limit.meter, limit.per) == (LimitKind.PERIOD, "requests", "api_id"):
        return "usage.limit_reached"
    return "usage.overage" if percent == 100 else "usage.warning"


@dataclass
class Model:
    """One account, in UTC, from the first of the month."""

    limits: dict[str, Limit]
    events: list[Happened] = field(default_factory=list)
    rows: dict[tuple[str, str, int], list[Row]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def write(self, events: Iterable[Happened], now_us: int) -> None:
        """Count events, then look at each limit that they touch, in each period they lie in."""
        new = list(events)
        self.events += new
        for name, limit in self.limits.items():
            touched = [event for event in new if event.meter == limit.meter]
            if limit.kind is LimitKind.PERIOD:
                for period_us in sorted({period_of(event.time_us)[0] for event in touched}):
                    if period_of(period_us)[1] > now_us - LATE_US:
                        self.look(name, period_us, now_us)
            elif touched:
                self.look(name, 0, now_us)

    def change(self, limit: Limit, now_us: int) -> None:
        """Put another limit in place of the one of its name, and look at everything."""
        self.limits[limit.name] = limit
        self.look_at_all(now_us)

    def look_at_all(self, now_us: int) -> None:
        """Look at every limit in the period that runs."""
        for name, limit in self.limits.items():
            self.look(name, period_of(now_us)[0] if limit.kind is LimitKind.PERIOD else 0, now_us)

    def look(self, name: str, period_us: int, now_us: int) -> None:
        """Tell what is crossed, note what is not any more."""
        limit = self.limits[name]
        known = {value for subject, value, period in self.rows if (subject, period) == (name, period_us)}
        for value in sorted({event.value for event in self.events} | known) if limit.per else [""]:
            used = self.used(limit, value, period_us, now_us)
            rows = self.rows.setdefault((name, value, period_us), [])
            closed = period_us > 0 and period_of(period_us)[1] <= now_us
            if self._end(limit, used, rows):
                self.told.append("usage.recovered")
            for percent in PERCENTS:
                before = [row for row in rows if row.percent == percent]
                if any(row.standing for row in before) or not reached(limit, used, percent):
                    continue
                rows.append(Row(percent, len(before), closed, limit.quantity or 0))
                if not closed:
                    self.told.append(event_of(limit, percent))

    def used(self, limit: Limit, value: str, period_us: int, now_us: int) -> int:
        """Add up what counts against a limit, in units."""
        if limit.kind is LimitKind.PERIOD:
            low, high = period_of(period_us)
        elif limit.kind is LimitKind.ROLLING:
            minute_us = now_us - now_us % MINUTE_US
            low, high = minute_us - limit.window_us, minute_us + 6 * MINUTE_US
        else:
            low, high = 0, 1 << 62
        wanted = "a" if limit.filter else value if limit.per else None
        mine = [
            event
            for event in self.events
            if event.meter == limit.meter and low <= event.time_us < high and wanted in (None, event.value)
        ]
        if limit.kind is LimitKind.STOCK:
            return max(mine, key=lambda event: event.time_us).amount if mine else 0
        return sum(event.amount for event in mine)

    def _end(self, limit: Limit, used: int, rows: list[Row]) -> bool:
        """Note which thresholds stand no longer; return whether that is told."""
        told = False
        quantity = limit.quantity or 0
        for row in rows:
            if not row.standing:
                continue
            raised = row.quantity != quantity and not reached(limit, used, row.percent)
            fell = limit.kind in FALLING and (used == 0 or used * NANOS * 100 < (row.percent - 5) * quantity)
            if raised or fell:
                row.standing = False
                told |= limit.kind in FALLING
        return told


def reached(limit: Limit, used: int, percent: int) -> bool:
    """Whether so many percent are used."""
    return used > 0 and used * NANOS * 100 >= percent * (limit.quantity or 0)


def period_of(at_us: int) -> tuple[int, int]:
    """Return the calendar month of an instant, in UTC."""
    span = billing_period(at_us, 1, zone("UTC"))
    return span.start_us, span.end_us
