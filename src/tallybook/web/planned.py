"""Which limit of a plan a published API means by one of its fields: the one that counts that thing, whatever its name.

Not for where an account stands against it (see the flow `admit`).
"""

from collections.abc import Mapping
from types import MappingProxyType

from tallybook.core.limit import Limit, LimitKind, limit_for
from tallybook.core.plan import Plan

_ANY: Mapping[str, str] = MappingProxyType({})


def limit_on_meter(plan: Plan, kind: LimitKind, meter: str, dimensions: Mapping[str, str] = _ANY) -> Limit | None:
    """Return the plan's limit of *kind* on *meter* that speaks for usage with *dimensions*, the most specific."""
    return limit_for(plan.limits, kind, meter, dimensions)


def limit_on_things(plan: Plan, kind: LimitKind, resource: str | None = None) -> Limit | None:
    """Return the plan's first limit of *kind* on *resource*; without one, on leases or on the length of one item."""
    return next((limit for limit in plan.limits if (limit.kind, limit.resource) == (kind, resource)), None)


def quantity_of(limit: Limit | None) -> int | None:
    """Return what a limit allows, in nanos; None where there is no limit."""
    return None if limit is None else limit.quantity
