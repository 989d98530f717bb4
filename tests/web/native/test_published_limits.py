"""The limits that the five documents publish, each in its document's words, with the built-in plans and over HTTP."""

import pytest

ACCOUNT = "/v1/accounts/acme"
OPENED = "2026-03-15T12:00:00Z"


class Customer:
    """The account acme on a plan, and what it asks of the API."""

    def __init__(self, desk, plan, **put):
        self.desk = desk
        self.key = desk.account("acme", plan=plan, **put)
        self._events = 0

    def happened(self, kind, *, at=None, **data):
        """Send an event of what happened."""
        self._events += 1
        event = {"id": f"e{self._events}", "type": kind, "subject": "acme", "data": data}
        assert 1 == self.desk.send(event | ({"time": at} if at else {}))["accepted"]

    def may(self, limit, quantity=1, **dimensions):
        """Ask whether it may go on."""
        item = {"limit": limit, "quantity": str(quantity)} | ({"dimensions": dimensions} if dimensions else {})
        return self.desk.post(f"{ACCOUNT}/checks", self.key, json={"items": [item]}).json()["allowed"]

    def limit(self, name, value=None):
        """Where it stands."""
        told = self.desk.get(f"{ACCOUNT}/limits", self.key).json()["limits"]
        (found,) = (one for one in told if (one["name"], one["value"]) == (name, value))
        return found

    def create(self, kind, resource_id):
        """Create a thing; return the status."""
        return self.desk.put(f"{ACCOUNT}/resources/{kind}/{resource_id}", self.key, json={}).status_code

    def release(self, kind, resource_id):
        """Give a thing up."""
        self.desk.clock.advance(1)
        assert 204 == self.desk.ask("DELETE", f"{ACCOUNT}/resources/{kind}/{resource_id}", self.key).status_code
        self.desk.clock.advance(1)

    def start_call(self, call_id, ttl_s=3600):
        """Take a slot for a call."""
        body = {"limit": "concurrent_calls", "ttl_s": ttl_s, "call_id": call_id}
        return self.desk.post(f"{ACCOUNT}/leases", self.key, json=body)


# --- AgentPhone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plan", "numbers"), [("starter", 2), ("pro", 10)])
def test_the_phone_numbers_limit_counts_all_numbers_ever_provisioned(desk, plan, numbers):
    """
    "A lifetime limit: it counts all numbers ever provisioned (including released ones)."
    """
    acme = Customer(desk, f"agentphone-{plan}")
    for number in range(numbers):
        assert 200 == acme.create("phone_number", f"+1{number}")
        acme.release("phone_number", f"+1{number}")

    assert 429 == acme.create("phone_number", "+99")
    assert 200 == acme.create("phone_number", "+10")
    assert (str(numbers), "0") == (acme.limit("numbers")["used"], acme.limit("numbers")["remaining"])
    used = desk.get("/agentphone/v1/usage", acme.key).json()["numbers"]
    assert {"used": numbers, "limit": numbers, "remaining": 0} == used


@pytest.mark.parametrize(("plan", "messages"), [("starter", 1_000), ("pro", 10_000)])
def test_the_messages_limit_counts_both_directions_and_resets_with_the_billing_period(desk, plan, messages):
    """
    "Resets at the start of each billing period. Both inbound and outbound messages count toward this limit."
    """
    acme = Customer(desk, f"agentphone-{plan}", anchor_day=20)
    for direction in ("inbound", "outbound"):
        acme.happened("message", direction=direction)

    assert [True, False] == [acme.may("messages", messages - 2), acme.may("messages", messages - 1)]
    limit = acme.limit("messages")
    assert ("2", str(messages), "2026-03-20T00:00:00Z") == (limit["used"], limit["quantity"], limit["resets_at"])
    desk.set_now("2026-03-19T23:59:59Z")
    assert not acme.may("messages", messages)
    desk.set_now("2026-03-20T00:00:00Z")
    assert acme.may("messages", messages)


@pytest.mark.parametrize(("plan", "minutes"), [("starter", 100), ("pro", 500)])
def test_the_voice_minutes_limit_counts_inbound_and_outbound_call_minutes(desk, plan, minutes):
    """
    "Resets monthly. Both inbound and outbound call minutes are counted." Chat is no voice.
    """
    acme = Customer(desk, f"agentphone-{plan}")
    for channel, direction in (("voice", "inbound"), ("voice", "outbound"), ("chat", "inbound")):
        acme.happened("call", channel=channel, direction=direction, duration_s=90)

    assert [True, False] == [acme.may("voice_seconds", 60 * minutes - over) for over in (180, 179)]
    desk.set_now("2026-04-01T00:00:00Z")
    assert acme.may("voice_seconds", 60 * minutes)


