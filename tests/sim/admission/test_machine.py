"""Any order of events, reservations, leases, plans, time and crashes: the house and a plain book say the same."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.sim.admission.floor import Floor
from tests.sim.admission.machine import Machine, Stage
from tests.sim.scale import scaled

pytestmark = pytest.mark.slow

EXAMPLES, STEPS = scaled((15, 30), (500, 50))


@pytest.fixture
def stage(ledger_url: str) -> Iterator[Stage]:
    """A house that may be closed and opened again."""
    made = Stage(Floor(ledger_url), ledger_url, itertools.count(1))
    yield made
    made.floor.close()


def play(stage: Stage, examples: int, steps: int) -> None:
    """Let so many machines take so many steps."""
    machine = type("Machine", (Machine,), {"stage": stage})
    health = (HealthCheck.too_slow, HealthCheck.filter_too_much)
    chosen = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=health, database=None
    )
    run_state_machine_as_test(machine, settings=chosen)


def test_house_and_book_agree(stage: Stage) -> None:
    """Decisions, standings, settlements, slots and meters."""
    play(stage, EXAMPLES, STEPS)
