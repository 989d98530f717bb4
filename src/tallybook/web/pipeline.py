"""From a matched endpoint to its answer: key, scope, account, query, body, handler, in that order.

Nothing of a request is looked at before its key is known, and nothing runs before all of it is read.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import Headers
from starlette.types import Receive

from tallybook.core.event import decode_json
from tallybook.core.key import Caller
from tallybook.web.auth import account_of, authorise, refuse_key_in_query
from tallybook.web.endpoint import Ask, Endpoint, JsonBody, Pending, RawBody, Reply, Surface, to_json
from tallybook.web.errors import RateLimited
from tallybook.web.query import Pairs, read_query, split_query
from tallybook.web.ratelimit import Allowance, RateLimiter
from tallybook.web.rooms import Rooms
from tallybook.web.router import Match
from tallybook.web.wire import decode_body, decode_struct, media_type, receive_body

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Request:
    """What came in, still raw."""

    method: str
    path: str
    query: bytes
    headers: Headers
    receive: Receive
    request_id: str


@dataclass(slots=True)
class Trace:
    """What became known of a request on its way, for logs and for headers of the answer, also when it is refused."""

    key_id: str | None = None
    route: str = "unknown"
    allowance: Allowance | None = None


class Pipeline:
    """Runs the endpoints of one surface; handlers run in the threads of *executor*."""

    def __init__(self, surface: Surface, rooms: Rooms, executor: Executor, *, body_bytes_max: int) -> None:
        self._surface = surface
        self._rooms = rooms
        self._executor = executor
        self._body_bytes_max = body_bytes_max
        limit = surface.requests_per_minute_max
        self._limiter = None if limit is None else RateLimiter(limit)

    def untouched(self, trace: Trace) -> None:
        """Note the allowance of a request that nobody is known to have made."""
        if self._limiter is not None:
            trace.allowance = self._limiter.untouched(self._rooms.clock.now_us())

    async def run(self, match: Match, request: Request, trace: Trace) -> Reply:
        """Answer *request*.

        Raises:
            TallybookError: If it is refused.
            ClientGone: If nobody waits for the answer any more.
        """
        endpoint = match.endpoint
        if endpoint.body is None:
            answer = await self._in_thread(lambda: self._call(match, request, trace, None))
        else:
            caller = await self._in_thread(lambda: self._admit(match, request, trace))
            raw = await receive_body(request.receive, request.headers, self._body_bytes_max)
            answer = await self._in_thread(lambda: self._call_with(match, request, caller, raw))
        if isinstance(answer, Pending):
            answer = answer.then(await asyncio.wrap_future(answer.future))
        return _reply(endpoint, answer)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _admit(self, match: Match, request: Request, trace: Trace) -> Ask[Any, Any]:
        """Return the ask without its body, or refuse."""
        endpoint, pairs = match.endpoint, _pairs(self._surface, request.query)
        now_us = self._rooms.clock.now_us()
        caller = authorise(self._rooms, endpoint, request.headers)
        self._count(caller, now_us, trace)
        trace.key_id = caller.key_id
        found = account_of(self._rooms, endpoint, caller, match.path, request.headers)
        query = None if endpoint.query is None else read_query(endpoint.query, pairs)
        return Ask(self._rooms, caller, query, None, match.path, now_us, request.request_id, found)

    def _count(self, caller: Caller, now_us: int, trace: Trace) -> None:
        if self._limiter is None:
            return
        trace.allowance = self._limiter.take(caller.key_id, now_us)
        if not trace.allowance.allowed:
            wait_s = trace.allowance.retry_after_s
            raise RateLimited(f"too many requests in this minute; try again in {wait_s} s", retry_after_s=wait_s)

    def _call(self, match: Match, request: Request, trace: Trace, body: object) -> object:
        return _encoded(match.endpoint.handler(replace(self._admit(match, request, trace), body=body)))

    def _call_with(self, match: Match, request: Request, ask: Ask[Any, Any], raw: bytes) -> object:
        endpoint = match.endpoint
        decoded = decode_body(raw, request.headers, self._body_bytes_max)
        if endpoint.body is RawBody:
            body: object = RawBody(decoded, request.headers)
        elif endpoint.body is JsonBody:
            media_type(request.headers, endpoint.body_media)
            body = JsonBody(decode_json(decoded))
        else:
            assert endpoint.body is not None  # or there would be nothing to call it with
            body = decode_struct(decoded, request.headers, endpoint.body)
        return _encoded(endpoint.handler(replace(ask, body=body)))


def _pairs(surface: Surface, query: bytes) -> Pairs:
    pairs = split_query(query)
    if surface.key_in_query_refused:
        refuse_key_in_query(pairs)
    return pairs


def _encoded(answer: object) -> object:
    """Encode a struct where it was made, in the worker thread."""
    return to_json(answer) if isinstance(answer, msgspec.Struct) else answer


def _reply(endpoint: Endpoint, answer: object) -> Reply:
    if isinstance(answer, Reply):
        return answer
    if answer is None:
        return Reply(204, b"")
    return Reply(endpoint.status, answer if isinstance(answer, bytes) else to_json(answer))
