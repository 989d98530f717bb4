"""Alerts over the native API: an account's rules and budgets, the history of its alerts, and acknowledging them."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tallybook.core.alert import BUDGET_MARK
from tallybook.core.crossing import Alert, AlertFilter
from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.ids import NAME_BYTES_MAX, check_text
from tallybook.core.instant import instant_text
from tallybook.core.key import BILLING_MANAGE
from tallybook.core.number import to_text
from tallybook.core.rules import Budget, Rules, write_budget, write_rules
from tallybook.core.threshold import write_thresholds
from tallybook.flows.once import KeyReused
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Pending, RawBody
from tallybook.web.errors import CursorInvalid
from tallybook.web.native.acting import Act, perform, perform_plainly, read_json
from tallybook.web.native.lists import PAGE_DEFAULT, Cursor, Limit, read_cursor, write_cursor

RULES = "/v1/accounts/{account_id}/alert-rules"
BUDGETS = "/v1/accounts/{account_id}/budgets"
ALERTS = "/v1/accounts/{account_id}/alerts"

Thresholds = list[int | dict[str, Any]]


class RulesSent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rules in place of the plan's.

    A threshold is a percent, or an object: `{"percent": 80, "event": "usage.limit_reached", "limit": "requests"}`.
    """

    thresholds: Thresholds | None = None
    hysteresis: Annotated[int, Meta(ge=0, le=50, description="Percent below a threshold where it recovers.")] = 5
    forecast: bool = True


class RulesAnswer(msgspec.Struct, frozen=True):
    """The rules of an account; `thresholds` is null where those of its plan count, which are `plan_thresholds`."""

    account: str
    thresholds: Thresholds | None
    plan_thresholds: Thresholds
    hysteresis: int
    forecast: bool


