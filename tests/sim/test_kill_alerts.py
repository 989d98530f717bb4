"""A process that is killed while alerts cross leaves every crossing in the outbox, and none twice."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from tallybook.core.ids import AccountId
from tallybook.core.number import NANOS
from tallybook.ledger.open import Ledger
from tests.sim.crosser import PLAN, QUANTITY, names
from tests.sim.scale import scaled
from tests.support.rooms import Flows, open_flows

ROOT = Path(__file__).resolve().parents[2]
CYCLES = {"sqlite": scaled(4, 40), "postgresql": scaled(2, 20)}


def kill_after(url: str, cycle: int, acknowledgements: int) -> None:
    """Run a process and kill it a moment after so many answers."""
    command = [sys.executable, "-m", "tests.sim.crosser", url, str(cycle)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for count, _ in enumerate(process.stdout, start=1):
            if count == acknowledgements:
                process.kill()
    assert process.returncode == -9


def crossed(flows: Flows, cycle: int) -> Counter[tuple[str, int]]:
    """Return the thresholds that each account's usage has reached, by the figures that questions show."""
    found: Counter[tuple[str, int]] = Counter()
    for name in names(cycle):
        account = flows.accounts.get(AccountId(name))
        (state,) = flows.limits.states(account, flows.clock.now_us())
        for percent in PLAN["alerts"]:
            if state.used and state.used * 100 >= int(percent) * QUANTITY * NANOS:
                found[name, int(percent)] += 1
    return found


@pytest.mark.slow
def test_every_crossing_is_in_the_outbox_once_whenever_the_process_is_killed(ledger_url: str, store_kind: str) -> None:
    """For each account and threshold that its usage reached there is one message, and one row of the history."""
    chance = random.Random(20261121)
    for cycle in range(CYCLES[store_kind]):
        kill_after(ledger_url, cycle, chance.randint(20, 260))
        ledger = Ledger(ledger_url)
        with open_flows(ledger) as flows:
            expected = crossed(flows, cycle)
            with ledger.reading() as connection:
                bodies = connection.scalars(text("SELECT body FROM outbox WHERE type LIKE 'usage.%'")).all()
                ids = connection.scalars(text("SELECT message_id FROM outbox")).all()
                rows = connection.scalar(text("SELECT count(*) FROM alerts WHERE alert_id LIKE 'alt_%'"))
        ledger.close()
        told = [json.loads(body) for body in bodies]
        mine = Counter((one["account"], one["threshold"]) for one in told if one["account"].startswith(f"c{cycle}-"))
        assert expected == mine
        assert len(mine) > 0
        assert len(ids) == len(set(ids))
        assert len(told) == rows
