"""Limits: what a plan allows, read from JSON or TOML, and where an account stands against them.

Six kinds: see `LimitKind`. Not for counting what was used (see `flows.admit`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

from tallybook.core.errors import FieldInvalid, QuantityInvalid
from tallybook.core.fields import NO_FILTER, Problems, read_choice, read_dimension, read_filter, read_name, read_object
from tallybook.core.instant import DAY_US, HOUR_US
from tallybook.core.number import NANOS, parse_nanos, to_text
from tallybook.core.window import Span

WINDOW_DAYS_MAX = 366
SECONDS_MAX = 366 * 24 * 3600  # days: a bound on one item's length, no calendar year
UNLIMITED = "unlimited"
MONTH = "P1M"

_WINDOW = re.compile(r"P(?:(?P<days>[1-9][0-9]{0,2})D|T(?P<hours>[1-9][0-9]{0,3})H)", re.ASCII)


class LimitKind(StrEnum):
    """What a limit counts.

    ``period``: usage since the billing period (an anchored month) began. ``rolling``: usage in the last hours or days,
    right to the minute. ``lifetime``: all ever used or provisioned, released things included. ``stock``: what exists
    now. ``concurrent``: leases that are live. ``duration``: the length of one item.
    """

    PERIOD = "period"
    ROLLING = "rolling"
    LIFETIME = "lifetime"
    STOCK = "stock"
    CONCURRENT = "concurrent"
    DURATION = "duration"


class Mode(StrEnum):
    """What happens at the limit: ``hard`` refuses, ``overage`` goes on, charges and alerts."""

    HARD = "hard"
    OVERAGE = "overage"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a plan.

    Attributes:
        quantity: In nanos of the meter's unit, or a number of things or leases; None is no limit. A duration limit
            has its *seconds* here too.
        meter: What is counted; or *resource*, the kind of thing.
        filter: Dimension -> the value that counts.
        per: A dimension whose values each have the quantity for themselves.
        period: ``P1M`` for the kind ``period``.
        window: ``P30D`` or ``PT24H`` for the kind ``rolling``; *window_us* is its length.
    """

    name: str
    kind: LimitKind
    mode: Mode = Mode.HARD
    quantity: int | None = None
    meter: str | None = None
    resource: str | None = None
    filter: Mapping[str, str] = field(default_factory=dict, hash=False)
    per: str | None = None
    period: str | None = None
    window: str | None = None
    seconds: int | None = None

    @property
    def window_us(self) -> int:
        """How far a rolling limit looks back."""
        assert self.window is not None  # only rolling limits are asked
        return window_us(self.window)

    def names(self, dimension: str, value: str, *, beside: "Limit") -> bool:
        """Whether this limit is *beside* narrowed to one value of *dimension*, and so speaks for that value alone."""
        same = (self.kind, self.meter) == (beside.kind, beside.meter) and self.per is None
        return same and dict(self.filter) == {**beside.filter, dimension: value}


@dataclass(frozen=True, slots=True)
class LimitState:
    """Where an account stands against one limit.

    Attributes:
        used: In nanos. Not held reservations.
        period: The span that *used* was counted over; None for lifetime, stock, concurrent and duration.
        value: The value of the limit's *per* dimension that this is about; None where there is none.
    """

    limit: Limit
    used: int
    period: Span | None = None
    value: str | None = None
    held: int = 0

    @property
    def quantity(self) -> int | None:
        """What is allowed, in nanos; None is no limit."""
        return self.limit.quantity

    @property
    def over(self) -> bool:
        """Whether more was used than is allowed: by usage that happened, which is never refused."""
        return self.quantity is not None and self.used > self.quantity

    @property
    def remaining(self) -> int | None:
        """What is left, never below zero; None where there is no limit."""
        if self.quantity is None:
            return None
        return max(0, self.quantity - self.used - self.held)


def limit_for(limits: Iterable[Limit], kind: LimitKind, meter: str, dimensions: Mapping[str, str]) -> Limit | None:
    """Return the limit of *kind* on *meter* that speaks for usage with *dimensions*: the most specific, then the first.

    A limit speaks if its filter agrees with *dimensions* and its *per* is one of them.
    """
    found, best = None, -1
    for limit in limits:
        if (limit.kind, limit.meter) != (kind, meter) or not matches(limit.filter, dimensions):
            continue
        if limit.per is not None and limit.per not in dimensions:
            continue
        rank = 2 * len(limit.filter) + (limit.per is not None)
        if rank > best:
            found, best = limit, rank
    return found


def matches(wanted: Mapping[str, str], dimensions: Mapping[str, str]) -> bool:
    """Whether *dimensions* have every value that is *wanted*."""
    return all(dimensions.get(name) == value for name, value in wanted.items())


# --- reading and writing --------------------------------------------------------------------------------------------

