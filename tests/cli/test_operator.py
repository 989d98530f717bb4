"""Keys, accounts, meters and plans from the command line: on a data directory, beside a server, and through one."""

import httpx
import pytest

from tallybook.core.key import SCOPES
from tallybook.house import House
from tallybook.settings import Settings
from tallybook.web.protocol import BoundedProtocol
from tallybook.web.server import listen
from tests.support.listening import listening


@pytest.fixture(params=["directory", "server"])
def place(request, run, tmp_path):
    """The options that say where to work, in both ways; the server is in this process, and spoken to over a socket."""
    options = ("--data", tmp_path / "data")
    key = run("keys", "create", *options).out.strip()
    if request.param == "directory":
        yield options
        return
    listener = listen("127.0.0.1", 0)
    with House.open(Settings(data_dir=tmp_path / "data")) as house:
        house.fill.start()  # which counts for new meters what came before them
        with listening(house.app, listener, http=BoundedProtocol):
            yield ("--url", f"http://127.0.0.1:{listener.getsockname()[1]}", "--key", key)


def test_a_running_server_is_not_in_the_way(run, tmp_path, serving):
    """
    Commands on its directory read and write beside it, and it sees at once what they wrote.
    """
    data = ("--data", tmp_path / "data")
    server = serving(*data, "--port", 0)
    key = run("keys", "create", *data).out.strip()
    assert 0 == run("accounts", "put", "acme", "--plan", "agentphone-pro", *data).code
    assert 0 == run("meters", "add", "faxes", "--event", "fax", *data).code
    answer = httpx.get(f"{server.url}/v1/accounts/acme", headers={"Authorization": f"Bearer {key}"})
    assert "agentphone-pro" == answer.json()["plan"]
    assert 0 == run("get", "/v1/meters", *data, "--key", key).code


def test_a_key_is_made_listed_and_revoked(run, place):
    """
    The key itself is printed once, alone on stdout; lists show the rest of it.
    """
    assert 0 == run("accounts", "put", "acme", *place).code
    made = run("keys", "create", "--account", "acme", "--name", "dash", *place)
    assert 0 == made.code, made.err
    assert made.out.startswith("tb_live_")
    assert 1 == len(made.out.splitlines())
    (listed,) = run("keys", "list", "--account", "acme", "--json", *place).json["keys"]
    assert ("acme", "dash", ["events:write", "usage:read"]) == (listed["account"], listed["name"], listed["scopes"])
    assert made.out.strip() not in run("keys", "list", *place).out
    assert listed["id"] in run("keys", "list", *place).out
    assert 0 == run("keys", "revoke", listed["id"], *place).code
    (listed,) = run("keys", "list", "--account", "acme", "--json", *place).json["keys"]
    assert listed["revoked_at"] is not None


def test_a_key_that_a_client_holds_is_taken_in(run, place, tmp_path):
    """
    From a file, so that it does not stand on the command line.
    """
    (tmp_path / "token").write_text("sk_live_0123456789abcdef\n")
    ended = run("keys", "create", "--token-file", tmp_path / "token", "--scope", "usage:read", "--json", *place)
    assert 0 == ended.code, ended.err
    assert ("sk_live_0123456789abcdef", ["usage:read"]) == (ended.json["key"], ended.json["scopes"])
    again = run("keys", "create", "--token-file", tmp_path / "token", *place)
    assert 1 == again.code
    assert "in use" in again.error


def test_an_operator_key_may_do_everything_unless_told_otherwise(run, place):
    """
    The default of an operator's key is every scope.
    """
    assert list(SCOPES) == run("keys", "create", "--json", *place).json["scopes"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("keys", "create", "--scope", "everything"), "scopes/0"),
        (("keys", "create", "--account", "nobody"), "no such account"),
        (("keys", "create", "--token-file", "nowhere"), "nowhere"),
        (("keys", "revoke", "key_nope"), "no such key"),
        (("accounts", "show", "nobody"), "no such account"),
        (("accounts", "put", "acme", "--plan", "platinum"), "plan"),
        (("accounts", "put", "acme", "--timezone", "Mars/Olympus"), "timezone"),
        (("accounts", "put", ""), "empty"),
        (("plans", "show", "platinum"), "no plan"),
        (("plans", "show", ""), "empty"),
        (("meters", "add", "x", "--event", "fax", "--aggregation", "average"), "aggregation"),
        (("meters", "add", "x", "--event", "fax", "--where", "status"), "--where"),
        (("meters", "add", "messages", "--event", "fax"), "catalogue"),
    ],
)
def test_a_refusal_is_one_line_that_says_where(run, tmp_path, operator_key, arguments, word):
    """
    The same refusals as the API's, in one line, with exit code 1.
    """
    ended = run(*arguments, "--data", tmp_path / "data")
    assert 1 == ended.code
    assert word in ended.error


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("accounts", "put", "acme", "--plan", "platinum"), "there is no plan called 'platinum'"),
        (("accounts", "put", "acme", "--timezone", "Mars"), "timezone: must be an IANA name such as Europe/Paris"),
        (("accounts", "put", "acme", "--anchor-day", "40"), "anchor_day: expected int <= 31"),
        (("keys", "create", "--scope", "root"), "scopes/0: must be one of events:write"),
        (("accounts", "show", "nobody"), "there is no such account"),
    ],
)
def test_a_refusal_on_a_directory_says_what_is_wrong_and_names_no_server(run, tmp_path, operator_key, arguments, line):
    """
    There is none: nobody should go and look for it.
    """
    ended = run(*arguments, "--data", tmp_path / "data")
    assert 1 == ended.code
    assert ended.error.startswith(f"tallybook: {line}")
    assert "server" not in ended.error


