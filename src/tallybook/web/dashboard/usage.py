"""Organization > Usage, as Anyreach's document has it: cards and charts of a range, and the inventory of now.

One summary, the same that the dialect answers with, feeds the whole page.
"""

import msgspec

from tallybook.core.instant import day_text
from tallybook.core.key import BILLING_MANAGE
from tallybook.core.window import month_of
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.dashboard.render import PREFIX
from tallybook.web.endpoint import Reply
from tallybook.web.summary import RANGE_DAYS_MAX, SummaryQuery, read_span, read_summary, write_summary


class RangeQuery(msgspec.Struct, frozen=True):
    """The range in the page's own address, so that it can be shared; the script reads it."""

    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


def get_usage(visit: Visit) -> Reply:
    """Show the page; its numbers come with the summary."""
    now_us = visit.now_us
    return visit.html(
        "usage.html",
        today=day_text(now_us),
        month_start=day_text(month_of(now_us).start_us),
        summary_path=f"{PREFIX}/api{visit.here.removeprefix(PREFIX)}/summary",
        range_days_max=RANGE_DAYS_MAX,
        has_events=bool(visit.rooms.inventory.counts(visit.account)),
    )


def get_summary(visit: Visit) -> Reply:
    """Answer the page's one request."""
    questions = read_summary(read_span(visit.query, visit.now_us))
    answers = visit.rooms.measure.ask(visit.account, questions)
    return visit.json(write_summary(answers, visit.rooms.inventory.counts(visit.account)))


PAGES = (
    Page("usage", "GET", "/accounts/{account_id}/usage", get_usage, BILLING_MANAGE, query=RangeQuery),
    Page(
        "usage",
        "GET",
        "/api/accounts/{account_id}/summary",
        get_summary,
        BILLING_MANAGE,
        query=SummaryQuery,
        is_api=True,
    ),
)
