"""What the web room may reach of the house: the flows and the clock, handed over by `house` at start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from tallybook.core.clock import Clock
from tallybook.core.intake import Receipt
from tallybook.core.vitals import Vitals
from tallybook.flows.access import Access
from tallybook.flows.admit import Limits
from tallybook.flows.alerting import Alerting
from tallybook.flows.backtest import Backtests
from tallybook.flows.billing import Billing
from tallybook.flows.channels import Channels
from tallybook.flows.cost import Costs
from tallybook.flows.endpoints import Endpoints
from tallybook.flows.exceptions import Exceptions
from tallybook.flows.ingest import Ingest
from tallybook.flows.inventory import Inventory
from tallybook.flows.invoice import Invoices
from tallybook.flows.lease import Leases
from tallybook.flows.measure import Measure
from tallybook.flows.metering import Metering
from tallybook.flows.once import Once
from tallybook.flows.redeliver import Redeliveries
from tallybook.flows.session import Sessions
from tallybook.flows.story import Stories
from tallybook.flows.subscribe import Accounts

BODY_BYTES_MAX = 4 * 1024 * 1024
HANDLER_THREADS_MAX = 16
REQUESTS_MAX = 512
"""Requests answered at the same time; what comes on top is told to come back, so that memory stays bounded."""

_NO_HOSTS: Mapping[str, str] = MappingProxyType({})


def _ignore(_: object) -> None:
    """Nobody counts."""


def _always_ready() -> Sequence[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Rooms:
    """The flows that handlers call; all of them plain synchronous objects that any thread may use.

    Attributes:
        cursor_secret: Seals the cursors of lists; the same on every server of a ledger.
        not_ready: Returns why no traffic should come just now, in words for an operator; empty when all is well.
        receipt_seen: Told of each answered request of events, for metrics.
        vitals: Tells how this server is.
    """

    clock: Clock
    ingest: Ingest
    measure: Measure
    costs: Costs
    invoices: Invoices
    backtests: Backtests
    access: Access
    sessions: Sessions
    stories: Stories
    accounts: Accounts
    limits: Limits
    once: Once
    leases: Leases
    exceptions: Exceptions
    billing: Billing
    alerting: Alerting
    channels: Channels
    endpoints: Endpoints
    redeliveries: Redeliveries
    inventory: Inventory
    metering: Metering
    cursor_secret: bytes
    not_ready: Callable[[], Sequence[str]] = _always_ready
    receipt_seen: Callable[[Receipt], None] = _ignore
    vitals: Callable[[], Vitals] = Vitals


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What of the settings concerns the web edge.

    Attributes:
        quick_threads: Threads for small requests; one where a store answers in microseconds, more where it is asked
            over a network.
        dialect_hosts: Host name (lower case, without port) -> the dialect that stands at its bare root.
    """

    body_bytes_max: int = BODY_BYTES_MAX
    handler_threads_max: int = HANDLER_THREADS_MAX
    quick_threads: int = 1
    requests_max: int = REQUESTS_MAX
    metrics_public: bool = False
    dialect_hosts: Mapping[str, str] = field(default_factory=lambda: _NO_HOSTS)
