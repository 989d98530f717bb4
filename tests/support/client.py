"""An HTTP client on a whole house over a real ledger, in this process and without a socket.

Requests pass through the ASGI application exactly as a server would hand them over.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
from starlette.types import ASGIApp

from tallybook.core.clock import FrozenClock
from tallybook.core.ids import AccountId
from tallybook.core.instant import parse_instant
from tallybook.core.key import SCOPES
from tallybook.house import House
from tallybook.settings import Settings
from tallybook.web.log import make_log

NOW = "2026-03-15T12:00:00Z"


class Client:
    """Sends requests to an ASGI application, one after another."""

    def __init__(self, app: ASGIApp, *, host: str = "tallybook.test") -> None:
        self._runner = asyncio.Runner()
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")

    def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        """Send one request, with *key* as a bearer token."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        more["headers"] = [*headers.items(), *_pairs(more.get("headers"))]
        return self._runner.run(self._http.request(method, path, **more))

    def get(self, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        """Send a GET."""
        return self.ask("GET", path, key, **more)

    def put(self, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        """Send a PUT."""
        return self.ask("PUT", path, key, **more)

    def post(self, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        """Send a POST."""
        return self.ask("POST", path, key, **more)

    def together(self, requests: Iterable[tuple[str, str, str, object]]) -> list[httpx.Response]:
        """Send (method, path, key, JSON body) all at once."""

        async def send() -> list[httpx.Response]:
            return await asyncio.gather(
                *(
                    self._http.request(method, path, headers={"Authorization": f"Bearer {key}"}, json=body)
                    for method, path, key, body in requests
                )
            )

        return self._runner.run(send())

    def close(self) -> None:
        """Close the event loop."""
        self._runner.run(self._http.aclose())
        self._runner.close()


def _pairs(headers: object) -> list[tuple[str, str]]:
    if headers is None:
        return []
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers)  # type: ignore[call-overload]


class Desk(Client):
    """A house of its own with a clock that stands still, and the operator's key to it."""

    def __init__(self, house: House, log: StringIO) -> None:
        super().__init__(house.app)
        self.house = house
        self.log = log
        self.operator = house.access.create_key(None, SCOPES, "the operator of the tests").token

    @property
    def clock(self) -> FrozenClock:
        """The clock of the house."""
        assert isinstance(self.house.clock, FrozenClock)
        return self.house.clock

    def set_now(self, instant: str) -> None:
        """Move the clock."""
        self.clock.set(parse_instant(instant, "now")[0])

    def account(self, account_id: str, *, scopes: Iterable[str] = SCOPES, **put: object) -> str:
        """Create the account, or change it, and return a new key of it."""
        self.house.accounts.put(AccountId(account_id), **put)  # type: ignore[arg-type]
        return self.house.access.create_key(AccountId(account_id), scopes).token

    def send(self, *events: Mapping[str, object], key: str | None = None) -> dict[str, Any]:
        """Send events in one request and return its answer."""
        answer = self.post("/v1/events", key or self.operator, json=list(events))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged."""
        return [msgspec.json.decode(line) for line in self.log.getvalue().splitlines()]


@cache
def _empty_ledger() -> bytes:
    """Return a ledger as a first start makes it; copying it is quicker than making it anew for every test."""
    with TemporaryDirectory() as folder:
        House.open(Settings(data_dir=Path(folder)), FrozenClock(0), log=make_log("json", StringIO())).close()
        return (Path(folder) / "ledger.db").read_bytes()


@contextmanager
def open_desk(data_dir: Path, *, now: str = NOW, **settings: Any) -> Iterator[Desk]:
    """Open a house in *data_dir* and a client on it."""
    log = StringIO()
    if not (data_dir / "ledger.db").exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / "ledger.db").write_bytes(_empty_ledger())
    clock = FrozenClock(parse_instant(now, "now")[0])
    with House.open(Settings(data_dir=data_dir, **settings), clock, log=make_log("json", log)) as house:
        desk = Desk(house, log)
        try:
            yield desk
        finally:
            desk.close()


def message(event_id: str, account: str, **more: object) -> dict[str, object]:
    """Return an event: an inbound message to agent a1; *more* replaces fields of its data or of the envelope."""
    data: dict[str, object] = {"direction": "inbound", "agent_id": "a1"}
    envelope: dict[str, object] = {"id": event_id, "type": "message", "subject": account}
    for name, value in more.items():
        (data if name in {"direction", "agent_id", "agent_name"} else envelope)[name] = value
    return {**envelope, "data": envelope.get("data", data)}
