"""Plans come back as they were put, in versions, and the built-in ones never replace an operator's."""

import threading
from dataclasses import replace

import pytest

from tallybook.core.errors import Conflict
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.plan import Plan
from tallybook.core.price import Price
from tallybook.core.threshold import at
from tallybook.ledger import plans
from tallybook.ledger.open import Ledger
from tallybook.ledger.plans import LedgerPlans

NOW_US = 1_772_000_000_000_000
PRO = Plan(
    "acme-pro",
    0,
    'Pro — "for all"',
    "pro",
    "EUR",
    (
        Limit("credits", LimitKind.ROLLING, quantity=5, meter="credits", window="P30D", filter={"agent_id": "ключ"}),
        Limit("seats", LimitKind.STOCK, quantity=None, resource="seat"),
    ),
    (Price("requests", 2_500_000, {"api_id": "x"}), Price(None, 1, {}, "phone_number")),
    at(50),
)


def test_a_plan_comes_back_as_it_was_put(ledger: Ledger) -> None:
    """Limits, prices and alerts are exact; the version is the next one."""
    store = LedgerPlans(ledger)
    assert [replace(PRO, version=1)] == store.put([PRO], NOW_US)
    assert replace(PRO, version=1) == store.get("acme-pro", 1)
    assert None is store.get("acme-pro", 2)
    assert None is store.get("acme")


def test_versions_are_kept_and_the_newest_is_listed(ledger: Ledger) -> None:
    """A changed plan is a new version; the same content again is not."""
    store = LedgerPlans(ledger)
    other = replace(PRO, title="Other")
    versions = [store.put([plan], NOW_US)[0].version for plan in (PRO, PRO, other, PRO)]
    assert [1, 1, 2, 3] == versions
    assert ['Pro — "for all"', "Other"] == [found.title for n in (1, 2) if (found := store.get("acme-pro", n))]
    assert 3 == (found.version if (found := store.get("acme-pro")) else 0)
    store.put([replace(PRO, name="abc")], NOW_US)
    assert [("abc", 1), ("acme-pro", 3)] == [(plan.name, plan.version) for plan in store.newest()]


def test_writers_that_meet_number_their_versions_apart(ledger: Ledger) -> None:
    """Eight threads with eight contents make eight versions."""
    store = LedgerPlans(ledger)
    threads = [
        threading.Thread(target=store.put, args=([replace(PRO, title=f"title {number}")], NOW_US))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {f"title {n}" for n in range(8)} == {plan.title for v in range(1, 9) if (plan := store.get("acme-pro", v))}


def test_plans_are_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bounds nothing is written, not even the plans of the same call that would fit."""
    monkeypatch.setattr(plans, "PLANS_MAX", 2)
    monkeypatch.setattr(plans, "VERSIONS_MAX", 1)
    store = LedgerPlans(ledger)
    store.put([PRO], NOW_US)
    with pytest.raises(Conflict, match="at most 2 plans"):
        store.put([replace(PRO, name="b"), replace(PRO, name="c")], NOW_US)
    with pytest.raises(Conflict, match="at most 1 versions"):
        store.put([replace(PRO, title="new")], NOW_US)
    assert ["acme-pro"] == [plan.name for plan in store.newest()]


def test_built_in_plans_are_registered_once(ledger: Ledger) -> None:
    """The second start writes nothing; a changed file writes what changed."""
    store = LedgerPlans(ledger)
    free = replace(PRO, name="acme-free")
    assert ["acme-free", "acme-pro"] == sorted(store.register([PRO, free], NOW_US))
    assert [] == store.register([PRO, free], NOW_US)
    assert ["acme-pro"] == store.register([replace(PRO, title="New"), free], NOW_US)
    assert [1, 2] == [plan.version for plan in store.newest()]


def test_an_operators_plan_is_not_replaced(ledger: Ledger) -> None:
    """Not by the same built-in at the next start, and not by a changed one in the next release."""
    store = LedgerPlans(ledger)
    store.register([PRO], NOW_US)
    store.put([replace(PRO, title="Mine")], NOW_US)
    assert [] == store.register([PRO], NOW_US)
    assert [] == store.register([replace(PRO, title="New")], NOW_US)
    assert ["Mine"] == [plan.title for plan in store.newest()]
