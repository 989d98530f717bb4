"""How a client gathers events: sizes, ages and bounds.

Not for what becomes of events (see `delivery`).
"""

from dataclasses import dataclass

EVENTS_MAX = 10_000
"""Most events that the server takes at once."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How events are gathered; the defaults are right for most.

    Attributes:
        flush_every_s: How old an event may grow before it is sent.
        batch_events_max: How many make a batch that is sent at once; most of one request.
        batch_bytes_max: Most bytes of one request.
        buffer_events_max: Most events that wait in memory.
        buffer_bytes_max: Most bytes that wait in memory.
        spool_bytes_max: Most bytes that wait in a spool.
        sync_each: Sync the spool to the disk with every event, not only every *flush_every_s*: a power cut then loses
            nothing, and `track` takes as long as the disk does.
        close_timeout_s: How long `close`, and the end of the program, wait for what is not delivered yet.

    Example:
        >>> from tallybook.client import Client, Tuning
        >>> with Client("http://127.0.0.1:8080", "tb_live_...", tuning=Tuning(flush_every_s=0.2)) as quick:
        ...     quick.stats().pending
        0
    """

    flush_every_s: float = 1.0
    batch_events_max: int = 500
    batch_bytes_max: int = 1024 * 1024
    buffer_events_max: int = 100_000
    buffer_bytes_max: int = 64 * 1024 * 1024
    spool_bytes_max: int = 256 * 1024 * 1024
    sync_each: bool = False
    close_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("flush_every_s", "batch_events_max", "batch_bytes_max", "buffer_events_max", "buffer_bytes_max"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0")
        if self.batch_events_max > EVENTS_MAX:
            raise ValueError("batch_events_max is at most 10,000: the server takes no more at once")
