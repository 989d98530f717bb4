"""One request and its retries, without doing any I/O: steps that say what to send and how long to wait.

A step is yielded to a runner, which does it in a thread or in a task (see `runner`), so both clients share every
decision that is taken here. Not for what requests mean: that is `calls`.
"""

import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec

from tallybook.client.answers import Decision, Problem
from tallybook.client.clock import Clock, Random, instant_of
from tallybook.client.errors import BY_CODE, BY_STATUS, LimitReached, RateLimited, Refused, TallybookError, Unreachable

JSON, NDJSON = "application/json", "application/x-ndjson"
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.25, 30.0
RETRY_AFTER_MAX_S = 300.0
"""A server, or a proxy before it, may ask for this much patience and no more."""

_FAILING = frozenset({500, 502, 503, 504})
_NO_HEADERS: Mapping[str, str] = {}

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; *timeout_s* bounds each attempt."""

    method: str
    path: str
    timeout_s: float
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came back; *reason* says how it failed."""

    reason: str


Step = Request | Pause
Steps = Generator[Step, Reply | Silence | None, T]
"""Yields what to do, is sent what came of it (None after a pause), returns its result."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How often to ask, and how long to wait between."""

    clock: Clock
    random: Random
    timeout_s: float
    retries: int

    def backoff_s(self, attempt: int) -> float:
        """Return how long to wait after the failed *attempt* (0 is the first): exponential, with full jitter."""
        return self.random.uniform(0.0, min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(attempt, 20)))


def new_key() -> str:
    """Return an Idempotency-Key: one for a request and all its retries."""
    return uuid.uuid4().hex


def post(path: str, body: object, policy: Policy, *, idempotency_key: str | None = None) -> Request:
    """Return a POST of *body* as JSON."""
    headers = {"Content-Type": JSON}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    return Request("POST", path, policy.timeout_s, msgspec.json.encode(body), headers)


def exchange(request: Request, policy: Policy) -> Steps[Reply]:
    """Send *request* until there is a usable answer, at most ``1 + retries`` times.

    Raises:
        Refused, LimitReached: If the answer is a refusal.
        Unreachable: If there is no usable answer after all retries.
    """
    for attempt in range(policy.retries + 1):
        came = yield request
        assert came is not None  # a request is answered by a reply or by silence
        error = read_error(came, policy.clock)
        if error is None:
            assert isinstance(came, Reply)
            return came
        if attempt == policy.retries or not _worth_retrying(error):
            raise error
        yield Pause(pause_s(attempt, retry_after_s(came, policy.clock), policy))
    raise AssertionError("the last attempt returns or raises")


def decode(reply: Reply, into: type[S]) -> S:
    """Read the body of a good answer.

    Raises:
        Unreachable: If it is not what a Tallybook answers: something else answers in its place.
    """
    try:
        return msgspec.json.decode(reply.body, type=into)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"the answer is not Tallybook's: {error}; is the base URL right?"
        raise Unreachable(message, status=reply.status) from None


def read_error(came: Reply | Silence, clock: Clock) -> TallybookError | None:
    """Return what is wrong with an answer, None where nothing is."""
    if isinstance(came, Silence):
        return Unreachable(came.reason)
    if 200 <= came.status < 300:
        return None
    if came.status in _FAILING:
        return Unreachable(f"Tallybook answered {came.status}", status=came.status)
    problem = _problem(came)
    if problem is None:
        if came.status == 429:
            problem = Problem("rate-limited", "too many requests")
        else:
            return Unreachable(f"something that is no Tallybook answered {came.status}", status=came.status)
    wait_s = retry_after_s(came, clock)
    if came.status == 429 and problem.code != "rate-limited":
        decision = Decision(allowed=False, items=problem.items, violated=problem.violated, reason=problem.reason)
        return LimitReached(decision, retry_after_s=wait_s)
    kind = BY_CODE.get(problem.code) or BY_STATUS.get(came.status, Refused)
    return kind(
        problem.detail,
        status=came.status,
        code=problem.code,
        faults=problem.errors,
        request_id=came.headers.get("x-request-id"),
        retry_after_s=wait_s,
    )


def retry_after_s(came: Reply | Silence, clock: Clock) -> float | None:
    """Return the seconds that Retry-After says, or that lie before its date; None where it says neither."""
    text = "" if isinstance(came, Silence) else came.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    until = http_date(text)
    return None if until is None else max(0.0, (until - instant_of(clock.now_us())).total_seconds())


def pause_s(attempt: int, asked_s: float | None, policy: Policy) -> float:
    """Return how long to wait after the failed *attempt*: the backoff, or what the server asked for if that is more."""
    return max(policy.backoff_s(attempt), min(asked_s or 0.0, RETRY_AFTER_MAX_S))


def http_date(text: str) -> datetime | None:
    """Return the instant of a header such as ``Sun, 15 Mar 2026 12:00:00 GMT``, None where it is none."""
    try:
        instant = parsedate_to_datetime(text)
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def patient(policy: Policy, *, retries: int | None = None, timeout_s: float | None = None) -> Policy:
    """Return *policy* with another patience."""
    return replace(
        policy,
        retries=policy.retries if retries is None else retries,
        timeout_s=policy.timeout_s if timeout_s is None else timeout_s,
    )


def _problem(reply: Reply) -> Problem | None:
    try:
        problem = msgspec.json.decode(reply.body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return problem if problem.code else None


IN_FLIGHT = "idempotency-key-in-flight"
"""What the server says while the first attempt, whose answer was lost, is still being decided."""


def _worth_retrying(error: TallybookError) -> bool:
    return isinstance(error, Unreachable | RateLimited) or getattr(error, "code", "") == IN_FLIGHT