_FIELDS = {
    LimitKind.PERIOD: {"meter", "filter", "per", "quantity", "period"},
    LimitKind.ROLLING: {"meter", "filter", "per", "quantity", "window"},
    LimitKind.LIFETIME: {"meter", "filter", "per", "resource", "quantity"},
    LimitKind.STOCK: {"meter", "filter", "per", "resource", "quantity"},
    LimitKind.CONCURRENT: {"quantity"},
    LimitKind.DURATION: {"seconds"},
}
_OF_ANY = {"name", "kind", "mode"}


def read_limit(value: object, pointer: str) -> Limit:
    """Read one limit.

    Raises:
        FieldInvalid: Telling all that is wrong, with pointers below *pointer*.
    """
    body, problems = read_object(value, pointer), Problems()
    kind = read_choice(LimitKind, body.get("kind"), f"{pointer}/kind")
    fields = _FIELDS[kind]
    problems.only(body, _OF_ANY | fields, pointer, f"a limit of kind {kind}")
    name = problems.take(read_name, body.get("name"), f"{pointer}/name", "")
    mode = problems.take(_read_mode, body.get("mode", "hard"), f"{pointer}/mode", Mode.HARD)
    if kind is LimitKind.DURATION:
        seconds = problems.take(_read_seconds, body.get("seconds"), f"{pointer}/seconds", 1)
        problems.finish()
        return Limit(name, kind, mode, seconds * NANOS, seconds=seconds)
    if body.get("quantity", "") is None or body.get("quantity") == UNLIMITED:
        quantity = None
    else:
        quantity = problems.take(_read_quantity, body.get("quantity"), f"{pointer}/quantity", None)
    window = body.get("window")
    if kind is LimitKind.ROLLING:
        problems.take(_read_window, window, f"{pointer}/window", 0)
    if body.get("period", MONTH) != MONTH:
        problems.add(f"{pointer}/period", f"must be {MONTH}: a billing period is an anchored month")
    subject = _read_subject(body, fields, pointer, problems)
    wanted = problems.take(read_filter, body.get("filter"), f"{pointer}/filter", NO_FILTER)
    per = body.get("per")
    if per is not None:
        per = problems.take(read_dimension, per, f"{pointer}/per", "")
    problems.finish()
    return Limit(
        name,
        kind,
        mode,
        quantity,
        meter=subject[0],
        resource=subject[1],
        filter=wanted,
        per=per if isinstance(per, str) else None,
        period=MONTH if kind is LimitKind.PERIOD else None,
        window=window if isinstance(window, str) else None,
    )


def _read_subject(
    body: Mapping[str, object], fields: set[str], pointer: str, problems: Problems
) -> tuple[str | None, str | None]:
    """Return (meter, kind of resource), of which one is given, or none where the kind of limit has neither."""
    if "resource" in fields and body.get("resource") is not None:
        for key in ("meter", "filter", "per"):
            if key in body:
                problems.add(f"{pointer}/{key}", "cannot stand beside a resource")
        return None, problems.take(read_name, body["resource"], f"{pointer}/resource", "")
    if "meter" not in fields:
        return None, None
    return problems.take(read_name, body.get("meter"), f"{pointer}/meter", ""), None


def _read_mode(value: object, pointer: str) -> Mode:
    return read_choice(Mode, value, pointer)


def _read_quantity(value: object, pointer: str) -> int | None:
    nanos = parse_nanos(value, pointer)
    if nanos < 0:
        raise QuantityInvalid("must not be negative", pointer=pointer)
    return nanos


def _read_seconds(value: object, pointer: str) -> int:
    if type(value) is not int or not 1 <= value <= SECONDS_MAX:
        raise FieldInvalid(f"must be a whole number from 1 to {SECONDS_MAX}", pointer=pointer)
    return value


def _read_window(value: object, pointer: str) -> int:
    if not isinstance(value, str) or not _WINDOW.fullmatch(value) or window_us(value) > WINDOW_DAYS_MAX * DAY_US:
        message = f"must be P<days>D or PT<hours>H, at most {WINDOW_DAYS_MAX} days"
        raise FieldInvalid(message, pointer=pointer)
    return window_us(value)


@lru_cache(maxsize=1_000)
def window_us(window: str) -> int:
    """Return the length of ``P30D`` (days of 24 hours) or ``PT24H``, which `read_limit` has checked."""
    match = _WINDOW.fullmatch(window)
    assert match is not None
    return int(match["days"]) * DAY_US if match["days"] else int(match["hours"]) * HOUR_US


def write_limit(limit: Limit) -> dict[str, object]:
    """Return the limit as JSON that `read_limit` reads back."""
    body: dict[str, object] = {"name": limit.name, "kind": limit.kind.value, "mode": limit.mode.value}
    for key in ("meter", "resource", "per", "period", "window", "seconds"):
        if (value := getattr(limit, key)) is not None:
            body[key] = value
    if limit.filter:
        body["filter"] = dict(limit.filter)
    if limit.kind is not LimitKind.DURATION:
        body["quantity"] = UNLIMITED if limit.quantity is None else to_text(limit.quantity)
    return body
