"""`tallybook invoices`: what the running period comes to, closed invoices, and closing a period."""

from typing import Annotated, cast

import typer

from tallybook.cli.desk import Json, ask_object, ask_pages, opened_desk, path_part
from tallybook.cli.options import AsJson, ConfigFile, DataDir, Key, LedgerUrl, ServerUrl
from tallybook.cli.outcome import print_fields, print_json, print_table

invoices = typer.Typer(no_args_is_help=True, help="Preview, list, show and close invoices.")

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Id of the account")]


@invoices.command("list")
def list_(
    account: Account,
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List an account's closed invoices, the newest first.

    Example: tallybook invoices list acme
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        found = ask_pages(desk, _path(account), "invoices")
    if as_json:
        print_json({"invoices": list(found)})
        return
    columns = ("number", "start", "end", "currency", "total", "closed_at")
    print_table(columns, [tuple(invoice[column] for column in columns) for invoice in found])


@invoices.command()
def show(
    account: Account,
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Number of the invoice, or preview")] = "preview",
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show an invoice line by line, or what the running period comes to.

    Example: tallybook invoices show acme INV-000001
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        answer = ask_object(desk, "GET", f"{_path(account)}/{path_part(number)}")
    _print(answer, as_json=as_json)


@invoices.command()
def close(
    account: Account,
    *,
    at: Annotated[str | None, typer.Option(metavar="DATE", help="A day of the period; the last that ended")] = None,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Close a billing period that has ended; a closed one is only shown.

    Example: tallybook invoices close acme --at 2026-03-01
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        answer = ask_object(desk, "POST", _path(account), {} if at is None else {"at": at})
    _print(answer, as_json=as_json)


def _path(account: str) -> str:
    return f"/v1/accounts/{path_part(account)}/invoices"


def _print(answer: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    invoice = cast("Json", answer["invoice"])
    print_fields({name: value for name, value in invoice.items() if name != "lines"})
    lines = cast("list[Json]", invoice["lines"])
    print_table(("item", "value", "amount", "how"), [(x["item"], x["value"], x["amount"], x["how"]) for x in lines])
    if "forecast" in answer:
        print_fields({"forecast": cast("Json", answer["forecast"])["total"]})
