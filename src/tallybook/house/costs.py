"""Wiring of what costs money: lists of prices, the flow that reads costs, and that of invoices."""

from functools import partial

from tallybook.core.clock import Clock
from tallybook.core.instant import HOUR_US
from tallybook.core.pricelist import PriceList, load_price_list
from tallybook.flows.cost import Costs, keep_rounded
from tallybook.flows.invoice import Invoices
from tallybook.flows.measure import Measure
from tallybook.flows.metering import Metering
from tallybook.flows.subscribe import Accounts
from tallybook.flows.sweep import Job
from tallybook.house.start import own_text, packaged_text
from tallybook.ledger.invoices import LedgerInvoices
from tallybook.ledger.open import Ledger
from tallybook.ledger.usage import Usage
from tallybook.settings import Settings

LLM = "llm"
"""The list of prices of language models, as rate cards call it."""

CLOSE_EVERY = 120
"""Sweeps between two looks for periods that are due: once a minute."""


def price_lists(settings: Settings) -> dict[str, PriceList]:
    """Return the lists of prices that rate cards may name.

    Raises:
        StartRefused: If the operator's list cannot be read, or is wrong.
    """
    own, own_name = own_text(settings.llm_prices_file)
    return {LLM: load_price_list(LLM, packaged_text("llm_prices.toml"), own, own_name=own_name)}


def open_costs(settings: Settings, usage: Usage, measure: Measure, accounts: Accounts, metering: Metering) -> Costs:
    """Return the flow that reads costs, and let every plan find its meters of rounded calls.

    Those of plan files get them now, those that are put later when they are put.
    """
    for plan in accounts.plans():
        keep_rounded(metering, plan)
    accounts.on_plan = partial(keep_rounded, metering)
    return Costs(usage, measure, accounts, price_lists(settings))


def open_invoices(
    settings: Settings, ledger: Ledger, accounts: Accounts, costs: Costs, clock: Clock
) -> tuple[Invoices, list[Job]]:
    """Return the flow of invoices, and the job that closes periods by itself where the settings ask for it."""
    hours = settings.invoices_close_after_h
    invoices = Invoices(LedgerInvoices(ledger), accounts, costs, late_us=hours * HOUR_US)
    jobs = [Job("invoices", lambda: invoices.close_due(clock.now_us()), every=CLOSE_EVERY)] if hours else []
    return invoices, jobs
