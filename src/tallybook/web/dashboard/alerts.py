"""Billing > Alerts, as Aurion's document has it: thresholds, budgets, channels, and the history with who has seen what.

Forms are read here and in `alert_forms`; what is right and wrong in them the flows know.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from tallybook.core.alert import BUDGET_MARK, FORECAST_PERCENT
from tallybook.core.channel import EMAIL, SLACK, pace_of, write_pace
from tallybook.core.crossing import Alert, AlertFilter
from tallybook.core.delivery import Destination
from tallybook.core.delivery_log import Delivery, LogFilter
from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, Invalid, Unavailable
from tallybook.core.key import BILLING_MANAGE
from tallybook.core.limit import LimitKind
from tallybook.core.rules import BUDGETS_MAX, Budget
from tallybook.core.threshold import THRESHOLDS_MAX, Level, Threshold
from tallybook.flows.channels import DEFAULT_EVENTS
from tallybook.web.dashboard.alert_forms import read_budget_form, read_rules_form
from tallybook.web.dashboard.choices import families, told
from tallybook.web.dashboard.page import Page, Visit, first, redirect
from tallybook.web.endpoint import Reply

LANE_WAIT_S = 30
CHANNELS_SHOWN = 50
HISTORY_SHOWN = 50
NUMBER_MAX = 2**62
BLANK_ROWS = 2
"""Empty rows of the form of thresholds, for more."""
BAR = 1_000
NOTE_CHARS_MAX = 500
KINDS = {EMAIL: "E-mail", SLACK: "Slack or compatible chat"}
DIGESTS = {
    "": "at once",
    "15": "collected for 15 minutes",
    "60": "collected for an hour",
    "daily 08:00": "daily at 08:00",
}
_T = TypeVar("_T")


class AlertsQuery(msgspec.Struct, frozen=True):
    """Which of the history: *show* is ``standing``, ``unseen`` or all; *before* is where an earlier page ended."""

    show: str = ""
    before: Annotated[int, Meta(ge=0, le=NUMBER_MAX)] | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """A budget and how much of it is used; *length* in thousandths."""

    budget: Budget
    spent: int
    percent: int
    length: int
    level: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel, when it speaks, and the last thing that was sent to it."""

    one: Destination
    pace: Mapping[str, object]
    latest: Delivery | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One alert of the history: what it is about, and the figures that were told."""

    alert: Alert
    subject: str
    is_budget: bool
    level: str
    used: str
    quantity: str
    currency: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """A form that could not be done: which one, why, and what was typed where it is worth keeping."""

    form: str
    words: str
    fields: Mapping[str, Sequence[str]]


def get_alerts(visit: Visit) -> Reply:
    """Show the page."""
    return alerts_page(visit)


def alerts_page(visit: Visit, wrong: Wrong | None = None) -> Reply:
    """Show the page, or after a form that could not be done, the page with why."""
    query: AlertsQuery = visit.query or AlertsQuery()
    rooms, account = visit.rooms, visit.account
    own, plan = rooms.alerting.own(account), rooms.accounts.plan_of(account)
    wanted = AlertFilter(True if query.show == "standing" else None, False if query.show == "unseen" else None)
    found = rooms.alerting.page(account, wanted, query.before, HISTORY_SHOWN)
    spent = rooms.costs.spent(account, rooms.accounts.period(account, visit.now_us))
    channels = rooms.channels.page(visit.session.caller, account.id, "", CHANNELS_SHOWN)
    webhooks = rooms.endpoints.page(visit.session.caller, account.id, "", CHANNELS_SHOWN)
    in_force = plan.alerts if own.rules.thresholds is None else own.rules.thresholds
    return visit.html(
        "alerts.html",
        status=422 if wrong else 200,
        rules=own.rules,
        in_force=in_force,
        planned=plan.alerts,
        rows=_rows(in_force),
        levels=tuple(Level),
        limits=_limit_names(visit),
        budgets=[_spent(one, spent) for one in own.budgets],
        budgets_max=BUDGETS_MAX,
        spent=spent,
        currency=plan.currency,
        channels=[_channel(visit, one) for one in channels],
        webhooks=len(webhooks),
        kinds=KINDS,
        digests=DIGESTS,
        families=families(DEFAULT_EVENTS),
        families_of=families,
        entries=[_entry(alert) for alert in found],
        further=found[-1].number if len(found) == HISTORY_SHOWN else None,
        query=query,
        wrong=wrong,
    )


def _limit_names(visit: Visit) -> list[str]:
    limits = visit.rooms.accounts.limits_of(visit.account, visit.now_us)
    return [limit.name for limit in limits if limit.kind is not LimitKind.DURATION]


def _rows(thresholds: Sequence[Threshold]) -> list[Threshold | None]:
    """Return the rows of the form: what counts now, and empty ones for more."""
    return [*thresholds, *[None] * max(0, min(BLANK_ROWS, THRESHOLDS_MAX - len(thresholds)))]


def _spent(budget: Budget, spent: int) -> Spent:
    percent = 100 * spent // budget.amount
    first_percent = min((one.percent for one in budget.thresholds), default=100)
    level = "bad" if percent >= 100 else "warn" if percent >= first_percent else "good"
    return Spent(budget, spent, percent, min(BAR, max(0, BAR * spent // budget.amount)), level)


def _channel(visit: Visit, one: Destination) -> Channel:
    latest, _ = visit.rooms.redeliveries.page(one, LogFilter(), None, 1)
    return Channel(one, write_pace(pace_of(one.options)), latest[0] if latest else None)


def _entry(alert: Alert) -> Entry:
    data = msgspec.json.decode(alert.body)
    is_budget = alert.subject.startswith(BUDGET_MARK)
    return Entry(
        alert,
        alert.subject.removeprefix(BUDGET_MARK),
        is_budget,
        "good" if alert.percent == FORECAST_PERCENT else "bad" if alert.percent >= 100 else "warn",
        str(data.get("spent" if is_budget else "used", "")),
        str(data.get("amount" if is_budget else "quantity", "")),
        str(data.get("currency", "")),
    )


# --- what can be done ------------------------------------------------------------------------------------------------


def address(visit: Visit, place: str = "") -> str:
    """Return the page's address."""
    return f"{visit.here}/billing/alerts{'#' + place if place else ''}"


