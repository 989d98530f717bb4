"""The events behind each published example: sent to an empty ledger, they must make the example's numbers come true.

Plain CloudEvents; nothing here knows how they are counted.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count

Event = dict[str, object]


def at(text: str) -> datetime:
    """Return an instant, ``2026-03-01`` or ``2026-03-01T12:00:00``, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def us(moment: datetime) -> int:
    """Return the instant in microseconds since the epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


class Story:
    """Writes events of one account, each with an id of its own."""

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.events: list[Event] = []
        self._numbers = count(1)

    def tell(self, type_: str, moment: datetime, data: Mapping[str, object], *, times: int = 1) -> None:
        """Add *times* equal events at *moment*."""
        for _ in range(times):
            self.events.append(
                {
                    "specversion": "1.0",
                    "id": f"{self.account_id}-{next(self._numbers)}",
                    "source": "story",
                    "type": type_,
                    "subject": self.account_id,
                    "time": moment.isoformat().replace("+00:00", "Z"),
                    "data": dict(data),
                }
            )

    def batches(self, size: int = 5_000) -> Iterator[list[Event]]:
        """Yield the events in requests of at most *size*."""
        for start in range(0, len(self.events), size):
            yield self.events[start : start + size]


MESSAGE = {"direction": "inbound"}
CALL = {"channel": "voice", "direction": "outbound", "duration_s": 60}
DELIVERED, UNDELIVERED = {"status": "success"}, {"status": "failed"}

# --- AgentPhone ------------------------------------------------------------------------------------------------------

AGENTPHONE_NOW = at("2025-01-07T12:30:00")


def agentphone_usage(account_id: str) -> Story:
    """4,500 messages, 200 calls, 4,700 deliveries and three numbers, one of them released since."""
    story, now = Story(account_id), AGENTPHONE_NOW
    hour, ago = timedelta(hours=1), timedelta(days=1)
    for since, messages, calls in (
        (hour, 120, 8),
        (3 * ago, 850 - 120, 45 - 8),
        (20 * ago, 3200 - 850, 160 - 45),
        (100 * ago, 4500 - 3200, 200 - 160),
    ):
        story.tell("message", now - since, MESSAGE, times=messages)
        story.tell("call", now - since, CALL, times=calls)
    story.tell("webhook.delivery", now - 2 * ago, DELIVERED, times=4650)
    story.tell("webhook.delivery", now - 2 * ago, UNDELIVERED, times=50)
    for number in ("n1", "n2", "n3"):
        story.tell("resource.created", now - 90 * ago, {"kind": "phone_number", "resource_id": number})
    story.tell("resource.released", now - ago, {"kind": "phone_number", "resource_id": "n2"})
    return story


def agentphone_daily(account_id: str) -> Story:
    """The two days of the example."""
    story = Story(account_id)
    for day, messages, calls, deliveries in (("2025-01-09", 12, 3, 15), ("2025-01-10", 8, 5, 13)):
        story.tell("message", at(day) + timedelta(hours=6), MESSAGE, times=messages)
        story.tell("call", at(day), {**CALL, "channel": "chat"}, times=calls)
        story.tell("webhook.delivery", at(day) + timedelta(hours=9), DELIVERED, times=deliveries)
    return story


def agentphone_monthly(account_id: str) -> Story:
    """The two months of the example."""
    story = Story(account_id)
    for month, messages, calls, deliveries in (("2024-11", 342, 87, 429), ("2024-12", 510, 124, 634)):
        story.tell("message", at(f"{month}-01"), MESSAGE, times=messages)
        story.tell("call", at(f"{month}-30T23:59:59"), CALL, times=calls)
        story.tell("webhook.delivery", at(f"{month}-15"), UNDELIVERED, times=deliveries)
    return story


# --- Aurion ----------------------------------------------------------------------------------------------------------

AURION_NOW = at("2026-03-20T12:00:00")


def aurion(account_id: str) -> Story:
    """320 voice minutes, 12,450 API calls and 245 MB in March, with the two days of the details among them."""
    story = Story(account_id)
    days = (("2026-03-01", 45, 1850, 125_000, 42_000), ("2026-03-02", 38, 1620, 98_000, 35_000))
    rest = ("2026-03-15", 320 - 45 - 38, 12_450 - 1850 - 1620, 1_000, 500)
    for day, minutes, calls, tokens_in, tokens_out in (*days, rest):
        noon = at(day) + timedelta(hours=12)
        story.tell("call", noon, {**CALL, "duration_s": 30}, times=2 * minutes)
        story.tell("call", noon, {**CALL, "channel": "chat", "duration_s": 600})
        story.tell("api.request", noon, {"api_id": "core", "status": 200}, times=calls)
        story.tell("llm.completion", noon, {"input_tokens": tokens_in - 1, "output_tokens": tokens_out - 2})
        story.tell("llm.completion", noon, {"input_tokens": 1, "output_tokens": 2})
    story.tell("storage.snapshot", at("2026-02-20"), {"megabytes": 900})
    story.tell("storage.snapshot", at("2026-03-18"), {"megabytes": 245})
    story.tell("call", at("2026-02-28T23:59:59"), {**CALL, "duration_s": 6000})
    return story


# --- Anyreach --------------------------------------------------------------------------------------------------------

ANYREACH_NOW = at("2026-03-05T12:00:00")


def anyreach(account_id: str) -> Story:
    """Three days of calls and workflow runs, and an inventory of every kind; the document shows no numbers."""
    story = Story(account_id)
    for day, channel, direction, seconds, times in (
        ("2026-03-01", "voice", "inbound", "90", 4),
        ("2026-03-01", "chat", "inbound", "200", 3),
        ("2026-03-02", "voice", "outbound", "100.5", 2),
        ("2026-03-04", "chat", "outbound", "0", 1),
    ):
        said = {"channel": channel, "direction": direction, "duration_s": seconds}
        story.tell("call", at(day) + timedelta(hours=10), said, times=times)
    for day, status in (("2026-03-01", "success"), ("2026-03-02", "success"), ("2026-03-02", "failed")):
        story.tell("workflow.started", at(day), {"workflow_id": "w"})
        story.tell("workflow.finished", at(day), {"workflow_id": "w", "status": status})
    story.tell("workflow.started", at("2026-03-03"), {"workflow_id": "w"})
    created = at("2026-02-20")
    for kind, resource_id, said in (
        ("agent", "a1", {}),
        ("agent", "a2", {}),
        ("phone_number", "p1", {"shared": True}),
        ("phone_number", "p2", {}),
        ("phone_number", "p3", {"shared": True}),
        ("web_widget", "w1", {}),
        ("dataset", "d1", {}),
        ("dataset", "d2", {"active": False}),
    ):
        story.tell("resource.created", created, {"kind": kind, "resource_id": resource_id, **said})
    story.tell("resource.released", at("2026-03-01"), {"kind": "agent", "resource_id": "a2"})
    story.tell("resource.released", at("2026-03-01"), {"kind": "phone_number", "resource_id": "p3"})
    return story


# --- WontoPos --------------------------------------------------------------------------------------------------------

WONTOPOS_NOW = at("2026-03-30T15:00:00")
PAYMENTS, GEOCODING = "api_1a2b3c4d", "api_5e6f7g8h"


def wontopos(account_id: str) -> Story:
    """48,200 requests to two APIs in March, for 12.45 USD at the prices of wontopos-basic."""
    story = Story(account_id)
    payments = {"api_id": PAYMENTS, "api_name": "Global Payments API", "endpoint": "/v1/charges"}
    for day, requests, errors, latency in (
        ("2026-03-01", 1050, 1, 41),
        ("2026-03-02", 980, 0, 44),
        ("2026-03-30", 32_100 - 1050 - 980, 11, 43),
    ):
        noon = at(day) + timedelta(hours=12)
        said = {**payments, "latency_ms": latency}
        story.tell("api.request", noon, {**said, "status": 503}, times=errors)
        story.tell("api.request", noon, {**said, "status": 200}, times=requests - errors)
    geocoding = {"api_id": GEOCODING, "api_name": "Geocoding API", "latency_ms": 120}
    story.tell("api.request", at("2026-03-10"), {**geocoding, "status": 404}, times=22)
    story.tell("api.request", at("2026-03-10"), {**geocoding, "status": 200}, times=16_100 - 22)
    story.tell("api.request", at("2026-02-28T23:59:59"), {**payments, "status": 500, "latency_ms": 9000, "cost_usd": 5})
    return story


# --- LiberClaw -------------------------------------------------------------------------------------------------------

LIBERCLAW_NOW = at("2026-01-15T18:00:00")
RESEARCH, HELPER = "550e8400-e29b-41d4-a716-446655440000", "660e8400-e29b-41d4-a716-446655440001"


def liberclaw_usage(account_id: str) -> Story:
    """1,250.5 credits in the last 30 days, more before, and three of four agents left."""
    story, now = Story(account_id), LIBERCLAW_NOW
    for ago, amount in ((0, 1000), (29, "250.25"), (30, 0.25), (31, 4000)):
        story.tell("credit.spend", now - timedelta(days=ago), {"amount": amount})
    for agent in ("a1", "a2", "a3", "a4"):
        story.tell("resource.created", now - timedelta(days=10), {"kind": "agent", "resource_id": agent})
    story.tell("resource.released", now, {"kind": "agent", "resource_id": "a2"})
    return story


def liberclaw_history(account_id: str) -> Story:
    """The three days of the example."""
    story = Story(account_id)
    for day, messages in (("2026-01-15", 42), ("2026-01-14", 18), ("2026-01-13", 7)):
        story.tell("message", at(day), {"direction": "outbound"}, times=messages - 1)
        story.tell("message", at(day), MESSAGE)
    return story


def liberclaw_agents(account_id: str) -> Story:
    """The two agents of the example; the first has been renamed."""
    story, now = Story(account_id), LIBERCLAW_NOW
    for agent_id, name, messages, tokens_in, tokens_out in (
        (RESEARCH, "Research Assistant", 156, 200_000, 45_000),
        (HELPER, "Code Helper", 42, 88_000, 1_000),
    ):
        named = {"agent_id": agent_id, "agent_name": name}
        old = {"agent_id": agent_id, "agent_name": f"Old {name}"}
        story.tell("message", now - timedelta(days=2), {**old, "direction": "inbound"}, times=messages - 1)
        story.tell("message", now - timedelta(hours=1), {**named, "direction": "inbound"})
        story.tell("llm.completion", now, {**named, "input_tokens": tokens_in, "output_tokens": tokens_out})
        story.tell("message", now - timedelta(days=31), {**old, "direction": "inbound"}, times=9)
    return story
