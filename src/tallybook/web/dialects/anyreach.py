"""Anyreach's usage summary, spoken over our ledger: calls, minutes and workflow runs of a range, and the inventory now.

What stands in it is `web.summary`. Their document, and what we settled where it is silent: docs/dialects/anyreach.md.
"""

import msgspec

from tallybook.core.errors import ParameterInvalid, RangeInvalid, RangeTooLarge
from tallybook.core.key import BILLING_MANAGE
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Refusal, Reply, Surface, json_reply
from tallybook.web.summary import Summary, SummaryQuery, read_span, read_summary, write_summary

PREFIX = "/anyreach"


# --- how it says no ------------------------------------------------------------------------------------------------


class ErrorBody(msgspec.Struct, frozen=True):
    """Every refusal."""

    detail: str


def refuse(refusal: Refusal) -> Reply:
    """Return our error as Anyreach's: a parameter that cannot be meant is a 422."""
    status = 422 if isinstance(refusal.error, ParameterInvalid) else refusal.status
    return json_reply(status, ErrorBody(refusal.message))


# --- endpoints -----------------------------------------------------------------------------------------------------


def summary(ask: Ask[SummaryQuery, None]) -> Summary:
    """Answer ``GET /admin/usage/summary``."""
    questions = read_summary(read_span(ask.query, ask.now_us))
    answers = ask.rooms.measure.ask(ask.account, questions)
    return write_summary(answers, ask.rooms.inventory.counts(ask.account))


SURFACE = Surface(
    name="anyreach",
    prefix=PREFIX,
    title="Anyreach usage",
    refuse=refuse,
    error=ErrorBody,
    endpoints=(
        Endpoint(
            "GET",
            "/admin/usage/summary",
            summary,
            BILLING_MANAGE,
            "Usage of a range, and the inventory of now",
            answer=Summary,
            query=SummaryQuery,
            account=AccountOf.KEY,
            errors=(RangeInvalid, RangeTooLarge),
            query_example="from=2026-03-01T00:00:00.000Z&to=2026-04-01T00:00:00.000Z",
        ),
    ),
)
