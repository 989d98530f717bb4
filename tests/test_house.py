"""A house opens what its settings describe, alone, and says in one line when it cannot."""

import re
import threading
import time

import pytest

from tallybook.core.clock import FrozenClock, SystemClock
from tallybook.core.errors import StartRefused
from tallybook.house import House
from tallybook.ledger.commit import Committer
from tallybook.ledger.migrate import HEAD
from tallybook.ledger.open import Ledger, sqlite_url
from tallybook.settings import Settings
from tests.support.client import Client, message, open_desk
from tests.support.older import list_keys_by_account


def test_a_second_server_on_the_same_directory_is_refused(tmp_path):
    """
    While the first is open; afterwards the directory is free.
    """
    with House.open(Settings(data_dir=tmp_path)), pytest.raises(StartRefused, match="in use by"):
        House.open(Settings(data_dir=tmp_path))
    House.open(Settings(data_dir=tmp_path)).close()


def test_a_house_that_could_not_open_leaves_nothing_locked(tmp_path):
    """
    A wrong setting found late gives the directory back.
    """
    wrong = tmp_path / "meters.toml"
    wrong.write_text("[meters.x]\nevent = 1\n")
    for settings in (
        Settings(data_dir=tmp_path, dialect_hosts={"a.test": "klingon"}),
        Settings(data_dir=tmp_path, catalogue_file=wrong),
        Settings(data_dir=tmp_path, catalogue_file=tmp_path / "absent.toml"),
    ):
        with pytest.raises(StartRefused):
            House.open(settings)
    House.open(Settings(data_dir=tmp_path)).close()


def test_an_older_ledger_is_upgraded_and_the_log_says_so_first(tmp_path):
    """
    A large one takes a while; a new or current one is not worth a word.
    """
    told = []

    class Telling:
        def info(self, event, **fields):
            told.append((event, fields))

    for _ in range(2):
        House.open(Settings(data_dir=tmp_path), log=Telling()).close()
    assert [] == told
    older = Ledger(sqlite_url(tmp_path))
    list_keys_by_account(older)
    older.close()
    House.open(Settings(data_dir=tmp_path), log=Telling()).close()
    assert [("upgrading", {"revision": "0011", "to": HEAD})] == told


def test_a_file_that_cannot_be_read_is_named_once(tmp_path):
    """
    And why, in words.
    """
    absent, binary = tmp_path / "absent.toml", tmp_path / "binary.toml"
    binary.write_bytes(b"\xff")
    for file, why in ((absent, "No such file or directory"), (binary, "is no text in UTF-8")):
        with pytest.raises(StartRefused, match=f"^{re.escape(str(file))}: {why}$"):
            House.open(Settings(data_dir=tmp_path, catalogue_file=file))


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite+pysqlite:///"])
def test_a_ledger_url_that_is_none_is_refused(tmp_path, url):
    """
    In words, not with a traceback.
    """
    if url.startswith("sqlite"):
        House.open(Settings(data_dir=tmp_path, ledger_url=f"{url}{tmp_path}/other.db")).close()
        assert (tmp_path / "other.db").exists()
        return
    with pytest.raises(StartRefused):
        House.open(Settings(data_dir=tmp_path, ledger_url=url))


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    """
    Because a file stands there.
    """
    (tmp_path / "file").write_text("")
    with pytest.raises(StartRefused, match="file"):
        House.open(Settings(data_dir=tmp_path / "file" / "deep"))


def test_what_was_counted_is_there_after_a_restart(tmp_path):
    """
    Accounts, keys, usage and cursors.
    """
    with open_desk(tmp_path) as desk:
        key = desk.account("acme")
        desk.account("zeta")
        desk.send(message("e1", "acme"))
        cursor = desk.get("/v1/accounts?limit=1", desk.operator).json()["next_cursor"]
    with open_desk(tmp_path) as desk:
        assert 1 == desk.send(message("e1", "acme"))["duplicate"]
        assert "1" == desk.get("/v1/accounts/acme/usage?meter=messages", key).json()["total"]
        page = desk.get(f"/v1/accounts?limit=1&cursor={cursor}", desk.operator).json()
        assert ["zeta"] == [account["id"] for account in page["accounts"]]


