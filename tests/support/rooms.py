"""The flows over a real ledger, wired as the house does it, for tests that need no settings, server or files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

from tallybook.core.clock import FrozenClock
from tallybook.core.key import SCOPES, Caller
from tallybook.core.pricelist import load_price_list
from tallybook.flows.access import Access
from tallybook.flows.admit import Limits
from tallybook.flows.billing import Billing, Suspensions
from tallybook.flows.cost import Costs, keep_rounded
from tallybook.flows.exceptions import Exceptions
from tallybook.flows.fill import Fill
from tallybook.flows.ingest import Ingest
from tallybook.flows.inventory import Inventory
from tallybook.flows.invoice import Invoices
from tallybook.flows.keep import open_books
from tallybook.flows.lease import LeaseEnds, Leases
from tallybook.flows.measure import Measure
from tallybook.flows.metering import Metering
from tallybook.flows.spend import Spending
from tallybook.flows.subscribe import Accounts
from tallybook.flows.sweep import Job, Sweeper
from tallybook.flows.watch import Watch
from tallybook.ledger.accounts import LedgerAccounts
from tallybook.ledger.arrears import LedgerArrears
from tallybook.ledger.commit import Committer
from tallybook.ledger.fills import Fills
from tallybook.ledger.holds import LedgerHolds
from tallybook.ledger.invoices import LedgerInvoices
from tallybook.ledger.keys import LedgerKeys
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger
from tallybook.ledger.own_limits import LedgerOwnLimits
from tallybook.ledger.plans import LedgerPlans
from tallybook.ledger.prune import Prune
from tallybook.ledger.resources import LedgerResources
from tallybook.ledger.schemes import Schemes
from tallybook.ledger.usage import Usage

NOW_US = 1_772_366_400_000_000
"""2026-03-01T12:00:00Z."""
OPERATOR = Caller("key_operator", None, frozenset(SCOPES))
SERIES_AN_HOUR_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Flows:
    """What the tests call; *write* refuses to go on if an event was not accepted."""

    clock: FrozenClock
    ledger: Ledger
    access: Access
    accounts: Accounts
    limits: Limits
    leases: Leases
    exceptions: Exceptions
    billing: Billing
    sweeper: Sweeper
    inventory: Inventory
    ingest: Ingest
    measure: Measure
    costs: Costs
    invoices: Invoices
    metering: Metering
    fill: Fill

    def write(self, *events: dict[str, object]) -> None:
        """Count *events*, of which each gets an id of its own."""
        named = [{"id": f"{self.clock.now_us()}-{number}", **event} for number, event in enumerate(events)]
        receipt = self.ingest.write(named, OPERATOR)
        assert (len(events), ()) == (receipt.accepted, receipt.errors)
        self.clock.advance(1)


def packaged(name: str) -> str:
    """Return the text of a file of the package's data."""
    return files("tallybook").joinpath("data", name).read_text(encoding="utf-8")


@contextmanager
def open_flows(ledger: Ledger) -> Iterator[Flows]:
    """Open the flows at 2026-03-01T12:00:00Z on a ledger with the built-in plans."""
    clock = FrozenClock(NOW_US)
    plans, resources = LedgerPlans(ledger), LedgerResources(ledger)
    open_books(lambda: migrate(ledger), plans, packaged("plans.toml"), clock)
    schemes = Schemes(ledger, lanes_count=1)
    metering = Metering(schemes, clock, builtin=packaged("catalogue.toml"), own=None, own_name="catalogue.toml")
    own_limits = LedgerOwnLimits(ledger)
    accounts = Accounts(
        LedgerAccounts(ledger), plans, own_limits, schemes=metering, clock=clock, changes=ledger.changes
    )
    usage = Usage(ledger)
    measure = Measure(usage, metering, accounts)
    watch = Watch(measure, accounts, Spending(Costs(usage, measure, accounts), accounts, measure, clock))
    committer = Committer(ledger, 0, series_an_hour_max=SERIES_AN_HOUR_MAX, accounts_auto_create=True, watcher=watch)
    ingest = Ingest([committer], metering, clock)
    holds = LedgerHolds(ledger)
    limits = Limits(measure, usage, accounts, holds, ingest, changes=ledger.changes, figures=ledger.figures)
    billing = Billing(ingest)
    leases = Leases(accounts, holds, ingest)
    costs = Costs(usage, measure, accounts, {"llm": load_price_list("llm", packaged("llm_prices.toml"))})
    accounts.on_plan = partial(keep_rounded, metering)
    yield Flows(
        clock=clock,
        ledger=ledger,
        access=Access(LedgerKeys(ledger), clock),
        accounts=accounts,
        limits=limits,
        leases=leases,
        exceptions=Exceptions(accounts, own_limits),
        billing=billing,
        sweeper=Sweeper(
            [
                Job("leases", LeaseEnds(leases, accounts, holds, clock).step),
                Job("suspensions", Suspensions(billing, accounts, LedgerArrears(ledger), clock).step),
                Job("prune", Prune(ledger, clock).step),
            ]
        ),
        inventory=Inventory(resources, ingest, limits, clock),
        ingest=ingest,
        measure=measure,
        costs=costs,
        invoices=Invoices(LedgerInvoices(ledger), accounts, costs),
        metering=metering,
        fill=Fill(Fills(ledger, series_an_hour_max=SERIES_AN_HOUR_MAX), metering),
    )
    ingest.close()
