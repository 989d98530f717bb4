"""The operator's overview: how fast events come in, what became of them, which were refused, and how the system is.

Rates are of the server that answers, since it started; what was counted is in the ledger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tallybook.core.event import Outcome
from tallybook.core.instant import MINUTE_US, instant_text
from tallybook.core.key import ADMIN, USAGE_READ
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.meter import Meter
from tallybook.core.number import ratio
from tallybook.core.price import Price
from tallybook.core.vitals import Minute, Vitals
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.dashboard.words import SECONDS, Unit, unit_of
from tallybook.web.endpoint import Reply

SECONDS_A_MINUTE = 60
BYTES_A_MB = 1_000_000
OUTBOX_LATE_US = MINUTE_US
"""From here on the outbox is late: messages are handed over within a second as a rule."""
DELIVERY_LATE_US = MINUTE_US
SWEEP_LATE_US = 5 * MINUTE_US
QUEUE_LONG = 50_000
REFUSED = (Outcome.CONFLICT, Outcome.REJECTED)
_CHOICES: Mapping[str, Sequence[Outcome]] = {
    "": REFUSED,
    "rejected": (Outcome.REJECTED,),
    "conflict": (Outcome.CONFLICT,),
    "duplicate": (Outcome.DUPLICATE,),
}
_NAMES = {"": "Rejected and conflicting", "rejected": "Rejected", "conflict": "Conflicting", "duplicate": "Duplicates"}


class OverviewQuery(msgspec.Struct, frozen=True):
    """Which events that did not count are listed."""

    show: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the system's health."""

    title: str
    about: str
    level: str


def get_overview(visit: Visit) -> Reply:
    """Show the overview."""
    show = visit.query.show if visit.query.show in _CHOICES else ""
    vitals = visit.rooms.vitals()
    minutes = vitals.minutes
    last = minutes[-2] if len(minutes) > 1 else Minute(0)
    return visit.html(
        "operator.html",
        vitals=vitals,
        last=last,
        rate=f"{ratio(last.events, SECONDS_A_MINUTE, 1):f}",
        spec=_spec(minutes),
        ledger_mb=f"{ratio(vitals.ledger_bytes, BYTES_A_MB, 1):f}",
        is_quiet=not any(minute.events for minute in minutes),
        checks=_checks(vitals),
        late_us=visit.now_us - SWEEP_LATE_US,
        notes=visit.rooms.stories.latest(_CHOICES[show]),
        show=show,
        choices=_NAMES,
    )


def _spec(minutes: Sequence[Minute]) -> dict[str, object]:
    series = (("Accepted", "accepted", 0), ("Duplicate", "duplicate", 2), ("Conflicting", "conflict", 4))
    columns = [(*one, [getattr(minute, one[1]) for minute in minutes]) for one in series]
    columns.append(("Rejected", "rejected", 1, [minute.rejected for minute in minutes]))
    return {
        "kind": "bar",
        "stacked": True,
        "whole": True,
        "unit": "events",
        "times": "wall",
        "labels": [instant_text(minute.start_us)[:16] for minute in minutes],
        "series": [
            {"name": name, "values": [str(value) for value in values], "color": color}
            for name, _, color, values in columns
        ],
    }


def _checks(vitals: Vitals) -> list[Check]:
    backlog = vitals.backlog
    return [
        Check("Ready", "; ".join(vitals.trouble) or "takes traffic", "bad" if vitals.trouble else "good"),
        Check(
            "Ingest queue",
            f"{vitals.queued_events:,} events wait for their commit",
            "warn" if vitals.queued_events > QUEUE_LONG else "good",
        ),
        Check(
            "Outbox",
            f"the oldest message waits for {_seconds(backlog.outbox_age_us)}" if backlog.outbox_age_us else "empty",
            "warn" if backlog.outbox_age_us > OUTBOX_LATE_US else "good",
        ),
        Check(
            "Deliveries",
            f"{backlog.waiting:,} wait"
            + (f", the first is {_seconds(backlog.lag_us)} late" if backlog.lag_us else ", none is late"),
            "warn" if backlog.lag_us > DELIVERY_LATE_US else "good",
        ),
        Check(
            "Destinations",
            f"{backlog.disabled:,} disabled" if backlog.disabled else "none is disabled",
            "warn" if backlog.disabled else "good",
        ),
    ]


def _seconds(us: int) -> str:
    seconds = us // 1_000_000
    return f"{seconds:,} s" if seconds < 120 else f"{seconds // 60:,} min"


# --- plans -----------------------------------------------------------------------------------------------------------


def get_plans(visit: Visit) -> Reply:
    """Show every plan with its limits and prices."""
    meters = visit.rooms.measure.scheme.catalogue.meters
    plans = visit.rooms.accounts.plans()
    return visit.html(
        "operator_plans.html",
        plans=plans,
        unit_of=lambda limit: _unit(limit, meters),
        price_words=_price_words,
    )


def _unit(limit: Limit, meters: Mapping[str, Meter]) -> Unit:
    """Return the unit that a limit's quantity is shown in."""
    if limit.kind is LimitKind.DURATION:
        return unit_of(SECONDS)
    meter = meters.get(limit.meter or "")
    return Unit("") if meter is None else unit_of(meter.unit)


def _price_words(price: Price) -> str:
    """Return in a word how a price is made, where it is more than so much a unit."""
    if price.fee is not None:
        return "a period"
    if price.price_list is not None:
        return f"by the list {price.price_list}"
    if price.rate is not None:
        return str(price.rate.model)
    return "a period each" if price.resource is not None else "minimum" if price.meter is None else "a unit"


PAGES = (
    Page("overview", "GET", "/overview", get_overview, ADMIN, query=OverviewQuery, operator_only=True),
    Page("plans", "GET", "/plans", get_plans, USAGE_READ, operator_only=True),
)
