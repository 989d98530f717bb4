"""Alerts put together: who watches in ingest, and what happens by itself."""

from tallybook.core.clock import Clock
from tallybook.flows.cost import Costs
from tallybook.flows.measure import Measure
from tallybook.flows.spend import Spending
from tallybook.flows.subscribe import Accounts
from tallybook.flows.watch import Watch


def open_watch(measure: Measure, accounts: Accounts, costs: Costs, clock: Clock) -> Watch:
    """Return who looks at limits and budgets inside ingest."""
    return Watch(measure, accounts, Spending(costs, accounts, measure, clock))
