"""A desk to ask from: a whole house over a real store, spoken to in HTTP without a socket, as any client would."""

import asyncio
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from tallybook.core.clock import FrozenClock
from tallybook.core.key import SCOPES
from tallybook.house import House
from tallybook.settings import Settings
from tallybook.web.log import make_log
from tests.web.dialects.stories import Story, us

READING = ("usage:read", "billing:manage")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as any client reads it."""
        return json.loads(self.text)

    @property
    def exact(self) -> Any:
        """The body with its fractions as Decimals."""
        return json.loads(self.text, parse_float=Decimal)


class Desk:
    """Sends requests to one house, whose clock it moves."""

    def __init__(self, house: House, clock: FrozenClock, operator: str) -> None:
        self.house = house
        self.operator = operator
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._numbers = count(1)

    def close(self) -> None:
        """Close what the house does not know of."""
        self._loop.close()

    def now(self, moment: datetime) -> None:
        """Move the clock."""
        self._clock.set(us(moment))

    def account(
        self,
        account_id: str,
        *,
        now: datetime | None = None,
        plan: str | None = None,
        scopes: Sequence[str] = READING,
        **said: object,
    ) -> str:
        """Create or change an account, at *now*, and return a fresh key of it."""
        if now is not None:
            self.now(now)
        body = said if plan is None else {"plan": plan, **said}
        self._admin("PUT", f"/v1/accounts/{account_id}", body)
        return self.key(account_id, scopes)

    def key(self, account_id: str | None, scopes: Sequence[str]) -> str:
        """Return a fresh key of the account, or of the operator."""
        return self.house.access.create_key(account_id, scopes, f"key {next(self._numbers)}").token

    def plan(self, name: str, limits: Sequence[Mapping[str, object]], **said: object) -> None:
        """Make a plan with these limits."""
        self._admin("PUT", f"/v1/plans/{name}", {"title": name, "limits": list(limits), **said})

    def tell(self, story: Story) -> None:
        """Send a story's events; each must be accepted."""
        for batch in story.batches():
            receipt = self._admin("POST", "/v1/events?backfill=true", batch).json
            assert (len(batch), []) == (receipt["accepted"], receipt["errors"])

    def get(self, path: str, key: str | None, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask with a bearer key, or with none."""
        return self.request("GET", path, key, headers=headers)

    def _admin(self, method: str, path: str, body: object) -> Answer:
        answer = self.request(method, path, self.operator, body=json.dumps(body).encode())
        assert answer.status in {200, 201}, answer.text
        return answer

    def request(
        self,
        method: str,
        path: str,
        key: str | None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Send one request; *path* holds the raw query string too, as it goes over the wire."""
        sent = {"host": "usage.example.com", **{name.lower(): value for name, value in (headers or {}).items()}}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        if body:
            sent |= {"content-type": "application/json", "content-length": str(len(body))}
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": raw,
            "raw_path": raw.encode("ascii"),
            "root_path": "",
            "query_string": query.encode("ascii"),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "client": ("127.0.0.1", 40_000),
            "server": ("127.0.0.1", 8377),
        }
        return self._loop.run_until_complete(self._run(scope, body))

    async def _run(self, scope: dict[str, Any], body: bytes) -> Answer:
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.house.app(scope, receive, send)
        begun = messages[0]
        headers = {name.decode().lower(): value.decode() for name, value in begun["headers"]}
        text = b"".join(message.get("body", b"") for message in messages[1:]).decode()
        return Answer(begun["status"], headers, text)


@contextmanager
def open_desk(settings: Settings, now: datetime) -> Iterator[Desk]:
    """Open a house at *now* and a desk before it."""
    clock = FrozenClock(us(now))
    with House.open(settings, clock, log=make_log("json", io.StringIO())) as house:
        desk = Desk(house, clock, house.access.create_key(None, SCOPES, "operator").token)
        yield desk
        desk.close()
