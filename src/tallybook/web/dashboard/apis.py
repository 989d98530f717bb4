"""APIs: what each was asked, how often it failed, how long it took and what it cost; then endpoint by endpoint.

The numbers are those of the WontoPos dialect. Not for limits themselves (see `limits`): only their share is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tallybook.core.errors import NotFound
from tallybook.core.key import USAGE_READ
from tallybook.core.limit import LimitKind, LimitState
from tallybook.core.meter import Question
from tallybook.core.number import ratio, to_text
from tallybook.core.window import all_time
from tallybook.web.dashboard.csvfile import csv_reply, text_cell
from tallybook.web.dashboard.days import Days, DaysQuery, read_days
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.dashboard.spread import Spread, ask_spread
from tallybook.web.dialects.wontopos import SUBSCRIPTION, latency_from_nanos, write_names
from tallybook.web.endpoint import Reply
from tallybook.web.things import all_things

API, ENDPOINT = "api_id", "endpoint"
REQUESTS, ERRORS, LATENCY, TIMED, COST = (
    "requests",
    "request_errors",
    "request_latency_ms",
    "request_latency_count",
    "request_cost_usd",
)
METERS = (REQUESTS, ERRORS, LATENCY, TIMED, COST)
UNSAID = "not said"
PERCENT_PLACES = 2


class ApiQuery(DaysQuery, frozen=True):
    """Which API, and which days."""

    api: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a limit is used in the running period; lengths are thousandths."""

    title: str
    state: LimitState
    length: int
    level: str


@dataclass(frozen=True, slots=True)
class Line:
    """One API, one endpoint, or all of them; quantities in nanos, *latency_ms* is None where nothing was timed."""

    key: str | None
    name: str
    requests: int
    errors: int
    latency_ms: int | None
    cost: int
    length: int = 0
    share: Share | None = None

    @property
    def error_rate(self) -> str:
        """Errors in percent of the requests."""
        return f"{ratio(100 * self.errors, self.requests, PERCENT_PLACES):f}"

    @property
    def level(self) -> str:
        """How bad the errors are: bad from 5 %, a warning from 1 %."""
        if self.errors * 20 >= self.requests and self.errors:
            return "bad"
        return "warn" if self.errors * 100 >= self.requests and self.errors else ""


def get_apis(visit: Visit) -> Reply:
    """Show all APIs."""
    days = read_days(visit, visit.query)
    spread = ask_spread(visit.rooms, visit.account, METERS, API, days.windows)
    lines = _api_lines(visit, spread)
    return visit.html(
        "apis.html",
        days=days,
        whole=_line(spread, None, "All APIs", whole=True),
        lines=lines,
        shares=[share for share in _shares(visit) if _api_of(share.state) == ""],
        charts=_charts(days, spread, lines),
        currency=_currency(visit),
        query=days.query(),
    )


def get_api(visit: Visit) -> Reply:
    """Show the endpoints of one API."""
    query: ApiQuery = visit.query
    days = read_days(visit, query)
    name = _name_of(visit, query.api)
    filters = {API: (query.api,)}
    spread = ask_spread(visit.rooms, visit.account, METERS, ENDPOINT, days.windows, filters=filters)
    lines = _lines(spread, {key: UNSAID if key is None else key for key in spread.keys})
    return visit.html(
        "api.html",
        days=days,
        api=query.api,
        api_name=name,
        whole=_line(spread, None, name, whole=True),
        lines=lines,
        shares=[share for share in _shares(visit) if _speaks_for(share.state, query.api)],
        charts=_charts(days, spread, lines),
        currency=_currency(visit),
        query=days.query({"api": query.api}),
    )


def get_csv(visit: Visit) -> Reply:
    """Give the table as a file: of all APIs, or of one API's endpoints."""
    query: ApiQuery = visit.query
    days = read_days(visit, query)
    if query.api:
        _name_of(visit, query.api)
        spread = ask_spread(visit.rooms, visit.account, METERS, ENDPOINT, days.windows, filters={API: (query.api,)})
        lines = _lines(spread, {key: UNSAID if key is None else key for key in spread.keys})
    else:
        lines = _api_lines(visit, ask_spread(visit.rooms, visit.account, METERS, API, days.windows))
    cost = f"cost ({_currency(visit)})"
    header = ["endpoint" if query.api else "api", "name", "requests", "errors", "error rate (%)", "mean latency (ms)"]
    rows = (
        [
            text_cell(line.key or ""),
            text_cell(line.name),
            to_text(line.requests),
            to_text(line.errors),
            line.error_rate,
            "" if line.latency_ms is None else str(line.latency_ms),
            to_text(line.cost),
        ]
        for line in lines
    )
    return csv_reply("endpoints.csv" if query.api else "apis.csv", [*header, cost], rows)


def _currency(visit: Visit) -> str:
    return visit.rooms.measure.scheme.catalogue.meter(COST).unit


