"""Alerts over HTTP: rules, budgets, the history, acknowledging; each account sees its own."""

import pytest

from tests.support.client import message, open_desk

MINE, OTHER = "acme", "zeta"
LIMIT = {"name": "messages", "kind": "period", "meter": "messages", "quantity": "10"}


@pytest.fixture
def desk(tmp_path):
    """A house with two accounts on a plan of ten messages."""
    with open_desk(tmp_path) as opened:
        assert 200 == opened.put("/v1/plans/ten", opened.operator, json={"limits": [LIMIT]}).status_code
        opened.keys = {name: opened.account(name, plan="ten") for name in (MINE, OTHER)}
        yield opened


def send(desk, count, account=MINE, first=0):
    """Send so many messages."""
    desk.send(*[message(f"m{n}", account) for n in range(first, first + count)])


def alerts(desk, query="", account=MINE):
    """Return the alerts of an account."""
    answer = desk.get(f"/v1/accounts/{account}/alerts{query}", desk.keys[account])
    assert 200 == answer.status_code, answer.text
    return answer.json()["alerts"]


def test_what_was_crossed_is_in_the_history_at_once(desk):
    """The newest first; a hard limit that was passed is marked."""
    send(desk, 8)
    send(desk, 4, first=8)
    assert [(100, True), (95, True), (80, False)] == [(a["threshold"], a["passed_hard_limit"]) for a in alerts(desk)]
    assert ["usage.overage", "usage.critical", "usage.warning"] == [a["event"] for a in alerts(desk)]
    newest = alerts(desk)[0]
    assert ("12", "10", True) == (newest["data"]["used"], newest["data"]["quantity"], newest["standing"])
    assert [] == alerts(desk, account=OTHER)


def test_the_history_comes_in_pages(desk):
    """None twice, none missing, while others are added."""
    send(desk, 12)
    first = desk.get(f"/v1/accounts/{MINE}/alerts?limit=2", desk.keys[MINE]).json()
    rest = desk.get(f"/v1/accounts/{MINE}/alerts?limit=2&cursor={first['next_cursor']}", desk.keys[MINE]).json()
    assert [100, 95, 80] == [a["threshold"] for a in first["alerts"] + rest["alerts"]]
    assert None is rest["next_cursor"]
    refused = desk.get(
        f"/v1/accounts/{MINE}/alerts?limit=2&standing=true&cursor={first['next_cursor']}", desk.keys[MINE]
    )
    assert 400 <= refused.status_code < 500


def test_an_alert_is_acknowledged_once(desk):
    """Who was first stays, and lists can leave it out."""
    send(desk, 8)
    (alert,) = alerts(desk)
    path = f"/v1/accounts/{MINE}/alerts/{alert['id']}/acknowledge"
    seen = desk.post(path, desk.keys[MINE], json={"by": "ada", "note": "known"}).json()
    again = desk.post(path, desk.keys[MINE], json={"by": "bob"}).json()
    assert ("ada", "known") == (seen["acknowledged_by"], seen["note"])
    assert seen == again
    assert ([], [seen]) == (alerts(desk, "?acknowledged=false"), alerts(desk, "?acknowledged=true"))


def test_another_accounts_alert_does_not_exist(desk):
    """Byte for byte like one that nobody ever had."""
    send(desk, 8)
    (alert,) = alerts(desk)
    answers = [
        desk.post(f"/v1/accounts/{account}/alerts/{name}/acknowledge", desk.keys[OTHER], json={})
        for account, name in ((OTHER, alert["id"]), (OTHER, "alt_no"), (MINE, alert["id"]))
    ]
    assert [404, 404, 404] == [answer.status_code for answer in answers]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]


def test_rules_count_at_once(desk):
    """What is reached by them is told before the answer; without them the plan's count."""
    send(desk, 5)
    path = f"/v1/accounts/{MINE}/alert-rules"
    answer = desk.put(path, desk.keys[MINE], json={"thresholds": [50, {"percent": 90, "event": "usage.limit_reached"}]})
    assert (200, [80, 95, 100]) == (answer.status_code, answer.json()["plan_thresholds"])
    assert [50] == [a["threshold"] for a in alerts(desk)]
    send(desk, 4, first=5)
    assert "usage.limit_reached" == alerts(desk)[0]["event"]
    assert desk.get(path, desk.keys[MINE]).json() == answer.json()
    assert 204 == desk.ask("DELETE", path, desk.keys[MINE]).status_code
    assert None is desk.get(path, desk.keys[MINE]).json()["thresholds"]
    assert 80 == alerts(desk)[0]["threshold"]


