"""Thresholds: at how many percent of a limit or budget somebody is told, and by which event.

Not for when one counts as crossed (see `alert`).
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import Problems, read_choice, read_list, read_name
from tallybook.core.limit import Limit, LimitKind

THRESHOLDS_MAX = 10
"""Most thresholds of one plan, account, limit or budget."""
PERCENT_MAX = 1_000
CRITICAL_PERCENT, OVERAGE_PERCENT = 90, 100
REACHED_PERCENT = 80
REQUESTS, API = "requests", "api_id"
"""What WontoPos's `usage.limit_reached` is about: 80 % of the requests that a plan allows an API."""


class Level(StrEnum):
    """How serious a threshold is, and the last word of the event that tells it."""

    WARNING = "warning"
    CRITICAL = "critical"
    OVERAGE = "overage"
    LIMIT_REACHED = "limit_reached"


def level_of(percent: int) -> Level:
    """Return the level of a threshold that names none: from 100 overage, from 90 critical, below that warning."""
    if percent >= OVERAGE_PERCENT:
        return Level.OVERAGE
    return Level.CRITICAL if percent >= CRITICAL_PERCENT else Level.WARNING


@dataclass(frozen=True, slots=True, order=True)
class Threshold:
    """Somebody is told when *percent* are used.

    Attributes:
        level: Which event says so.
        limit: Only of this limit; "" for every limit that has no thresholds of its own.
    """

    percent: int
    level: Level
    limit: str = ""


def at(*percents: int) -> tuple[Threshold, ...]:
    """Return plain thresholds."""
    return tuple(Threshold(percent, level_of(percent)) for percent in percents)


def thresholds_of(limit: Limit, thresholds: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
    """Return those that count for *limit*: its own where it has any, else the general ones.

    A plain 80 % of the requests that a period allows an API is told as the document of WontoPos names it.
    """
    own = tuple(one for one in thresholds if one.limit == limit.name)
    found = own or tuple(one for one in thresholds if not one.limit)
    return tuple(_as_published(one) for one in found) if _is_for_an_api(limit) else found


def _is_for_an_api(limit: Limit) -> bool:
    by_api = limit.per == API or API in limit.filter
    return by_api and limit.kind is LimitKind.PERIOD and limit.meter == REQUESTS


def _as_published(one: Threshold) -> Threshold:
    is_it = one.percent == REACHED_PERCENT and one.level is Level.WARNING
    return replace(one, level=Level.LIMIT_REACHED) if is_it else one


_FIELDS = {"percent", "event", "limit"}
_RULE = f"must be a whole percent from 1 to {PERCENT_MAX}"


def read_thresholds(value: object, pointer: str) -> tuple[Threshold, ...]:
    """Read a list of percents, or of objects that say more: ``{"percent": 80, "event": "usage.limit_reached"}``.

    Those of one limit, and the general ones, are each ascending and without repeats.

    Raises:
        FieldInvalid: Telling all that is wrong.
    """
    problems = Problems()
    found: list[Threshold] = []
    for index, item in enumerate(read_list(value, pointer, length_max=THRESHOLDS_MAX)):
        place = f"{pointer}/{index}"
        one = problems.take(_read_threshold, item, place, None)
        if one is None:
            continue
        before = [other.percent for other in found if other.limit == one.limit]
        if before and before[-1] >= one.percent:
            problems.add(pointer, "must be ascending, each percent once")
        found.append(one)
    problems.finish()
    return tuple(found)


def _read_threshold(value: object, pointer: str) -> Threshold | None:
    if not isinstance(value, dict):
        percent = _read_percent(value, pointer)
        return Threshold(percent, level_of(percent))
    problems = Problems()
    problems.only(value, _FIELDS, pointer, "a threshold")
    percent = problems.take(_read_percent, value.get("percent"), f"{pointer}/percent", 1)
    level = level_of(percent)
    if value.get("event") is not None:
        level = problems.take(_read_level, value["event"], f"{pointer}/event", level)
    limit = "" if value.get("limit") is None else problems.take(read_name, value["limit"], f"{pointer}/limit", "")
    problems.finish()
    return Threshold(percent, level, limit)


def _read_percent(value: object, pointer: str) -> int:
    if type(value) is not int or not 1 <= value <= PERCENT_MAX:
        raise FieldInvalid(_RULE, pointer=pointer)
    return value


def _read_level(value: object, pointer: str) -> Level:
    if isinstance(value, str) and value.startswith("usage."):
        return read_choice(Level, value.removeprefix("usage."), pointer)
    raise FieldInvalid(f"must be one of {', '.join(f'usage.{level}' for level in Level)}", pointer=pointer)


def write_thresholds(thresholds: tuple[Threshold, ...]) -> list[object]:
    """Return JSON that `read_thresholds` reads back; what says no more than its percent is a number."""
    return [_write(one) for one in thresholds]


def _write(one: Threshold) -> object:
    if not one.limit and one.level is level_of(one.percent):
        return one.percent
    body: dict[str, object] = {"percent": one.percent}
    if one.level is not level_of(one.percent):
        body["event"] = f"usage.{one.level}"
    if one.limit:
        body["limit"] = one.limit
    return body