# --- lines -----------------------------------------------------------------------------------------------------------


def _api_lines(visit: Visit, spread: Spread) -> list[Line]:
    """Return the APIs that were used or are subscribed."""
    subscribed = all_things(visit.rooms.inventory, visit.account, SUBSCRIPTION)
    used = {key for key in spread.keys if key is not None}
    shown = {*used, *(one.resource_id for one in subscribed if one.live)}
    seen = visit.rooms.measure.names(visit.account, API, shown)
    names: dict[str | None, str] = dict(write_names(shown, seen, subscribed).items())
    if None in spread.keys:
        names[None] = UNSAID
    shares = {_api_of(share.state): share for share in _shares(visit)}
    return _lines(spread, names, shares)


def _lines(
    spread: Spread, names: Mapping[str | None, str], shares: Mapping[str | None, Share] | None = None
) -> list[Line]:
    """Return a line for each of *names*, most requests first."""
    known = shares or {}
    lines = [_line(spread, key, name, known.get(key)) for key, name in names.items()]
    most = max((line.requests for line in lines), default=0)
    lines.sort(key=lambda line: (-line.requests, line.name, line.key or ""))
    return [replace(line, length=1000 * line.requests // most if most else 0) for line in lines]


def _line(spread: Spread, key: str | None, name: str, share: Share | None = None, *, whole: bool = False) -> Line:
    requests, errors, latency, timed, cost = (
        spread.whole(meter) if whole else spread.total(meter, key) for meter in METERS
    )
    return Line(key, name, requests, errors, latency_from_nanos(latency, timed) if timed else None, cost, share=share)


def _name_of(visit: Visit, api_id: str) -> str:
    """Return the name of an API that was ever used, or is subscribed.

    Raises:
        NotFound: For any other.
    """
    things = [
        one for one in all_things(visit.rooms.inventory, visit.account, SUBSCRIPTION) if one.resource_id == api_id
    ]
    (ever,) = visit.rooms.measure.ask(visit.account, [Question(REQUESTS, (all_time(),), (), {API: (api_id,)})])
    if not api_id or not (ever.value or things):
        raise NotFound("there is no such API")
    return write_names([api_id], visit.rooms.measure.names(visit.account, API, [api_id]), things)[api_id]


# --- limits ----------------------------------------------------------------------------------------------------------


def _shares(visit: Visit) -> list[Share]:
    """Return how much is used of each limit on requests by period."""
    found = []
    for standing in visit.rooms.limits.standings(visit.account, visit.now_us):
        state = standing.state
        if state.limit.kind is LimitKind.PERIOD and state.limit.meter == REQUESTS and state.quantity:
            used = 1000 * state.used // state.quantity
            level = "bad" if used >= 1000 else "warn" if used >= 800 else "good"
            found.append(Share(state.limit.name, state, min(used, 1000), level))
    return found


def _api_of(state: LimitState) -> str | None:
    """Return the API that a limit speaks for alone; an empty text for one that counts all of them."""
    if state.limit.per == API:
        return state.value
    return state.limit.filter.get(API, "")


def _speaks_for(state: LimitState, api_id: str) -> bool:
    return _api_of(state) in ("", api_id)


# --- charts ----------------------------------------------------------------------------------------------------------


def _charts(days: Days, spread: Spread, lines: Sequence[Line]) -> dict[str, dict[str, object]]:
    ranked = [(line.key, line.name) for line in lines]
    axis = {"labels": days.starts, "times": days.times}
    errors, requests = spread.column(ERRORS), spread.column(REQUESTS)
    rates = [f"{ratio(100 * part, of, PERCENT_PLACES):f}" for part, of in zip(errors, requests, strict=True)]
    means = zip(spread.column(LATENCY), spread.column(TIMED), strict=True)
    latency = [str(latency_from_nanos(total, count)) for total, count in means]
    return {
        "requests": {**axis, "kind": "bar", "stacked": True, "unit": "requests", "whole": True}
        | {"series": spread.series(REQUESTS, ranked)},
        "errors": {**axis, "kind": "bar", "unit": "%", "series": [{"name": "Error rate", "values": rates, "color": 1}]},
        "latency": {**axis, "kind": "line", "unit": "ms"}
        | {"series": [{"name": "Mean latency", "values": latency, "color": 2}]},
        "cost": {**axis, "kind": "bar", "stacked": True, "unit": "USD", "series": spread.series(COST, ranked)},
    }


PAGES = (
    Page("apis", "GET", "/accounts/{account_id}/apis", get_apis, USAGE_READ, query=DaysQuery),
    Page("apis", "GET", "/accounts/{account_id}/apis/one", get_api, USAGE_READ, query=ApiQuery),
    Page("apis", "GET", "/accounts/{account_id}/apis.csv", get_csv, USAGE_READ, query=ApiQuery),
)
