"""`tallybook serve`: the server, and on a ledger without keys the first one."""

from typing import Annotated

import typer

from tallybook.cli.listening import check_address
from tallybook.cli.options import ConfigFile, DataDir, LedgerUrl, read_settings
from tallybook.core.key import SCOPES
from tallybook.house import House

FIRST_KEY_NAME = "first operator key"


def serve(
    *,
    data: DataDir = None,
    host: Annotated[
        str | None, typer.Option("--host", metavar="ADDRESS", help="Address to listen on [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="PORT", min=0, max=65_535, help="Port to listen on [default: 8080]; 0 takes a free one"
        ),
    ] = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    test_clock: Annotated[
        str | None,
        typer.Option("--test-clock", metavar="INSTANT", help="Start a clock that only POST /v1/test-clock moves"),
    ] = None,
) -> None:
    """Run the server until it is told to stop.

    Example: tallybook serve --data /var/lib/tallybook --port 8080
    """
    overrides = {"data_dir": data, "host": host, "port": port, "ledger_url": ledger, "test_clock_start": test_clock}
    settings = read_settings(config, overrides)
    check_address(settings.host, settings.port)
    with House.open(settings) as house:
        if not house.access.list_keys(limit=1):
            made = house.access.create_key(None, SCOPES, FIRST_KEY_NAME)
            print("This ledger had no keys. The operator's first key, shown this once:", flush=True)
            print(made.token, flush=True)
        house.serve()
