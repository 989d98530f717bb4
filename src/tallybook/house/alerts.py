"""Alerts put together: who watches in ingest, what people ask of it, and what happens by itself."""

from collections.abc import Sequence

from tallybook.core.clock import Clock
from tallybook.flows.alerting import Alerting, Rechecks
from tallybook.flows.cost import Costs
from tallybook.flows.foresee import Forecasts
from tallybook.flows.ingest import Ingest
from tallybook.flows.measure import Measure
from tallybook.flows.spend import Spending
from tallybook.flows.subscribe import Accounts
from tallybook.flows.sweep import Job
from tallybook.flows.watch import Watch
from tallybook.ledger.alert_history import LedgerAlerts
from tallybook.ledger.alert_rules import LedgerAlertRules
from tallybook.ledger.open import Ledger

PRUNE_EVERY = 120
"""Sweeps between two rounds of housekeeping."""


class Alerts:
    """What is open of it of alerts; *watch* goes into ingest."""

    def __init__(self, ledger: Ledger, measure: Measure, accounts: Accounts, costs: Costs, clock: Clock) -> None:
        self._measure = measure
        self._accounts = accounts
        self._clock = clock
        self._store = LedgerAlerts(ledger)
        self._rules = LedgerAlertRules(ledger)
        spending = Spending(costs, accounts, measure, clock)
        self.watch = Watch(measure, accounts, spending)
        self.alerting = Alerting(self._rules, self._store, spending)

    def jobs(self, ingest: Ingest) -> Sequence[Job]:
        """Return what happens by itself."""
        rechecks = Rechecks(self._store, ingest, self._clock.now_us)
        forecasts = Forecasts(
            self._store,
            self._accounts,
            self._accounts,
            self._measure,
            rules=self._rules,
            lanes=ingest,
            clock=self._clock,
        )
        return (
            Job("alert-rechecks", rechecks.step),
            Job("alert-forecasts", forecasts.step),
            Job("alert-prune", rechecks.prune, every=PRUNE_EVERY),
        )
