"""Channels over HTTP: mail and chat are made, told, collected for; nobody sees another's, and no URL leaks."""

import json
from ipaddress import ip_network

import pytest
from aiosmtpd.controller import Controller

from tallybook.core.instant import MINUTE_US
from tallybook.core.key import SCOPES
from tests.outside.test_mail import Inbox, _free_port
from tests.support.client import message, open_desk
from tests.support.receivers import Receivers

MINE, OTHER = "acme", "zeta"
LIMIT = {"name": "messages", "kind": "period", "meter": "messages", "quantity": "10"}


@pytest.fixture(scope="module")
def receivers():
    """Receivers on this machine."""
    with Receivers() as opened:
        yield opened


@pytest.fixture
def inbox():
    """A mail server on this machine."""
    opened = Inbox()
    controller = Controller(opened, hostname="127.0.0.1", port=_free_port())
    controller.start()
    opened.port = controller.port
    yield opened
    controller.stop()


@pytest.fixture
def desk(tmp_path, inbox):
    """A house that may call this machine and send mail by it."""
    mail = {"smtp_host": "127.0.0.1", "smtp_port": inbox.port, "smtp_security": "none", "mail_from": "t@example.org"}
    with open_desk(tmp_path, egress_allow=(ip_network("127.0.0.0/8"),), **mail) as opened:
        opened.put("/v1/plans/ten", opened.operator, json={"limits": [LIMIT]})
        opened.keys = {name: opened.account(name, plan="ten") for name in (MINE, OTHER)}
        yield opened


def make(desk, key, **body):
    """Make a channel and return the answer."""
    answer = desk.post("/v1/channels", key, json=body)
    assert 201 == answer.status_code, answer.text
    return answer.json()


def cross(desk, account=MINE):
    """Let an account reach all of its thresholds, and deliver what is due."""
    desk.send(*[message(f"m{n}-{account}", account) for n in range(10)])
    desk.house.webhooks.deliverer.run()


def subjects(inbox):
    """Return the subjects of all letters."""
    return [
        line.removeprefix("Subject: ")
        for _, raw, _ in inbox.letters
        for line in raw.decode().splitlines()
        if line.startswith("Subject: ")
    ]


def test_a_mailbox_is_told_of_each_threshold(desk, inbox):
    """Of its own account only; the operator's of every account."""
    make(desk, desk.keys[MINE], kind="email", address="ops@example.com")
    make(desk, desk.operator, kind="email", address="boss@example.com", events=["usage.overage"])
    cross(desk)
    cross(desk, OTHER)
    told = sorted((to[0], subject) for (to, _, _), subject in zip(inbox.letters, subjects(inbox), strict=True))
    assert [
        ("boss@example.com", "A limit is used up: messages (acme)"),
        ("boss@example.com", "A limit is used up: messages (zeta)"),
        ("ops@example.com", "A limit is used up: messages (acme)"),
        ("ops@example.com", "Usage is near a limit: messages (acme)"),
        ("ops@example.com", "Usage is very near a limit: messages (acme)"),
    ] == told


def test_a_chat_is_told_and_its_url_is_never_shown(desk, receivers):
    """Of the URL the host and the end are, to know it by."""
    url = receivers.url("200/T0SECRETSECRET/B99")
    channel = make(desk, desk.keys[MINE], kind="slack", url=url, events=["usage.overage"])
    listed = desk.get("/v1/channels", desk.keys[MINE]).text
    assert "T0SECRET" not in listed + json.dumps(channel) + desk.log.getvalue()
    assert channel["address"].endswith("/B99")
    cross(desk)
    (received,) = [one for one in receivers.received if "B99" in one.path]
    text = json.loads(received.body)["text"]
    assert text.startswith("*A limit is used up: messages (acme)*")
    assert "used: 10" in text


def test_a_digest_comes_as_one_letter(desk, inbox):
    """Fifteen minutes after the first, with all of them, and nothing after that."""
    pace = {"digest": 15}
    channel = make(desk, desk.keys[MINE], kind="email", address="ops@example.com", pace=pace)
    assert 15 == channel["pace"]["digest"]
    cross(desk)
    assert [] == inbox.letters
    desk.clock.advance(14 * MINUTE_US)
    desk.house.sweeper.run()
    desk.house.webhooks.deliverer.run()
    assert [] == inbox.letters
    desk.clock.advance(MINUTE_US)
    desk.house.sweeper.run()
    desk.house.webhooks.deliverer.run()
    assert ["3 alerts"] == subjects(inbox)
    desk.house.sweeper.run()
    desk.house.webhooks.deliverer.run()
    assert 1 == len(inbox.letters)


