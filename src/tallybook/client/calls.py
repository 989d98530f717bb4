"""What the client asks of the server, as steps: checks, reservations, leases, usage, limits.

Here it is decided what happens when nobody answers. Not for events, which travel in batches (see `delivery`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, cast
from urllib.parse import quote

from tallybook.client.answers import AccountLimits, Decision, Granted, Made, Settlement, Usage
from tallybook.client.clock import instant_text
from tallybook.client.errors import LimitReached, Refused, RequestInvalid, Unreachable
from tallybook.client.exchange import Policy, Request, Steps, decode, exchange, http_date, patient, post
from tallybook.client.quantity import Quantity, quantity_text

OnUnreachable = Literal["allow", "deny", "raise"]
"""What to do when Tallybook gives no answer: go on (fail open), refuse (fail closed), or raise `Unreachable`."""

Granularity = Literal["minute", "hour", "day", "week", "month", "total"]

_CHOICES = frozenset({"allow", "deny", "raise"})
_NO_DIMENSIONS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Item:
    """A quantity that is asked of one limit; *dimensions* names the value where a limit is counted by one.

    Example:
        >>> from tallybook.client import Item
        >>> decision = client.check([Item("messages", 2)], account="acme")
        >>> decision.allowed
        True
    """

    limit: str
    quantity: Quantity = 1
    dimensions: Mapping[str, str] = field(default_factory=lambda: _NO_DIMENSIONS)


Asked = str | Item | Mapping[str, Quantity] | Sequence[Item]
"""What may be asked of limits: a name, an `Item`, quantities by name, or several items."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A granted lease, and by the clock that waits are measured with: when it was asked for, and its deadline."""

    granted: Granted
    asked_s: float
    deadline_s: float


def read_choice(choice: str) -> OnUnreachable:
    """Return *choice*, checked.

    Raises:
        ValueError: If it is none.
    """
    if choice not in _CHOICES:
        raise ValueError(f"on_unreachable is {choice!r}; choose allow, deny or raise")
    return cast("OnUnreachable", choice)


def written_items(asked: Asked, quantity: Quantity) -> list[dict[str, object]]:
    """Return what is asked as the wire has it; *quantity* goes with a bare name.

    Raises:
        RequestInvalid: If nothing is asked, or a quantity is none.
    """
    items: Iterable[Item]
    if isinstance(asked, str):
        items = [Item(asked, quantity)]
    elif isinstance(asked, Item):
        items = [asked]
    elif isinstance(asked, Mapping):
        items = [Item(limit, wanted) for limit, wanted in asked.items()]
    else:
        items = asked
    written = [_written(item) for item in items]
    if not written:
        raise RequestInvalid("nothing is asked", status=422, code="invalid-field")
    return written


def _written(item: Item) -> dict[str, object]:
    body: dict[str, object] = {"limit": item.limit, "quantity": quantity_text(item.quantity)}
    if item.dimensions:
        body["dimensions"] = dict(item.dimensions)
    return body


# --- limits ----------------------------------------------------------------------------------------------------------


def check(account: str, items: list[dict[str, object]], policy: Policy, choice: OnUnreachable) -> Steps[Decision]:
    """Ask whether all items may go on now."""
    request = post(_path(account, "checks"), {"items": items}, policy)
    try:
        reply = yield from exchange(request, policy)
        return decode(reply, Decision)
    except Unreachable:
        if choice == "raise":
            raise
        return Decision(allowed=choice == "allow", assumed=True)


def reserve(
    account: str,
    items: list[dict[str, object]],
    ttl_s: int,
    policy: Policy,
    *,
    choice: OnUnreachable,
    idempotency_key: str,
) -> Steps[Made | None]:
    """Hold all items, or raise `LimitReached`; None is a reservation that is assumed."""
    body = {"items": items, "ttl_s": ttl_s}
    request = post(_path(account, "reservations"), body, policy, idempotency_key=idempotency_key)
    try:
        reply = yield from exchange(request, policy)
        return decode(reply, Made)
    except Unreachable as error:
        _assume(choice, error)
        return None


def commit(
    account: str,
    hold_id: str,
    body: Mapping[str, object],
    policy: Policy,
    *,
    idempotency_key: str,
) -> Steps[Settlement]:
    """Settle a reservation."""
    path = _path(account, "reservations", hold_id, "commit")
    reply = yield from exchange(post(path, body, policy, idempotency_key=idempotency_key), policy)
    return decode(reply, Settlement)


def release(account: str, hold_id: str, policy: Policy, *, idempotency_key: str) -> Steps[None]:
    """Give a reservation back; one that is gone is given back already."""
    path = _path(account, "reservations", hold_id, "release")
    try:
        yield from exchange(post(path, {}, policy, idempotency_key=idempotency_key), policy)
    except Refused as refusal:
        if refusal.status != 404:
            raise


