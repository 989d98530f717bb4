"""How the house is, put together for its operator's pages: what comes in, what waits, what runs by itself."""

from collections.abc import Callable, Sequence

from tallybook import __version__
from tallybook.core.clock import Clock
from tallybook.core.errors import Unavailable
from tallybook.core.intake import Receipt
from tallybook.core.vitals import Backlog, Vitals
from tallybook.flows.ingest import Ingest
from tallybook.flows.pulse import Pulse
from tallybook.flows.sweep import Sweeper
from tallybook.house.webhooks import Webhooks
from tallybook.ledger.info import size_bytes
from tallybook.ledger.open import Ledger
from tallybook.web.observe import Observer

OUTCOMES = ("accepted", "duplicate", "conflict", "rejected")


class Health:
    """Counts what comes in, and asks the rooms how they are."""

    def __init__(self, ledger: Ledger, clock: Clock, observer: Observer) -> None:
        self._ledger = ledger
        self._observer = observer
        self._pulse = Pulse(clock)

    def receipt_seen(self, receipt: Receipt) -> None:
        """Count one answered request of events."""
        self._pulse.seen(receipt)
        for outcome in OUTCOMES:
            self._observer.count_events(outcome, getattr(receipt, outcome))

    def ledger_bytes(self) -> int:
        """Return the size of the ledger, 0 while it is away."""
        try:
            return size_bytes(self._ledger)
        except Unavailable:
            return 0

    def reader(
        self, ingest: Ingest, webhooks: Webhooks, sweeper: Sweeper, not_ready: Callable[[], Sequence[str]]
    ) -> Callable[[], Vitals]:
        """Return what tells how all of it is."""

        def read() -> Vitals:
            total = self._pulse.total()
            try:
                backlog = webhooks.backlog()
            except Unavailable:
                backlog = Backlog()
            return Vitals(
                version=__version__,
                ledger="SQLite" if self._ledger.is_sqlite else "PostgreSQL",
                since_us=total.start_us,
                ledger_bytes=self.ledger_bytes(),
                queued_events=ingest.queued,
                backlog=backlog,
                swept=sweeper.swept(),
                minutes=self._pulse.minutes(),
                total=total,
                trouble=not_ready(),
            )

        return read
