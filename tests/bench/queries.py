"""Asking: every dialect endpoint over HTTP, on a large ledger and on small ones; and how long a large one opens.

A large ledger is compared with one of as many events an account (ten accounts) and with one of as many accounts, so
that neither more accounts nor more events of each can hide.
"""

import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from tests.bench.build import Plot, build, token_of
from tests.bench.report import Figure, say
from tests.bench.scale import Scale
from tests.bench.servers import Server, tallybook
from tests.bench.wire import Wire, get_request
from tests.bench.workload import SEED, account_ids

P50_MS_MAX, P99_MS_MAX, RATIO_MAX, READY_S_MAX = 3.0, 15.0, 1.3, 2.0
WARM_REQUESTS = 30


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one endpoint took, in milliseconds."""

    p50: float
    p99: float
    worst: float


def endpoints() -> dict[str, str]:
    """Return name -> path, with the parameters that clients send; *wide* ones ask for the most."""
    today = datetime.now(UTC).date()
    days = {n: (today - timedelta(days=n)).isoformat() for n in (29, 89, 364, 365)}
    return {
        "agentphone usage": "/agentphone/v1/usage",
        "agentphone daily": "/agentphone/v1/usage/daily",
        "agentphone daily, 365 days": "/agentphone/v1/usage/daily?days=365",
        "agentphone monthly": "/agentphone/v1/usage/monthly",
        "agentphone monthly, 24 months": "/agentphone/v1/usage/monthly?months=24",
        "aurion summary": "/aurion/api/v1/usage/summary",
        "aurion details": "/aurion/api/v1/usage/details",
        "aurion details, 365 days": f"/aurion/api/v1/usage/details?start_date={days[364]}&end_date={today}",
        "anyreach summary": "/anyreach/admin/usage/summary",
        "anyreach summary, 366 days": f"/anyreach/admin/usage/summary?from={days[365]}&to={today + timedelta(days=1)}",
        "wontopos usage": "/wontopos/v1/usage",
        "wontopos api": "/wontopos/v1/usage/api-1",
        "wontopos api, 30 days of hours": f"/wontopos/v1/usage/api-1?from={days[29]}&granularity=hour",
        "wontopos api, 365 days": f"/wontopos/v1/usage/api-1?from={days[364]}",
        "liberclaw usage": "/liberclaw/api/v1/usage",
        "liberclaw history": "/liberclaw/api/v1/usage/history",
        "liberclaw per-agent": "/liberclaw/api/v1/usage/per-agent",
        "liberclaw per-agent, 90 days": "/liberclaw/api/v1/usage/per-agent?days=90",
    }


def run(scale: Scale, folder: Path) -> list[Figure]:
    """Measure and return the figures."""
    accounts = scale.queries_accounts
    large = Plot(scale.queries_events, accounts)
    as_dense = Plot(scale.queries_events_few, max(1, accounts * scale.queries_events_few // scale.queries_events))
    as_many = Plot(scale.queries_events_few, accounts)
    timings: dict[Plot, dict[str, Timing]] = {}
    ready_s = rss_mib = 0.0
    for plot in (as_dense, as_many, large):
        data = build(plot, folder)
        with tallybook(data, "") as server:
            timings[plot] = _ask_all(server, plot, scale.queries_requests)
            ready_s, rss_mib = server.ready_s, server.rss_mib
    _show(timings, large, as_dense, as_many)
    ours = timings[large]
    ratios = {other: max(ours[name].p50 / timings[other][name].p50 for name in ours) for other in (as_dense, as_many)}
    return [
        Figure("queries", "slowest endpoint, p50", max(t.p50 for t in ours.values()), "ms", P50_MS_MAX),
        Figure("queries", "slowest endpoint, p99", max(t.p99 for t in ours.values()), "ms", P99_MS_MAX),
        Figure("queries", "median endpoint, p50", statistics.median(t.p50 for t in ours.values()), "ms"),
        Figure("queries", "worst ratio to few events, as dense", ratios[as_dense], "x", RATIO_MAX),
        Figure("queries", "worst ratio to few events, as many accounts", ratios[as_many], "x", RATIO_MAX),
        Figure("start", "large ledger until ready", ready_s, "s", READY_S_MAX),
        Figure("start", "memory after all questions", rss_mib, "MiB"),
    ]


def _ask_all(server: Server, plot: Plot, requests: int) -> dict[str, Timing]:
    """Ask every endpoint for accounts drawn at random, one request after the other over one connection."""
    dice, ids = Random(SEED), account_ids(plot.accounts)
    wire = Wire(server.port)
    found = {}
    for name, path in endpoints().items():
        asked = [get_request(path, {"Authorization": f"Bearer {token_of(dice.choice(ids))}"}) for _ in range(requests)]
        for request in asked[:WARM_REQUESTS]:
            status, body = wire.ask(request)
            if status != 200:
                raise RuntimeError(f"{path} answered {status}: {body[:300]!r}")
        found[name] = _timing([_timed(wire, request) for request in asked])
    wire.close()
    return found


def _timed(wire: Wire, request: bytes) -> float:
    began_s = time.perf_counter()
    wire.ask(request)
    return (time.perf_counter() - began_s) * 1e3


def _timing(took_ms: list[float]) -> Timing:
    took_ms.sort()
    return Timing(statistics.median(took_ms), took_ms[int(len(took_ms) * 0.99)], took_ms[-1])


def _show(timings: dict[Plot, dict[str, Timing]], large: Plot, *others: Plot) -> None:
    say(
        f"\n  {'endpoint':32} {large.events:>12,} events"
        + "".join(f" {o.events:>9,} of {o.accounts:,}" for o in others)
    )
    for name, timing in timings[large].items():
        line = f"  {name:32} p50 {timing.p50:6.2f}  p99 {timing.p99:6.2f} ms"
        for other in others:
            p50 = timings[other][name].p50
            line += f"   {p50:6.2f} ms ({timing.p50 / p50:4.2f} x)"
        say(line)
