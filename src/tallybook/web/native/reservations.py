"""Reservations over the native API: quantities held before the fact, settled or given back after it."""

from typing import Any

import msgspec

from tallybook.core.demand import NO_ITEMS, read_items
from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.fields import Problems
from tallybook.core.hold import (
    TTL_S_DEFAULT,
    TTL_S_MAX,
    AccountSuspended,
    Decision,
    Hold,
    QuotaExceeded,
    Standing,
    Wanted,
)
from tallybook.core.instant import instant_text
from tallybook.core.key import LIMITS_WRITE, Caller
from tallybook.core.limit import Limit, LimitKind, LimitState
from tallybook.core.number import NANOS, to_text
from tallybook.core.pending import Pending as PendingEvent
from tallybook.flows.admit import Settled
from tallybook.flows.once import KeyInFlight, KeyReused
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Fault, Pending, RawBody
from tallybook.web.errors import EventRefused
from tallybook.web.native.acting import Act, NothingSent, perform, read_json, read_nothing
from tallybook.web.native.checks import ItemSent
from tallybook.web.quota import write_standing

BASE = "/v1/accounts/{account_id}/reservations"


class ReservationSent(msgspec.Struct, frozen=True):
    """What to hold, and for how many seconds if nobody settles it."""

    items: list[ItemSent]
    ttl_s: int = TTL_S_DEFAULT


class CommitSent(msgspec.Struct, frozen=True):
    """What was really used. The event, if given, is what is counted; without one Tallybook writes the plainest."""

    items: list[ItemSent]
    event: dict[str, Any] | None = None


class HeldAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is held of one limit."""

    limit: str
    quantity: str
    dimensions: dict[str, str] | None = None


class ReservationAnswer(msgspec.Struct, frozen=True):
    """A reservation that holds; `items` are all limits that it holds of, and how much."""

    id: str
    items: list[HeldAnswer]
    expires_at: str


class SettledAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One limit of a settled reservation: `held` before, really `quantity`, `overage` what came on top of the hold."""

    limit: str
    held: str
    quantity: str
    overage: str
    used: str
    remaining: str | None
    dimensions: dict[str, str] | None = None


class CommitAnswer(msgspec.Struct, frozen=True):
    """A settled reservation. `overage`: more was used than held; `exceeded`: the limits that are passed now."""

    id: str
    state: str
    items: list[SettledAnswer]
    overage: bool
    exceeded: list[str]
    duplicate: bool


class ReleaseAnswer(msgspec.Struct, frozen=True):
    """A reservation that was given back."""

    id: str
    state: str


def post_reservation(ask: Ask[None, RawBody]) -> Pending:
    """Hold all items, or none."""
    body, problems = read_json(ask.body), Problems()
    problems.only(body, {"items", "ttl_s"}, "", "a reservation")
    items = problems.take(_read_items, body.get("items"), "/items", NO_ITEMS)
    ttl_s = problems.take(_read_ttl, body.get("ttl_s", TTL_S_DEFAULT), "/ttl_s", TTL_S_DEFAULT)
    problems.finish()

    def write(outcome: tuple[Decision, Hold | None]) -> ReservationAnswer:
        decision, hold = outcome
        decision.require(ask.now_us)
        assert hold is not None  # a yes holds
        return ReservationAnswer(
            hold.hold_id, [_write_held(standing) for standing in decision.standings], instant_text(hold.expires_us)
        )

    action = ask.rooms.limits.reserve(ask.account, items, ttl_s, ask.now_us)
    return perform(ask, "reserve", Act(action, write, 201))


def post_commit(ask: Ask[None, RawBody]) -> Pending:
    """Settle with what was really used, and count it."""
    body, problems = read_json(ask.body), Problems()
    problems.only(body, {"items", "event"}, "", "a commit")
    items = problems.take(_read_real, body.get("items"), "/items", NO_ITEMS)
    problems.finish()
    event = _read_event(ask, body["event"]) if body.get("event") is not None else None
    action = ask.rooms.limits.commit(ask.account, ask.path["reservation_id"], items, event, ask.now_us)
    return perform(ask, "commit", Act(action, write_settled))


def post_release(ask: Ask[None, RawBody]) -> Pending:
    """Give the quantities back."""
    read_nothing(ask.body)

    def write(hold: Hold) -> ReleaseAnswer:
        return ReleaseAnswer(hold.hold_id, hold.state.value)

    return perform(ask, "release", Act(ask.rooms.limits.release(ask.account, ask.path["reservation_id"]), write))


def _write_held(standing: Standing) -> HeldAnswer:
    known = write_standing(standing)
    return HeldAnswer(known.limit, known.asked, known.dimensions)


