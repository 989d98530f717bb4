"""`tallybook plans`: which plans there are, and what they limit and cost."""

from typing import Annotated, cast

import typer

from tallybook.cli.desk import Json, ask_object, opened_desk, path_part
from tallybook.cli.options import AsJson, ConfigFile, DataDir, Key, LedgerUrl, ServerUrl
from tallybook.cli.outcome import print_fields, print_json, print_table

plans = typer.Typer(no_args_is_help=True, help="List and show plans.")


@plans.command("list")
def list_(
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List every plan in its newest version.

    Example: tallybook plans list
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        answer = ask_object(desk, "GET", "/v1/plans")
    if as_json:
        print_json(answer)
        return
    rows = [
        (plan["name"], plan["version"], plan["title"], plan["currency"], _names(plan["limits"]), _names(plan["prices"]))
        for plan in cast("list[Json]", answer["plans"])
    ]
    print_table(("name", "version", "title", "currency", "limits", "prices"), rows)


@plans.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the plan, or a tier that only one has")],
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show a plan's limits and prices.

    Example: tallybook plans show agentphone-pro
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        plan = ask_object(desk, "GET", f"/v1/plans/{path_part(name)}")
    if as_json:
        print_json(plan)
        return
    print_fields({field: value for field, value in plan.items() if field not in {"limits", "prices"}})
    for part in ("limits", "prices"):
        for item in cast("list[Json]", plan[part]):
            print(f"{part.removesuffix('s')}: {', '.join(f'{field} {value}' for field, value in item.items())}")


def _names(items: object) -> list[object]:
    return [item.get("name") or item.get("meter") or item.get("resource") for item in cast("list[Json]", items)]
