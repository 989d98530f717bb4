"""Leases over the native API: slots of a concurrency limit, kept by heartbeats, proven by a token."""

import msgspec

from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.fields import Problems, read_name
from tallybook.core.ids import check_text
from tallybook.core.instant import instant_text
from tallybook.core.key import LIMITS_WRITE
from tallybook.core.lease import TTL_S_DEFAULT, TTL_S_MAX, Lease
from tallybook.flows.lease import Granted, LeaseLost
from tallybook.flows.once import KeyInFlight, KeyReused
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Pending, RawBody
from tallybook.web.native.acting import Act, perform, read_json
from tallybook.web.native.reservations import EXAMPLE_REFUSAL, EXAMPLE_SUSPENDED

BASE = "/v1/accounts/{account_id}/leases"
TOKEN_BYTES_MAX = 128


class LeaseSent(msgspec.Struct, frozen=True):
    """Which slot, for how long without a heartbeat, and for which call: its `call` event ends the lease too."""

    limit: str
    ttl_s: int = TTL_S_DEFAULT
    call_id: str | None = None


class TokenSent(msgspec.Struct, frozen=True):
    """The token that the lease was granted with."""

    token: str


class LeaseAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A slot. `token` begins with a number that only rises, so that a late holder can be told from the present one.

    `deadline` is there where a duration limit ends the lease whatever the heartbeats.
    """

    id: str
    token: str
    expires_at: str
    deadline: str | None = None


class BeatAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A lease that was kept alive."""

    id: str
    expires_at: str
    deadline: str | None = None


class EndAnswer(msgspec.Struct, frozen=True):
    """A lease that ended: released, expired or terminated, and when."""

    id: str
    state: str
    ended_at: str


def post_lease(ask: Ask[None, RawBody]) -> Pending:
    """Take a slot, if one is free."""
    body, problems = read_json(ask.body), Problems()
    problems.only(body, {"limit", "ttl_s", "call_id"}, "", "a lease")
    limit = problems.take(read_name, body.get("limit"), "/limit", "")
    ttl_s = problems.take(_read_ttl, body.get("ttl_s", TTL_S_DEFAULT), "/ttl_s", TTL_S_DEFAULT)
    call_id = body.get("call_id")
    call = None if call_id is None else problems.take(check_text, call_id, "/call_id", "")
    problems.finish()

    def write(granted: Granted) -> LeaseAnswer:
        granted.decision.require(ask.now_us)
        lease = granted.lease
        assert lease is not None  # a yes grants
        return LeaseAnswer(lease.lease_id, lease.token, instant_text(lease.runs_out_us), _deadline(lease))

    action = ask.rooms.leases.grant(ask.account, limit, ttl_s, call, ask.now_us)
    return perform(ask, "lease", Act(action, write, 201))


def post_heartbeat(ask: Ask[None, RawBody]) -> Pending:
    """Keep a slot for its TTL from now."""
    token = _read_token(ask.body)

    def write(lease: Lease) -> BeatAnswer:
        return BeatAnswer(lease.lease_id, instant_text(lease.runs_out_us), _deadline(lease))

    action = ask.rooms.leases.heartbeat(ask.account, ask.path["lease_id"], token, ask.now_us)
    return perform(ask, "heartbeat", Act(action, write))


def post_release(ask: Ask[None, RawBody]) -> Pending:
    """Free a slot."""
    token = _read_token(ask.body)

    def write(lease: Lease) -> EndAnswer:
        assert lease.ending is not None  # it was ended, now or before
        return EndAnswer(lease.lease_id, lease.ending.value, instant_text(lease.span.end_us))

    action = ask.rooms.leases.release(ask.account, ask.path["lease_id"], token, ask.now_us)
    return perform(ask, "release-lease", Act(action, write))


def _deadline(lease: Lease) -> str | None:
    return None if lease.deadline_us is None else instant_text(lease.deadline_us)


def _read_token(raw: RawBody) -> str:
    body, problems = read_json(raw), Problems()
    problems.only(body, {"token"}, "", "this request")
    token = problems.take(_check_token, body.get("token"), "/token", "")
    problems.finish()
    return token


def _check_token(value: object, pointer: str) -> str:
    if value is None:
        raise FieldInvalid("is required", pointer=pointer)
    return check_text(value, pointer, bytes_max=TOKEN_BYTES_MAX)


def _read_ttl(value: object, pointer: str) -> int:
    if type(value) is not int or not 1 <= value <= TTL_S_MAX:
        raise FieldInvalid(f"must be a whole number from 1 to {TTL_S_MAX}", pointer=pointer)
    return value


_TOKEN = "1773576000000000.9f1c2b3a4d5e6f708192a3b4"  # noqa: S105 - an example, of no lease
_EXPIRES = "2026-03-15T12:00:30Z"
_DEADLINE = "2026-03-15T12:30:00Z"

ENDPOINTS = (
    Endpoint(
        "POST",
        BASE,
        post_lease,
        LIMITS_WRITE,
        "Take a slot",
        answer=LeaseAnswer,
        body=RawBody,
        body_documented=LeaseSent,
        account=AccountOf.PATH,
        is_quick=True,
        never_waits=True,
        in_lane=True,
        idempotent=True,
        status=201,
        errors=(
            FieldInvalid("is a period limit, of which no lease can be had", pointer="/limit"),
            NotFound,
            Conflict,
            KeyReused,
            KeyInFlight,
            EXAMPLE_REFUSAL,
            EXAMPLE_SUSPENDED,
        ),
        description=(
            "The slot is free again when the lease is released, runs out without a heartbeat, when its call is "
            "reported, or at the deadline of a duration limit: the call is then billed at that length until its "
            "`call` event comes."
        ),
        body_example={"limit": "concurrent_calls", "ttl_s": 30, "call_id": "call-1"},
        example=LeaseAnswer("lse_5f0c61", _TOKEN, _EXPIRES, _DEADLINE),
    ),
    Endpoint(
        "POST",
        f"{BASE}/{{lease_id}}/heartbeat",
        post_heartbeat,
        LIMITS_WRITE,
        "Keep a slot",
        answer=BeatAnswer,
        body=RawBody,
        body_documented=TokenSent,
        account=AccountOf.PATH,
        is_quick=True,
        never_waits=True,
        in_lane=True,
        idempotent=True,
        errors=(FieldInvalid("is required", pointer="/token"), NotFound, LeaseLost, KeyReused, KeyInFlight),
        body_example={"token": _TOKEN},
        example=BeatAnswer("lse_5f0c61", _EXPIRES, _DEADLINE),
    ),
    Endpoint(
        "POST",
        f"{BASE}/{{lease_id}}/release",
        post_release,
        LIMITS_WRITE,
        "Free a slot",
        answer=EndAnswer,
        body=RawBody,
        body_documented=TokenSent,
        account=AccountOf.PATH,
        is_quick=True,
        never_waits=True,
        in_lane=True,
        idempotent=True,
        errors=(FieldInvalid("is required", pointer="/token"), NotFound, LeaseLost, KeyReused, KeyInFlight),
        description="Releasing what has ended is harmless; another token than the lease's frees nothing.",
        body_example={"token": _TOKEN},
        example=EndAnswer("lse_5f0c61", "released", "2026-03-15T12:00:10Z"),
    ),
)
