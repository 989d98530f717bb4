"""What an operator sees of the web edge: one log line a request, one traceback a bug, and Prometheus metrics.

No header, no query string and no body is ever logged; labels come from the endpoint tables, so their number is bounded.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tallybook.core.errors import Unavailable
from tallybook.web.log import Log, RequestLine, ServerLog, make_log, request_fields

METRICS_MEDIA = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)


class Observer:
    """The metrics of one server, and its log."""

    def __init__(self, log: Log | None = None) -> None:
        self.log = log or make_log()
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tallybook_http_requests", "Requests answered.", ("surface", "route", "status"), registry=self.registry
        )
        self._request_seconds = Histogram(
            "tallybook_http_request_duration_seconds",
            "From the first byte in to the last byte out.",
            ("surface", "route"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._events = Counter("tallybook_events", "Events by outcome.", ("outcome",), registry=self.registry)
        self._commit_seconds = Histogram(
            "tallybook_commit_duration_seconds", "One ledger commit.", buckets=_SECONDS, registry=self.registry
        )
        self._commit_events = Histogram(
            "tallybook_commit_events", "Events in one ledger commit.", buckets=_EVENTS, registry=self.registry
        )

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """Show what *read* returns whenever metrics are asked for."""
        Gauge(name, about, registry=self.registry).set_function(read)

    def count_events(self, outcome: str, count: int) -> None:
        """Count *count* events that had *outcome*."""
        if count:
            self._events.labels(outcome).inc(count)

    def commit(self, duration_s: float, events: int) -> None:
        """Note one ledger commit."""
        self._commit_seconds.observe(duration_s)
        self._commit_events.observe(events)

    def bug(self, error: Exception, *, request_id: str, route: str) -> None:
        """Log the traceback of what should not have happened."""
        self.log.error("bug", request_id=request_id, route=route, exc_info=error)

    def unavailable(self, error: Unavailable, *, request_id: str) -> None:
        """Log why a request was told to come back, with the traceback of the cause where there is one."""
        cause = error.__cause__
        self.log.warning(
            "unavailable", request_id=request_id, reason=error.message, cause=error.detail.get("cause"), exc_info=cause
        )

    def request(self, line: RequestLine) -> None:
        """Note one answered request."""
        key = line.surface, line.route, line.status
        known = self._known.get(key)
        if known is None:  # as many as there are endpoints and statuses
            known = self._requests.labels(*key), self._request_seconds.labels(line.surface, line.route)
            self._known[key] = known
        answered, took = known
        answered.inc()
        took.observe(line.duration_s)
        if isinstance(self.log, ServerLog):
            self.log.request(line)
        else:
            self.log.info("request", **request_fields(line))

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
