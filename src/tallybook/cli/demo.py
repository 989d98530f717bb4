"""`tallybook demo`: a server full of invented usage, ready to be asked in every dialect.

Not for what is loaded and how (see `demo_data`, `demo_load`).
"""

import threading
import time
import urllib.error
import urllib.request
import webbrowser
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tallybook.cli.demo_cast import CUSTOMERS
from tallybook.cli.demo_load import load
from tallybook.cli.demo_state import DemoState, new_state, read_state, write_demo, write_state
from tallybook.cli.listening import check_address
from tallybook.cli.options import read_settings
from tallybook.cli.outcome import print_table, stdout_console
from tallybook.house import House

HOST = "127.0.0.1"
REFERENCE_PATH = "/docs"
DASHBOARD_PATH = "/dashboard"
SHOWN_ACCOUNT = "cafe-lumiere"
"""The account whose pages show most at first sight."""
BROWSER_WAIT_S = 30.0

_FIRST_QUESTIONS = {
    "agentphone": "/v1/usage",
    "aurion": "/api/v1/usage/summary",
    "anyreach": "/admin/usage/summary",
    "wontopos": "/v1/usage",
    "liberclaw": "/api/v1/usage",
}


def demo(
    *,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Directory of the demo")] = Path("tallybook-demo"),
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65_535, help="Port to listen on; 0 takes a free one")
    ] = 8080,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser on it")] = True,
) -> None:
    """Run a server with 400 days of invented usage, and print how to ask it.

    Example: tallybook demo --port 8081 --no-browser
    """
    port = check_address(HOST, port)
    state = read_state(data)
    base_url = f"http://{HOST}:{port}"
    with House.open(read_settings(None, {"data_dir": data, "host": HOST, "port": port, "ledger_url": ""})) as house:
        if state is None:
            state = new_state(house.clock.now_us())
            write_state(data, state)
        if not state.loaded:
            load(house, state)
            state = replace(state, loaded=True)
            write_state(data, state)
        write_demo(data, state, base_url)
        _introduce(data, state, base_url)
        if browser and stdout_console().is_terminal:
            threading.Thread(target=_browse, args=(base_url,), daemon=True).start()
        house.serve()


def _introduce(data: Path, state: DemoState, base_url: str) -> None:
    print(f"\nTallybook demo: {base_url}{DASHBOARD_PATH} (log in with a key below)")
    print(f"API reference: {base_url}{REFERENCE_PATH}; keys and addresses also in {data}/demo.json\n")
    rows = [
        (
            customer.dialect,
            customer.name,
            customer.plan,
            f"{base_url}/{customer.dialect}",
            state.keys[customer.account].key,
        )
        for customer in CUSTOMERS
        if customer.dialect is not None
    ]
    print_table(
        ("dialect", "account", "plan", "base URL", "key"),
        [*rows, ("native", "(operator)", "", base_url, state.operator_key)],
    )
    print("\nAsk it:\n")
    for customer in CUSTOMERS:
        if customer.dialect is not None:
            header = "X-API-Key: " if customer.dialect == "aurion" else "Authorization: Bearer "
            path = f"{base_url}/{customer.dialect}{_FIRST_QUESTIONS[customer.dialect]}"
            print(f'  curl -H "{header}{state.keys[customer.account].key}" {path}')
    usage = f"{base_url}/v1/accounts/brightline/usage?meter=messages&granularity=month"
    print(f'  curl -H "Authorization: Bearer {state.operator_key}" "{usage}"')
    print(f"\nSee it: {_see(base_url)}, with the key of (operator)")
    print("\nCtrl-C stops it; the same command starts it again at once.\n", flush=True)


def _see(base_url: str) -> str:
    """Return the address of the page to look at first; browsers take its cookie on this machine without https."""
    return f"{base_url}{DASHBOARD_PATH}/accounts/{SHOWN_ACCOUNT}/usage"


def _browse(base_url: str) -> None:
    """Open the browser as soon as the server answers."""
    until_s = time.monotonic() + BROWSER_WAIT_S
    while time.monotonic() < until_s:
        with suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{base_url}/healthz", timeout=1).close()  # noqa: S310 - our own address
            webbrowser.open(_see(base_url))
            return
        time.sleep(0.2)
