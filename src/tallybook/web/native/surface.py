"""The native surface: all its endpoints as one table."""

from tallybook.core.message_types import MESSAGE_TYPES
from tallybook.web.endpoint import Surface
from tallybook.web.native import (
    accounts,
    alerts,
    backtest,
    billing,
    channels,
    checks,
    clock,
    cost,
    deliveries,
    events,
    exceptions,
    health,
    invoices,
    keys,
    leases,
    limits,
    meters,
    plans,
    portal_links,
    reservations,
    resources,
    usage,
    webhooks,
)
from tallybook.web.observe import Observer
from tallybook.web.problem import PROBLEM_JSON, ProblemBody, refuse_as_problem

DESCRIPTION = (
    "Send one event per thing used; ask how much was used, by whom, of what, when. Quantities are exact decimal "
    "strings, times are RFC 3339 in UTC, spans are half-open. Errors are problems as RFC 9457 writes them."
)


def native_surface(observer: Observer, *, metrics_public: bool, test_clock: bool) -> Surface:
    """Return the native surface; *test_clock* adds the endpoints that move it."""
    return Surface(
        name="native",
        prefix="",
        title="Tallybook",
        endpoints=(
            *events.ENDPOINTS,
            *usage.ENDPOINTS,
            *cost.ENDPOINTS,
            *invoices.ENDPOINTS,
            *backtest.ENDPOINTS,
            *limits.ENDPOINTS,
            *checks.ENDPOINTS,
            *reservations.ENDPOINTS,
            *leases.ENDPOINTS,
            *exceptions.ENDPOINTS,
            *billing.ENDPOINTS,
            *alerts.ENDPOINTS,
            *channels.ENDPOINTS,
            *webhooks.ENDPOINTS,
            *deliveries.ENDPOINTS,
            *resources.ENDPOINTS,
            *accounts.ENDPOINTS,
            *plans.ENDPOINTS,
            *meters.ENDPOINTS,
            *keys.ENDPOINTS,
            *portal_links.ENDPOINTS,
            *(clock.ENDPOINTS if test_clock else ()),
            *health.endpoints(observer, metrics_public=metrics_public),
        ),
        refuse=refuse_as_problem,
        description=DESCRIPTION,
        error=ProblemBody,
        error_media=PROBLEM_JSON,
        messages=MESSAGE_TYPES,
        key_in_query_refused=True,
    )
