"""`tallybook get`: one request answered in this process, without a port."""

import asyncio
import sys
from typing import Annotated

import httpx
import typer

from tallybook.cli.options import ConfigFile, DataDir, Key, LedgerUrl, read_settings
from tallybook.cli.outcome import Exit, complain
from tallybook.cli.rooms import opened_house
from tallybook.core.errors import Invalid
from tallybook.house import House


def get(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Path and query, such as /v1/meters")],
    *,
    data: DataDir = None,
    ledger: LedgerUrl = None,
    config: ConfigFile = None,
    key: Key = None,
) -> int:
    """Answer one GET request without a server, and print the body.

    Example: tallybook get "/v1/accounts/acme/usage?meter=messages" --data tallybook-data --key KEY
    """
    if not path.startswith("/"):
        raise Invalid("the path begins with a slash, such as /v1/meters")
    with opened_house(read_settings(config, {"data_dir": data, "ledger_url": ledger})) as house:
        try:
            answer = asyncio.run(_ask(house, path, key))
        except (httpx.InvalidURL, UnicodeError):
            raise Invalid("this is no path, or the key holds characters that no key has") from None
    sys.stdout.buffer.write(answer.content)
    if not answer.content.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.flush()
    if answer.status_code < 400:
        return Exit.OK
    complain(f"answered with status {answer.status_code}")
    return Exit.FAILED


async def _ask(house: House, path: str, key: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app=house.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://tallybook.invalid") as client:
        return await client.get(path, headers=headers)