def test_the_test_clock_exists_only_where_the_settings_say_so(tmp_path):
    """
    A real server has no such endpoint.
    """
    with House.open(Settings(data_dir=tmp_path / "real")) as house:
        client = Client(house.app)
        key = house.access.create_key(None, ["admin"]).token
        assert isinstance(house.clock, SystemClock)
        assert 404 == client.get("/v1/test-clock", key).status_code
        client.close()
    with House.open(Settings(data_dir=tmp_path / "test", test_clock_start="2026-03-01T00:00:00Z")) as house:
        client = Client(house.app)
        key = house.access.create_key(None, ["admin"]).token
        assert isinstance(house.clock, FrozenClock)
        assert "2026-03-01T00:00:00Z" == client.get("/v1/test-clock", key).json()["now"]
        assert "2026-03-01T01:00:00Z" == client.post("/v1/test-clock", key, json={"advance_s": 3600}).json()["now"]
        moved = client.post("/v1/test-clock", key, json={"now": "2026-04-01T00:00:00Z"})
        assert "2026-04-01T00:00:00Z" == moved.json()["now"]
        for body in ({}, {"now": "x"}, {"advance_s": -1}, {"now": "2026-04-01T00:00:00Z", "advance_s": 1}):
            assert 422 == client.post("/v1/test-clock", key, json=body).status_code
        client.close()


def test_without_auto_create_an_unknown_account_is_rejected(tmp_path):
    """
    Each event on its own, with a code.
    """
    with open_desk(tmp_path, accounts_auto_create=False) as desk:
        desk.account("acme")
        answer = desk.send(message("e1", "acme"), message("e2", "newcomer"))

        assert (1, 1, "account-unknown") == (answer["accepted"], answer["rejected"], answer["errors"][0]["code"])


def test_a_host_name_can_belong_to_a_dialect(tmp_path):
    """
    Its bare root is the dialect's, whatever the port and the case; health stands there too, and the rest does not.
    """
    hosts = {"api.phone.test": "agentphone", "usage.wonto.test": "wontopos"}
    with open_desk(tmp_path, dialect_hosts=hosts) as desk:
        key = desk.account("acme", plan="agentphone-pro")

        def ask(path, host):
            return desk.get(path, key, headers={"Host": host})

        assert "pro" == ask("/v1/usage", "api.phone.test").json()["plan"]["name"]
        assert "pro" == ask("/v1/usage/", "API.Phone.Test:8080").json()["plan"]["name"]
        assert "by_api" in ask("/v1/usage", "usage.wonto.test").json()
        assert 200 == ask("/healthz", "api.phone.test").status_code
        assert 200 == ask("/readyz", "api.phone.test").status_code
        assert 404 == ask("/v1/meters", "api.phone.test").status_code
        assert 404 == ask("/v1/accounts/acme", "usage.wonto.test").status_code
        assert 200 == ask("/v1/meters", "elsewhere.test").status_code
        assert 200 == ask("/agentphone/v1/usage", "elsewhere.test").status_code


def test_an_almost_full_disk_is_not_ready(tmp_path):
    """
    Nor is a server that drains; it goes on answering.
    """
    with open_desk(tmp_path, disk_free_bytes_min=2**60) as desk:
        answer = desk.get("/readyz")
        assert (503, ["the disk is almost full"]) == (answer.status_code, answer.json()["reasons"])
        assert 200 == desk.get("/healthz").status_code
        assert 200 == desk.get("/v1/meters", desk.operator).status_code
    with open_desk(tmp_path) as desk:
        assert (200, []) == ((ready := desk.get("/readyz")).status_code, ready.json()["reasons"])
        desk.house.draining = True
        assert (503, ["the server is shutting down"]) == ((no := desk.get("/readyz")).status_code, no.json()["reasons"])


def test_a_full_queue_is_busy_and_counts_nothing(tmp_path, monkeypatch):
    """
    503 with Retry-After for the whole request, on one that finds the queue full; the next one passes.
    """
    gate = threading.Event()
    commit = Committer.commit

    def gated(*group):
        gate.wait(timeout=30)
        return commit(*group)

    monkeypatch.setattr(Committer, "commit", gated)
    with open_desk(tmp_path, ingest_queue_events_max=1) as desk:
        ingest, caller = desk.house.ingest, desk.house.access.authenticate(desk.operator)
        waiting = [ingest.submit(ingest.prepare([message("w0", "acme")], caller))]
        while ingest.queued:
            time.sleep(0)
        waiting.append(ingest.submit(ingest.prepare([message("w1", "acme")], caller)))

        refused = desk.post("/v1/events", desk.operator, json=[message("w2", "acme")])
        gate.set()
        counted = [future.result(timeout=30).accepted for future in waiting]
        passed = desk.post("/v1/events", desk.operator, json=[message("w2", "acme")])

        assert (503, "1") == (refused.status_code, refused.headers["retry-after"])
        assert "temporarily-unavailable" == refused.json()["code"]
        assert ([1, 1], 1) == (counted, passed.json()["accepted"])
