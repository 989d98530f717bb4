"""Webhooks on the dashboard: made with a secret shown once, changed, tested, replayed; nothing of other accounts."""

import re

import pytest

from tallybook.core.delivery import Attempted, Outcome
from tests.support.guest import words

AT = "/accounts/acme/webhooks"


@pytest.fixture
def owner(desk, guest):
    """Somebody of the account, logged in."""
    guest.log_in(desk.account("acme"))
    return guest


def make(owner, **more):
    answer = owner.post(AT, {"url": "https://example.com/hook", "event": ["usage.*", "budget.overage"], **more})
    assert 200 == answer.status_code
    return answer


def only(desk):
    """Return the one endpoint as the API has it."""
    (endpoint,) = desk.get("/v1/webhook-endpoints?account=acme", desk.operator).json()["endpoints"]
    return endpoint


def test_the_secret_is_shown_once(desk, owner):
    """
    On the page that answers; the list and the settings never have it.
    """
    answer = make(owner, description="on-call")
    secret = re.search(r"whsec_[A-Za-z0-9+/=]{20,}", answer.text).group()
    endpoint = only(desk)
    assert ("https://example.com/hook", ["usage.*", "budget.overage"]) == (endpoint["url"], endpoint["events"])
    pages = [owner.get(path).text for path in (AT, f"{AT}/{endpoint['id']}", f"{AT}/{endpoint['id']}/settings")]
    assert not any(secret in page for page in pages)
    assert all("https://example.com/hook" in page for page in pages)


def test_what_cannot_be_an_endpoint_is_told_beside_what_was_typed(desk, owner):
    """
    Nothing is made.
    """
    wrong = owner.post(AT, {"url": "http://10.0.0.1/x", "event": ["*"], "description": "mine"})
    assert 422 == wrong.status_code
    assert "No endpoint was made" in words(wrong)
    assert 'value="http://10.0.0.1/x"' in wrong.text
    nothing = owner.post(AT, {"url": "https://example.com/hook"})
    assert (422, "event type" in words(nothing)) == (nothing.status_code, True)
    assert [] == desk.get("/v1/webhook-endpoints?account=acme", desk.operator).json()["endpoints"]


def test_an_endpoint_is_changed_disabled_rotated_and_deleted(desk, owner):
    """
    Each by a form of its own.
    """
    make(owner)
    one = f"{AT}/{only(desk)['id']}"
    owner.post(f"{one}/settings", {"url": "https://example.com/new", "event": ["*"], "description": "x"})
    assert ("https://example.com/new", ["*"], "x") == tuple(
        only(desk)[name] for name in ("url", "events", "description")
    )
    assert (
        422
        == owner.post(f"{one}/settings", {"url": "https://example.com/new", "event": ["nothing.at_all"]}).status_code
    )
    owner.post(f"{one}/state", {"state": "disabled"})
    assert "disabled" == only(desk)["state"]
    assert "Disabled." in words(owner.get(one))
    owner.post(f"{one}/state", {"state": "enabled"})
    assert "enabled" == only(desk)["state"]
    assert "whsec_" in owner.post(f"{one}/rotate", {"overlap_s": "3600"}).text
    assert 2 == len(desk.get(f"/v1/webhook-endpoints/{only(desk)['id']}", desk.operator).json()["keys"])
    assert 303 == owner.post(f"{one}/delete").status_code
    assert 404 == owner.get(one).status_code


def test_deliveries_are_told_attempt_by_attempt_and_sent_again(desk, owner):
    """
    A test is queued, fails, is shown with what was sent, and is replayed.
    """
    make(owner)
    one = f"{AT}/{only(desk)['id']}"
    tested = owner.post(f"{one}/test")
    assert 303 == tested.status_code
    place = tested.headers["location"].removeprefix("/dashboard")
    assert "pending" in words(owner.get(place))
    desk.house.webhooks.deliverer._senders = {"webhook": Refusing()}
    desk.house.webhooks.deliverer.run()

    told = owner.get(place)
    assert "503" in words(told)
    assert "sorry <b>" in words(told).replace("&lt;", "<")
    assert "<b>" not in told.text
    assert "x-sent" in told.text
    assert "waits to be tried again" in words(owner.get(one))
    assert "endpoint.test" in words(owner.get(f"{one}?status=pending&type=endpoint.test"))
    assert "No such delivery" in words(owner.get(f"{one}?status=delivered"))
    assert 303 == owner.post(f"{one}/replay").status_code
    assert "nothing to send again" in words(owner.get(f"{one}?queued=0"))


class Refusing:
    """A receiver that takes nothing."""

    async def send(self, destination, message):
        del destination, message
        return Attempted(
            Outcome.FAILED,
            0,
            "unexpected-status",
            503,
            request_headers={"x-sent": "yes"},
            response_body=b"sorry <b>",
        )

    async def close(self):
        """Nothing is open."""


def test_nothing_of_another_account_is_there(desk, owner):
    """
    Neither below its own address nor below another's; nor for another site.
    """
    make(owner)
    mine = only(desk)["id"]
    desk.account("other")
    operator = type(owner)(desk)
    operator.log_in(desk.operator)
    assert [404, 404] == [
        operator.get(f"/accounts/other/webhooks/{mine}{rest}").status_code for rest in ("", "/settings")
    ]
    assert 404 == operator.post(f"/accounts/other/webhooks/{mine}/delete").status_code
    assert 404 == owner.get("/accounts/other/webhooks").status_code
    assert 403 == owner.get("/webhooks").status_code
    assert 200 == operator.get(f"/webhooks/{mine}").status_code
    assert "acme" in words(operator.get("/webhooks"))
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert 403 == owner.post(f"{AT}/{mine}/delete", headers=cross).status_code
    assert mine == only(desk)["id"]
