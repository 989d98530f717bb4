"""`tallybook accounts`: who is a customer, and on which plan."""

from typing import Annotated

import typer

from tallybook.cli.desk import Json, ask_object, ask_pages, opened_desk, path_part
from tallybook.cli.options import AsJson, ConfigFile, DataDir, Key, LedgerUrl, ServerUrl
from tallybook.cli.outcome import print_fields, print_json, print_table

AccountIdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the account")]

accounts = typer.Typer(no_args_is_help=True, help="List, show and change accounts.")


@accounts.command("list")
def list_(
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List every account with its plan.

    Example: tallybook accounts list
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        found = ask_pages(desk, "/v1/accounts", "accounts")
    if as_json:
        print_json({"accounts": found})
        return
    rows = [(a["id"], a["name"], a["plan"], a["billing_status"], a["timezone"], a["created_at"]) for a in found]
    print_table(("id", "name", "plan", "billing", "timezone", "created"), rows)


@accounts.command()
def show(
    account_id: AccountIdArgument,
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show one account and its billing period.

    Example: tallybook accounts show acme
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        _print(ask_object(desk, "GET", f"/v1/accounts/{path_part(account_id)}"), as_json=as_json)


@accounts.command()
def put(
    account_id: AccountIdArgument,
    *,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What people call it")] = None,
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="NAME", help="Such as agentphone-pro; see `tallybook plans list`")
    ] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", metavar="ZONE", help="Such as Europe/Berlin")] = None,
    anchor_day: Annotated[
        int | None, typer.Option("--anchor-day", metavar="DAY", help="Day of the month when periods begin")
    ] = None,
    starts_at: Annotated[
        str | None, typer.Option("--starts-at", metavar="INSTANT", help="When the plan begins [default: now]")
    ] = None,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Create an account, or change what is given of it.

    Example: tallybook accounts put acme --name "Acme GmbH" --plan agentphone-pro
    """
    given = {"name": name, "plan": plan, "timezone": timezone, "anchor_day": anchor_day, "starts_at": starts_at}
    body = {field: value for field, value in given.items() if value is not None}
    with opened_desk(data, ledger, config, url=url, key=key, makes=True) as desk:
        _print(ask_object(desk, "PUT", f"/v1/accounts/{path_part(account_id)}", body), as_json=as_json)


def _print(account: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(account)
        return
    period = account["period"]
    assert isinstance(period, dict)  # the API's own shape
    print_fields({**account, "period": f"{period['start']} to {period['end']}"})
