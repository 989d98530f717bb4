"""What the operator gives an account: limits of its own, add-ons, a billing status, a plan that is still to come."""

import pytest

BASE = "/v1/accounts/acme"


@pytest.fixture
def desk(desk):
    """A desk with an account on a plan of ten agents and a hundred credits."""
    limits = [
        {"name": "credits", "kind": "period", "meter": "credits", "quantity": "100"},
        {"name": "agents", "kind": "stock", "resource": "agent", "quantity": "1"},
    ]
    desk.put("/v1/plans/team", desk.operator, json={"limits": limits})
    desk.key = desk.account("acme", plan="team")
    return desk


def put(desk, path, body):
    return desk.put(f"{BASE}{path}", desk.operator, json=body)


def quantities(desk):
    return {limit["name"]: limit["quantity"] for limit in desk.get(f"{BASE}/limits", desk.key).json()["limits"]}


def test_an_own_limit_is_put_and_taken_away(desk):
    """
    It replaces the plan's of that name or stands beside it; without it the plan's counts again.
    """
    answer = put(desk, "/limits/credits", {"kind": "period", "meter": "credits", "quantity": "7.5"})
    assert (200, "7.5") == (answer.status_code, answer.json()["quantity"])
    put(desk, "/limits/calls", {"kind": "concurrent", "quantity": "3"})
    assert {"credits": "7.5", "agents": "1", "calls": "3"} == quantities(desk)
    for _ in range(2):
        assert 204 == desk.ask("DELETE", f"{BASE}/limits/credits", desk.operator).status_code
    assert {"credits": "100", "agents": "1", "calls": "3"} == quantities(desk)


def test_a_wrong_limit_is_told_with_pointers(desk):
    """
    All that is wrong at once, and nothing is changed.
    """
    answer = put(desk, "/limits/credits", {"kind": "period", "meter": "credits", "quantity": 0.1, "colour": 1})
    assert 200 != answer.status_code
    answer = put(desk, "/limits/credits", {"kind": "period", "meter": "nope", "quantity": "1"})
    assert (422, "/meter") == (answer.status_code, answer.json()["errors"][0]["pointer"])
    assert 422 == put(desk, "/limits/Credits!", {"kind": "concurrent", "quantity": "1"}).status_code
    assert "100" == quantities(desk)["credits"]


def test_a_limit_below_what_is_used_refuses_from_now_on(desk):
    """
    Nothing retroactive: what was used stays, what is asked next is refused.
    """
    desk.send({"id": "x", "type": "credit.spend", "subject": "acme", "data": {"amount": "50"}})
    assert 200 == put(desk, "/limits/credits", {"kind": "period", "meter": "credits", "quantity": "20"}).status_code
    body = {"items": [{"limit": "credits", "quantity": "1"}]}
    assert 429 == desk.post(f"{BASE}/reservations", desk.key, json=body).status_code


def test_add_ons_are_added_listed_and_taken_back(desk):
    """
    Their quantity counts while they last.
    """
    body = {"limit": "credits", "quantity": "20", "ends_at": "2026-04-01T00:00:00+02:00"}
    answer = desk.post(f"{BASE}/add-ons", desk.operator, json=body)
    add_on = answer.json()

    assert 201 == answer.status_code
    assert ("2026-03-15T12:00:00Z", "2026-03-31T22:00:00Z") == (add_on["starts_at"], add_on["ends_at"])
    assert {"account": "acme", "add_ons": [add_on]} == desk.get(f"{BASE}/add-ons", desk.operator).json()
    assert "120" == quantities(desk)["credits"]
    desk.set_now("2026-03-31T22:00:00Z")
    assert "100" == quantities(desk)["credits"]
    assert [204, 404] == [
        desk.ask("DELETE", f"{BASE}/add-ons/{add_on['id']}", desk.operator).status_code for _ in range(2)
    ]
    unknown = desk.post(f"{BASE}/add-ons", desk.operator, json={"limit": "nope", "quantity": 1})
    assert (404, "/limit") == (unknown.status_code, unknown.json()["errors"][0]["pointer"])


def test_an_add_on_is_added_once_for_a_key(desk):
    """
    A repeated request does not sell twice.
    """
    headers = {"Idempotency-Key": "sale-1"}
    body = {"limit": "credits", "quantity": "20"}
    for _ in range(2):
        desk.post(f"{BASE}/add-ons", desk.operator, json=body, headers=headers)
    assert "120" == quantities(desk)["credits"]


def test_one_more_agent_over_the_limit_is_refused(desk):
    """
    Until the operator allows it; the event of one that was created is taken all the same.
    """
    first, second = (desk.put(f"{BASE}/resources/agent/a{n}", desk.key, json={}) for n in range(2))
    assert (200, 429, ["agents"]) == (first.status_code, second.status_code, second.json()["violated"])
    data = {"kind": "agent", "resource_id": "a9"}
    assert 1 == desk.send({"id": "r", "type": "resource.created", "subject": "acme", "data": data})["accepted"]
    desk.post(f"{BASE}/add-ons", desk.operator, json={"limit": "agents", "quantity": 2})
    assert 200 == desk.put(f"{BASE}/resources/agent/a1", desk.key, json={}).status_code


def test_billing_goes_past_due_suspended_and_back(desk):
    """
    The answer and the account tell the status and the end of the grace.
    """

    def told():
        account = desk.get(BASE, desk.key).json()
        return account["billing_status"], account["grace_ends_at"]

    ends = "2026-03-22T12:00:00Z"
    assert {"billing_status": "past_due", "grace_ends_at": ends} == put(desk, "/billing", {"invoice": "failed"}).json()
    assert ("past_due", ends) == told()
    desk.set_now(ends)
    assert ("suspended", ends) == told()
    assert {"billing_status": "active", "grace_ends_at": None} == put(desk, "/billing", {"invoice": "paid"}).json()
    assert ("active", None) == told()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/invoice"),
        ({"invoice": "lost"}, "/invoice"),
        ({"invoice": "failed", "at": "yesterday"}, "/at"),
        ({"invoice": "failed", "at": "2026-03-15T12:05:01Z"}, "/at"),
        ({"invoice": "failed", "at": "2026-03-15T12:00:00"}, "/at"),
        ({"invoice": "paid", "amount": 5}, "/amount"),
    ],
    ids=str,
)
def test_a_wrong_invoice_changes_nothing(desk, body, pointer):
    """
    422 with the place.
    """
    answer = put(desk, "/billing", body)
    assert (422, pointer) == (answer.status_code, answer.json()["errors"][0]["pointer"])
    assert "active" == desk.get(BASE, desk.key).json()["billing_status"]


def test_a_scheduled_plan_is_shown_until_it_begins(desk):
    """
    Whether one account is read or all; the plan in force stays until then.
    """
    desk.put("/v1/plans/later", desk.operator, json={"limits": []})
    body = {"plan": "later", "starts_at": "2026-04-01T00:00:00Z"}
    following = {"plan": "later", "plan_version": 1, "starts_at": "2026-04-01T00:00:00Z"}
    answer = desk.put(BASE, desk.operator, json=body).json()
    assert ("team", following) == (answer["plan"], answer["next_plan"])
    (listed,) = desk.get("/v1/accounts", desk.operator).json()["accounts"]
    assert following == listed["next_plan"]
    desk.set_now("2026-04-01T00:00:00Z")
    after = desk.get(BASE, desk.key).json()
    assert ("later", None) == (after["plan"], after["next_plan"])
