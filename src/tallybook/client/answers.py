"""What the server answers, as values: decisions, settlements, usage, limits; quantities are Decimals, times datetimes.

Fields that a newer server adds are ignored. Not for refusals (see `errors`).
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """What is wrong where: a JSON *pointer* into the body, or the name of a query *parameter*.

    Example:
        >>> from tallybook.client import Fault
        >>> Fault("must be given", pointer="/items/0/limit").pointer
        '/items/0/limit'
    """

    detail: str = ""
    pointer: str | None = None
    parameter: str | None = None


class DecisionItem(msgspec.Struct, frozen=True):
    """One limit as it stands against what was asked of it. *quantity* is the limit, None where there is none.

    Example:
        >>> decision = client.check("messages", 2, account="acme")
        >>> decision.items[0].limit, decision.items[0].mode
        ('messages', 'hard')
    """

    limit: str
    kind: str = ""
    mode: str = ""
    used: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    quantity: Decimal | None = None
    remaining: Decimal | None = None
    frees_at: datetime | None = None
    asked: Decimal = Decimal(0)
    dimensions: Mapping[str, str] = {}


class Decision(msgspec.Struct, frozen=True):
    """May this go on? *violated* names the limits that say no; *items* has every limit that was looked at.

    Attributes:
        reason: Why the account is not served at all (``suspended``), None where limits decided.
        assumed: True where Tallybook could not be reached and *on_unreachable* decided.

    Example:
        >>> decision = client.check("messages", 2, account="acme")
        >>> decision.allowed, decision.violated, decision.assumed
        (True, (), False)
        >>> bool(decision)
        True
    """

    allowed: bool
    items: tuple[DecisionItem, ...] = ()
    violated: tuple[str, ...] = ()
    reason: str | None = None
    assumed: bool = False

    def __bool__(self) -> bool:
        return self.allowed


class SettledItem(msgspec.Struct, frozen=True):
    """One limit of a committed reservation: *overage* is what came on top of what was *held*.

    Example:
        >>> with client.reserve("messages", 1, account="acme") as hold:
        ...     (item,) = hold.commit(3).items
        >>> item.limit, item.held, item.quantity, item.overage
        ('messages', Decimal('1'), Decimal('3'), Decimal('2'))
    """

    limit: str
    held: Decimal
    quantity: Decimal
    overage: Decimal
    used: Decimal
    remaining: Decimal | None = None
    dimensions: Mapping[str, str] = {}


class Settlement(msgspec.Struct, frozen=True):
    """A reservation that was committed.

    Attributes:
        overage: More was used than was held; *items* say how much.
        exceeded: The limits that are passed now.
        duplicate: The event was counted before, and not again.
        assumed: True where Tallybook could not be reached: the event, if there is one, waits in the buffer.

    Example:
        >>> with client.reserve("messages", 1, account="acme") as hold:
        ...     settlement = hold.commit(1, event={"type": "message", "data": {"direction": "inbound"}})
        >>> settlement.assumed
        False
    """

    items: tuple[SettledItem, ...] = ()
    overage: bool = False
    exceeded: tuple[str, ...] = ()
    duplicate: bool = False
    assumed: bool = False


class UsageRow(msgspec.Struct, frozen=True):
    """The value of one half-open window, and of one group where the usage is grouped.

    Example:
        >>> usage = client.usage("acme", "messages", granularity="day")
        >>> row = usage.rows[0]
        >>> row.start < row.end
        True
    """

    start: datetime
    end: datetime
    value: Decimal
    group: Mapping[str, str | None] = {}


class Usage(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """An account's usage of one meter between *start* and *end*.

    Example:
        >>> usage = client.usage("acme", "messages", group_by=["direction"])
        >>> usage.total == sum(row.value for row in usage.rows)
        True
    """

    account: str
    meter: str
    unit: str
    start: datetime
    end: datetime
    granularity: str
    tz: str
    total: Decimal
    rows: tuple[UsageRow, ...]


class Period(msgspec.Struct, frozen=True):
    """The half-open span that usage was counted over.

    Example:
        >>> period = client.limits("acme").limits[0].period
        >>> period is None or period.start < period.end
        True
    """

    start: datetime
    end: datetime


class LimitState(msgspec.Struct, frozen=True):
    """Where an account stands against one limit; *quantity* and *remaining* are None where there is no limit.

    Example:
        >>> by_name = {state.name: state for state in client.limits("acme").limits}
        >>> by_name["messages"].kind
        'period'
    """

    name: str
    kind: str
    mode: str
    used: Decimal
    held: Decimal = Decimal(0)
    quantity: Decimal | None = None
    remaining: Decimal | None = None
    meter: str | None = None
    resource: str | None = None
    filter: Mapping[str, str] = {}
    per: str | None = None
    value: str | None = None
    window: str | None = None
    seconds: int | None = None
    period: Period | None = None


class AccountLimits(msgspec.Struct, frozen=True):
    """An account's plan, and every limit of it.

    Example:
        >>> client.limits("acme").plan
        'agentphone-pro'
    """

    account: str
    plan: str
    plan_version: int
    limits: tuple[LimitState, ...]


class Made(msgspec.Struct, frozen=True):
    """A reservation as the server made it."""

    id: str
    expires_at: datetime


class Granted(msgspec.Struct, frozen=True):
    """A lease as the server granted it."""

    id: str
    token: str
    expires_at: datetime
    deadline: datetime | None = None


class EventFault(msgspec.Struct, frozen=True):
    """Why one event of a batch was not counted."""

    index: int
    outcome: str
    code: str
    id: str | None = None
    pointer: str = ""
    detail: str = ""


class Receipt(msgspec.Struct, frozen=True):
    """What became of a batch of events; *errors* has the first hundred that were not counted."""

    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    errors: tuple[EventFault, ...] = ()

    @property
    def refused(self) -> int:
        """How many were not counted."""
        return self.conflict + self.rejected


class Problem(msgspec.Struct, frozen=True):
    """A refusal as RFC 9457 writes it, with what a refused reservation adds."""

    code: str = ""
    detail: str = ""
    errors: tuple[Fault, ...] = ()
    items: tuple[DecisionItem, ...] = ()
    violated: tuple[str, ...] = ()
    reason: str | None = None


class Rejected(msgspec.Struct, frozen=True):
    """An event that the server will not count; given to *on_rejected*, on the thread that delivers.

    Attributes:
        event: As it was sent, or as its text where it cannot be read.
        outcome: ``rejected``, or ``conflict`` for an id that is recorded with another payload.
        code: The server's, such as ``invalid-field``.

    Example:
        >>> from tallybook.client import Rejected
        >>> Rejected({"id": "e1"}, "rejected", "invalid-field", "/data/direction", "must be given").code
        'invalid-field'
    """

    event: Mapping[str, Any] | str
    outcome: str
    code: str
    pointer: str = ""
    detail: str = ""


class DeliveryStats(msgspec.Struct, frozen=True):
    """Counts since the client was made; *tracked* = *accepted* + *duplicates* + *rejected* + *dropped* + *pending*.

    With a spool, *tracked* begins with what an earlier process left there.

    Example:
        >>> client.flush(timeout_s=5)
        True
        >>> client.stats().pending
        0
    """

    tracked: int
    accepted: int
    duplicates: int
    rejected: int
    dropped: int
    pending: int
    pending_bytes: int
    last_error: str | None
