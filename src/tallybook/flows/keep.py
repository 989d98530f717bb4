"""What happens once when a house opens its books: the ledger is brought up to date, the built-in plans are in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tallybook.core.clock import Clock
from tallybook.core.errors import StartRefused
from tallybook.core.plan import DEFAULT_PLAN, Plan, load_plans
from tallybook.core.ports import PlanStore


@dataclass(frozen=True, slots=True)
class PlanFile:
    """An operator's plans: the text, and the name of the file for messages."""

    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What had to be done: whether tables were made or changed, and which built-in plans were written."""

    migrated: bool
    plans: Sequence[str]


def open_books(
    migrate: Callable[[], bool], plans: PlanStore, builtin: str, clock: Clock, *, own: PlanFile | None = None
) -> Opened:
    """Make the ledger ready to be used; a second time there is nothing to do.

    Args:
        migrate: Brings the ledger's tables up to date and says whether it had to.
        plans: Where plans are kept.
        builtin: The text of the built-in plan file. An operator's version of a plan of that name is left alone.
        clock: Tells when the plans were written.
        own: The operator's plan file, which adds plans and takes the place of built-in ones by name.

    Raises:
        StartRefused: If the ledger is of a newer release, or the plan file is wrong.
        Unavailable: If the ledger cannot be reached.
    """
    offered = {plan.name: plan for plan in builtin_plans(builtin)}
    if own is not None:
        offered |= {plan.name: plan for plan in load_plans(own.text, own.name)}
    migrated = migrate()
    return Opened(migrated, plans.register(list(offered.values()), clock.now_us()))


def builtin_plans(text: str) -> list[Plan]:
    """Read the built-in plan file, in which the default plan must not be missing.

    Raises:
        StartRefused: Saying what is wrong.
    """
    offered = load_plans(text, "the built-in plans")
    if not any(plan.name == DEFAULT_PLAN for plan in offered):
        raise StartRefused(f"the built-in plans lack the plan {DEFAULT_PLAN}")
    return offered
