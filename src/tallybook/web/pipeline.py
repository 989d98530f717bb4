"""From a matched endpoint to its answer: key, scope, query, body, account, handler, in that order.

Nothing of a request is looked at before its key is known, and nothing runs before all of it is read. What needs no
store is done on the event loop, small requests that are answered from memory or by a lane among it; the rest is one
piece of work for a crew of threads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from starlette.datastructures import Headers
from starlette.types import Receive

from tallybook.core.errors import Unauthenticated
from tallybook.core.event import decode_json
from tallybook.core.ids import AccountId
from tallybook.core.key import Caller
from tallybook.core.plan import Account
from tallybook.web.auth import ANONYMOUS, account_meant, check_caller, refuse_key_in_query, token_of
from tallybook.web.crew import Crew
from tallybook.web.endpoint import Ask, Endpoint, JsonBody, Later, Pending, RawBody, Reply, Surface, to_json
from tallybook.web.errors import RateLimited
from tallybook.web.protocol import Arrival
from tallybook.web.query import Pairs, read_query, split_query
from tallybook.web.ratelimit import Allowance, RateLimiter
from tallybook.web.rooms import Rooms
from tallybook.web.router import Match
from tallybook.web.wire import decode_body, decode_struct, media_type, receive_body


@dataclass(frozen=True, slots=True)
class Request:
    """What came in, still raw."""

    method: str
    path: str
    query: bytes
    headers: Headers
    receive: Receive
    request_id: str
    arrival: Arrival | None = None


@dataclass(slots=True)
class _Asked:
    """What is known of a request before its body and its account are."""

    caller: Caller
    query: Any
    path: Mapping[str, str]
    now_us: int
    request: Request


@dataclass(slots=True)
class Trace:
    """What became known of a request on its way, for logs and for headers of the answer, also when it is refused."""

    key_id: str | None = None
    route: str = "unknown"
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A request that found its endpoint, before anything of it but its key is looked at."""

    match: Match
    request: Request
    pairs: Pairs
    now_us: int
    trace: Trace


QUICK_AT_ONCE = 32
"""Small requests that one thread takes together: enough to wake the event loop seldom, few enough to wait for."""


class Crews:
    """Who does the work: *quick* what takes well below a millisecond, *common* everything else.

    Small requests would otherwise wait behind large ones; and the fewer threads want the interpreter's lock for them,
    the less of it is spent on passing it around.
    """

    def __init__(self, *, quick_threads: int, common_threads: int) -> None:
        self.quick = Crew(quick_threads, "quick", at_once=QUICK_AT_ONCE)
        self.common = Crew(common_threads, "handler")

    def close(self) -> None:
        """End the threads, after what they are doing."""
        self.quick.close()
        self.common.close()


