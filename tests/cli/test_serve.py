"""`tallybook serve` starts with a first key, stops when told, and refuses a bad start without damage."""

import signal
import socket
import subprocess
import sys

import httpx
import pytest


@pytest.fixture
def data(tmp_path):
    return ("--data", tmp_path / "data")


def test_the_first_start_prints_the_first_key_and_no_other_start_does(data, serving, run):
    """
    The key on stdout is the operator's and works; a ledger that has keys gets no more of them.
    """
    server = serving(*data, "--port", 0)
    assert 200 == httpx.get(f"{server.url}/healthz").status_code
    ended = server.stop()
    assert 0 == ended.code, ended.err
    key = ended.out.splitlines()[-1]
    assert 0 == run("get", "/v1/accounts", *data, "--key", key).code
    server = serving(*data, "--port", 0)
    assert 200 == httpx.get(f"{server.url}/healthz").status_code
    again = server.stop(signal.SIGINT)
    assert (0, "") == (again.code, again.out)
    assert 1 == len(run("keys", "list", "--json", *data).json["keys"])


def test_what_a_server_counted_is_there_after_it_stopped(data, serving, run, operator_key):
    """
    An acknowledged event outlives the process that took it, however it ends.
    """
    server = serving(*data, "--port", 0)
    event = {"id": "1", "type": "message", "subject": "acme", "data": {"direction": "inbound"}}
    header = {"Authorization": f"Bearer {operator_key}"}
    assert 1 == httpx.post(f"{server.url}/v1/events", json=event, headers=header).json()["accepted"]
    assert -9 == server.stop(signal.SIGKILL).code
    found = run("get", "/v1/accounts/acme/usage?meter=messages&granularity=total", *data, "--key", operator_key)
    assert "1" == found.json["total"]


def test_the_test_clock_stands_where_it_is_told(data, serving, operator_key):
    """
    With --test-clock the server lives at that instant until it is moved.
    """
    server = serving(*data, "--port", 0, "--test-clock", "2026-03-15T12:00:00Z")
    header = {"Authorization": f"Bearer {operator_key}"}
    assert {"now": "2026-03-15T12:00:00Z"} == httpx.get(f"{server.url}/v1/test-clock", headers=header).json()


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path, data, serving):
    """
    File, then environment, then options.
    """
    (tmp_path / "tallybook.toml").write_text('host = "127.0.0.3"\nport = 1\n')
    environment = {"TALLYBOOK_CONFIG": str(tmp_path / "tallybook.toml"), "TALLYBOOK_HOST": "127.0.0.2"}
    server = serving(*data, "--port", 0, environment=environment)
    assert server.url.startswith("http://127.0.0.2:")


# --- starts that are refused ------------------------------------------------------------------------------------------


def test_keys_for_secrets_that_are_none_are_told_at_the_start(run, data, tmp_path):
    """
    Not when the first webhook endpoint is made, and never the key itself.
    """
    config = tmp_path / "tallybook.toml"
    config.write_text('secrets_key = "hunter2"')
    given = run("serve", *data, "--port", 0, "--config", config)
    config.write_text(f'secrets_key_file = "{tmp_path / "missing"}"')
    kept = run("serve", *data, "--port", 0, "--config", config)

    assert (1, 1) == (given.code, kept.code)
    assert "secrets_key must hold keys of 32 bytes" in given.error
    assert "hunter2" not in given.error
    assert str(tmp_path / "missing") in kept.error


def test_an_unknown_setting_is_named_with_the_nearest(run, data, monkeypatch, tmp_path):
    """
    In the file and in the environment; nothing is made on disk.
    """
    (tmp_path / "tallybook.toml").write_text("prot = 8080\n")
    ended = run("serve", *data, "--config", tmp_path / "tallybook.toml")
    assert 1 == ended.code
    assert "did you mean port" in ended.error
    monkeypatch.setenv("TALLYBOOK_HOTS", "::1")
    ended = run("serve", *data)
    assert 1 == ended.code
    assert "did you mean host" in ended.error
    assert not data[1].exists()


@pytest.mark.parametrize(
    ("toml", "word"),
    [("[events.x", "catalogue.toml"), ('[meters.bad]\nevent = "fax"\naggregation = "average"\n', "aggregation")],
)
def test_a_broken_catalogue_is_named_with_the_place(run, data, monkeypatch, tmp_path, *, toml, word):
    """
    Once it is put right, the same start works on the same directory.
    """
    (tmp_path / "catalogue.toml").write_text(toml)
    monkeypatch.setenv("TALLYBOOK_CATALOGUE_FILE", str(tmp_path / "catalogue.toml"))
    ended = run("serve", *data, "--port", 0)
    assert 1 == ended.code
    assert word in ended.error
    monkeypatch.delenv("TALLYBOOK_CATALOGUE_FILE")
    assert 0 == run("keys", "create", *data).code


