"""Memory: what the server holds while millions of events go in over HTTP, sampled from outside."""

import shutil
import statistics
import threading
from pathlib import Path

from tests.bench.ledgers import fresh
from tests.bench.load import Load
from tests.bench.report import Figure, say
from tests.bench.scale import Scale
from tests.bench.servers import Server, tallybook

RSS_MIB_MAX = 300.0
SAMPLE_S = 0.25
TOLD_EVERY = 60


def run(scale: Scale, folder: Path) -> list[Figure]:
    """Measure and return the figures."""
    data = folder / "memory"
    key = fresh(data)
    with tallybook(data, key) as server:
        load = Load(server.port, key, scale.memory_events, 0)
        load.go()
        samples = _sample(server, load)
        driven = load.finish()
    ledger_mib = sum(file.stat().st_size for file in data.iterdir()) / 2**20
    shutil.rmtree(data)
    return [
        Figure("memory", f"largest, {scale.memory_events:,} events", max(samples), "MiB", RSS_MIB_MAX),
        Figure("memory", "at the end", samples[-1], "MiB"),
        Figure("memory", "median", statistics.median(samples), "MiB"),
        Figure("memory", "pace meanwhile", driven.per_s, "events/s"),
        Figure("memory", "ledger, bytes an event", ledger_mib * 2**20 / driven.events, "B"),
    ]


def _sample(server: Server, load: Load) -> list[float]:
    """Return the server's memory every SAMPLE_S until the generator ends."""
    samples = [server.rss_mib]
    ended = threading.Event()

    def watch() -> None:
        load.wait()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    while not ended.wait(SAMPLE_S):
        samples.append(server.rss_mib)
        if len(samples) % TOLD_EVERY == 0:
            say(f"  after {len(samples) * SAMPLE_S:4.0f} s   {samples[-1]:6.1f} MiB, most {max(samples):6.1f} MiB")
    return samples
