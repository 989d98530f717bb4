"""What an account's usage costs, over the native API: any span, cut and grouped; the rows add up to the total."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from tallybook.core.bill import sorting
from tallybook.core.errors import Conflict, ParameterInvalid, RangeTooLarge
from tallybook.core.instant import instant_text
from tallybook.core.key import USAGE_READ
from tallybook.core.meter import GROUP_DIMENSIONS_MAX
from tallybook.core.number import to_text
from tallybook.core.reckon import ITEM, METER, Grouping
from tallybook.core.window import Granularity, Span, tile, zone
from tallybook.flows.cost import Spending
from tallybook.web.endpoint import AccountOf, Ask, Endpoint
from tallybook.web.native.usage import From, To, Zone, read_span

WINDOWS_MAX = 1_500
"""Most windows of one answer: a day of minutes, two months of hours, four years of days."""

CELLS_MAX = 100_000
"""Most groups times windows of one answer."""


class CostQuery(msgspec.Struct, frozen=True):
    """What ``GET /v1/accounts/{account_id}/cost`` takes."""

    from_: From = msgspec.field(name="from", default=None)
    to: To = None
    granularity: Granularity = Granularity.TOTAL
    group_by: Annotated[
        str | None,
        Meta(description=f"Up to {GROUP_DIMENSIONS_MAX} of meter, item and dimensions, separated by commas."),
    ] = None
    tz: Zone = "UTC"


class CostRow(msgspec.Struct, frozen=True):
    """What one window and group cost; half-open, so that rows neither overlap nor leave gaps."""

    start: str
    end: str
    group: dict[str, str | None]
    cost: str


class CostAnswer(msgspec.Struct, frozen=True):
    """What a span costs in `currency`, exact to the billionth; the rows add up to `total`."""

    account: str
    currency: str
    from_: str = msgspec.field(name="from")
    to: str
    granularity: str
    tz: str
    total: str
    rows: list[CostRow]


def get_cost(ask: Ask[CostQuery, None]) -> CostAnswer:
    """Answer what a span costs."""
    query, rooms = ask.query, ask.rooms
    span = read_span(query.from_, query.to, query.tz, ask.now_us)
    windows = tile(span, query.granularity, zone(query.tz))
    if len(windows) > WINDOWS_MAX:
        raise RangeTooLarge(f"costs come in at most {WINDOWS_MAX} windows; ask for less", parameter="granularity")
    names = read_group_by(
        query.group_by, {d for m in rooms.measure.scheme.catalogue.meters.values() for d in m.dimensions}
    )
    grouping = Grouping(names)
    if names and len(windows) > 1:
        (all_of_it,) = rooms.costs.spending(ask.account, [span], grouping).rows
        if len(all_of_it) * len(windows) > CELLS_MAX:
            raise RangeTooLarge("there are too many groups for so many windows; ask for less", parameter="group_by")
    spent = rooms.costs.spending(ask.account, windows, grouping)
    return CostAnswer(
        ask.account.id,
        spent.currency,
        instant_text(span.start_us),
        instant_text(span.end_us),
        str(query.granularity),
        query.tz,
        to_text(spent.total),
        write_rows(spent, names),
    )


def read_group_by(text: str | None, dimensions: set[str]) -> tuple[str, ...]:
    """Return what to group by.

    Raises:
        ParameterInvalid: For what no meter has, twice the same, or too many.
    """
    names = () if text is None else tuple(name.strip() for name in text.split(","))
    if not all(names) or len(names) > GROUP_DIMENSIONS_MAX or len(set(names)) != len(names):
        message = f"group_by must be 1 to {GROUP_DIMENSIONS_MAX} different names, separated by commas"
        raise ParameterInvalid(message, parameter="group_by")
    for name in names:
        if name not in {METER, ITEM} and name not in dimensions:
            raise ParameterInvalid(f"no meter has a dimension {name[:64]!r}", parameter="group_by")
    return names


def write_rows(spent: Spending, names: Sequence[str]) -> list[CostRow]:
    """Return every window where costs are not grouped, else those where a group has some."""
    rows = []
    for window, costs in zip(spent.windows, spent.rows, strict=True):
        edges = _edges(window)
        if not names:
            rows.append(CostRow(*edges, {}, to_text(costs.get((), 0))))
            continue
        rows += [
            CostRow(*edges, dict(zip(names, key, strict=True)), to_text(costs[key]))
            for key in sorted(costs, key=sorting)
        ]
    return rows


def _edges(window: Span) -> tuple[str, str]:
    return instant_text(window.start_us), instant_text(window.end_us)


_DAY = ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
_NEXT = ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/accounts/{account_id}/cost",
        get_cost,
        USAGE_READ,
        "What a span of an account costs",
        answer=CostAnswer,
        query=CostQuery,
        account=AccountOf.PATH,
        errors=(
            RangeTooLarge("costs come in at most 1500 windows; ask for less", parameter="granularity"),
            Conflict("the account's plans are in EUR and USD; ask for a span of one currency"),
        ),
        description=(
            "Cost is cumulative inside each billing period, so that days add up to months exactly, in any zone. "
            "Amounts are not rounded to the currency's places; invoices are. A group that used nothing in a window can "
            "still have a row there: its share of tiers changes with what others use."
        ),
        query_example="from=2026-03-01&to=2026-03-03&granularity=day",
        example=CostAnswer(
            "acme",
            "USD",
            _DAY[0],
            _NEXT[1],
            "day",
            "UTC",
            "0.52",
            [CostRow(*_DAY, {}, "0.5"), CostRow(*_NEXT, {}, "0.02")],
        ),
    ),
)
