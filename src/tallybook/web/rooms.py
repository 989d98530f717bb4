"""What the web room may reach of the house: the flows and the clock, handed over by `house` at start."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tallybook.core.clock import Clock

if TYPE_CHECKING:
    from tallybook.flows.access import Access
    from tallybook.flows.admit import Limits
    from tallybook.flows.ingest import Ingest
    from tallybook.flows.inventory import Inventory
    from tallybook.flows.measure import Measure
    from tallybook.flows.subscribe import Accounts


@dataclass(frozen=True, slots=True)
class Rooms:
    """The flows that handlers call; all of them plain synchronous objects that any thread may use."""

    clock: Clock
    ingest: "Ingest"
    measure: "Measure"
    access: "Access"
    accounts: "Accounts"
    limits: "Limits"
    inventory: "Inventory"
