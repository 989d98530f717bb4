"""The operator's way in: a list of accounts, each one click from its pages."""

import msgspec

from tallybook.core.key import USAGE_READ
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.endpoint import Reply

PAGE_ACCOUNTS = 100


class AccountsQuery(msgspec.Struct, frozen=True):
    """Which accounts: those whose id comes after *after*."""

    after: str | None = None


def get_accounts(visit: Visit) -> Reply:
    """Show one page of accounts."""
    after = visit.query.after or ""
    found = visit.rooms.accounts.list(after, PAGE_ACCOUNTS)
    last = found[-1].id if len(found) == PAGE_ACCOUNTS else None
    return visit.html("accounts.html", accounts=found, last=last, first_page=not after)


PAGES = (Page("accounts", "GET", "/accounts", get_accounts, USAGE_READ, query=AccountsQuery, operator_only=True),)
