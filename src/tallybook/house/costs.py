"""Wiring of what costs money: lists of prices and the flow that reads costs."""

from tallybook.core.pricelist import PriceList, load_price_list
from tallybook.flows.cost import Costs
from tallybook.flows.measure import Measure
from tallybook.flows.subscribe import Accounts
from tallybook.house.start import own_text, packaged_text
from tallybook.ledger.usage import Usage
from tallybook.settings import Settings

LLM = "llm"
"""The list of prices of language models, as rate cards call it."""


def price_lists(settings: Settings) -> dict[str, PriceList]:
    """Return the lists of prices that rate cards may name.

    Raises:
        StartRefused: If the operator's list cannot be read, or is wrong.
    """
    own, own_name = own_text(settings.llm_prices_file)
    return {LLM: load_price_list(LLM, packaged_text("llm_prices.toml"), own, own_name=own_name)}


def open_costs(settings: Settings, usage: Usage, measure: Measure, accounts: Accounts) -> Costs:
    """Return the flow that reads costs."""
    return Costs(usage, measure, accounts, price_lists(settings))
