"""The operator's accounts: searched, ranked by a meter, each one click from its pages.

Not for one account's numbers, which are its own pages'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tallybook.core.errors import NotFound
from tallybook.core.ids import AccountId
from tallybook.core.key import USAGE_READ
from tallybook.core.meter import Aggregation, Meter
from tallybook.core.number import ratio, to_text
from tallybook.core.plan import Account
from tallybook.web.dashboard.csvfile import csv_reply, text_cell
from tallybook.web.dashboard.days import Days, DaysQuery, read_days
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.dashboard.render import PREFIX
from tallybook.web.dashboard.words import unit_of
from tallybook.web.endpoint import Reply

PAGE_ACCOUNTS = 100
RANKED = 100
SEARCH_CHARS_MAX = 256
_ADDED_UP = frozenset({Aggregation.COUNT, Aggregation.SUM})


class AccountsQuery(DaysQuery, frozen=True):
    """Which accounts: those with *q* in their id or name, or the first by *meter*; *after* is the end of a page."""

    q: str = ""
    meter: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One account; its place, what it used in the unit that is shown, and the length of its bar in thousandths."""

    account: Account
    place: int = 0
    nanos: int | None = None
    share: str = ""
    length: int = 0


def get_accounts(visit: Visit) -> Reply:
    """Show accounts: all by their ids, those that were searched, or the first by a meter."""
    query: AccountsQuery = visit.query
    days, meters = read_days(visit, query), _meters(visit)
    meter, rows = _rows(visit, query, days)
    last = rows[-1].account.id if meter is None and not query.q and len(rows) == PAGE_ACCOUNTS else None
    return visit.html(
        "operator_accounts.html",
        rows=rows,
        meters=meters,
        meter=meter,
        unit=None if meter is None else unit_of(meter.unit),
        days=days,
        query=query,
        keep={"meter": query.meter},
        last=last,
        first_page=not query.after,
        ranked=RANKED,
        csv=f"{PREFIX}/accounts.csv?{days.query({'meter': query.meter})}" if meter is not None else None,
    )


def get_csv(visit: Visit) -> Reply:
    """Give the ranking as a file."""
    query: AccountsQuery = visit.query
    meter, rows = _rows(visit, query, read_days(visit, query))
    if meter is None:
        raise NotFound("choose a meter to rank accounts by")
    header = ["place", "account", "name", "plan", f"{meter.name} ({meter.unit})"]
    cells = (
        [
            str(row.place),
            text_cell(row.account.id),
            text_cell(row.account.name or ""),
            text_cell(row.account.plan_name),
            to_text(row.nanos or 0),
        ]
        for row in rows
    )
    return csv_reply(f"accounts-by-{meter.name}.csv", header, cells)


def _rows(visit: Visit, query: AccountsQuery, days: Days) -> tuple[Meter | None, list[Row]]:
    part = query.q.strip()[:SEARCH_CHARS_MAX]
    if part:
        return None, [Row(account) for account in visit.rooms.accounts.search(part, PAGE_ACCOUNTS)]
    meter = next((one for one in _meters(visit) if one.name == query.meter), None)
    if meter is None:
        return None, [Row(account) for account in visit.rooms.accounts.list(query.after, PAGE_ACCOUNTS)]
    ranked = visit.rooms.measure.ranking(meter.name, days.span, RANKED)
    return meter, _ranked(visit, ranked)


def _ranked(visit: Visit, ranked: Sequence[tuple[AccountId, int]]) -> list[Row]:
    whole, most = sum(nanos for _, nanos in ranked), max((nanos for _, nanos in ranked), default=0)
    rows = []
    for place, (account_id, nanos) in enumerate(ranked, start=1):
        share, length = f"{ratio(100 * nanos, whole, 1):f}", 1000 * nanos // most if most > 0 else 0
        rows.append(Row(visit.rooms.accounts.get(account_id), place, nanos, share, max(0, length)))
    return rows


def _meters(visit: Visit) -> list[Meter]:
    """Return the meters that accounts can be ranked by: those that add up, but for money."""
    meters = visit.rooms.measure.scheme.catalogue.meters.values()
    found = [one for one in meters if one.aggregation in _ADDED_UP and one.priced_by is None]
    return sorted(found, key=lambda one: one.name)


PAGES = (
    Page("accounts", "GET", "/accounts", get_accounts, USAGE_READ, query=AccountsQuery, operator_only=True),
    Page("accounts", "GET", "/accounts.csv", get_csv, USAGE_READ, query=AccountsQuery, operator_only=True),
)
