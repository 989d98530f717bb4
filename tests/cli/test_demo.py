"""`tallybook demo`: loaded once, found by programs, started again at once, gone on with after an interruption."""

import collections
import itertools
import json
import socket
import stat

import httpx
import pytest

from tallybook.cli import demo_load
from tallybook.cli.demo_cast import CUSTOMERS
from tallybook.cli.demo_data import events
from tallybook.cli.demo_state import new_state, read_state, write_demo, write_state
from tallybook.core.errors import StartRefused
from tallybook.house import House
from tallybook.settings import Settings

QUESTIONS = {
    "agentphone": "/v1/usage/daily?days=365",
    "aurion": "/api/v1/usage/summary",
    "anyreach": "/admin/usage/summary",
    "wontopos": "/v1/usage",
    "liberclaw": "/api/v1/usage/per-agent",
}


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.slow
def test_the_demo_answers_in_every_dialect_and_starts_again_at_once(tmp_path, serving):
    """
    Loaded through ingest in full, described in demo.json, and not loaded again on another port.
    """
    server = serving("--data", tmp_path / "demo", "--port", 0, "--no-browser", command="demo")
    demo = json.loads((tmp_path / "demo" / "demo.json").read_text())
    state = read_state(tmp_path / "demo")
    assert server.url == demo["base_url"]
    assert set(QUESTIONS) == set(demo["accounts"])
    for dialect, question in QUESTIONS.items():
        account = demo["accounts"][dialect]
        assert f"{server.url}/{dialect}" == account["base_url"]
        assert 200 == httpx.get(account["base_url"] + question, headers=bearer(account["key"])).status_code
        refused = httpx.get(account["base_url"] + question, headers=bearer(account["key_without_scope"]))
        assert 403 == refused.status_code
    expected = collections.Counter(
        event["subject"] for event in events(state.now_us, state.seed) if event["type"] == "message"
    )
    answer = httpx.get(
        f"{server.url}/v1/usage?meter=messages&group_by=account&from=2020-01-01&limit=100",
        headers=bearer(demo["operator_key"]),
    ).json()
    assert expected == {row["group"]["account"]: int(row["value"]) for row in answer["rows"] if row["value"] != "0"}
    first = server.stop()
    assert 0 == first.code, first.err
    assert "curl" in first.out
    again = serving("--data", tmp_path / "demo", "--port", 0, "--no-browser", command="demo")
    renewed = json.loads((tmp_path / "demo" / "demo.json").read_text())
    assert again.url == renewed["base_url"]
    assert "loading" not in "".join(again.log)
    assert demo["operator_key"] == renewed["operator_key"]
    account = renewed["accounts"]["liberclaw"]
    usage = httpx.get(f"{account['base_url']}/api/v1/usage", headers=bearer(account["key"])).json()
    assert 0.7 < usage["credits_used"] / usage["credits_limit"] < 0.9


@pytest.fixture
def short(monkeypatch):
    """The first 9,000 events of the demo only."""
    monkeypatch.setattr(demo_load, "events", lambda now_us, seed: itertools.islice(events(now_us, seed), 9_000))


@pytest.fixture
def house(tmp_path):
    with House.open(Settings(data_dir=tmp_path / "demo")) as opened:
        yield opened


def test_loading_goes_on_where_it_was_cut_short(house, short, tmp_path):
    """
    The state is kept before the first event: same keys, same events, and what is in already counts once.
    """
    state = new_state(house.clock.now_us())
    write_state(tmp_path / "demo", state)
    batch = list(itertools.islice(events(state.now_us, state.seed), 5_000))
    house.ingest.submit(house.ingest.prepare(batch, demo_load.OPERATOR, backfill=True)).result()
    assert state == read_state(tmp_path / "demo")
    demo_load.load(house, state)
    demo_load.load(house, state)
    expected = collections.Counter(
        event["subject"] for event in itertools.islice(events(state.now_us, state.seed), 9_000)
    )
    for account, count in expected.items():
        receipt = house.ingest.write(
            [e for e in itertools.islice(events(state.now_us, state.seed), 9_000) if e["subject"] == account],
            demo_load.OPERATOR,
            backfill=True,
        )
        assert (0, count) == (receipt.accepted, receipt.duplicate)
    assert {customer.account for customer in CUSTOMERS} == {account.id for account in house.accounts.list()}
    caller = house.access.authenticate(state.keys["brightline"].key)
    assert ("brightline", True) == (caller.account_id, "usage:read" in caller.scopes)
    assert "usage:read" not in house.access.authenticate(state.keys["brightline"].key_without_scope).scopes
    assert 1 + 2 * len(CUSTOMERS) == len(house.access.list_keys())


def test_an_event_that_is_refused_stops_the_loading(house, monkeypatch):
    """
    Rather than showing numbers that are not the demo's.
    """
    state = new_state(house.clock.now_us())
    bad = {"id": "1", "type": "message", "subject": "brightline", "time": "2026-01-01T00:00:00Z", "data": {}}
    monkeypatch.setattr(demo_load, "events", lambda _now_us, _seed: iter([bad]))
    with pytest.raises(StartRefused, match="direction"):
        demo_load.load(house, state)


def test_files_with_keys_are_for_their_owner_only(tmp_path):
    """
    Keys stand in both files.
    """
    state = new_state(1_795_222_800_000_000)
    write_state(tmp_path / "demo", state)
    write_demo(tmp_path / "demo", state, "http://127.0.0.1:1")
    for path in (tmp_path / "demo").iterdir():
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_a_ledger_that_is_no_demo_is_refused(run, tmp_path):
    """
    Invented usage never gets among real usage.
    """
    assert 0 == run("accounts", "put", "acme", "--data", tmp_path / "data").code
    ended = run("demo", "--data", tmp_path / "data", "--port", 0, "--no-browser")
    assert 1 == ended.code
    assert "--data" in ended.error


def test_a_damaged_state_is_told(run, tmp_path):
    """
    With what to do.
    """
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "demo.state.json").write_text('{"now_us": "yesterday"}')
    ended = run("demo", "--data", tmp_path / "demo", "--port", 0, "--no-browser")
    assert 1 == ended.code
    assert "damaged" in ended.error


def test_a_port_in_use_is_told_before_anything_is_loaded(run, tmp_path):
    """
    The way out is another --port.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("demo", "--data", tmp_path / "demo", "--port", taken.getsockname()[1], "--no-browser")
    assert 1 == ended.code
    assert "--port" in ended.error
    assert not (tmp_path / "demo").exists()
