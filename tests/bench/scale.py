"""How large each benchmark is: the full run, or BENCH_SCALE=small for a look; any size by its name.

Every field can be set from the environment: BENCH_INGEST_EVENTS=100000 and so on.
"""

import os
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path

CONNECTIONS = 8
BATCH_EVENTS = 1_000
ACCOUNTS = 1_000
DAYS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Sizes of all benchmarks."""

    ingest_rounds: int = 5
    ingest_events: int = 400_000
    """Events per round into Tallybook."""
    peer_events: int = 400_000
    """Events per round into the PostgreSQL table: as many, as both are slower the more they hold."""
    direct_events: int = 400_000
    memory_events: int = 5_000_000
    queries_events: int = 10_000_000
    queries_events_few: int = 100_000
    queries_accounts: int = ACCOUNTS
    queries_requests: int = 1_000
    """Requests per endpoint and ledger."""
    webhook_mix_messages: int = 1_500
    webhook_rate_messages: int = 6_000


SMALL = Scale(
    ingest_rounds=2,
    ingest_events=80_000,
    peer_events=80_000,
    direct_events=80_000,
    memory_events=200_000,
    queries_events=60_000,
    queries_events_few=6_000,
    queries_accounts=20,
    queries_requests=60,
    webhook_mix_messages=300,
    webhook_rate_messages=1_500,
)


def read_scale() -> Scale:
    """Return the sizes that the environment asks for."""
    scale = SMALL if os.environ.get("BENCH_SCALE") == "small" else Scale()
    named = {field.name: os.environ.get(f"BENCH_{field.name.upper()}") for field in fields(Scale)}
    return replace(scale, **{name: int(value) for name, value in named.items() if value})


def bench_dir() -> Path:
    """Return where ledgers are built and large ones kept from run to run."""
    folder = Path(os.environ.get("BENCH_DIR") or Path(tempfile.gettempdir()) / "tallybook-bench")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
