"""A toy Tallybook over a real socket: events, reservations, leases and limits in dictionaries, and faults on demand.

It keeps to the wire, counts exactly, and tells what it was sent. The real server has tests of its own (`test_real`).
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tallybook.web.server import listen
from tests.client.times import PATIENCE_S
from tests.support.listening import listening as served

KEY = "tb_live_of_the_tests"
EXPIRES, DEADLINE = "2026-03-15T12:01:00Z", "2026-03-15T12:02:00Z"


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    query: list[tuple[str, str]]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Fault:
    """An answer that is given instead of the right one; *after* the request had its effect, or without any."""

    status: int
    body: bytes = b"busy"
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False


class Toy:
    """The server's state, shared with the test; every change wakes `until`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.requests: list[Seen] = []
        self.faults: deque[Fault] = deque()
        self.events: dict[str, dict[str, Any]] = {}
        self.sent = 0
        self.limits: dict[str, Decimal] = {"credits": Decimal(10), "concurrent_calls": Decimal(2)}
        self.holds: dict[str, dict[str, Any]] = {}
        self.leases: dict[str, str] = {}
        self.beats: dict[str, int] = {}
        self.deadline: str | None = None
        self.gate: Callable[[Seen], None] | None = None
        self._replies: dict[str, Response] = {}
        self.url = ""

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds, told of every request."""
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S), "it never came true"

    def seen(self, end: str) -> list[Seen]:
        """Return the requests whose path ends so."""
        with self.changed:
            return [seen for seen in self.requests if seen.path.endswith(end)]

    def fail(self, *faults: Fault) -> None:
        """Answer the next requests so."""
        self.faults.extend(faults)

    async def answer(self, request: Request) -> Response:
        seen = Seen(
            request.method,
            request.scope["raw_path"].decode(),
            dict(request.headers),
            await request.body(),
            list(request.query_params.multi_items()),
        )
        if self.gate is not None:
            self.gate(seen)
        with self.changed:
            fault = self.faults.popleft() if self.faults else None
            reply = Response() if fault and not fault.after else self._reply(seen)
            self.requests.append(seen)
            self.changed.notify_all()
        if fault is None:
            return reply
        return Response(fault.body, fault.status, fault.headers)

    def _reply(self, seen: Seen) -> Response:
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            return problem(401, "unauthenticated", "unknown key")
        key = seen.headers.get("idempotency-key")
        if key in self._replies:
            return self._replies[key]
        reply = self._first_reply(seen)
        if key is not None:
            self._replies[key] = reply
        return reply

    def _first_reply(self, seen: Seen) -> Response:
        parts = seen.path.strip("/").split("/")[1:]
        if parts == ["events"]:
            return self._post_events(seen)
        match parts[2:]:
            case ["checks"]:
                items = self._items(seen.json["items"])
                violated = _violated(items)
                return JSONResponse({"allowed": not violated, "items": items, "violated": violated})
            case ["reservations"]:
                return self._reserve(seen)
            case ["reservations", hold_id, verb]:
                return self._settle(hold_id, verb, seen)
            case ["leases"]:
                return self._lease(seen)
            case ["leases", lease_id, verb]:
                return self._lease_verb(lease_id, verb, seen)
        return problem(404, "not-found", "there is no such thing")

    # --- events ------------------------------------------------------------------------------------------------------

    def _post_events(self, seen: Seen) -> Response:
        try:
            events = [json.loads(line) for line in seen.body.splitlines()]
        except ValueError:
            return problem(400, "malformed-json", "not JSON")
        counts = {"accepted": 0, "duplicate": 0, "conflict": 0, "rejected": 0}
        errors = []
        for index, event in enumerate(events):
            outcome, code = self._count(event)
            counts[outcome] += 1
            if code:
                error = {"index": index, "id": event.get("id"), "outcome": outcome, "code": code}
                errors.append({**error, "pointer": "/type", "detail": "no"})
        self.sent += len(events)
        return JSONResponse({**counts, "errors": errors[:100]})

    def _count(self, event: dict[str, Any]) -> tuple[str, str]:
        if event["type"] == "bad":
            return "rejected", "invalid-field"
        known = self.events.setdefault(event["id"], event)
        if known is event:
            return "accepted", ""
        return ("duplicate", "") if known == event else ("conflict", "event-id-reused")

    # --- limits ------------------------------------------------------------------------------------------------------

    def _items(self, asked: list[dict[str, str]]) -> list[dict[str, Any]]:
        items = []
        for item in asked:
            bound = self.limits[item["limit"]]
            held = sum(
                (Decimal(h["items"].get(item["limit"], 0)) for h in self.holds.values() if h["state"] == "held"),
                Decimal(0),
            )
            remaining = bound - held
            items.append(
                {
                    "limit": item["limit"],
                    "kind": "period",
                    "mode": "hard",
                    "used": "0",
                    "held": str(held),
                    "quantity": str(bound),
                    "remaining": str(remaining),
                    "frees_at": "2026-04-01T00:00:00Z",
                    "fits": Decimal(item["quantity"]) <= remaining,
                }
            )
        return items

    def _reserve(self, seen: Seen) -> Response:
        items = self._items(seen.json["items"])
        if violated := _violated(items):
            return problem(429, "quota-exceeded", "no", {"Retry-After": "7"}, items=items, violated=violated)
        hold_id = f"rsv_{len(self.holds)}"
        self.holds[hold_id] = {"state": "held", "items": {i["limit"]: i["quantity"] for i in seen.json["items"]}}
        return JSONResponse({"id": hold_id, "items": items, "expires_at": EXPIRES}, 201)

    def _settle(self, hold_id: str, verb: str, seen: Seen) -> Response:
        hold = self.holds.get(hold_id)
        if hold is None:
            return problem(404, "not-found", "there is no such reservation")
        if hold["state"] != "held":
            return problem(409, "conflict", f"the reservation is {hold['state']} already")
        hold["state"] = "committed" if verb == "commit" else "released"
        if verb == "commit":
            hold["settled"] = {item["limit"]: item["quantity"] for item in seen.json["items"]}
            if event := seen.json.get("event"):
                self._count(event)
        body = {"id": hold_id, "state": hold["state"]}
        return JSONResponse({**body, "items": [], "overage": False, "exceeded": [], "duplicate": False})

    def _lease(self, seen: Seen) -> Response:
        items = self._items([{"limit": seen.json["limit"], "quantity": "1"}])
        if len(self.leases) >= self.limits[seen.json["limit"]]:
            return problem(429, "quota-exceeded", "no", items=items, violated=[seen.json["limit"]])
        lease_id = f"lse_{len(self.leases)}"
        self.leases[lease_id] = f"1.{lease_id}"
        body = {"id": lease_id, "token": self.leases[lease_id], "expires_at": EXPIRES}
        return JSONResponse(body if self.deadline is None else {**body, "deadline": self.deadline}, 201)

    def _lease_verb(self, lease_id: str, verb: str, seen: Seen) -> Response:
        if self.leases.get(lease_id) != seen.json["token"]:
            return problem(409, "lease-lost", "the lease is lost")
        if verb == "release":
            del self.leases[lease_id]
        else:
            self.beats[lease_id] = self.beats.get(lease_id, 0) + 1
        return JSONResponse({"id": lease_id, "expires_at": EXPIRES})


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: object) -> Response:
    """Return a problem as the server writes it."""
    body = {"type": f"/problems/{code}", "title": "No", "status": status, "detail": detail, "code": code, **more}
    head = {"X-Request-Id": "req-1", **(headers or {})}
    return Response(json.dumps(body), status, head, media_type="application/problem+json")


def _violated(items: list[dict[str, Any]]) -> list[str]:
    return [item["limit"] for item in items if not item["fits"]]


@contextmanager
def serving(toy: Toy) -> Iterator[Toy]:
    """Serve *toy* on a free port of this machine, from a thread."""
    app = Starlette(routes=[Route("/{path:path}", toy.answer, methods=["GET", "POST"])])
    with listening(app) as url:
        toy.url = url
        yield toy


@contextmanager
def listening(app: Any, port: int = 0) -> Iterator[str]:
    """Serve any application on this machine, and yield its URL."""
    listener = listen("127.0.0.1", port)
    with served(app, listener, log_level="critical"):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
