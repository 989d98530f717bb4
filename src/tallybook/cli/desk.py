"""Where the operator's commands ask: a running server, or the house of a data directory, both in the native API's JSON.

A data directory is asked without its lock, so a running server is not in the way.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import quote

import httpx

from tallybook.cli.client import Server, read_answer
from tallybook.cli.options import check_place, read_settings
from tallybook.cli.rooms import OPERATOR, opened_house
from tallybook.core.errors import FieldInvalid, Invalid
from tallybook.house import House

Json = dict[str, object]
PAGES_MAX = 10_000
_PAGE = "1000"


class Desk(Protocol):
    """Answers one request of the native API."""

    def ask(self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None) -> object:
        """Return the JSON of the answer, None where it has none; a refusal is a TallybookError."""
        ...


class HouseDesk:
    """A house in this process, asked as its operator: who may open the directory may do everything in it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._token = house.access.lend(OPERATOR)

    def ask(self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None) -> object:
        """Answer the request in this process.

        Raises:
            Invalid: With what is wrong and where; no server said so.
        """
        answer = asyncio.run(self._ask(method, path, body, query))
        if answer.status_code >= 400:
            raise _refusal(answer.json())
        return read_answer(answer)

    async def _ask(self, method: str, path: str, body: object, query: Mapping[str, str] | None) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.house.app)
        headers = {"Authorization": f"Bearer {self._token}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://tallybook.invalid", headers=headers
        ) as client:
            return await client.request(method, path, json=body, params=query)


def _refusal(problem: Json) -> Invalid:
    """Return what the first error of *problem* says, with its place in the body if it has one."""
    errors = cast("Sequence[Mapping[str, str]]", problem.get("errors", ()))
    if errors and "pointer" in errors[0]:
        return FieldInvalid(errors[0]["detail"], pointer=errors[0]["pointer"])
    return Invalid(str(problem["detail"]))


@contextmanager
def opened_desk(
    data: Path | None, ledger: str | None, config: Path | None, *, url: str | None, key: str | None, makes: bool = False
) -> Iterator[Desk]:
    """Open the desk that the options name; *makes* as in `opened_house`."""
    check_place(data, ledger, url)
    if url is not None:
        server = Server(url, key)
        try:
            yield server
        finally:
            server.close()
    else:
        with opened_house(read_settings(config, {"data_dir": data, "ledger_url": ledger}), makes=makes) as house:
            yield HouseDesk(house)


def ask_object(desk: Desk, method: str, path: str, body: object = None) -> Json:
    """Ask for something that is a JSON object."""
    return cast("Json", desk.ask(method, path, body))


def ask_pages(desk: Desk, path: str, items: str, query: Mapping[str, str] | None = None) -> Sequence[Json]:
    """Return everything of a list that comes in pages."""
    found: list[Json] = []
    asked = {**(query or {}), "limit": _PAGE}
    for _ in range(PAGES_MAX):
        page = cast("Json", desk.ask("GET", path, query=asked))
        found += cast("list[Json]", page[items])
        cursor = page.get("next_cursor")
        if not cursor:
            break
        asked["cursor"] = str(cursor)
    return found


def path_part(text: str) -> str:
    """Return *text* as one part of a path.

    Raises:
        Invalid: If it is empty, and the path would be another.
    """
    if not text:
        raise Invalid("an empty name names nothing")
    return quote(text, safe="")