class BudgetSent(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the usage of a billing period may cost before somebody is told."""

    amount: str
    currency: str | None = None
    period: str = "P1M"
    thresholds: Thresholds | None = None


class BudgetAnswer(msgspec.Struct, frozen=True):
    """A budget."""

    name: str
    amount: str
    currency: str
    period: str
    thresholds: Thresholds


class BudgetsAnswer(msgspec.Struct, frozen=True):
    """The budgets of an account, and what the running billing period came to so far."""

    account: str
    spent: str
    budgets: list[BudgetAnswer]


class AlertAnswer(msgspec.Struct, frozen=True):
    """One entry of the history.

    `late`: it came of usage that was reported after its period had closed, and nobody was told. `passed_hard_limit`: by
    usage that happened without being asked for. `threshold` is in percent, 0 for a forecast. `data` is what was told.
    """

    id: str
    event: str
    limit: str | None
    budget: str | None
    value: str | None
    threshold: int
    raised_at: str
    late: bool
    passed_hard_limit: bool
    standing: bool
    ended_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    note: str | None
    data: dict[str, Any]


class AlertsAnswer(msgspec.Struct, frozen=True):
    """One page of alerts, the newest first."""

    account: str
    alerts: list[AlertAnswer]
    next_cursor: str | None


class AlertsQuery(msgspec.Struct, frozen=True):
    """Which alerts, which page."""

    standing: Annotated[bool | None, Meta(description="Only those that stand, or that ended.")] = None
    acknowledged: Annotated[bool | None, Meta(description="Only those that were acknowledged, or were not.")] = None
    cursor: Cursor = None
    limit: Limit = PAGE_DEFAULT


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has seen it, and what they say; both may be left out."""

    by: str = ""
    note: str | None = None


# --- rules and budgets -----------------------------------------------------------------------------------------------


def get_rules(ask: Ask[None, None]) -> RulesAnswer:
    """Return the rules of an account."""
    return _rules(ask, ask.rooms.alerting.own(ask.account).rules)


def put_rules(ask: Ask[None, RawBody]) -> Pending:
    """Give an account rules of its own."""
    action = ask.rooms.alerting.put_rules(ask.account, read_json(ask.body))
    return perform(ask, "alert-rules", Act(action, lambda rules: _rules(ask, rules)))


def delete_rules(ask: Ask[None, None]) -> Pending:
    """Let the plan's thresholds count again."""
    return perform_plainly(ask, ask.rooms.alerting.drop_rules(ask.account))


def _rules(ask: Ask[Any, Any], rules: Rules) -> RulesAnswer:
    body: dict[str, Any] = write_rules(rules)
    plan: Any = write_thresholds(ask.rooms.accounts.plan_of(ask.account).alerts)
    return RulesAnswer(ask.account.id, body["thresholds"], plan, rules.hysteresis, rules.forecast)


def list_budgets(ask: Ask[None, None]) -> BudgetsAnswer:
    """Return the budgets of an account."""
    rooms, account = ask.rooms, ask.account
    spent = rooms.costs.spent(account, rooms.accounts.period(account, ask.now_us))
    budgets = rooms.alerting.own(account).budgets
    return BudgetsAnswer(account.id, to_text(spent), [_budget(one) for one in budgets])


def put_budget(ask: Ask[None, RawBody]) -> Pending:
    """Give an account a budget."""
    action = ask.rooms.alerting.put_budget(ask.account, ask.path["name"], read_json(ask.body))
    return perform(ask, "budget", Act(action, _budget))


def delete_budget(ask: Ask[None, None]) -> Pending:
    """Take a budget away."""
    return perform_plainly(ask, ask.rooms.alerting.drop_budget(ask.account, ask.path["name"]))


def _budget(budget: Budget) -> BudgetAnswer:
    return msgspec.convert({"name": budget.name, **write_budget(budget)}, BudgetAnswer)


# --- history ---------------------------------------------------------------------------------------------------------


def list_alerts(ask: Ask[AlertsQuery, None]) -> AlertsAnswer:
    """Return one page of alerts."""
    query = ask.query
    words = ("alerts", ask.account.id, str(query.standing), str(query.acknowledged))
    place = read_cursor(ask, *words)
    wanted = AlertFilter(query.standing, query.acknowledged)
    before = None if place is None else int(place[0])
    found = ask.rooms.alerting.page(ask.account, wanted, before, query.limit)
    last = (str(found[-1].number),) if found else ("",)
    return AlertsAnswer(ask.account.id, [write_alert(one) for one in found], write_cursor(ask, found, last, *words))


def acknowledge(ask: Ask[None, Acknowledgement]) -> AlertAnswer:
    """Note that somebody has seen an alert."""
    by = check_text(ask.body.by, "/by", bytes_max=NAME_BYTES_MAX) if ask.body.by else ask.caller.key_id
    note = None if not ask.body.note else check_text(ask.body.note, "/note", bytes_max=4 * NAME_BYTES_MAX)
    found = ask.rooms.alerting.acknowledge(ask.account, ask.path["alert_id"], by, note, ask.now_us)
    return write_alert(found)


def write_alert(alert: Alert) -> AlertAnswer:
    """Return an alert as JSON has it."""
    is_budget = alert.subject.startswith(BUDGET_MARK)
    return AlertAnswer(
        id=alert.alert_id,
        event=alert.event,
        limit=None if is_budget else alert.subject,
        budget=alert.subject.removeprefix(BUDGET_MARK) if is_budget else None,
        value=alert.value or None,
        threshold=alert.percent,
        raised_at=instant_text(alert.raised_us),
        late=alert.late,
        passed_hard_limit=alert.passed,
        standing=alert.standing,
        ended_at=_instant(alert.ended_us),
        acknowledged_at=_instant(alert.acknowledged_us),
        acknowledged_by=alert.acknowledged_by,
        note=alert.note,
        data=msgspec.json.decode(alert.body),
    )


def _instant(at_us: int | None) -> str | None:
    return None if at_us is None else instant_text(at_us)


_RULES: dict[str, Any] = {"thresholds": [50, 80, {"percent": 95, "limit": "messages"}], "hysteresis": 5}
_BUDGET = BudgetAnswer("monthly", "500", "USD", "P1M", [80, 95, 100])
_ALERT = AlertAnswer(
    id="alt_5f0c61",
    event="usage.warning",
    limit="messages",
    budget=None,
    value=None,
    threshold=80,
    raised_at="2026-03-15T12:00:00Z",
    late=False,
    passed_hard_limit=False,
    standing=True,
    ended_at=None,
    acknowledged_at=None,
    acknowledged_by=None,
    note=None,
    data={"limit": "messages", "threshold": 80, "used": "8000", "quantity": "10000"},
)
_SEEN = msgspec.structs.replace(
    _ALERT, acknowledged_at="2026-03-15T12:30:00Z", acknowledged_by="ada", note="They buy the next plan."
)
_UNKNOWN = NotFound("there is no such alert")

ENDPOINTS = (
    Endpoint(
        "GET",
        RULES,
        get_rules,
        BILLING_MANAGE,
        "Rules for alerts of an account",
        answer=RulesAnswer,
        account=AccountOf.PATH,
        example=RulesAnswer("acme", None, [80, 95, 100], 5, forecast=True),
    ),
    Endpoint(
        "PUT",
        RULES,
        put_rules,
        BILLING_MANAGE,
        "Give an account its own rules for alerts",
        answer=RulesAnswer,
        body=RawBody,
        body_documented=RulesSent,
        account=AccountOf.PATH,
        idempotent=True,
        errors=(FieldInvalid("must be ascending, each percent once", pointer="/thresholds"), KeyReused),
        description="They count at once: what is reached by them is told before the answer.",
        body_example=_RULES,
        example=RulesAnswer("acme", _RULES["thresholds"], [80, 95, 100], 5, forecast=True),
    ),
    Endpoint(
        "DELETE",
        RULES,
        delete_rules,
        BILLING_MANAGE,
        "Let the plan's thresholds count again",
        account=AccountOf.PATH,
        status=204,
    ),
    Endpoint(
        "GET",
        BUDGETS,
        list_budgets,
        BILLING_MANAGE,
        "Budgets of an account",
        answer=BudgetsAnswer,
        account=AccountOf.PATH,
        errors=(Conflict("the account's plans are in EUR and USD"),),
        example=BudgetsAnswer("acme", "412.5", [_BUDGET]),
    ),
    Endpoint(
        "PUT",
        f"{BUDGETS}/{{name}}",
        put_budget,
        BILLING_MANAGE,
        "Give an account a budget",
        answer=BudgetAnswer,
        body=RawBody,
        body_documented=BudgetSent,
        account=AccountOf.PATH,
        idempotent=True,
        errors=(FieldInvalid("must be USD, the currency of the account's prices", pointer="/currency"), Conflict),
        description="Nothing is refused when it is spent: somebody is told.",
        body_example={"amount": "500"},
        example=_BUDGET,
    ),
    Endpoint(
        "DELETE",
        f"{BUDGETS}/{{name}}",
        delete_budget,
        BILLING_MANAGE,
        "Take a budget away",
        account=AccountOf.PATH,
        status=204,
    ),
    Endpoint(
        "GET",
        ALERTS,
        list_alerts,
        BILLING_MANAGE,
        "Alerts of an account",
        answer=AlertsAnswer,
        query=AlertsQuery,
        account=AccountOf.PATH,
        errors=(CursorInvalid,),
        description="The newest first; those that came late into a closed period are there, too.",
        query_example="standing=true",
        example=AlertsAnswer("acme", [_ALERT], None),
    ),
    Endpoint(
        "POST",
        f"{ALERTS}/{{alert_id}}/acknowledge",
        acknowledge,
        BILLING_MANAGE,
        "Acknowledge an alert",
        answer=AlertAnswer,
        body=Acknowledgement,
        account=AccountOf.PATH,
        errors=(_UNKNOWN,),
        description="Doing so again changes nothing: who was first stays.",
        body_example={"by": "ada", "note": "They buy the next plan."},
        example=_SEEN,
    ),
)
