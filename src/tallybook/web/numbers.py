"""Nanos as the JSON numbers of published APIs: counts, minutes, cents, percentages. All rounding happens here.

The only arithmetic of a dialect; each conversion has a name and rounds half-even, once. Not for the native API, which
writes decimal strings (see `tallybook.core.number`).
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache

from tallybook.core.number import NANOS, divided, json_number, ratio, shortest, to_decimal, whole

MINUTE_NANOS = 60 * NANOS
"""One minute of a meter that counts seconds."""

MINUTE_PLACES = 2
MINUTE_PLACES_FINE = 6
"""For a document that does not say how minutes are rounded: a second is never lost."""
PERCENT_PLACES = 1
CENT_PLACES = 2

SHOWN_KEPT_MAX = 4_096
"""Most minutes of which is remembered how they are shown: an account's days are much alike."""
_HUNDREDTH_NANOS = MINUTE_NANOS // 10**MINUTE_PLACES
_HALF_NANOS = _HUNDREDTH_NANOS // 2
_MILLIONTH_NANOS = MINUTE_NANOS // 10**MINUTE_PLACES_FINE
_HALF_MILLIONTH = _MILLIONTH_NANOS // 2
_ONE_PLACE = Decimal("0.1")


def count_from_nanos(nanos: int) -> int:
    """Return a count: a JSON integer, whatever is beyond the point cut off."""
    return whole(nanos)


def count_or_none(nanos: int | None) -> int | None:
    """Return a limit as a count, None where there is none."""
    return None if nanos is None else whole(nanos)


def counts_from_nanos(values: Sequence[int]) -> list[int]:
    """Return a row of counts."""
    return [value // NANOS for value in values]


def number_from_nanos(nanos: int) -> int | Decimal:
    """Return the exact quantity as the shortest JSON number: 320, 12.5."""
    return json_number(to_decimal(nanos))


def point_from_nanos(nanos: int) -> Decimal:
    """Return the exact quantity as a number that always shows its point: 5000.0, 1250.5."""
    value = to_decimal(nanos)
    return value if value != value.to_integral_value() else value.quantize(_ONE_PLACE)


def minutes_from_nanos(seconds_nanos: int, places: int = MINUTE_PLACES) -> int | Decimal:
    """Return seconds as minutes of two places or *places*, whole ones without a point: 320, 1.67."""
    return shortest(divided(seconds_nanos * 10**places, MINUTE_NANOS), places)


def minutes_each(seconds_nanos: Sequence[int]) -> list[int | Decimal]:
    """Return a row of seconds as minutes, each by itself as `minutes_from_nanos` tells it."""
    found: list[int | Decimal] = []
    for value in seconds_nanos:
        if not value:
            found.append(0)
            continue
        hundredths, rest = divmod(value, _HUNDREDTH_NANOS)
        if rest > _HALF_NANOS or (rest == _HALF_NANOS and hundredths % 2):
            hundredths += 1
        found.append(_hundredths(hundredths))
    return found


def minutes_or_none(seconds_nanos: int | None) -> int | Decimal | None:
    """Return a limit in seconds as minutes, None where there is none."""
    return None if seconds_nanos is None else minutes_from_nanos(seconds_nanos)


def minutes_carried(seconds_nanos: Sequence[int]) -> list[int | Decimal]:
    """Return a row of seconds as minutes of MINUTE_PLACES_FINE places that add up to the rounded sum of the row.

    Each value is the difference of two rounded running totals, so what rounding takes from one it gives to the next:
    days, weeks and months of the same span have the same sum, and none is off by a unit of the last place or more.
    """
    carried: list[int | Decimal] = []
    total = shown = 0
    for value in seconds_nanos:
        if not value:
            carried.append(0)
            continue
        total += value
        until, rest = divmod(total, _MILLIONTH_NANOS)
        if rest > _HALF_MILLIONTH or (rest == _HALF_MILLIONTH and until % 2):
            until += 1
        carried.append(_millionths(until - shown))
        shown = until
    return carried


@lru_cache(maxsize=SHOWN_KEPT_MAX)
def _hundredths(count: int) -> int | Decimal:
    return shortest(count, MINUTE_PLACES)


@lru_cache(maxsize=SHOWN_KEPT_MAX)
def _millionths(count: int) -> int | Decimal:
    return shortest(count, MINUTE_PLACES_FINE)


def mean_from_nanos(total: int, count: int, places: int) -> int | Decimal:
    """Return total / count to *places*, 0 of nothing; both in nanos."""
    return shortest(divided(total * 10**places, count), places)


def whole_mean(total: int, count: int) -> int:
    """Return total / count as an integer, 0 of nothing; both in nanos."""
    return divided(total, count)


def whole_means(totals: Sequence[int], counts: Sequence[int]) -> list[int]:
    """Return the `whole_mean` of each total and count of two rows."""
    means = []
    for total, count in zip(totals, counts, strict=True):
        if not count:
            means.append(0)
            continue
        mean, rest = divmod(total, count)
        means.append(mean + (2 * rest > count or (2 * rest == count and mean % 2 == 1)))
    return means


def cents_from_nanos(nanos: int) -> Decimal:
    """Return money in cents: 8.20."""
    return ratio(nanos, NANOS, CENT_PLACES)


def percentage_from_nanos(part: int, limit: int | None) -> Decimal | None:
    """Return part of limit in percent with one place, never clamped: 32.0; None where the limit is none or 0."""
    if not limit:
        return None
    return ratio(100 * part, limit, PERCENT_PLACES)
