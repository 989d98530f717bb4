"""The examples of the published documents, number for number: events in over HTTP, the document's JSON out."""

from tests.web.dialects import stories


def test_agentphone_usage(desk):
    """
    The whole object of "Get usage". Only the period differs: the example's is a week, ours is the anchored month.
    """
    key = desk.account("phone", plan="agentphone-pro", now=stories.AGENTPHONE_NOW)
    desk.tell(stories.agentphone_usage("phone"))

    assert {
        "plan": {
            "name": "pro",
            "limits": {
                "numbers": 10,
                "messagesPerMonth": 10000,
                "voiceMinutesPerMonth": 500,
                "maxCallDurationMinutes": 30,
                "concurrentCalls": 5,
            },
        },
        "numbers": {"used": 3, "limit": 10, "remaining": 7},
        "stats": {
            "totalMessages": 4500,
            "messagesLast24h": 120,
            "messagesLast7d": 850,
            "messagesLast30d": 3200,
            "totalCalls": 200,
            "callsLast24h": 8,
            "callsLast7d": 45,
            "callsLast30d": 160,
            "totalWebhookDeliveries": 4700,
            "successfulWebhookDeliveries": 4650,
            "failedWebhookDeliveries": 50,
        },
        "periodStart": "2025-01-01T00:00:00Z",
        "periodEnd": "2025-02-01T00:00:00Z",
    } == desk.get("/agentphone/v1/usage", key).json


def test_agentphone_daily(desk):
    """
    Seven rows for `days=7`, of which the example shows the last two; the days before are zeros.
    """
    key = desk.account("phone", now=stories.at("2025-01-10T12:00:00"))
    desk.tell(stories.agentphone_daily("phone"))

    body = desk.get("/agentphone/v1/usage/daily?days=7", key).json

    assert {"data", "days"} == body.keys()
    assert 7 == body["days"]
    assert [
        {"date": "2025-01-09", "messages": 12, "calls": 3, "webhooks": 15},
        {"date": "2025-01-10", "messages": 8, "calls": 5, "webhooks": 13},
    ] == body["data"][-2:]
    assert [{"date": f"2025-01-0{day}", "messages": 0, "calls": 0, "webhooks": 0} for day in (4, 5, 6, 7, 8)] == body[
        "data"
    ][:-2]


def test_agentphone_monthly(desk):
    """
    Three rows for `months=3`, of which the example shows the first two; the month that has just begun is the third.
    """
    key = desk.account("phone", now=stories.at("2025-01-10T12:00:00"))
    desk.tell(stories.agentphone_monthly("phone"))

    assert {
        "data": [
            {"month": "2024-11", "messages": 342, "calls": 87, "webhooks": 429},
            {"month": "2024-12", "messages": 510, "calls": 124, "webhooks": 634},
            {"month": "2025-01", "messages": 0, "calls": 0, "webhooks": 0},
        ],
        "months": 3,
    } == desk.get("/agentphone/v1/usage/monthly?months=3", key).json


def test_aurion_summary(desk):
    """
    The whole object of "Usage Summary"; the percentages keep their decimal place.
    """
    key = desk.account("tenant", plan="aurion-professional", now=stories.AURION_NOW)
    desk.tell(stories.aurion("tenant"))

    answer = desk.get("/aurion/api/v1/usage/summary", key)

    assert {
        "period": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-31T23:59:59Z"},
        "voice_minutes": {"used": 320, "limit": 1000, "percentage": 32.0},
        "api_calls": {"used": 12450, "limit": 50000, "percentage": 24.9},
        "storage_mb": {"used": 245, "limit": 5000, "percentage": 4.9},
        "plan": "professional",
        "billing_status": "active",
    } == answer.json
    assert '"used":320,"limit":1000,"percentage":32.0' in answer.text


def test_aurion_details(desk):
    """
    Eight rows for eight days, of which the example shows the first two; nothing happened on the others.
    """
    key = desk.account("tenant", plan="aurion-professional", now=stories.AURION_NOW)
    desk.tell(stories.aurion("tenant"))

    body = desk.get("/aurion/api/v1/usage/details?start_date=2026-03-01&end_date=2026-03-08&group_by=day", key).json

    assert [
        {
            "date": "2026-03-01",
            "voice_minutes": 45,
            "api_calls": 1850,
            "llm_tokens": {"input": 125000, "output": 42000},
        },
        {
            "date": "2026-03-02",
            "voice_minutes": 38,
            "api_calls": 1620,
            "llm_tokens": {"input": 98000, "output": 35000},
        },
    ] == body["data"][:2]
    assert [
        {"date": f"2026-03-0{day}", "voice_minutes": 0, "api_calls": 0, "llm_tokens": {"input": 0, "output": 0}}
        for day in (3, 4, 5, 6, 7, 8)
    ] == body["data"][2:]