@pytest.mark.parametrize(("plan", "minutes"), [("starter", 15), ("pro", 30)])
def test_calls_that_reach_the_max_duration_are_terminated(desk, plan, minutes):
    """
    "A hard limit on individual call length. Calls that reach this duration are automatically terminated." And billed.
    """
    acme = Customer(desk, f"agentphone-{plan}")
    lease = acme.start_call("call-1").json()
    deadline = f"2026-03-15T12:{minutes}:00Z"

    assert deadline == lease["deadline"] == lease["expires_at"]
    assert [True, False] == [acme.may("call_duration", 60 * minutes), acme.may("call_duration", 60 * minutes + 1)]
    desk.set_now(deadline)
    beat = desk.post(f"{ACCOUNT}/leases/{lease['id']}/heartbeat", acme.key, json={"token": lease["token"]})
    assert (409, "lease-lost") == (beat.status_code, beat.json()["code"])
    desk.house.sweeper.run()
    assert str(60 * minutes) == acme.limit("voice_seconds")["used"]
    acme.happened("call", channel="voice", direction="inbound", duration_s=61, call_id="call-1")
    assert "61" == acme.limit("voice_seconds")["used"]


@pytest.mark.parametrize(("plan", "calls"), [("starter", 2), ("pro", 5)])
def test_the_concurrent_calls_limit_is_over_all_phone_numbers(desk, plan, calls):
    """
    "How many voice calls can be active simultaneously across all your agent's phone numbers."
    """
    acme = Customer(desk, f"agentphone-{plan}")
    leases = [acme.start_call(f"call-of-number-{number}") for number in range(calls)]
    refused = acme.start_call("one-more")

    assert [201] * calls == [lease.status_code for lease in leases]
    assert (429, ["concurrent_calls"]) == (refused.status_code, refused.json()["violated"])
    ended = {"channel": "voice", "direction": "inbound", "duration_s": 5, "call_id": "call-of-number-0"}
    acme.happened("call", number_id="+10", **ended)
    assert 201 == acme.start_call("now-it-fits").status_code


def test_enterprise_is_custom(desk):
    """
    "Custom": counted, and limited by what the operator agreed with that account.
    """
    acme = Customer(desk, "agentphone-enterprise")
    assert acme.may("messages", 10**9)
    agreed = {"kind": "period", "meter": "messages", "quantity": "5"}
    assert 200 == desk.put(f"{ACCOUNT}/limits/messages", desk.operator, json=agreed).status_code
    assert not acme.may("messages", 6)


# --- Aurion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier", "quantities"),
    [
        ("starter", {"voice_seconds": "1500", "api_calls": "10000", "seats": "3", "storage_mb": "1000"}),
        ("professional", {"voice_seconds": "60000", "api_calls": "50000", "seats": "25", "storage_mb": "5000"}),
        ("enterprise", {"voice_seconds": None, "api_calls": None, "seats": None, "storage_mb": "50000"}),
    ],
)
def test_aurions_tiers_meter_and_go_on(desk, tier, quantities):
    """
    "Voice minutes 25/month, API calls 10,000/month, seats 3": percentages may pass 100, so nothing is cut off.
    """
    acme = Customer(desk, f"aurion-{tier}")
    for number in range(4):
        assert 200 == acme.create("seat", f"s{number}")
    acme.happened("storage.snapshot", megabytes=1001)
    acme.happened("call", channel="voice", direction="inbound", duration_s=1501)
    acme.happened("api.request", api_id="a", status=200)

    told = {limit["name"]: limit for limit in desk.get(f"{ACCOUNT}/limits", acme.key).json()["limits"]}
    assert quantities == {name: limit["quantity"] for name, limit in told.items()}
    assert {"voice_seconds": "1501", "api_calls": "1", "seats": "4", "storage_mb": "1001"} == {
        name: limit["used"] for name, limit in told.items()
    }
    over = {name for name, limit in told.items() if limit["over"]}
    assert ({"voice_seconds", "seats", "storage_mb"} if tier == "starter" else set()) == over
    assert all(acme.may(name) for name in quantities)


