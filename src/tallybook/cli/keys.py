"""`tallybook keys`: making, listing and revoking the keys that clients hold."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tallybook.cli.desk import ask_object, ask_pages, opened_desk, path_part
from tallybook.cli.options import AsJson, ConfigFile, DataDir, Key, LedgerUrl, ServerUrl
from tallybook.cli.outcome import print_json, print_table, say
from tallybook.core.errors import Invalid, NotFound
from tallybook.core.key import EVENTS_WRITE, SCOPES, USAGE_READ

ACCOUNT_SCOPES = (EVENTS_WRITE, USAGE_READ)
"""What an account's key may do unless --scope says otherwise."""

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke keys.")


@keys.command()
def create(
    *,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="Whose key; without it, the operator's")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", metavar="SCOPE", help=f"May be given more than once: {', '.join(SCOPES)}"),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What the list of keys calls it")] = "",
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Take in the key that a client holds already; - for stdin"),
    ] = None,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once.

    Example: tallybook keys create --account acme --scope usage:read --name dashboard
    """
    body: dict[str, object] = {"scopes": scope or list(SCOPES if account is None else ACCOUNT_SCOPES), "name": name}
    if account is not None:
        body["account"] = account
    if token_file is not None:
        body["key"] = _read_token(token_file)
    with opened_desk(data, ledger, config, url=url, key=key, makes=True) as desk:
        made = ask_object(desk, "POST", "/v1/keys", body)
    if as_json:
        print_json(made)
    else:
        print(made["key"])
        say(f"{made['id']}: keep this key, it is shown this once")


def _read_token(path: Path) -> str:
    try:
        return (sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")).strip()
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}") from None


@keys.command("list")
def list_(
    *,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="Only the keys of this account")
    ] = None,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List keys, revoked ones included; the keys themselves are kept nowhere.

    Example: tallybook keys list --account acme
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        found = ask_pages(desk, "/v1/keys", "keys", None if account is None else {"account": account})
    if as_json:
        print_json({"keys": found})
        return
    rows = [
        (k["id"], k["account"] or "(operator)", k["name"], k["hint"], k["scopes"], k["created_at"], k["revoked_at"])
        for k in found
    ]
    print_table(("id", "account", "name", "key", "scopes", "created", "revoked"), rows)


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `tallybook keys list` shows it")],
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    url: ServerUrl = None,
    key: Key = None,
) -> None:
    """Revoke a key: within a second, no server takes it any more.

    Example: tallybook keys revoke key_5f0c
    """
    with opened_desk(data, ledger, config, url=url, key=key) as desk:
        desk.ask("DELETE", f"/v1/keys/{path_part(key_id)}")
    print(f"{key_id} is revoked")