def test_a_data_directory_that_cannot_be_made_is_named(run, tmp_path):
    """
    A file where the directory should be, and a directory below a file.
    """
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "data"):
        ended = run("serve", "--data", path, "--port", 0)
        assert 1 == ended.code
        assert str(path) in ended.error


def test_a_port_in_use_is_told_before_anything_is_made(run, data):
    """
    The message names the option; no key was made, so none is lost.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("serve", *data, "--port", taken.getsockname()[1])
    assert 1 == ended.code
    assert "--port" in ended.error
    assert not data[1].exists()


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid", "x" * 300, "::zz"])
def test_an_address_that_is_not_ours_is_told(run, data, host):
    """
    One line, not a traceback.
    """
    ended = run("serve", *data, "--host", host)
    assert 1 == ended.code
    assert "--host" in ended.error


def test_a_directory_in_use_is_told_and_left_alone(run, data, serving):
    """
    The second server goes; the first one does not notice.
    """
    server = serving(*data, "--port", 0)
    ended = run("serve", *data, "--port", 0)
    assert 1 == ended.code
    assert "in use" in ended.error
    assert 200 == httpx.get(f"{server.url}/readyz").status_code


def test_a_file_that_is_no_ledger_is_left_as_it_is(run, data):
    """
    It may be somebody's only copy of something.
    """
    data[1].mkdir()
    noise = bytes(range(256)) * 32
    (data[1] / "ledger.db").write_bytes(noise)
    ended = run("serve", *data, "--port", 0)
    assert 1 == ended.code
    assert "not a database" in ended.error
    assert noise == (data[1] / "ledger.db").read_bytes()


@pytest.mark.parametrize("command", [("serve", "--port", 0), ("keys", "list"), ("keys", "create")])
def test_a_ledger_that_was_emptied_is_no_new_ledger(run, data, operator_key, command):
    """
    SQLite takes no bytes for a new database; who would be answered with zeros has lost everything and not been told.
    """
    (data[1] / "ledger.db").write_bytes(b"")

    ended = run(command[0], *data, *command[1:]) if command[0] == "serve" else run(*command, *data)

    assert 1 == ended.code
    assert "ledger.db is empty, and a ledger was there" in ended.error
    assert 1 == len(ended.error.splitlines())
    assert b"" == (data[1] / "ledger.db").read_bytes()


@pytest.mark.parametrize("left", ["ledger.db-wal", "secrets.key", "lock"])
def test_what_lies_beside_an_empty_ledger_tells_that_one_was_there(run, data, left):
    """
    The file of a start that was cut off lies alone, or beside a lock that nobody has written into.
    """
    data[1].mkdir()
    (data[1] / "ledger.db").touch()
    (data[1] / left).write_bytes(b"x" * 32)
    assert 1 == run("serve", *data, "--port", 0).code

    (data[1] / left).write_bytes(b"")
    assert 0 == run("keys", "create", *data).code


def test_a_full_disk_is_told_and_damages_nothing(run, data, operator_key):
    """
    With no room to write, nothing starts; with room again, everything is there.
    """
    command = f'ulimit -f 1; exec "{sys.executable}" -m tallybook import events.ndjson --data data'
    lines = [
        f'{{"id": "{n}", "type": "message", "subject": "acme", "time": "2026-03-01T00:00:00Z",'
        f' "data": {{"direction": "inbound", "agent_id": "agent-{n}"}}}}\n'
        for n in range(2_000)
    ]
    (data[1].parent / "events.ndjson").write_text("".join(lines))
    ended = subprocess.run(
        ["sh", "-c", command], cwd=data[1].parent, capture_output=True, text=True, check=False, timeout=60
    )
    assert 1 == ended.returncode, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("tallybook: ")
    assert 0 == run("import", "events.ndjson", *data).code
    found = run(
        "get",
        "/v1/accounts/acme/usage?meter=messages&from=2026-03-01&to=2026-03-02&granularity=total",
        *data,
        "--key",
        operator_key,
    )
    assert "2000" == found.json["total"]


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://host/db", "mysql"),
        ("nonsense", "ledger"),
        ("postgresql://127.0.0.1:9/db", "server"),
    ],
)
def test_a_ledger_that_cannot_be_reached_is_told(run, data, url, word):
    """
    In one line, with a word on what to look at.
    """
    ended = run("serve", *data, "--ledger", url, "--port", 0)
    assert 1 == ended.code
    assert word in ended.error


def test_a_test_clock_that_is_no_instant_is_told(run, data):
    """
    Before anything starts.
    """
    ended = run("serve", *data, "--test-clock", "tomorrow", "--port", 0)
    assert 1 == ended.code
    assert "test_clock" in ended.error
