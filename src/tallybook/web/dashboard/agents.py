"""Agents: messages, calls, tokens and credits of each; released ones keep their names.

Not for the inventory's numbers (see `usage`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tallybook.core.key import USAGE_READ
from tallybook.core.number import to_text
from tallybook.core.resource import Resource
from tallybook.web.dashboard.csvfile import csv_reply, text_cell
from tallybook.web.dashboard.days import Days, DaysQuery, read_days
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.dashboard.spread import Spread, ask_spread
from tallybook.web.endpoint import Reply
from tallybook.web.things import all_things

AGENT, KIND = "agent_id", "agent"
MESSAGES, CALLS, INPUT, OUTPUT, CREDITS = "messages", "calls", "input_tokens", "output_tokens", "credits"
METERS: Mapping[str, str] = {
    MESSAGES: "Messages",
    CALLS: "Calls",
    INPUT: "Tokens in",
    OUTPUT: "Tokens out",
    CREDITS: "Credits",
}
UNSAID = "no agent said"


class AgentsQuery(DaysQuery, frozen=True):
    """Which days, and which meter the chart shows and the table goes by."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One agent: what it used of each meter, in nanos; *length* is its place beside the first, in thousandths."""

    key: str | None
    name: str
    totals: Mapping[str, int]
    is_live: bool
    is_known: bool
    length: int = 0


def get_agents(visit: Visit) -> Reply:
    """Show the page."""
    days, by, spread, lines = _read(visit)
    unit = visit.rooms.measure.scheme.catalogue.meter(by).unit
    return visit.html(
        "agents.html",
        days=days,
        by=by,
        meters=METERS,
        unit=unit,
        totals={meter: spread.whole(meter) for meter in METERS},
        lines=lines,
        live=sum(line.is_live for line in lines),
        spec=_spec(days, spread, lines, by, unit),
        keep={"by": by},
        csv=f"{visit.here}/agents.csv?{days.query({'by': by})}",
    )


def get_csv(visit: Visit) -> Reply:
    """Give the table as a file."""
    _, _, _, lines = _read(visit)
    header = ["agent_id", "name", "released", *(title.lower() for title in METERS.values())]
    rows = (
        [
            text_cell(line.key or ""),
            text_cell(line.name),
            "no" if line.is_live or not line.is_known else "yes",
            *(to_text(line.totals[meter]) for meter in METERS),
        ]
        for line in lines
    )
    return csv_reply("agents.csv", header, rows)


def _read(visit: Visit) -> tuple[Days, str, Spread, list[Line]]:
    query: AgentsQuery = visit.query
    days = read_days(visit, query)
    spread = ask_spread(visit.rooms, visit.account, tuple(METERS), AGENT, days.windows)
    by = query.by if query.by in METERS else next((meter for meter in METERS if spread.whole(meter)), MESSAGES)
    things = {one.resource_id: one for one in all_things(visit.rooms.inventory, visit.account, KIND)}
    return days, by, spread, _lines(visit, spread, things, by)


def _lines(visit: Visit, spread: Spread, things: Mapping[str, Resource], by: str) -> list[Line]:
    """Return the agents that used something and those that exist, most of *by* first."""
    used = spread.keys
    shown = {*(key for key in used if key is not None), *(key for key, one in things.items() if one.live)}
    seen = visit.rooms.measure.names(visit.account, AGENT, shown)
    lines = []
    for key in [*shown, *([None] if None in used else [])]:
        thing = None if key is None else things.get(key)
        name = UNSAID if key is None else (thing and thing.name) or seen.get(key, key)
        totals = {meter: spread.total(meter, key) for meter in METERS}
        lines.append(Line(key, name, totals, is_live=thing is not None and thing.live, is_known=thing is not None))
    lines.sort(key=lambda line: (-line.totals[by], -sum(line.totals.values()), line.name, line.key or ""))
    most = lines[0].totals[by] if lines else 0
    return [replace(line, length=1000 * line.totals[by] // most if most else 0) for line in lines]


def _spec(days: Days, spread: Spread, lines: Sequence[Line], by: str, unit: str) -> dict[str, object]:
    return {
        "kind": "bar",
        "stacked": True,
        "labels": days.starts,
        "times": days.times,
        "unit": unit,
        "series": spread.series(by, [(line.key, line.name) for line in lines]),
    }


PAGES = (
    Page("agents", "GET", "/accounts/{account_id}/agents", get_agents, USAGE_READ, query=AgentsQuery),
    Page("agents", "GET", "/accounts/{account_id}/agents.csv", get_csv, USAGE_READ, query=AgentsQuery),
)
