"""Health, readiness and metrics; they stand on every host name and say nothing about versions or machines."""

import msgspec

from tallybook.core.key import ADMIN
from tallybook.web.endpoint import Ask, Endpoint, Reply, json_reply
from tallybook.web.observe import METRICS_MEDIA, Observer


class Health(msgspec.Struct, frozen=True):
    """The process is alive."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether traffic should come, and why not."""

    ready: bool
    reasons: list[str]


def get_health(_: Ask[None, None]) -> Health:
    """Answer, which is all that is asked."""
    return Health("ok")


def get_readiness(ask: Ask[None, None]) -> Reply:
    """Say whether traffic should come."""
    reasons = list(ask.rooms.not_ready())
    return json_reply(503 if reasons else 200, Readiness(not reasons, reasons))


def endpoints(observer: Observer, *, metrics_public: bool) -> tuple[Endpoint, ...]:
    """Return the endpoints; metrics ask for an operator's key unless they are public."""

    def get_metrics(_: Ask[None, None]) -> Reply:
        return Reply(200, observer.exposition(), METRICS_MEDIA)

    return (
        Endpoint("GET", "/healthz", get_health, None, "Is the process alive", answer=Health, example=Health("ok")),
        Endpoint(
            "GET",
            "/readyz",
            get_readiness,
            None,
            "Should traffic come",
            answer=Readiness,
            description="503 with the reasons while the server drains, its store is away or its disk is full.",
            example=Readiness(ready=True, reasons=[]),
        ),
        Endpoint(
            "GET",
            "/metrics",
            get_metrics,
            None if metrics_public else ADMIN,
            "Metrics in Prometheus' text format",
            operator_only=not metrics_public,
        ),
    )