def test_a_refusal_of_a_server_is_one_line_too(run, place):
    """
    With the server's reason.
    """
    ended = run("accounts", "put", "acme", "--plan", "platinum", *place)
    assert 1 == ended.code
    assert "plan" in ended.error
    assert ("--url" in place) == ("the server answered 422" in ended.error)


def test_an_account_is_put_shown_and_listed(run, place):
    """
    What is not given stays; names may be of any script, ids of any characters.
    """
    put = ("accounts", "put", "雲/tokyo 1", "--name", "雲トラベル", "--plan", "agentphone.pro", "--json", *place)
    assert "agentphone-pro" == run(*put).json["plan"]
    changed = run("accounts", "put", "雲/tokyo 1", "--timezone", "Asia/Tokyo", "--anchor-day", 31, *place)
    assert 0 == changed.code, changed.err
    shown = run("accounts", "show", "雲/tokyo 1", "--json", *place).json
    assert ("雲トラベル", "agentphone-pro", "Asia/Tokyo", 31) == (
        shown["name"],
        shown["plan"],
        shown["timezone"],
        shown["anchor_day"],
    )
    assert "雲トラベル" in run("accounts", "show", "雲/tokyo 1", *place).out
    assert "雲トラベル" in run("accounts", "list", *place).out
    assert ["雲/tokyo 1"] == [account["id"] for account in run("accounts", "list", "--json", *place).json["accounts"]]


def test_plans_are_listed_and_shown(run, place):
    """
    A plan is found by its name, or by a tier that only one plan has.
    """
    assert "agentphone-pro" in run("plans", "list", *place).out
    names = [plan["name"] for plan in run("plans", "list", "--json", *place).json["plans"]]
    assert {"agentphone-pro", "aurion-professional", "default"} <= set(names)
    assert "aurion-professional" == run("plans", "show", "professional", "--json", *place).json["name"]
    shown = run("plans", "show", "wontopos-basic", *place).out
    assert "limit: name requests" in shown
    assert "price: " in shown


def test_meters_are_listed_and_added(run, place):
    """
    A new meter stands in the list at once, with its conditions.
    """
    conditions = ("--where", "state=sent,queued", "--where", "pages>=2", "--where", "pages<10")
    ended = run("meters", "add", "faxes", "--event", "fax", "--dimension", "direction", *conditions, *place)
    assert 0 == ended.code, ended.err
    meters = {meter["name"]: meter for meter in run("meters", "list", "--json", *place).json["meters"]}
    assert ("fax", "count", ["direction"]) == (
        meters["faxes"]["event"],
        meters["faxes"]["aggregation"],
        meters["faxes"]["dimensions"],
    )
    assert {"state": ["sent", "queued"], "pages": {"gte": "2", "lt": "10"}} == meters["faxes"]["where"]
    assert "faxes" in run("meters", "list", *place).out


def test_a_server_that_is_not_there_is_one_line(run):
    """
    It says which address, and what to look at.
    """
    ended = run("accounts", "list", "--url", "http://127.0.0.1:9", "--key", "tb_nope")
    assert 1 == ended.code
    assert "http://127.0.0.1:9 cannot be reached" in ended.error


@pytest.mark.parametrize("url", ["127.0.0.1", "ftp://x", "http://", "http://[", "http://a b"])
def test_a_url_that_is_none_is_one_line(run, url):
    """
    Never a traceback.
    """
    ended = run("accounts", "list", "--url", url, "--key", "tb_nope")
    assert 1 == ended.code
    assert ended.error


def test_a_wrong_key_is_one_line(run, tmp_path, serving):
    """
    With the server's own reason.
    """
    server = serving("--data", tmp_path / "data", "--port", 0)
    ended = run("accounts", "list", "--url", server.url, "--key", "tb_nope_nope_nope_nope")
    assert 1 == ended.code
    assert "401" in ended.error


def test_a_revoked_key_stops_working_on_a_running_server(run, tmp_path, serving, operator_key):
    """
    Revoked in the directory, refused by the server within a second.
    """
    data = ("--data", tmp_path / "data")
    server = serving(*data, "--port", 0)
    header = {"Authorization": f"Bearer {operator_key}"}
    (listed,) = run("keys", "list", "--json", *data).json["keys"]
    assert 0 == run("keys", "revoke", listed["id"], *data).code
    assert 401 == httpx.get(f"{server.url}/v1/meters", headers=header).status_code


def test_a_meter_is_counted_anew(run, tmp_path):
    """
    Rebuilding counts every event again and changes no number.
    """
    data = ("--data", tmp_path / "data")
    key = run("keys", "create", *data).out.strip()
    (tmp_path / "e.ndjson").write_text(
        "".join(
            f'{{"id": "{n}", "type": "message", "subject": "acme", "time": "2026-03-01T00:00:0{n}Z",'
            ' "data": {"direction": "inbound"}}\n'
            for n in range(5)
        )
    )
    assert 0 == run("import", tmp_path / "e.ndjson", *data).code
    question = "/v1/accounts/acme/usage?meter=messages&from=2026-03-01&to=2026-03-02&granularity=total"
    before = run("get", question, *data, "--key", key).json
    assert "5" == before["total"]
    ended = run("meters", "rebuild", "messages", *data)
    assert 0 == ended.code, ended.err
    assert before == run("get", question, *data, "--key", key).json
    assert 1 == run("meters", "rebuild", "nothing", *data).code