def test_wrong_rules_are_refused_with_their_places(desk):
    """And nothing is kept of them."""
    path = f"/v1/accounts/{MINE}/alert-rules"
    answer = desk.put(path, desk.keys[MINE], json={"thresholds": [95, 80], "hysteresis": 99, "colour": "red"})
    assert 422 == answer.status_code
    assert {"/thresholds", "/hysteresis", "/colour"} == {error["pointer"] for error in answer.json()["errors"]}
    assert None is desk.get(path, desk.keys[MINE]).json()["thresholds"]


def test_a_budget_is_told_when_it_is_spent(desk):
    """By the prices of the account's plan, exactly when the cost reaches the threshold."""
    prices = [{"meter": "messages", "unit_price": "0.5"}]
    desk.put("/v1/plans/priced", desk.operator, json={"limits": [], "prices": prices})
    desk.put(f"/v1/accounts/{MINE}", desk.operator, json={"plan": "priced"})
    answer = desk.put(f"/v1/accounts/{MINE}/budgets/monthly", desk.keys[MINE], json={"amount": "5"})
    assert (200, "USD") == (answer.status_code, answer.json()["currency"])
    send(desk, 7)
    assert [] == alerts(desk)
    send(desk, 1, first=7)
    assert [("budget.warning", "monthly", 80)] == [(a["event"], a["budget"], a["threshold"]) for a in alerts(desk)]
    send(desk, 5, first=8)
    assert [100, 95, 80] == [a["threshold"] for a in alerts(desk)]
    assert ("6.5", "5", True) == tuple(alerts(desk)[0]["data"][name] for name in ("spent", "amount", "exceeded"))
    listed = desk.get(f"/v1/accounts/{MINE}/budgets", desk.keys[MINE]).json()
    assert ("6.5", ["monthly"]) == (listed["spent"], [one["name"] for one in listed["budgets"]])
    path = f"/v1/accounts/{MINE}/budgets/monthly"
    assert [204, 204] == [desk.ask("DELETE", path, desk.keys[MINE]).status_code for _ in range(2)]


def test_a_budget_by_packages_is_watched_too(desk):
    """Where the next unit can cost anything the account is looked at each time."""
    prices = [{"meter": "messages", "package": {"size": "10", "price": "4"}}]
    put = desk.put("/v1/plans/packed", desk.operator, json={"limits": [], "prices": prices})
    if put.status_code != 200:
        prices = [{"meter": "messages", "unit_price": "1", "included": "3"}]
        put = desk.put("/v1/plans/packed", desk.operator, json={"limits": [], "prices": prices})
    assert 200 == put.status_code, put.text
    desk.put(f"/v1/accounts/{MINE}", desk.operator, json={"plan": "packed"})
    desk.put(f"/v1/accounts/{MINE}/budgets/b", desk.keys[MINE], json={"amount": "5", "thresholds": [80]})
    for number in range(12):
        send(desk, 1, first=number)
    spent = desk.get(f"/v1/accounts/{MINE}/budgets", desk.keys[MINE]).json()["spent"]
    assert float(spent) >= 4
    assert ["budget.warning"] == [a["event"] for a in alerts(desk)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "/amount"), ({"amount": "-1"}, "/amount"), ({"amount": "5", "currency": "EUR"}, "/currency")],
)
def test_a_wrong_budget_is_refused(desk, body, pointer):
    """With the place."""
    answer = desk.put(f"/v1/accounts/{MINE}/budgets/monthly", desk.keys[MINE], json=body)
    assert (422, pointer) == (answer.status_code, answer.json()["errors"][0]["pointer"])


def test_a_name_that_is_none_is_refused(desk):
    """As for limits."""
    answer = desk.put(f"/v1/accounts/{MINE}/budgets/No%20Name", desk.keys[MINE], json={"amount": "5"})
    assert (422, "/name") == (answer.status_code, answer.json()["errors"][0]["pointer"])
