"""Opening the books makes an empty ledger ready once, and refuses what must not be opened."""

import pytest

from tallybook.core.clock import FrozenClock
from tallybook.core.errors import StartRefused
from tallybook.flows.keep import Opened, PlanFile, builtin_plans, open_books
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger
from tallybook.ledger.plans import LedgerPlans
from tests.support.rooms import NOW_US, packaged
from tests.support.stores import NewStore

FILE = '[plans.default]\n[plans.acme-pro]\ntitle = "Pro"\n'


def opened(ledger: Ledger, text: str) -> Opened:
    """Open the books with a plan file of this text."""
    return open_books(lambda: migrate(ledger), LedgerPlans(ledger), text, FrozenClock(NOW_US))


def test_an_empty_ledger_is_made_ready_once(new_store: NewStore) -> None:
    """The first start makes tables and plans, the second does nothing, a changed file writes what changed."""
    ledger = Ledger(new_store())
    assert Opened(migrated=True, plans=["default", "acme-pro"]) == opened(ledger, FILE)
    assert Opened(migrated=False, plans=[]) == opened(ledger, FILE)
    assert Opened(migrated=False, plans=["acme-pro"]) == opened(ledger, FILE.replace("Pro", "New"))
    assert {"default": 1, "acme-pro": 2} == {plan.name: plan.version for plan in LedgerPlans(ledger).newest()}
    ledger.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[plans", "the built-in plans: .*end of document"),
        ("[plans.acme]", "the built-in plans lack the plan default"),
        ("[plan.default]", "the built-in plans: plan: a plan file has no such field"),
        (
            '[plans.default]\nlimits = [{ name = "x", kind = "y" }]',
            "default/limits/0/kind: must be one of period",
        ),
        ("[plans.default]\nalerts = 5\ncurrency = 5", "plans/default/currency: .*; plans/default/alerts: "),
        ("[plans.9th]", "plans/9th/name: must be a name"),
    ],
)
def test_a_wrong_plan_file_stops_the_start_before_the_ledger_is_touched(
    new_store: NewStore, text: str, message: str
) -> None:
    """In one line that names every place."""
    ledger = Ledger(new_store())
    with pytest.raises(StartRefused, match=message) as caught:
        opened(ledger, text)
    assert "\n" not in str(caught.value)
    assert migrate(ledger)
    ledger.close()


def test_the_built_in_plans_are_those_of_the_documents() -> None:
    """Figure by figure, as the published pages give them."""
    plans = {plan.name: plan for plan in builtin_plans(packaged("plans.toml"))}
    figures = {
        name: [None if limit.quantity is None else limit.quantity // 10**9 for limit in plan.limits]
        for name, plan in plans.items()
    }
    assert [2, 1_000, 100 * 60, 15 * 60, 2] == figures["agentphone-starter"]
    assert [10, 10_000, 500 * 60, 30 * 60, 5] == figures["agentphone-pro"]
    assert [25 * 60, 10_000, 3, 1_000] == figures["aurion-starter"]
    assert [1_000 * 60, 50_000, 25, 5_000] == figures["aurion-professional"]
    assert [None, None, None, 50_000] == figures["aurion-enterprise"]
    assert [5_000, 5] == figures["liberclaw-free"]
    assert [50_000] == figures["wontopos-basic"]
    assert [] == figures["anyreach-standard"]
    assert [] == figures["default"]
    assert {"voice", "chat"} == {price.filter.get("channel") for price in plans["anyreach-standard"].prices[:2]}


def test_an_own_plan_file_adds_plans_and_takes_the_place_of_built_in_ones(ledger: Ledger) -> None:
    """By name; starting again with the same file writes nothing."""
    own = PlanFile(
        '[plans.default]\ntitle = "Ours"\n[plans.acme-gold]\ntitle = "Gold"\n'
        'limits = [{ name = "calls", kind = "period", meter = "calls", quantity = "7" }]\n',
        "plans-of-ours.toml",
    )
    plans = LedgerPlans(ledger)

    def start() -> Opened:
        return open_books(lambda: migrate(ledger), plans, packaged("plans.toml"), FrozenClock(NOW_US), own=own)

    assert {"default", "acme-gold"} <= set(start().plans)
    titles = {plan.name: plan.title for plan in plans.newest()}
    assert ("Ours", "Gold", "Pro") == (titles["default"], titles["acme-gold"], titles["agentphone-pro"])
    assert [] == list(start().plans)


def test_a_broken_own_plan_file_is_named(ledger: Ledger) -> None:
    """The message says which file, and where in it."""
    own = PlanFile('[plans.gold]\nlimits = [{ name = "calls", kind = "monthly" }]\n', "plans-of-ours.toml")
    with pytest.raises(StartRefused, match=r"plans-of-ours\.toml: plans/gold/limits/0"):
        open_books(lambda: migrate(ledger), LedgerPlans(ledger), packaged("plans.toml"), FrozenClock(NOW_US), own=own)