def test_anyreach_summary(desk):
    """
    Every field of the document's tables, in one flat object; the document itself shows no numbers.
    """
    key = desk.account("org", plan="anyreach-standard", now=stories.ANYREACH_NOW)
    desk.tell(stories.anyreach("org"))

    body = desk.get("/anyreach/admin/usage/summary?from=2026-03-01&to=2026-03-05", key).json

    assert {
        "total_calls": 10,
        "voice_calls": 6,
        "chat_calls": 4,
        "inbound_calls": 7,
        "outbound_calls": 3,
        "voice_minutes": 9.35,
        "chat_minutes": 10,
        "avg_call_duration_sec": 93.5,
        "workflow_runs_total": 4,
        "workflow_runs_success": 2,
        "workflow_runs_failed": 1,
        "daily": [
            {"day": "2026-03-01", "calls": 7, "voice_minutes": 6, "chat_minutes": 10, "workflow_runs": 1},
            {"day": "2026-03-02", "calls": 2, "voice_minutes": 3.35, "chat_minutes": 0, "workflow_runs": 2},
            {"day": "2026-03-03", "calls": 0, "voice_minutes": 0, "chat_minutes": 0, "workflow_runs": 1},
            {"day": "2026-03-04", "calls": 1, "voice_minutes": 0, "chat_minutes": 0, "workflow_runs": 0},
        ],
        "total_agents": 1,
        "total_phone_numbers": 2,
        "shared_phone_numbers": 1,
        "total_web_widgets": 1,
        "total_datasets": 2,
        "active_datasets": 1,
    } == body


def test_wontopos_summary_and_detail(desk):
    """
    Both objects of the document; the timeseries has all thirty days, of which the example shows the first two.
    """
    key = desk.account("shop", plan="wontopos-basic", now=stories.WONTOPOS_NOW)
    desk.tell(stories.wontopos("shop"))
    query = "from=2026-03-01&to=2026-03-30&granularity=day"

    assert {
        "period": {"from": "2026-03-01T00:00:00Z", "to": "2026-03-30T00:00:00Z"},
        "total_requests": 48200,
        "total_errors": 34,
        "total_cost_usd": 12.45,
        "by_api": [
            {
                "api_id": "api_1a2b3c4d",
                "name": "Global Payments API",
                "requests": 32100,
                "errors": 12,
                "avg_latency_ms": 43,
                "cost_usd": 8.20,
            },
            {
                "api_id": "api_5e6f7g8h",
                "name": "Geocoding API",
                "requests": 16100,
                "errors": 22,
                "avg_latency_ms": 120,
                "cost_usd": 4.25,
            },
        ],
    } == desk.get(f"/wontopos/v1/usage?{query}", key).json

    detail = desk.get(f"/wontopos/v1/usage/api_1a2b3c4d?{query}", key).json
    timeseries = detail.pop("timeseries")

    assert {
        "api_id": "api_1a2b3c4d",
        "name": "Global Payments API",
        "period": {"from": "2026-03-01T00:00:00Z", "to": "2026-03-30T00:00:00Z"},
        "total_requests": 32100,
        "total_errors": 12,
        "avg_latency_ms": 43,
        "cost_usd": 8.20,
        "plan_limit": 50000,
        "usage_percentage": 64.2,
    } == detail
    assert [
        {"date": "2026-03-01", "requests": 1050, "errors": 1, "avg_latency_ms": 41},
        {"date": "2026-03-02", "requests": 980, "errors": 0, "avg_latency_ms": 44},
    ] == timeseries[:2]
    assert 30 == len(timeseries)
    assert 32100 == sum(row["requests"] for row in timeseries)


def test_liberclaw_usage(desk):
    """
    The whole object of "GET /usage", with its floats written as floats.
    """
    key = desk.account("claw", plan="liberclaw-free", now=stories.LIBERCLAW_NOW)
    desk.tell(stories.liberclaw_usage("claw"))

    answer = desk.get("/liberclaw/api/v1/usage", key)

    assert {
        "credits_used": 1250.5,
        "credits_limit": 5000.0,
        "rolling_window_days": 30,
        "agent_count": 3,
        "agent_limit": 5,
        "tier": "free",
    } == answer.json
    assert '"credits_used":1250.5,"credits_limit":5000.0,' in answer.text


def test_liberclaw_history(desk):
    """
    The whole object of "GET /usage/history": newest first, and only the days that have messages.
    """
    key = desk.account("claw", now=stories.LIBERCLAW_NOW)
    desk.tell(stories.liberclaw_history("claw"))

    assert {
        "days": [
            {"date": "2026-01-15", "message_count": 42},
            {"date": "2026-01-14", "message_count": 18},
            {"date": "2026-01-13", "message_count": 7},
        ]
    } == desk.get("/liberclaw/api/v1/usage/history", key).json


def test_liberclaw_agents(desk):
    """
    The whole object of "GET /usage/per-agent".
    """
    key = desk.account("claw", now=stories.LIBERCLAW_NOW)
    desk.tell(stories.liberclaw_agents("claw"))

    assert {
        "agents": [
            {
                "agent_id": "550e8400-e29b-41d4-a716-446655440000",
                "agent_name": "Research Assistant",
                "message_count": 156,
                "total_tokens": 245000,
            },
            {
                "agent_id": "660e8400-e29b-41d4-a716-446655440001",
                "agent_name": "Code Helper",
                "message_count": 42,
                "total_tokens": 89000,
            },
        ],
        "period_days": 30,
    } == desk.get("/liberclaw/api/v1/usage/per-agent?days=30", key).json
