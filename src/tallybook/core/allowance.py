"""What one account is allowed: the limits of its plan, those it has for itself instead, and what it bought on top.

Not for what a limit is (see `limit`), nor for keeping exceptions (see `flows.exceptions`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tallybook.core.errors import FieldInvalid, QuantityInvalid
from tallybook.core.fields import Problems, read_name, read_object
from tallybook.core.instant import parse_event_time
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.number import parse_nanos

OVERRIDES_MAX = 50
"""Most limits that one account has for itself."""
ADD_ONS_MAX = 100
"""Most add-ons of one account that have not ended."""


@dataclass(frozen=True, slots=True)
class AddOn:
    """A quantity, in nanos, that is added to a limit of one account from *starts_us* on, until *ends_us* if given."""

    add_on_id: str
    limit: str
    quantity: int
    starts_us: int
    ends_us: int | None = None

    def is_in_force(self, now_us: int) -> bool:
        """Whether it counts."""
        return self.starts_us <= now_us and (self.ends_us is None or now_us < self.ends_us)


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """The exceptions of one account: *overrides* replace or join the limits of its plan, *add_ons* are added then."""

    overrides: Sequence[Limit] = ()
    add_ons: Sequence[AddOn] = ()


NO_OWN_LIMITS = OwnLimits()


class OwnLimitSource(Protocol):
    """Reads the exceptions of an account: the ledger, from outside a lane or from inside one."""

    def own_limits(self, account_no: int) -> OwnLimits:
        """Return them all, also those that are not in force."""
        ...


def limits_in_force(planned: Sequence[Limit], own: OwnLimits, now_us: int) -> tuple[Limit, ...]:
    """Return the limits of the plan with the account's own in their place or behind them, add-ons added."""
    overrides = {limit.name: limit for limit in own.overrides}
    names = {limit.name for limit in planned}
    limits = [overrides.get(limit.name, limit) for limit in planned]
    limits += [limit for limit in own.overrides if limit.name not in names]
    added: dict[str, int] = {}
    for add_on in own.add_ons:
        if add_on.is_in_force(now_us):
            added[add_on.limit] = added.get(add_on.limit, 0) + add_on.quantity
    return tuple(_with_added(limit, added) for limit in limits)


def _with_added(limit: Limit, added: Mapping[str, int]) -> Limit:
    more = added.get(limit.name)
    if more is None or limit.quantity is None or limit.kind is LimitKind.DURATION:
        return limit
    return replace(limit, quantity=limit.quantity + more)


_FIELDS = {"limit", "quantity", "starts_at", "ends_at"}


def read_add_on(value: object, add_on_id: str, now_us: int) -> AddOn:
    """Read the body of an add-on; it starts now unless it says when.

    Raises:
        FieldInvalid: Telling all that is wrong.
    """
    body, problems = read_object(value, ""), Problems()
    problems.only(body, _FIELDS, "", "an add-on")
    limit = problems.take(read_name, body.get("limit"), "/limit", "")
    quantity = problems.take(_read_quantity, body.get("quantity"), "/quantity", 0)
    starts_us = now_us
    if body.get("starts_at") is not None:
        starts_us = problems.take(parse_event_time, body["starts_at"], "/starts_at", now_us)
    ends_us = None
    if body.get("ends_at") is not None:
        ends_us = problems.take(parse_event_time, body["ends_at"], "/ends_at", starts_us + 1)
        if ends_us <= starts_us:
            problems.add("/ends_at", "must be later than the start")
    problems.finish()
    return AddOn(add_on_id, limit, quantity, starts_us, ends_us)


def _read_quantity(value: object, pointer: str) -> int:
    if value is None:
        raise FieldInvalid("is required", pointer=pointer)
    nanos = parse_nanos(value, pointer)
    if nanos <= 0:
        raise QuantityInvalid("must be above 0", pointer=pointer)
    return nanos
