"""``PUT .../billing``: the operator says what became of an account's invoice."""

import msgspec

from tallybook.core.arrears import Billed, Invoice
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import FUTURE_US
from tallybook.core.fields import Problems, read_choice
from tallybook.core.instant import instant_text, parse_event_time
from tallybook.core.key import BILLING_MANAGE
from tallybook.flows.once import KeyInFlight, KeyReused
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Pending, RawBody
from tallybook.web.native.acting import Act, perform, read_json


class InvoiceSent(msgspec.Struct, frozen=True):
    """What became of the invoice, "paid" or "failed", and when; now unless it says."""

    invoice: str
    at: str | None = None


class BillingAnswer(msgspec.Struct, frozen=True):
    """Where the account stands; `grace_ends_at` is null while it pays."""

    billing_status: str
    grace_ends_at: str | None


def put_billing(ask: Ask[None, RawBody]) -> Pending:
    """Note an invoice."""
    body, problems = read_json(ask.body), Problems()
    problems.only(body, {"invoice", "at"}, "", "this request")
    became = problems.take(_read_invoice, body.get("invoice"), "/invoice", Invoice.PAID)
    at_us = ask.now_us
    if body.get("at") is not None:
        at_us = problems.take(parse_event_time, body["at"], "/at", ask.now_us)
        if at_us > ask.now_us + FUTURE_US:
            problems.add("/at", "lies more than 5 minutes ahead")
    problems.finish()
    action = ask.rooms.billing.invoice(ask.account, became, at_us, ask.now_us)
    return perform(ask, "billing", Act(action, write_billed))


def write_billed(billed: Billed) -> BillingAnswer:
    """Return the status as JSON has it."""
    ends_us = billed.grace_ends_us
    return BillingAnswer(billed.status.value, None if ends_us is None else instant_text(ends_us))


def _read_invoice(value: object, pointer: str) -> Invoice:
    return read_choice(Invoice, value, pointer)


ENDPOINTS = (
    Endpoint(
        "PUT",
        "/v1/accounts/{account_id}/billing",
        put_billing,
        BILLING_MANAGE,
        "Say that an invoice was paid, or failed",
        answer=BillingAnswer,
        body=RawBody,
        body_documented=InvoiceSent,
        account=AccountOf.PATH,
        operator_only=True,
        idempotent=True,
        errors=(FieldInvalid("must be one of paid, failed", pointer="/invoice"), KeyReused, KeyInFlight),
        description=(
            "A failed invoice makes the account past due: it is served for 7 days more, counted from `at`, and "
            "suspended by itself after them. Another failure meanwhile does not prolong them; paying ends it all."
        ),
        body_example={"invoice": "paid"},
        example=BillingAnswer("active", None),
    ),
)
