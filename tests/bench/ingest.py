"""Taking events in: Tallybook over HTTP against a plain PostgreSQL table behind the same HTTP server, turn by turn.

Both write the same batches over as many connections and are durable when they answer. Tallybook refuses duplicates,
tells conflicts, checks every field and keeps its rollups meanwhile; the table only refuses duplicates. What HTTP costs
is measured apart, by the same batches in one process without it.
"""

import gc
import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tallybook.core.usual import Batch
from tallybook.house import House
from tests.bench.ledgers import OPERATOR, fresh, opened
from tests.bench.load import TEMPLATES, Driven, drive
from tests.bench.report import Figure, say
from tests.bench.scale import ACCOUNTS, BATCH_EVENTS, CONNECTIONS, Scale
from tests.bench.servers import Server, peer, tallybook
from tests.bench.workload import fill, templates

EVENTS_A_SECOND_MIN = 40_000
RATIO_MIN = 3.0


def run(scale: Scale, folder: Path) -> list[Figure]:
    """Measure and return the figures."""
    data = folder / "ingest"
    key = fresh(data)
    ours: list[float] = []
    theirs: list[float] = []
    with tallybook(data, key) as server, peer(folder) as table:
        for round_no in range(scale.ingest_rounds):
            ours.append(_round("tallybook", server, scale.ingest_events, round_no))
            theirs.append(_round("postgresql table", table, scale.peer_events, round_no))
    direct = _direct(scale, folder)
    shutil.rmtree(data)
    per_s, peer_per_s = statistics.median(ours), statistics.median(theirs)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return [
        Figure("ingest", "over HTTP, median", per_s, "events/s", EVENTS_A_SECOND_MIN, at_least=True),
        Figure("ingest", "over HTTP, slowest round", min(ours), "events/s"),
        Figure("ingest", "without HTTP", direct, "events/s"),
        Figure("ingest", "PostgreSQL table, median", peer_per_s, "events/s"),
        Figure("ingest", "ratio to the table, median of pairs", ratio, "x", RATIO_MIN, at_least=True),
    ]


def _round(name: str, server: Server, events: int, round_no: int) -> float:
    cpu_s = server.cpu_s
    driven = drive(server.port, server.key, events, round_no)
    _tell(name, driven, server.cpu_s - cpu_s)
    return driven.per_s


def _tell(name: str, driven: Driven, cpu_s: float) -> None:
    waits_s = sorted(driven.waits_s)
    say(
        f"  {name:17} {driven.per_s:9,.0f} events/s   server {cpu_s / driven.events * 1e6:5.1f} us of CPU an event,"
        f" generator {driven.cpu_s / driven.events * 1e6:4.1f} us ({driven.cpu_s / driven.took_s:4.0%} of a core)"
        f"   batch p50 {statistics.median(waits_s) * 1e3:,.0f} ms, max {waits_s[-1] * 1e3:,.0f} ms"
        f"   {driven.outcomes['duplicate']:,} duplicates, {driven.outcomes['conflict']:,} conflicts"
    )


def _direct(scale: Scale, folder: Path) -> float:
    """Write the same batches in this process: what is left is the reading, the counting and the disk."""
    data = folder / "direct"
    fresh(data)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    bodies = templates(TEMPLATES, BATCH_EVENTS, ACCOUNTS, [f"{now}Z"])
    with opened(data) as house:
        gc.collect()
        began_s, cpu_s = time.perf_counter(), time.process_time()
        batches = scale.direct_events // BATCH_EVENTS
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            numbers = range(batches)
            accepted = sum(pool.map(lambda n: _write(house, fill(bodies[n % TEMPLATES], f"{n:08x}", now)), numbers))
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    shutil.rmtree(data)
    events = batches * BATCH_EVENTS
    say(f"  without HTTP      {events / took_s:9,.0f} events/s   {cpu_s / events * 1e6:5.1f} us of CPU an event")
    assert accepted  # or nothing was measured
    return events / took_s


def _write(house: House, body: bytes) -> int:
    prepared = house.ingest.prepare(Batch(body), OPERATOR)
    return house.ingest.submit(prepared).result().accepted