def test_the_billing_status_of_aurion_follows_its_invoices(desk):
    """
    "billing_status": active, past_due, suspended; a suspended account is still told its usage.
    """
    acme = Customer(desk, "aurion-starter")

    def status():
        return desk.get("/aurion/api/v1/usage/summary", headers={"X-API-Key": acme.key}).json()["billing_status"]

    seen = [status()]
    desk.put(f"{ACCOUNT}/billing", desk.operator, json={"invoice": "failed"})
    seen.append(status())
    desk.set_now("2026-03-22T12:00:00Z")
    seen.append(status())
    desk.put(f"{ACCOUNT}/billing", desk.operator, json={"invoice": "paid"})
    assert ["active", "past_due", "suspended", "active"] == [*seen, status()]


# --- LiberClaw ----------------------------------------------------------------------------------------------------


def test_credits_are_counted_in_a_rolling_window_of_thirty_days(desk):
    """
    "Credits consumed in the current rolling window": 5000.0 in 30 days; what is older comes free by the minute.
    """
    acme = Customer(desk, "liberclaw-free")
    acme.happened("credit.spend", at="2026-02-20T08:30:15Z", amount="4000")
    acme.happened("credit.spend", amount="999.5")

    assert [True, False] == [acme.may("credits", "0.5"), acme.may("credits", "0.6")]
    assert "2026-03-22T08:31:00Z" == acme.limit("credits")["frees_at"]
    desk.set_now("2026-03-22T08:30:59Z")
    assert not acme.may("credits", 1)
    desk.set_now("2026-03-22T08:31:00Z")
    assert acme.may("credits", "4000.5")
    usage = desk.get("/liberclaw/api/v1/usage", acme.key).json()
    assert (999.5, 5000.0, 30) == (usage["credits_used"], usage["credits_limit"], usage["rolling_window_days"])


@pytest.mark.parametrize(("tier", "agents"), [("guest", 1), ("free", 5), ("pro", 25)])
def test_the_agents_of_a_tier_are_those_that_exist(desk, tier, agents):
    """
    "Maximum agents allowed for your tier"; deleting one makes room.
    """
    acme = Customer(desk, f"liberclaw-{tier}")
    assert [200] * agents == [acme.create("agent", f"a{number}") for number in range(agents)]
    assert 429 == acme.create("agent", "one-more")
    acme.release("agent", "a0")
    assert 200 == acme.create("agent", "one-more")
    usage = desk.get("/liberclaw/api/v1/usage", acme.key).json()
    assert (agents, agents) == (usage["agent_count"], usage["agent_limit"])


# --- WontoPos -----------------------------------------------------------------------------------------------------


def test_each_api_has_its_own_plan_limit(desk):
    """
    "plan_limit": 50000 requests of an API a month; what one uses is not taken from another.
    """
    acme = Customer(desk, "wontopos-basic")
    for _ in range(3):
        acme.happened("api.request", api_id="api_1a2b3c4d", status=200)
    acme.happened("api.request", api_id="api_5e6f7g8h", status=500)

    assert ("3", "49997") == tuple(acme.limit("requests", "api_1a2b3c4d")[name] for name in ("used", "remaining"))
    assert ("1", "50000") == tuple(acme.limit("requests", "api_5e6f7g8h")[name] for name in ("used", "quantity"))
    assert acme.may("requests", 60_000, api_id="api_new")  # beyond it the price goes on
    agreed = {"kind": "period", "meter": "requests", "filter": {"api_id": "api_1a2b3c4d"}, "quantity": "4"}
    desk.put(f"{ACCOUNT}/limits/requests-1a2b", desk.operator, json=agreed)
    assert [True, False] == [acme.may("requests-1a2b", 1), acme.may("requests", 2, api_id="api_1a2b3c4d")]
    assert acme.may("requests", 2, api_id="api_5e6f7g8h")


# --- Anyreach -----------------------------------------------------------------------------------------------------


def test_a_plan_without_limits_refuses_nothing(desk):
    """
    A rate card bills what was used; there is nothing to ask, and slots are not to be had.
    """
    acme = Customer(desk, "anyreach-standard")
    assert [] == desk.get(f"{ACCOUNT}/limits", acme.key).json()["limits"]
    assert 404 == acme.start_call("c").status_code
