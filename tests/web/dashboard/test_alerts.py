"""Billing > Alerts: thresholds, budgets and channels are those of the API, the history can be acknowledged."""

import pytest

from tests.support.guest import words

AT = "/accounts/acme/billing/alerts"
LIMITS = {"limits": [{"name": "messages", "kind": "period", "meter": "messages", "quantity": "10"}]}


@pytest.fixture
def owner(desk, guest):
    """Somebody of an account with a limit, logged in."""
    desk.put("/v1/plans/ten", desk.operator, json=LIMITS)
    key = desk.account("acme", plan="ten", starts_us=0)
    guest.log_in(key)
    guest.key = key
    return guest


def use(desk, first, last):
    data = {"direction": "inbound"}
    desk.send(*({"id": f"m{n}", "type": "message", "subject": "acme", "data": data} for n in range(first, last)))


def rules(desk):
    return desk.get("/v1/accounts/acme/alert-rules", desk.operator).json()


def test_thresholds_can_be_edited_and_given_back(desk, owner):
    """
    Rows without a percent are let go, the others are put in order; the next crossing goes by them.
    """
    assert "Billing > Alerts" in words(owner.get(AT))
    form = {
        "percent": ["90", "", "30", "50"],
        "event": ["", "", "usage.limit_reached", ""],
        "limit": ["", "", "", "messages"],
        "hysteresis": "7",
    }
    assert 303 == owner.post(f"{AT}/thresholds", form).status_code
    told = rules(desk)
    assert [
        {"percent": 30, "event": "usage.limit_reached"},
        90,
        {"percent": 50, "limit": "messages"},
    ] == told["thresholds"]
    assert (7, False) == (told["hysteresis"], told["forecast"])
    use(desk, 0, 5)
    assert "usage.warning 50 %" in words(owner.get(AT))
    owner.post(f"{AT}/thresholds/plain")
    assert None is rules(desk)["thresholds"]


@pytest.mark.parametrize("percent", ["0", "1001", "x", "-1", "5.5", "99999999", "\u0665"])
def test_a_wrong_threshold_changes_nothing_and_is_told(desk, owner, percent):
    """
    Beside its form.
    """
    form = {"percent": [percent], "event": [""], "limit": [""], "hysteresis": "5", "forecast": "1"}
    answer = owner.post(f"{AT}/thresholds", form)
    assert (422, True) == (answer.status_code, "Nothing was changed." in words(answer))
    assert None is rules(desk)["thresholds"]


def test_budgets_are_made_changed_and_taken_away(desk, owner):
    """
    In the currency of the account's prices, with how much of each is spent.
    """
    owner.post(f"{AT}/budgets", {"name": "monthly", "amount": "1,500.50", "thresholds": "100, 50 %"})
    (budget,) = desk.get("/v1/accounts/acme/budgets", desk.operator).json()["budgets"]
    assert ("monthly", "1500.5", "USD", [50, 100]) == tuple(
        budget[n] for n in ("name", "amount", "currency", "thresholds")
    )
    assert "0 % spent" in words(owner.get(AT))
    owner.post(f"{AT}/budgets", {"name": "monthly", "amount": "3"})
    assert 422 == owner.post(f"{AT}/budgets", {"name": "other", "amount": "-1"}).status_code
    assert 422 == owner.post(f"{AT}/budgets", {"name": "a b/c", "amount": "1"}).status_code
    (budget,) = desk.get("/v1/accounts/acme/budgets", desk.operator).json()["budgets"]
    assert "3" == budget["amount"]
    owner.post(f"{AT}/budgets/drop", {"name": "monthly"})
    assert [] == desk.get("/v1/accounts/acme/budgets", desk.operator).json()["budgets"]


def test_channels_are_made_tested_changed_and_deleted(desk, owner):
    """
    With when they speak; a test shows up beside the channel.
    """
    assert "Nobody is told yet." in words(owner.get(AT))
    form = {"kind": "email", "target": "ops@example.com", "event": ["usage.*"], "digest": "15"}
    owner.post(f"{AT}/channels", {**form, "quiet_from": "22:00", "quiet_until": "07:00", "gap": "10"})
    (channel,) = channels(desk)
    pace = {"digest": 15, "quiet_hours": "22:00-07:00", "minimum_gap_minutes": 10, "timezone": None}
    assert ("ops@example.com", ["usage.*"], pace) == (channel["address"], channel["events"], channel["pace"])
    one = f"{AT}/channels/{channel['id']}"
    owner.post(f"{one}/change", {"event": ["budget.*"], "digest": "daily 08:00", "description": "mine"})
    assert ("daily 08:00", "mine") == (channels(desk)[0]["pace"]["digest"], channels(desk)[0]["description"])
    assert 422 == owner.post(f"{one}/change", {"event": ["budget.*"], "quiet_from": "22:00"}).status_code
    assert 303 == owner.post(f"{one}/test").status_code
    assert "endpoint.test" in words(owner.get(AT))
    owner.post(f"{one}/state", {"state": "disabled"})
    assert "disabled" == channels(desk)[0]["state"]
    assert 422 == owner.post(f"{one}/test").status_code
    owner.post(f"{one}/delete")
    assert [] == channels(desk)
    assert 422 == owner.post(f"{AT}/channels", {**form, "target": "no address"}).status_code


def channels(desk):
    return desk.get("/v1/channels?account=acme", desk.operator).json()["channels"]


def test_the_history_is_told_and_acknowledged(desk, owner):
    """
    Newest first, once; what was acknowledged leaves the list of what was not.
    """
    assert "Nothing was crossed yet" in words(owner.get(AT))
    use(desk, 0, 8)
    (alert,) = desk.get("/v1/accounts/acme/alerts", desk.operator).json()["alerts"]
    assert "usage.warning 80 %" in words(owner.get(f"{AT}?show=unseen"))
    owner.post(f"{AT}/acknowledge", {"alert": alert["id"], "note": "=known <b>"})
    seen = owner.get(AT)
    assert "=known <b>" in words(seen)
    assert "<b>" not in seen.text
    assert "None of these" in words(owner.get(f"{AT}?show=unseen"))
    assert "usage.warning 80 %" in words(owner.get(f"{AT}?show=standing"))
    (alert,) = desk.get("/v1/accounts/acme/alerts", desk.operator).json()["alerts"]
    assert "=known <b>" == alert["note"]
    assert 404 == owner.post(f"{AT}/acknowledge", {"alert": "alt_none"}).status_code


def test_other_accounts_and_sites_can_do_nothing(desk, owner):
    """
    A channel of another account is not there; a form from elsewhere is refused.
    """
    desk.account("other")
    made = {"kind": "email", "address": "a@example.com", "account": "other"}
    foreign = desk.post("/v1/channels", desk.operator, json=made).json()["id"]
    assert 404 == owner.post(f"{AT}/channels/{foreign}/delete").status_code
    assert 404 == owner.get("/accounts/other/billing/alerts").status_code
    assert 403 == owner.post(f"{AT}/thresholds/plain", headers={"Sec-Fetch-Site": "cross-site"}).status_code