# --- leases ----------------------------------------------------------------------------------------------------------


def lease(
    account: str,
    body: Mapping[str, object],
    ttl_s: int,
    policy: Policy,
    *,
    choice: OnUnreachable,
    idempotency_key: str,
) -> Steps[Slot | None]:
    """Take a slot, or raise `LimitReached`; None is a lease that is assumed."""
    request = post(_path(account, "leases"), body, policy, idempotency_key=idempotency_key)
    # The slot may have been granted to the first attempt, so its time runs from then.
    asked_s = policy.clock.elapsed_s()
    try:
        reply = yield from exchange(request, policy)
        granted = decode(reply, Granted)
        return Slot(granted, asked_s, asked_s + _left_s(granted, ttl_s, http_date(reply.headers.get("date", ""))))
    except Unreachable as error:
        _assume(choice, error)
        return None


def _left_s(granted: Granted, ttl_s: int, answered_at: datetime | None) -> float:
    """Return how far off the deadline is, by the server's clock alone: ours may be wrong."""
    if granted.deadline is None:
        return math.inf
    if granted.deadline > granted.expires_at:
        return (granted.deadline - granted.expires_at).total_seconds() + ttl_s
    # The deadline comes before the first expiry would have; what is left is told by the answer's own date.
    left_s = float(ttl_s) if answered_at is None else (granted.deadline - answered_at).total_seconds()
    return min(max(0.0, left_s), float(ttl_s))


def heartbeat(account: str, granted: Granted, policy: Policy) -> Steps[None]:
    """Keep a slot, asking once: the keeper decides when to ask again."""
    path = _path(account, "leases", granted.id, "heartbeat")
    once = patient(policy, retries=0)
    yield from exchange(post(path, {"token": granted.token}, once), once)


def end_lease(account: str, granted: Granted, policy: Policy, *, idempotency_key: str) -> Steps[None]:
    """Give a slot back; one that is lost is given back already."""
    path = _path(account, "leases", granted.id, "release")
    request = post(path, {"token": granted.token}, policy, idempotency_key=idempotency_key)
    try:
        yield from exchange(request, policy)
    except Refused as refusal:
        if refusal.status not in {404, 409}:
            raise


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """What usage is asked for; *start* and *end* as dates are midnights in *tz*."""

    start: datetime | date | str | None = None
    end: datetime | date | str | None = None
    granularity: Granularity = "total"
    group_by: Sequence[str] = ()
    filters: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    tz: str = "UTC"

    def query(self, meter: str) -> tuple[tuple[str, str], ...]:
        """Return the query parameters."""
        pairs = [("meter", meter), ("granularity", self.granularity), ("tz", self.tz)]
        pairs += [(name, text) for name, at in (("from", self.start), ("to", self.end)) if (text := _time_text(at))]
        if self.group_by:
            pairs.append(("group_by", ",".join(self.group_by)))
        for dimension, wanted in self.filters.items():
            values = [wanted] if isinstance(wanted, str) else wanted
            pairs += [(f"filter[{dimension}]", value) for value in values]
        return tuple(pairs)


def usage(account: str, meter: str, question: UsageQuestion, policy: Policy) -> Steps[Usage]:
    """Ask for an account's usage of one meter."""
    request = Request("GET", _path(account, "usage"), policy.timeout_s, query=question.query(meter))
    reply = yield from exchange(request, policy)
    return decode(reply, Usage)


def limits(account: str, policy: Policy) -> Steps[AccountLimits]:
    """Ask where an account stands against all its limits."""
    reply = yield from exchange(Request("GET", _path(account, "limits"), policy.timeout_s), policy)
    return decode(reply, AccountLimits)


def _assume(choice: OnUnreachable, error: Unreachable) -> None:
    """Decide in place of the server."""
    if choice == "raise":
        raise error
    if choice == "deny":
        raise LimitReached(Decision(allowed=False, assumed=True)) from None


def _path(account: str, *parts: str) -> str:
    if not account:
        raise RequestInvalid("the account must be named", status=422, code="invalid-field")
    return "/v1/accounts/" + "/".join(quote(part, safe="") for part in (account, *parts))


def _time_text(at: datetime | date | str | None) -> str:
    if at is None or isinstance(at, str):
        return at or ""
    if isinstance(at, datetime):
        if at.tzinfo is None:
            message = f"{at.isoformat()} has no offset; give it one, or a date and tz="
            raise RequestInvalid(message, status=422, code="timestamp-needs-offset")
        return instant_text(at)
    return at.isoformat()
