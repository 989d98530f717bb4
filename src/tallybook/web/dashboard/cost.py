"""Cost: the running invoice line by line and how each number was made, its forecast, cost over time, closed invoices.

All numbers come from `flows.invoice` and `flows.cost`; here they are only put side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from tallybook.core.errors import Conflict, NotFound
from tallybook.core.instant import DAY_US, INSTANT_MAX_US, parse_instant
from tallybook.core.invoice import Invoice, InvoiceLine, LineKind, StoredInvoice
from tallybook.core.key import BILLING_MANAGE
from tallybook.core.number import parse_nanos, ratio, to_text
from tallybook.core.reckon import ITEM, METER, Grouping
from tallybook.core.window import Span
from tallybook.flows.invoice import Preview
from tallybook.web.dashboard.csvfile import csv_reply, text_cell
from tallybook.web.dashboard.days import Days, DaysQuery, read_days
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.dashboard.spread import REST, TOP, texts
from tallybook.web.dashboard.words import title_of
from tallybook.web.endpoint import Reply
from tallybook.web.native.invoices import PREVIEW, write_paper

INVOICES_SHOWN = 24
BAR = 1_000
"""The length of a bar."""
_SUFFIXES = (".csv", ".html", ".pdf")
_KINDS = {
    LineKind.CARRIED: "carried by events",
    LineKind.THINGS: "things",
    LineKind.FEE: "fee",
    LineKind.MINIMUM: "minimum",
    LineKind.ADJUSTMENT: "late usage",
}


class CostQuery(DaysQuery, frozen=True):
    """Which days the chart shows, and which invoices: those before *before*."""

    before: Annotated[int, Meta(ge=0, le=INSTANT_MAX_US)] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the running invoice, beside what it is expected to come to."""

    told: InvoiceLine
    about: str
    expected: str | None
    length: int


@dataclass(frozen=True, slots=True)
class Running:
    """The running period: *elapsed* and *reached* in thousandths of its time and of its forecast."""

    invoice: Invoice
    forecast: Invoice
    lines: Sequence[Line]
    elapsed: int
    reached: int
    days_left: int


@dataclass(frozen=True, slots=True)
class Row:
    """What one meter, or thing, or fee cost, by window."""

    name: str
    values: Sequence[int]

    @property
    def total(self) -> int:
        """In all windows."""
        return sum(self.values)


@dataclass(frozen=True, slots=True)
class Table:
    """Cost over time, in nanos of *currency*; the dearest row first."""

    currency: str
    rows: Sequence[Row]

    @property
    def total(self) -> int:
        """Of all rows."""
        return sum(row.total for row in self.rows)

    def share(self, row: Row) -> str:
        """Return a row's part of the total in percent."""
        return f"{ratio(100 * row.total, self.total, 1):f}"


def get_cost(visit: Visit) -> Reply:
    """Show the page."""
    query: CostQuery = visit.query
    preview = visit.rooms.invoices.preview(visit.account, visit.now_us)
    running = _running(preview, visit.now_us)
    start_us = parse_instant(preview.invoice.start, "start")[0]
    days = read_days(visit, query, Span(min(start_us, visit.now_us), visit.now_us + 1))
    table, trouble = None, ""
    try:
        table = _table(visit, days)
    except Conflict as error:  # plans of two currencies, or a meter that is being filled
        trouble = error.message
    closed = visit.rooms.invoices.page(visit.account, query.before, INVOICES_SHOWN)
    return visit.html(
        "cost.html",
        running=running,
        days=days,
        table=table,
        trouble=trouble,
        spec=None if table is None else _spec(days, table),
        closed=[(stored, stored.invoice) for stored in closed],
        before=closed[-1].starts_us if len(closed) == INVOICES_SHOWN else None,
        first_page=query.before is None,
        csv=f"{visit.here}/cost.csv?{days.query()}",
        has_prices=bool(visit.rooms.accounts.plan_of(visit.account).prices),
    )


def get_csv(visit: Visit) -> Reply:
    """Give the cost over time as a file: a row for each window, a column for each meter."""
    days = read_days(visit, visit.query)
    table = _table(visit, days)
    header = ["from", *(f"{row.name} ({table.currency})" for row in table.rows), f"total ({table.currency})"]
    sums = [sum(column) for column in zip(*(row.values for row in table.rows), strict=True)] or [0] * len(days.starts)
    rows = (
        [text_cell(start), *(to_text(row.values[at]) for row in table.rows), to_text(sums[at])]
        for at, start in enumerate(days.starts)
    )
    return csv_reply("cost.csv", header, rows)