def write_settled(settled: Settled) -> CommitAnswer:
    """Return what became of a reservation as JSON has it."""
    items = []
    for item in settled.items:
        known = write_standing(item.standing)
        items.append(
            SettledAnswer(
                limit=known.limit,
                held=to_text(item.held),
                quantity=to_text(item.real),
                overage=to_text(item.overage),
                used=known.used,
                remaining=known.remaining,
                dimensions=known.dimensions,
            )
        )
    over = any(item.overage for item in settled.items)
    hold = settled.hold
    return CommitAnswer(hold.hold_id, hold.state.value, items, over, settled.passed, settled.duplicate)


# --- reading ------------------------------------------------------------------------------------------------------


def _read_items(value: object, pointer: str) -> tuple[Wanted, ...]:
    return read_items(value, pointer, zero=False)


def _read_real(value: object, pointer: str) -> tuple[Wanted, ...]:
    return read_items(value, pointer, zero=True)


def _read_ttl(value: object, pointer: str) -> int:
    if type(value) is not int or not 1 <= value <= TTL_S_MAX:
        raise FieldInvalid(f"must be a whole number from 1 to {TTL_S_MAX}", pointer=pointer)
    return value


def _read_event(ask: Ask[None, RawBody], body: object) -> PendingEvent:
    """Read the event as ``POST /v1/events`` would, about the reservation's account."""
    caller = Caller(ask.caller.key_id, ask.account.id, ask.caller.scopes)
    prepared = ask.rooms.ingest.prepare([body], caller, lone=True)
    for error in prepared.errors:
        pointer = f"/event{error.pointer}"
        raise EventRefused(error.code, 422, Fault("body", pointer, error.detail, error.code))
    (event,) = prepared.pending
    return event


# --- the table ----------------------------------------------------------------------------------------------------

_FULL = LimitState(Limit("messages", LimitKind.PERIOD, quantity=10_000 * NANOS, meter="messages"), 10_000 * NANOS)
EXAMPLE_REFUSAL = QuotaExceeded(Decision([Standing(_FULL, NANOS, 1_775_001_600_000_000)]), 1_774_994_400_000_000)
EXAMPLE_SUSPENDED = AccountSuspended("the account is suspended: its invoice is unpaid and the days of grace are over")

_ITEM = {"limit": "messages", "quantity": "1"}
_MESSAGE = {"id": "msg-1", "type": "message", "data": {"direction": "outbound"}}
_SETTLED = SettledAnswer("messages", "1", "1", "0", "9999", "1")

ENDPOINTS = (
    Endpoint(
        "POST",
        BASE,
        post_reservation,
        LIMITS_WRITE,
        "Hold a quantity before using it",
        answer=ReservationAnswer,
        body=RawBody,
        body_documented=ReservationSent,
        account=AccountOf.PATH,
        is_quick=True,
        never_waits=True,
        in_lane=True,
        idempotent=True,
        status=201,
        errors=(
            FieldInvalid("must be above 0", pointer="/items/0/quantity"),
            NotFound,
            Conflict,
            KeyReused,
            KeyInFlight,
            EXAMPLE_REFUSAL,
            EXAMPLE_SUSPENDED,
        ),
        description="What is held counts against every limit of its meter until it is committed, released or expires.",
        body_example={"items": [_ITEM], "ttl_s": 60},
        example=ReservationAnswer("rsv_5f0c61", [HeldAnswer("messages", "1")], "2026-03-15T12:01:00Z"),
    ),
    Endpoint(
        "POST",
        f"{BASE}/{{reservation_id}}/commit",
        post_commit,
        LIMITS_WRITE,
        "Settle a reservation",
        answer=CommitAnswer,
        body=RawBody,
        body_documented=CommitSent,
        account=AccountOf.PATH,
        is_quick=True,
        never_waits=True,
        in_lane=True,
        idempotent=True,
        errors=(FieldInvalid("is required", pointer="/event/id"), NotFound, Conflict, KeyReused, KeyInFlight),
        description=(
            "Counts what was really used, in the transaction that gives the hold back: the event if one is given, "
            "read as POST /v1/events would; else the plainest events that make up the quantities. Usage beyond the "
            "hold or the limit is recorded and told, never refused. A reservation that expired may be committed."
        ),
        body_example={"items": [_ITEM], "event": _MESSAGE},
        example=CommitAnswer("rsv_5f0c61", "committed", [_SETTLED], overage=False, exceeded=[], duplicate=False),
    ),
    Endpoint(
        "POST",
        f"{BASE}/{{reservation_id}}/release",
        post_release,
        LIMITS_WRITE,
        "Give a reservation back",
        answer=ReleaseAnswer,
        body=RawBody,
        body_documented=NothingSent,
        account=AccountOf.PATH,
        is_quick=True,
        never_waits=True,
        in_lane=True,
        idempotent=True,
        errors=(NotFound, Conflict, KeyReused, KeyInFlight),
        description="Doing so twice is harmless.",
        example=ReleaseAnswer("rsv_5f0c61", "released"),
    ),
)
