"""Crossings as they are kept: one row of an account's history each. Not for when there is one (see `alert`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tallybook.core.ids import AccountId


@dataclass(frozen=True, slots=True)
class Crossing:
    """One row of the history, to be written.

    Attributes:
        value: Of the limit's *per* dimension; "" where there is none.
        period_us: When the billing period began, 0 where there is none.
        event: The type of the message.
        body: Its JSON.
        late: Whether the period is closed already: it is listed, and nobody is told.
        passed: Whether a hard limit was passed by usage that happened.
        recheck_us: When to see whether it fell, for what falls by itself.
    """

    alert_id: str
    subject: str
    value: str
    period_us: int
    percent: int
    arm: int
    event: str
    body: bytes
    quantity: int
    late: bool = False
    passed: bool = False
    recheck_us: int | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One entry of the history, as it is read.

    Attributes:
        number: Rises with every alert of the ledger.
        body: The JSON that was told, or would have been.
        ended_us: When it stopped standing: it recovered, or was armed again.
    """

    number: int
    alert_id: str
    subject: str
    value: str
    percent: int
    event: str
    body: bytes
    raised_us: int
    late: bool
    passed: bool
    standing: bool
    ended_us: int | None = None
    acknowledged_us: int | None = None
    acknowledged_by: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts; None for any."""

    standing: bool | None = None
    acknowledged: bool | None = None


class AlertStore(Protocol):
    """Keeps the history, and says what has to be looked at again."""

    def page(self, account_no: int, wanted: AlertFilter, before: int | None, limit: int) -> Sequence[Alert]:
        """Return up to *limit* alerts of an account, the newest first, below the number *before*."""
        ...

    def find(self, account_no: int, alert_id: str) -> Alert | None:
        """Return one alert of an account."""
        ...

    def acknowledge(self, account_no: int, alert_id: str, by: str, note: str | None, now_us: int) -> bool:
        """Note once that somebody has seen it; False if there is no such alert."""
        ...

    def to_recheck(self, now_us: int, limit: int) -> Sequence[tuple[int, AccountId]]:
        """Return accounts whose limits changed, or where something may have fallen by now."""
        ...

    def with_periods(self, after: str, limit: int) -> Sequence[AccountId]:
        """Return accounts that have used something of a limit by period, by id."""
        ...

    def prune(self, now_us: int) -> int:
        """Forget what is too old to be asked for; return how many rows."""
        ...
