"""Nanos as the JSON numbers of published APIs: counts, minutes, cents, percentages. All rounding happens here.

The only arithmetic of a dialect; each conversion has a name and rounds half-even, once. Not for the native API, which
writes decimal strings (see `tallybook.core.number`).
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import accumulate, repeat
from operator import floordiv, mod, sub

from tallybook.core.number import NANOS, divided, json_number, ratio, shortest, shortest_each, to_decimal, whole

MINUTE_NANOS = 60 * NANOS
"""One minute of a meter that counts seconds."""

MINUTE_PLACES = 2
MINUTE_PLACES_FINE = 6
"""For a document that does not say how minutes are rounded: a second is never lost."""
PERCENT_PLACES = 1
CENT_PLACES = 2

_HUNDREDTH_NANOS = MINUTE_NANOS // 10**MINUTE_PLACES
_HALF_NANOS = _HUNDREDTH_NANOS // 2
_MILLIONTH_NANOS = MINUTE_NANOS // 10**MINUTE_PLACES_FINE
_ONE_PLACE = Decimal("0.1")


def count_from_nanos(nanos: int) -> int:
    """Return a count: a JSON integer, whatever is beyond the point cut off."""
    return whole(nanos)


def count_or_none(nanos: int | None) -> int | None:
    """Return a limit as a count, None where there is none."""
    return None if nanos is None else whole(nanos)


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
    minutes = _rounded([value + _HALF_NANOS for value in seconds_nanos if value], _HUNDREDTH_NANOS)
    return _with_zeros(seconds_nanos, shortest_each(minutes, MINUTE_PLACES))


def _rounded(halfway_up: Sequence[int], unit: int) -> list[int]:
    """Return a row of numbers in units, rounded half-even; each is given with half a *unit* more than it is."""
    if 0 in map(mod, halfway_up, repeat(unit)):  # one that lies halfway
        return [one // unit if one % unit else one // unit & -2 for one in halfway_up]
    return list(map(floordiv, halfway_up, repeat(unit)))


def _with_zeros(values: Sequence[int], shown: Iterable[int | Decimal]) -> list[int | Decimal]:
    """Return a row of 0 where *values* have one, and in between what is *shown* of the others, in their order."""
    following = iter(shown).__next__
    return [following() if value else 0 for value in values]


def minutes_or_none(seconds_nanos: int | None) -> int | Decimal | None:
    """Return a limit in seconds as minutes, None where there is none."""
    return None if seconds_nanos is None else minutes_from_nanos(seconds_nanos)


def minutes_carried(seconds_nanos: Sequence[int]) -> list[int | Decimal]:
    """Return a row of seconds as minutes of MINUTE_PLACES_FINE places that add up to the rounded sum of the row.

    Each value is the difference of two rounded running totals, so what rounding takes from one it gives to the next:
    days, weeks and months of the same span have the same sum, and none is off by a unit of the last place or more.
    """
    halfway_up = list(accumulate(filter(None, seconds_nanos), initial=_MILLIONTH_NANOS // 2))
    until = _rounded(halfway_up, _MILLIONTH_NANOS)
    return _with_zeros(seconds_nanos, shortest_each(map(sub, until[1:], until), MINUTE_PLACES_FINE))


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