def test_quiet_hours_are_those_of_the_account(desk, inbox):
    """And a test comes through at any hour."""
    desk.put(f"/v1/accounts/{MINE}", desk.operator, json={"timezone": "Asia/Tokyo"})
    desk.set_now("2026-03-15T14:00:00Z")  # 23:00 in Tokyo
    channel = make(desk, desk.keys[MINE], kind="email", address="o@example.com", pace={"quiet_hours": "22:00-07:00"})
    cross(desk)
    assert [] == inbox.letters
    assert 202 == desk.post(f"/v1/channels/{channel['id']}/test", desk.keys[MINE]).status_code
    desk.house.webhooks.deliverer.run()
    assert ["This is a test (acme)"] == subjects(inbox)
    desk.set_now("2026-03-15T22:00:00Z")
    desk.house.sweeper.run()
    desk.house.webhooks.deliverer.run()
    assert ["This is a test (acme)", "3 alerts"] == subjects(inbox)


def test_a_channel_is_changed_disabled_and_forgotten(desk, inbox):
    """What it is not told it gets none of."""
    channel = make(desk, desk.keys[MINE], kind="email", address="ops@example.com")
    path = f"/v1/channels/{channel['id']}"
    changed = desk.ask("PATCH", path, desk.keys[MINE], json={"enabled": False, "events": ["usage.overage"]}).json()
    assert ("disabled", "asked", ["usage.overage"]) == (changed["state"], changed["disabled_reason"], changed["events"])
    cross(desk)
    assert [] == inbox.letters
    paced = desk.ask("PATCH", path, desk.keys[MINE], json={"enabled": True, "pace": {"digest": "daily"}}).json()
    assert ("enabled", "daily 08:00") == (paced["state"], paced["pace"]["digest"])
    assert None is desk.ask("PATCH", path, desk.keys[MINE], json={"pace": None}).json()["pace"]["digest"]
    assert 204 == desk.ask("DELETE", path, desk.keys[MINE]).status_code
    assert 404 == desk.get(path, desk.keys[MINE]).status_code


def test_nobody_reaches_anothers_channel(desk):
    """It does not exist for them; the operator's own need the scope admin."""
    channel = make(desk, desk.keys[MINE], kind="email", address="ops@example.com")
    unknown = desk.get("/v1/channels/chn_none", desk.keys[OTHER])
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/test")):
        answer = desk.ask(method, f"/v1/channels/{channel['id']}{path}", desk.keys[OTHER])
        assert (404, unknown.json()["detail"]) == (answer.status_code, answer.json()["detail"])
    assert [] == desk.get("/v1/channels", desk.keys[OTHER]).json()["channels"]
    refused = desk.post(
        "/v1/channels", desk.keys[OTHER], json={"kind": "email", "address": "x@example.com", "account": MINE}
    )
    assert 404 == refused.status_code
    weak = desk.house.access.create_key(None, [one for one in SCOPES if one != "admin"], "weak").token
    assert 403 == desk.post("/v1/channels", weak, json={"kind": "email", "address": "x@example.com"}).status_code


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"kind": "email", "address": "ops@example.com\nBcc: x@example.com"}, "/address"),
        ({"kind": "email"}, "/address"),
        ({"kind": "email", "address": "a@example.com", "url": "https://example.com"}, "/url"),
        ({"kind": "slack", "url": "http://169.254.169.254/latest"}, "/url"),
        ({"kind": "slack"}, "/url"),
        ({"kind": "slack", "url": "https://example.com/x", "address": "a@example.com"}, "/address"),
        ({"kind": "email", "address": "a@example.com", "events": ["usage.never"]}, "/events/0"),
        ({"kind": "email", "address": "a@example.com", "pace": {"digest": "weekly"}}, "/pace/digest"),
        ({"kind": "email", "address": "a@example.com", "description": "a\x00b"}, "/description"),
    ],
)
def test_what_can_be_no_channel_is_refused(desk, body, pointer):
    """With the place."""
    answer = desk.post("/v1/channels", desk.keys[MINE], json=body)
    assert (422, pointer) == (answer.status_code, answer.json()["errors"][0]["pointer"])
