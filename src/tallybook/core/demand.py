"""What a request asks of which limits: its items as sent, and every limit that the same usage counts against.

Usage of a meter counts against all limits of that meter whose filter it passes, so that whoever asks one of them asks
them all: the tightest decides. Not for the answer (see `hold`).
"""

from collections.abc import Iterator, Mapping, Sequence

from tallybook.core.errors import FieldInvalid, NotFound, QuantityInvalid
from tallybook.core.fields import NO_FILTER, Problems, read_filter, read_list, read_name, read_object
from tallybook.core.hold import Wanted
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.number import parse_nanos

NO_ITEMS: tuple[Wanted, ...] = ()
ITEMS_MAX = 20
"""Most items of one request."""

Demand = Mapping[tuple[str, str], tuple[Limit, int]]
"""(limit, value) -> the limit, and the nanos asked of it."""

Usage = tuple[str, frozenset[tuple[str, str]]]
"""What is used: of which meter or kind of thing, with which dimensions."""
_NOTHING_HELD = frozenset({LimitKind.CONCURRENT, LimitKind.DURATION})
_ITEM = {"limit", "quantity", "dimensions"}


def read_items(value: object, pointer: str, *, zero: bool) -> tuple[Wanted, ...]:
    """Read the items of a check, a reservation or a commit; quantities of 0 only where *zero* says so.

    Raises:
        FieldInvalid: Telling all that is wrong, with pointers below *pointer*.
    """
    if value is None:
        raise FieldInvalid("is required", pointer=pointer)
    items, problems = read_list(value, pointer, length_max=ITEMS_MAX), Problems()
    if not items:
        raise FieldInvalid("must have at least one item", pointer=pointer)
    wanted = []
    for index, item in enumerate(items):
        place = f"{pointer}/{index}"
        body = problems.take(_read_item, item, place, None)
        if body is None:
            continue
        problems.only(body, _ITEM, place, "an item")
        name = problems.take(read_name, body.get("limit"), f"{place}/limit", "")
        read = _read_any if zero else _read_some
        nanos = problems.take(read, body.get("quantity"), f"{place}/quantity", 0)
        dimensions = problems.take(read_filter, body.get("dimensions"), f"{place}/dimensions", NO_FILTER)
        if len(dimensions) > 1:
            problems.add(f"{place}/dimensions", "must name the one dimension of the limit")
        dimension, text = next(iter(dimensions.items()), ("", ""))
        wanted.append(Wanted(name, nanos, text, dimension))
    problems.finish()
    return tuple(wanted)


def _read_item(value: object, pointer: str) -> dict[str, object] | None:
    return read_object(value, pointer)


def _read_any(value: object, pointer: str) -> int:
    if value is None:
        raise FieldInvalid("is required", pointer=pointer)
    nanos = parse_nanos(value, pointer)
    if nanos < 0:
        raise QuantityInvalid("must not be negative", pointer=pointer)
    return nanos


def _read_some(value: object, pointer: str) -> int:
    nanos = _read_any(value, pointer)
    if nanos == 0:
        raise QuantityInvalid("must be above 0", pointer=pointer)
    return nanos


# --- which limits -------------------------------------------------------------------------------------------------


def expand(limits: Sequence[Limit], wanted: Sequence[Wanted], *, peek: bool = False) -> Demand:
    """Return what *wanted* asks of every limit that it counts against.

    An item states all the usage of its kind that the request is about: two items on limits with one meter and filter
    speak of the same usage, and a limit that covers several items has at least their sum.

    Args:
        limits: Those of the account.
        wanted: Items as `read_items` returns them.
        peek: Whether slots and lengths may be asked too, which hold no quantity.

    Raises:
        NotFound: For a limit that the account does not have.
        FieldInvalid: For a limit that holds no quantities, or a missing, wrong or needless dimension.
    """
    asked = _stated(limits, wanted, peek=peek)
    found: dict[tuple[str, str], tuple[Limit, int]] = {}
    for usage in asked:
        for limit, value in counting(limits, usage):
            if (limit.name, value) not in found:
                found[limit.name, value] = (limit, _total(asked, usage_of(limit, value)))
    return found


