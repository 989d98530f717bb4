"""The usage that the browser's tests look at: two accounts, seven weeks, every kind of event, the same each time."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from tests.support.browser import Site

FIRST = datetime(2026, 1, 25, tzinfo=UTC)
DAYS = 50
QUIET = "quiet"
"""An account without any usage."""
BUSY = "cafe"


def fill(site: Site) -> None:
    """Create the accounts and count their events."""
    site.account(BUSY, name="Café Lumière", plan="anyreach-standard")
    site.account(QUIET, name="Quiet Ltd")
    site.ask("POST", "/v1/webhook-endpoints", json={"account": BUSY, "url": "https://example.com/h", "events": ["*"]})
    site.ask("POST", "/v1/channels", json={"account": BUSY, "kind": "email", "address": "ops@example.com"})
    site.ask("PUT", f"/v1/accounts/{BUSY}/budgets/monthly", json={"amount": "1"})
    events = [*_things(), *_days()]
    for start in range(0, len(events), 5_000):
        site.send(*events[start : start + 5_000])


def _things() -> Iterator[dict[str, object]]:
    for kind, name, more in (
        ("agent", "agt_1", {"name": "Réservations"}),
        ("agent", "agt_2", {"name": "Traiteur"}),
        ("phone_number", "num_1", {"shared": False}),
        ("phone_number", "num_2", {"shared": True}),
        ("web_widget", "wgt_1", {}),
        ("dataset", "dst_1", {"active": True}),
        ("dataset", "dst_2", {"active": False}),
    ):
        data = {"kind": kind, "resource_id": name, **more}
        yield _event(f"made-{name}", "resource.created", FIRST, data)


def _days() -> Iterator[dict[str, object]]:
    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        for at in range(2 + number % 4):
            time = day + timedelta(hours=8 + at)
            channel, direction = ("voice", "inbound") if at % 2 == 0 else ("chat", "outbound")
            data = {
                "channel": channel,
                "direction": direction,
                "duration_s": 61 + number,
                "agent_id": f"agt_{at % 2 + 1}",
            }
            yield _event(f"call-{number}-{at}", "call", time, data)
            yield _event(f"run-{number}-{at}", "workflow.started", time, {"workflow_id": "wf_1"})
            status = "failed" if at == 3 else "success"
            yield _event(f"end-{number}-{at}", "workflow.finished", time, {"workflow_id": "wf_1", "status": status})
            message: dict[str, object] = {
                "direction": direction,
                "agent_id": f"agt_{at % 2 + 1}",
                "agent_name": f"Agent {at % 2 + 1}",
            }
            yield _event(f"message-{number}-{at}", "message", time, message)
            request: dict[str, object] = {
                "api_id": f"api_{at % 2 + 1}",
                "api_name": f"API {at % 2 + 1}",
                "endpoint": f"/things/{at % 3}",
                "status": 500 if at == 3 else 200,
                "latency_ms": 20 + number + 10 * at,
            }
            yield _event(f"request-{number}-{at}", "api.request", time, request)


def _event(event_id: str, kind: str, time: datetime, data: Mapping[str, object]) -> dict[str, object]:
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"id": event_id, "type": kind, "subject": BUSY, "time": text, "data": data}
