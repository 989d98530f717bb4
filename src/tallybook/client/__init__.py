"""The Python client of Tallybook: usage events that are never lost or counted twice, limits before spending.

It needs httpx and msgspec and nothing else of Tallybook. See docs/client.md.
"""

from tallybook.client.answers import (
    AccountLimits,
    Decision,
    DecisionItem,
    DeliveryStats,
    Fault,
    LimitState,
    Period,
    Rejected,
    SettledItem,
    Settlement,
    Usage,
    UsageRow,
)
from tallybook.client.async_client import AsyncClient
from tallybook.client.calls import Item
from tallybook.client.client import Client
from tallybook.client.clock import Clock, Random, SystemClock
from tallybook.client.errors import (
    AccountSuspended,
    BufferFull,
    ClientClosed,
    Conflict,
    EventIdReused,
    EventInvalid,
    Forbidden,
    LeaseLost,
    LimitReached,
    NotFound,
    QuantityInvalid,
    RateLimited,
    Refused,
    RequestInvalid,
    SpoolLocked,
    SpoolUnusable,
    TallybookError,
    Unauthenticated,
    Unreachable,
)
from tallybook.client.hold import AsyncHold, Hold, HoldState
from tallybook.client.lease import AsyncLease, Lease
from tallybook.client.opening import Opening
from tallybook.client.quantity import quantity_text
from tallybook.client.tuning import Tuning

__all__ = [
    "AccountLimits",
    "AccountSuspended",
    "AsyncClient",
    "AsyncHold",
    "AsyncLease",
    "BufferFull",
    "Client",
    "ClientClosed",
    "Clock",
    "Conflict",
    "Decision",
    "DecisionItem",
    "DeliveryStats",
    "EventIdReused",
    "EventInvalid",
    "Fault",
    "Forbidden",
    "Hold",
    "HoldState",
    "Item",
    "Lease",
    "LeaseLost",
    "LimitReached",
    "LimitState",
    "NotFound",
    "Opening",
    "Period",
    "QuantityInvalid",
    "Random",
    "RateLimited",
    "Refused",
    "Rejected",
    "RequestInvalid",
    "SettledItem",
    "Settlement",
    "SpoolLocked",
    "SpoolUnusable",
    "SystemClock",
    "TallybookError",
    "Tuning",
    "Unauthenticated",
    "Unreachable",
    "Usage",
    "UsageRow",
    "quantity_text",
]
