"""Billing status: what follows from an invoice that failed, told by time alone.

A failed invoice makes an account past due; it is served for GRACE_US more, and suspended from then on until it pays.
Nothing has to run for that: whoever asks computes it from the instant it failed.
"""

from dataclasses import dataclass
from enum import StrEnum

from tallybook.core.instant import DAY_US
from tallybook.core.plan import BillingStatus

GRACE_DAYS = 7
GRACE_US = GRACE_DAYS * DAY_US  # days: grace is told in hours to whom it concerns, 7 times 24 of them


class Invoice(StrEnum):
    """What became of an account's invoice."""

    PAID = "paid"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Arrears:
    """An invoice that failed at *since_us* and is not paid; *told_us* is when the suspension was told, None before."""

    since_us: int
    grace_ends_us: int
    told_us: int | None = None

    def status(self, now_us: int) -> BillingStatus:
        """Return what the account is."""
        return BillingStatus.SUSPENDED if self.grace_ends_us <= now_us else BillingStatus.PAST_DUE


@dataclass(frozen=True, slots=True)
class Billed:
    """Where an account stands: *grace_ends_us* is None while it pays."""

    status: BillingStatus
    grace_ends_us: int | None = None