def split_demand(limits: Sequence[Limit], wanted: Sequence[Wanted]) -> list[tuple[Usage, int]]:
    """Return what *wanted* is made of, without overlap: of a usage that covers others, what is asked beyond them.

    Raises:
        NotFound, FieldInvalid: As `expand` does.
    """
    asked = _stated(limits, wanted, peek=False)
    return [
        (usage, _total(asked, usage) - sum(_total(asked, one) for one in _widest_inside(asked, usage)))
        for usage in asked
    ]


def _stated(limits: Sequence[Limit], wanted: Sequence[Wanted], *, peek: bool) -> dict[Usage, int]:
    """Return what is stated of each usage: of several limits on the same, the most."""
    stated: dict[Usage, dict[tuple[str, str], int]] = {}
    for limit, item in _named(limits, wanted, peek=peek):
        quantities = stated.setdefault(usage_of(limit, item.value), {})
        key = (limit.name, item.value)
        quantities[key] = quantities.get(key, 0) + item.quantity
    return {usage: max(quantities.values()) for usage, quantities in stated.items()}


def _named(limits: Sequence[Limit], wanted: Sequence[Wanted], *, peek: bool) -> Iterator[tuple[Limit, Wanted]]:
    by_name = {limit.name: limit for limit in limits}
    for index, item in enumerate(wanted):
        place = f"/items/{index}"
        limit = by_name.get(item.limit)
        if limit is None:
            raise NotFound(f"the account has no limit called {item.limit[:64]!r}", pointer=f"{place}/limit")
        if limit.kind in _NOTHING_HELD and not peek:
            raise FieldInvalid(f"is a {limit.kind} limit, of which nothing can be reserved", pointer=f"{place}/limit")
        if (limit.per or "") != item.dimension:
            say = f"must give a value of {limit.per}" if limit.per else "must be left out: the limit has none"
            raise FieldInvalid(say, pointer=f"{place}/dimensions")
        yield limit, item


def usage_of(limit: Limit, value: str) -> Usage:
    """Return what counts against *limit*, for one value of its *per*; limits without a meter or thing stand alone."""
    dimensions = {**limit.filter, limit.per: value} if limit.per else limit.filter
    if limit.meter is not None:
        return f"meter {limit.meter}", frozenset(dimensions.items())
    if limit.resource is not None:
        return f"resource {limit.resource}", frozenset()
    return f"limit {limit.name}", frozenset()


def counting(limits: Sequence[Limit], usage: Usage) -> Iterator[tuple[Limit, str]]:
    """Yield every (limit, value) that *usage* counts against.

    A value that a limit names for itself is not counted by the limit *per* dimension that it was taken out of.
    """
    subject, dimensions = usage
    known = dict(dimensions)
    for limit in limits:
        value = known.get(limit.per, "") if limit.per else ""
        if limit.per and (not value or any(other.names(limit.per, value, beside=limit) for other in limits)):
            continue
        against, needed = usage_of(limit, value)
        if against == subject and needed <= dimensions:
            yield limit, value


def _total(asked: Mapping[Usage, int], usage: Usage) -> int:
    """Return what is asked of *usage*: what was stated for it, or the sum of the widest usages inside it if more."""
    return max(asked.get(usage, 0), sum(_total(asked, one) for one in _widest_inside(asked, usage)))


def _widest_inside(asked: Mapping[Usage, int], usage: Usage) -> list[Usage]:
    subject, dimensions = usage
    inside = [other for other in asked if other[0] == subject and other[1] > dimensions]
    return [one for one in inside if not any(one[1] > other[1] for other in inside)]