class Pipeline:
    """Runs the endpoints of one surface."""

    def __init__(self, surface: Surface, rooms: Rooms, crews: Crews, *, body_bytes_max: int) -> None:
        self._surface = surface
        self._rooms = rooms
        self._crews = crews
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
        endpoint, access = match.endpoint, self._rooms.access
        pairs = _pairs(self._surface, request.query)
        arrived = _Arrived(match, request, pairs, self._rooms.clock.now_us(), trace)
        token = None if endpoint.scope is None else _token(request.headers, pairs)
        caller = ANONYMOUS if token is None else access.remembered(token)
        if token is not None and caller is None:
            if endpoint.body is None:  # nothing has to be awaited: one thread does it all
                return await self._replied(
                    endpoint, await self._crew(endpoint).run(lambda: self._whole(arrived, token))
                )
            caller = await self._crews.quick.run(lambda: access.authenticate(token))
        assert caller is not None  # known by now
        asked, account_id = self._admit(arrived, caller)
        return await self._replied(endpoint, await self._answer(endpoint, asked, account_id))

    async def _answer(self, endpoint: Endpoint, asked: "_Asked", account_id: AccountId | None) -> object:
        """Receive the body, if there is one, and have the handler run."""
        raw, request = None, asked.request
        if endpoint.body is not None:
            is_there = request.arrival is not None and request.arrival.is_complete
            raw = await receive_body(request.receive, request.headers, self._body_bytes_max, is_there=is_there)
        crew = self._crew(endpoint)
        known = self._remembered(endpoint, account_id) if _is_small(endpoint, raw, request.headers) else False
        if known is False:
            return await crew.run(lambda: self._call(endpoint, asked, account_id, raw))
        answer = self._handle(endpoint, asked, known, raw)
        if isinstance(answer, Later):
            work = answer.work
            return await crew.run(lambda: _encoded(work()))
        return answer

    async def _replied(self, endpoint: Endpoint, answer: object) -> Reply:
        if isinstance(answer, Pending):
            answer = answer.then(await self._crew(endpoint).outcome(answer.future))
        return _reply(endpoint, answer)

    def _crew(self, endpoint: Endpoint) -> Crew:
        return self._crews.quick if endpoint.is_quick else self._crews.common

    def _whole(self, arrived: _Arrived, token: str) -> object:
        """Look the key up, then do all the rest of a request without a body."""
        asked, account_id = self._admit(arrived, self._rooms.access.authenticate(token))
        return self._call(arrived.match.endpoint, asked, account_id, None)

    def _admit(self, arrived: _Arrived, caller: Caller) -> "tuple[_Asked, AccountId | None]":
        """Let *caller* in if they may, and read what is asked about which account."""
        match, request, trace, now_us = arrived.match, arrived.request, arrived.trace, arrived.now_us
        if match.endpoint.scope is not None:
            check_caller(match.endpoint, caller)
        self._count(caller, now_us, trace)
        trace.key_id = caller.key_id
        account_id = account_meant(match.endpoint, caller, match.path, request.headers)
        query = None if match.endpoint.query is None else read_query(match.endpoint.query, arrived.pairs)
        return _Asked(caller, query, match.path, now_us, request), account_id

    def _remembered(self, endpoint: Endpoint, account_id: AccountId | None) -> Account | Literal[False] | None:
        """Return the account that a request is about, None if it is about none; False if that must be looked up."""
        if account_id is None:
            return None
        accounts = self._rooms.accounts
        return accounts.remembered(account_id) or (endpoint.in_lane and accounts.met(account_id)) or False

    def _count(self, caller: Caller, now_us: int, trace: Trace) -> None:
        if self._limiter is None:
            return
        trace.allowance = self._limiter.take(caller.key_id, now_us)
        if not trace.allowance.allowed:
            wait_s = trace.allowance.retry_after_s
            raise RateLimited(f"too many requests in this minute; try again in {wait_s} s", retry_after_s=wait_s)

    def _call(self, endpoint: Endpoint, asked: "_Asked", account_id: AccountId | None, raw: bytes | None) -> object:
        """Look the account up, then do all that the handler asks for."""
        account = None if account_id is None else self._rooms.accounts.get(account_id)
        answer = self._handle(endpoint, asked, account, raw)
        return _encoded(answer.work()) if isinstance(answer, Later) else answer

    def _handle(self, endpoint: Endpoint, asked: "_Asked", account: Account | None, raw: bytes | None) -> object:
        """Decode the body, run the handler."""
        request = asked.request
        body = None if raw is None else self._body(endpoint, raw, request.headers)
        ask: Ask[Any, Any] = Ask(
            self._rooms, asked.caller, asked.query, body, asked.path, asked.now_us, request.request_id, account
        )
        return _encoded(endpoint.handler(ask))

    def _body(self, endpoint: Endpoint, raw: bytes, headers: Headers) -> object:
        decoded = decode_body(raw, headers, self._body_bytes_max)
        if endpoint.body is RawBody:
            return RawBody(decoded, headers)
        if endpoint.body is JsonBody:
            media_type(headers, endpoint.body_media)
            return JsonBody(decode_json(decoded))
        assert endpoint.body is not None  # or nothing would have been received
        return decode_struct(decoded, headers, endpoint.body)


def _pairs(surface: Surface, query: bytes) -> Pairs:
    pairs = split_query(query)
    if surface.key_in_query_refused:
        refuse_key_in_query(pairs)
    return pairs


def _is_small(endpoint: Endpoint, raw: bytes | None, headers: Headers) -> bool:
    """Whether a request can be answered on the event loop, if nothing has to be looked up for it."""
    is_small = endpoint.never_waits and (raw is None or len(raw) <= endpoint.at_once_bytes_max)
    return is_small and "content-encoding" not in headers


def _token(headers: Headers, pairs: Pairs) -> str:
    """Return the key in *headers*; where there is none, whoever sent one in the query instead is told so."""
    try:
        return token_of(headers)
    except Unauthenticated:
        refuse_key_in_query(pairs)
        raise


def _encoded(answer: object) -> object:
    """Encode a struct where it was made, in the worker thread."""
    return to_json(answer) if isinstance(answer, msgspec.Struct) else answer


def _reply(endpoint: Endpoint, answer: object) -> Reply:
    if isinstance(answer, Reply):
        return answer
    if answer is None:
        return Reply(204, b"")
    return Reply(endpoint.status, answer if isinstance(answer, bytes) else to_json(answer))
