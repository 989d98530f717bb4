"""A program that tracks events 0..N-1 with a spool and says after each that it did; tests kill it (see `test_real`)."""

import sys

from tallybook.client import Client, Tuning


def main(url: str, key: str, spool: str, first: int, count: int) -> None:
    """Track events *first* to *count* - 1; their ids and times tell them apart."""
    tuning = Tuning(flush_every_s=0.01, batch_events_max=20, close_timeout_s=60)
    with Client(url, key, spool=spool, tuning=tuning) as client:
        for number in range(first, count):
            client.track("message", {"direction": "inbound"}, account="acme", id=f"event-{number}", time=sys.argv[6])
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
