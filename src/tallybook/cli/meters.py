"""`tallybook meters`: what is measured, new meters, and counting a meter anew from the raw events."""

import re
from typing import Annotated, cast

import typer

from tallybook.cli.desk import HouseDesk, Json, ask_object, opened_desk, path_part
from tallybook.cli.options import AsJson, ConfigFile, DataDir, Key, LedgerUrl, ServerUrl, read_settings
from tallybook.cli.outcome import print_json, print_table, stderr_console
from tallybook.cli.progress import shown
from tallybook.cli.rooms import opened_house
from tallybook.core.errors import Invalid
from tallybook.core.ports import FillProgress
from tallybook.house import House

_CONDITION = re.compile(r"(?P<field>[^=<>]+)(?P<operator>>=|<|=)(?P<value>.+)")
_OPERATORS = {">=": "gte", "<": "lt"}

meters = typer.Typer(no_args_is_help=True, help="List, add and rebuild meters.")


@meters.command("list")
def list_(
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List every meter.

    Example: tallybook meters list
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        answer = ask_object(desk, "GET", "/v1/meters")
    if as_json:
        print_json(answer)
        return
    rows = [
        (m["name"], m["event"], m["aggregation"], m["fields"], m["dimensions"], _written(m["where"]), m["unit"])
        for m in cast("list[Json]", answer["meters"])
    ]
    print_table(("name", "event", "aggregation", "of", "dimensions", "where", "unit"), rows)


@meters.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the meter")],
    *,
    event: Annotated[str, typer.Option("--event", metavar="TYPE", help="Type of the events it reads")],
    aggregation: Annotated[
        str, typer.Option("--aggregation", metavar="HOW", help="count, sum, min, max, last or unique")
    ] = "count",
    field: Annotated[
        str | None, typer.Option("--field", metavar="FIELD", help="Field of the event's data that it works on")
    ] = None,
    dimension: Annotated[
        list[str] | None,
        typer.Option("--dimension", metavar="FIELD", help="Field it can be grouped by; may be given more than once"),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="FIELD=VALUE, FIELD=ONE,OTHER, FIELD>=N or FIELD<N; may be given more than once",
        ),
    ] = None,
    unit: Annotated[str, typer.Option("--unit", metavar="TEXT", help="What its numbers count")] = "",
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Add a meter; events that came before it count too.

    Example: tallybook meters add faxes --event fax --dimension direction --unit faxes
    """
    body: Json = {"event": event, "aggregation": aggregation, "unit": unit, "dimensions": dimension or []}
    if field is not None:
        body["field"] = field
    if where:
        body["where"] = read_conditions(where)
    with opened_desk(data, ledger, config, url=url, key=key, makes=True) as desk:
        made = ask_object(desk, "PUT", f"/v1/meters/{path_part(name)}", body)
        if isinstance(desk, HouseDesk):
            _fill(desk.house, name)
    if as_json:
        print_json(made)
    else:
        print(f"{name} is added")


@meters.command()
def rebuild(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the meter")],
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
) -> None:
    """Count a meter anew from the raw events; questions are answered from the old count meanwhile.

    Example: tallybook meters rebuild messages --data tallybook-data
    """
    with opened_house(read_settings(config, {"data_dir": data, "ledger_url": ledger})) as house:
        event_type = house.metering.rebuild(name)
        _fill(house, name)
    print(f"every meter over {event_type} is counted anew")


def _fill(house: House, name: str) -> None:
    with shown(stderr_console(), f"counting {name}", 0) as report:

        def seen(progress: FillProgress) -> None:
            report(progress.done, progress.done)

        house.fill.run(seen)


def read_conditions(written: list[str]) -> Json:
    """Read conditions as the command line has them into the JSON of a meter.

    Raises:
        Invalid: For one that is none.
    """
    where: Json = {}
    for text in written:
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise Invalid(f"--where {text!r} is no condition; write FIELD=VALUE, FIELD>=N or FIELD<N")
        name, operator, value = match["field"].strip(), match["operator"], match["value"].strip()
        if operator == "=":
            where[name] = [part.strip() for part in value.split(",")]
        elif not isinstance(bounds := where.setdefault(name, {}), dict):
            raise Invalid(f"--where gives both values and bounds for {name}")
        elif not value.isascii() or not value.isdigit():
            raise Invalid(f"--where {text!r}: a bound is a whole number")
        else:
            bounds[_OPERATORS[operator]] = int(value)
    return where


def _written(where: object) -> str:
    parts = []
    for field, condition in cast("Json", where).items():
        if isinstance(condition, dict):
            parts += [f"{field} {operator} {bound}" for operator, bound in condition.items()]
        else:
            parts.append(f"{field} in {', '.join(cast('list[str]', condition))}")
    return "; ".join(parts)