def attempt(visit: Visit, form: str, act: Callable[[Mapping[str, Sequence[str]]], object]) -> Reply:
    """Do what a form asks for and go back to it, or show what is wrong."""
    fields = visit.form()
    try:
        act(fields)
    except (Invalid, Conflict) as error:
        return alerts_page(visit, Wrong(form, told(error), fields))
    return redirect(address(visit, form))


def in_lane(visit: Visit, action: Callable[[Desk], _T]) -> _T:
    """Run *action* in the account's lane, which looks at everything by it before it answers."""
    try:
        return visit.rooms.ingest.act(visit.account.id, action).result(LANE_WAIT_S)
    except TooSlow:
        raise Unavailable("the ledger takes long; try again in a moment") from None


def post_rules(visit: Visit) -> Reply:
    """Give the account thresholds of its own."""

    def act(fields: Mapping[str, Sequence[str]]) -> None:
        in_lane(visit, visit.rooms.alerting.put_rules(visit.account, read_rules_form(fields)))

    return attempt(visit, "thresholds", act)


def post_plain_rules(visit: Visit) -> Reply:
    """Let the plan's thresholds count again."""
    in_lane(visit, visit.rooms.alerting.drop_rules(visit.account))
    return redirect(address(visit, "thresholds"))


def post_budget(visit: Visit) -> Reply:
    """Make or change a budget."""

    def act(fields: Mapping[str, Sequence[str]]) -> None:
        name, body = read_budget_form(fields)
        in_lane(visit, visit.rooms.alerting.put_budget(visit.account, name, body))

    return attempt(visit, "budgets", act)


def post_drop_budget(visit: Visit) -> Reply:
    """Take a budget away."""
    in_lane(visit, visit.rooms.alerting.drop_budget(visit.account, first(visit.form(), "name")))
    return redirect(address(visit, "budgets"))


def post_acknowledge(visit: Visit) -> Reply:
    """Note that somebody has seen an alert: the key of the session says who."""
    fields = visit.form()
    note = first(fields, "note")[:NOTE_CHARS_MAX] or None
    visit.rooms.alerting.acknowledge(visit.account, first(fields, "alert"), visit.session.key_id, note, visit.now_us)
    return redirect(address(visit, "history"))


AT = "/accounts/{account_id}/billing/alerts"
PAGES = (
    Page("alerts", "GET", AT, get_alerts, BILLING_MANAGE, query=AlertsQuery),
    Page("alerts", "POST", f"{AT}/thresholds", post_rules, BILLING_MANAGE),
    Page("alerts", "POST", f"{AT}/thresholds/plain", post_plain_rules, BILLING_MANAGE),
    Page("alerts", "POST", f"{AT}/budgets", post_budget, BILLING_MANAGE),
    Page("alerts", "POST", f"{AT}/budgets/drop", post_drop_budget, BILLING_MANAGE),
    Page("alerts", "POST", f"{AT}/acknowledge", post_acknowledge, BILLING_MANAGE),
)
