"""Taking events in: `take` reads requests, `lane` commits them."""

from tallybook.flows.ingest.lane import GROUP_BYTES_MAX, GROUP_EVENTS_MAX, CommitSeen
from tallybook.flows.ingest.take import QUEUE_BYTES_MAX, QUEUE_EVENTS_MAX, Ingest

__all__ = ["GROUP_BYTES_MAX", "GROUP_EVENTS_MAX", "QUEUE_BYTES_MAX", "QUEUE_EVENTS_MAX", "CommitSeen", "Ingest"]