def get_paper(visit: Visit) -> Reply:
    """Give an invoice, or the preview, as CSV, HTML or PDF.

    Raises:
        NotFound: If there is none, or no such form of it.
    """
    name = visit.path["invoice_name"]
    stem, suffix = next(((name.removesuffix(end), end) for end in _SUFFIXES if name.endswith(end)), ("", ""))
    if not stem or "\x00" in stem:
        raise NotFound("there is no such invoice")
    if stem == PREVIEW:
        preview = visit.rooms.invoices.preview(visit.account, visit.now_us)
        return write_paper(preview.invoice, suffix, None, visit.now_us)
    stored: StoredInvoice = visit.rooms.invoices.get(visit.account, stem)
    told = stored.invoice
    return write_paper(told, suffix, stored.digest, parse_instant(told.closed_at or "", "closed_at")[0])


# --- the running invoice ---------------------------------------------------------------------------------------------


def _running(preview: Preview, now_us: int) -> Running:
    now, then = preview.invoice, preview.forecast
    start_us, end_us = parse_instant(now.start, "start")[0], parse_instant(now.end, "end")[0]
    expected = {line.key: line.amount for line in then.lines}
    most = max((parse_nanos(line.amount) for line in now.lines), default=0)
    total, total_then = parse_nanos(now.total), parse_nanos(then.total)
    return Running(
        now,
        then,
        [
            Line(
                line,
                _KINDS.get(line.kind, ""),
                expected.get(line.key),
                length=max(0, BAR * parse_nanos(line.amount) // most) if most > 0 else 0,
            )
            for line in now.lines
        ],
        elapsed=min(BAR, max(0, BAR * (now_us - start_us) // max(1, end_us - start_us))),
        reached=min(BAR, max(0, BAR * total // total_then)) if total_then > 0 else 0,
        days_left=max(0, -((now_us - end_us) // DAY_US)),  # days: of 24 hours, begun ones counted
    )


# --- cost over time --------------------------------------------------------------------------------------------------


def _table(visit: Visit, days: Days) -> Table:
    """Ask what each window cost by meter; things and fees are rows of their own.

    Raises:
        Conflict: If plans of two currencies were in force.
    """
    spent = visit.rooms.costs.spending(visit.account, days.windows, Grouping((METER, ITEM)))
    values: dict[str, list[int]] = {}
    for at, row in enumerate(spent.rows):
        for (meter, item), nanos in _named(row).items():
            name = title_of(meter or item or "")
            values.setdefault(name, [0] * len(days.windows))[at] += nanos
    rows = [Row(name, found) for name, found in values.items() if any(found)]
    rows.sort(key=lambda row: (-row.total, row.name))
    return Table(spent.currency, rows)


def _named(row: Mapping[tuple[str | None, ...], int]) -> dict[tuple[str | None, str | None], int]:
    return {(key[0], key[1]): nanos for key, nanos in row.items() if len(key) == 2}


def _spec(days: Days, table: Table) -> dict[str, object]:
    shown, rest = list(table.rows[:TOP]), table.rows[TOP:]
    series: list[dict[str, object]] = [
        {"name": row.name, "values": texts(row.values), "color": at} for at, row in enumerate(shown)
    ]
    if rest:
        columns = [sum(column) for column in zip(*(row.values for row in rest), strict=True)]
        series.append({"name": f"{REST} ({len(rest)})", "values": texts(columns), "rest": True})
    return {
        "kind": "bar",
        "stacked": True,
        "labels": days.starts,
        "times": days.times,
        "unit": table.currency,
        "series": series,
    }


PAGES = (
    Page("cost", "GET", "/accounts/{account_id}/cost", get_cost, BILLING_MANAGE, query=CostQuery),
    Page("cost", "GET", "/accounts/{account_id}/cost.csv", get_csv, BILLING_MANAGE, query=CostQuery),
    Page("cost", "GET", "/accounts/{account_id}/invoices/{invoice_name}", get_paper, BILLING_MANAGE),
)
