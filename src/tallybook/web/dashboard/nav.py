"""The navigation: which pages there are, in which order, and which of them this visitor may open."""

from dataclasses import dataclass

from tallybook.core.key import ADMIN, BILLING_MANAGE, USAGE_READ
from tallybook.core.session import Session


@dataclass(frozen=True, slots=True)
class Place:
    """One entry; *name* is its page's, *path* stands below the account's address or below the dashboard's."""

    name: str
    title: str
    path: str
    scope: str
    icon: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A place as one visitor sees it."""

    place: Place
    is_current: bool
    is_open: bool


ACCOUNT_PLACES = (
    Place("usage", "Usage", "/usage", BILLING_MANAGE, "usage"),
    Place("limits", "Limits and plan", "/limits", USAGE_READ, "limits"),
    Place("explore", "Explore", "/explore", USAGE_READ, "explore"),
    Place("apis", "APIs", "/apis", USAGE_READ, "apis"),
    Place("agents", "Agents", "/agents", USAGE_READ, "agent"),
    Place("cost", "Cost", "/cost", BILLING_MANAGE, "cost"),
    Place("alerts", "Alerts", "/billing/alerts", BILLING_MANAGE, "bell"),
    Place("events", "Events", "/events", USAGE_READ, "events"),
    Place("webhooks", "Webhooks", "/webhooks", BILLING_MANAGE, "webhooks"),
    Place("keys", "Keys", "/keys", ADMIN, "keys"),
)
OPERATOR_PLACES = (
    Place("accounts", "Accounts", "/accounts", USAGE_READ, "accounts"),
    Place("overview", "Overview", "/overview", ADMIN, "pulse"),
    Place("plans", "Plans", "/plans", USAGE_READ, "plans"),
    Place("webhooks", "Webhooks", "/webhooks", ADMIN, "webhooks"),
)


def entries(has_account: bool, session: Session, current: str) -> list[Entry]:  # noqa: FBT001 - which of two lists
    """Return the navigation beside the page *current*."""
    places = ACCOUNT_PLACES if has_account else OPERATOR_PLACES
    return [Entry(place, place.name == current, place.scope in session.scopes) for place in places]
