"""Importing files: totals equal the files', a second time changes nothing, and what does not count is told."""

import collections
import csv
import gzip
import json
from decimal import Decimal

import pytest
import zstandard

from tests.cli.conftest import DATA

LLM = DATA / "llm_trace_code.csv"
WEB = DATA / "web_requests.csv"


@pytest.fixture
def data(tmp_path):
    return ("--data", tmp_path / "data")


@pytest.fixture
def usage(run, data, operator_key):
    """Ask for the values of a meter; keys are (start, group), zeros left out."""

    def ask(account, meter, start, end, granularity, *, group=""):
        query = f"meter={meter}&from={start}&to={end}&granularity={granularity}"
        path = f"/v1/accounts/{account}/usage?{query}{'&group_by=' + group if group else ''}"
        ended = run("get", path, *data, "--key", operator_key)
        assert 0 == ended.code, ended.out
        found = {
            (row["start"], *([row["group"][group]] if group else [])): Decimal(row["value"])
            for row in ended.json["rows"]
            if row["value"] != "0"
        }
        assert Decimal(ended.json["total"]) == sum(found.values())
        return found

    return ask


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_events(path, count, **changes):
    lines = [
        {
            "id": f"e{n}",
            "type": "message",
            "subject": "acme",
            "time": f"2026-03-01T{n % 24:02d}:00:00Z",
            "data": {"direction": "inbound"},
            **changes.get(f"e{n}", {}),
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


# --- real files -------------------------------------------------------------------------------------------------------


def test_the_llm_trace_is_counted_to_the_token(run, data, usage):
    """
    Totals of the file and of every minute equal plain addition over the CSV; importing again changes nothing.
    """
    ended = run("import", LLM, "--mapping", "llm_trace", *data, "--json")
    assert 0 == ended.code, ended.err
    assert (8_819, 8_819, 0) == (ended.json["rows"], ended.json["accepted"], ended.json["duplicate"])
    for meter, column in (("input_tokens", "ContextTokens"), ("output_tokens", "GeneratedTokens")):
        minutes, hours = collections.Counter(), collections.Counter()
        for row in rows_of(LLM):
            minutes[f"{row['TIMESTAMP'][:10]}T{row['TIMESTAMP'][11:16]}:00Z",] += int(row[column])
            hours[f"{row['TIMESTAMP'][:10]}T{row['TIMESTAMP'][11:13]}:00:00Z",] += int(row[column])
        span = ("llm-trace", meter, "2023-11-16", "2023-11-17")
        assert minutes == usage(*span, "minute")
        assert hours == usage(*span, "hour")
        assert {("2023-11-16T00:00:00Z",): hours.total()} == usage(*span, "day")
        assert {("2023-11-16T00:00:00Z", "code"): hours.total()} == usage(*span, "total", group="model")
    again = run("import", LLM, "--mapping", "llm_trace", *data, "--json")
    assert (0, 0, 8_819) == (again.code, again.json["accepted"], again.json["duplicate"])
    assert hours == usage(*span, "hour")


def test_the_web_log_is_counted_to_the_request(run, data, usage):
    """
    Requests per day, hour and endpoint and errors equal plain counting over the CSV; a packed copy changes nothing.
    """
    ended = run("import", WEB, "--mapping", "web_requests", "--account", "acme", *data, "--json")
    assert 0 == ended.code, ended.err
    assert (10_000, 10_000) == (ended.json["rows"], ended.json["accepted"])
    rows = rows_of(WEB)
    days = collections.Counter((f"{row['timestamp'][:10]}T00:00:00Z",) for row in rows)
    hours = collections.Counter((f"{row['timestamp'][:13]}:00:00Z",) for row in rows)
    endpoints = collections.Counter(("2015-05-17T00:00:00Z", row["endpoint"]) for row in rows)
    errors = collections.Counter((f"{row['timestamp'][:10]}T00:00:00Z",) for row in rows if int(row["status"]) >= 400)
    span = ("2015-05-17", "2015-05-21")
    assert [1632, 2893, 2896, 2579] == list(days.values())
    assert days == usage("acme", "requests", *span, "day")
    assert hours == usage("acme", "requests", *span, "hour")
    assert endpoints == usage("acme", "requests", *span, "total", group="endpoint")
    assert errors == usage("acme", "request_errors", *span, "day")
    packed = data[1].parent / "copy.csv.gz"
    packed.write_bytes(gzip.compress(WEB.read_bytes()))
    again = run("import", packed, "--mapping", "web_requests", "--account", "acme", *data, "--json")
    assert (0, 0, 10_000) == (again.code, again.json["accepted"], again.json["duplicate"])
    assert days == usage("acme", "requests", *span, "day")


def test_a_server_counts_the_same(run, data, usage, serving, operator_key):
    """
    Through HTTP, in packed batches: the same totals, and duplicates the second time.
    """
    server = serving(*data, "--port", 0)
    place = ("--url", server.url, "--key", operator_key)
    ended = run("import", WEB, "--mapping", "web_requests", *place, "--json")
    assert (0, 10_000) == (ended.code, ended.json["accepted"]), ended.err
    again = run("import", WEB, "--mapping", "web_requests", *place, "--json")
    assert (0, 10_000) == (again.code, again.json["duplicate"]), again.err
    found = usage("web-requests", "requests", "2015-05-17", "2015-05-21", "day")
    assert [1632, 2893, 2896, 2579] == list(found.values())


def test_a_server_that_says_no_at_once_is_told_in_one_line(run, data, serving, operator_key):
    """
    Nothing was counted, so there is nothing to go on with.
    """
    server = serving(*data, "--port", 0)
    ended = run("import", WEB, "--mapping", "web_requests", "--url", server.url, "--key", "tb_live_of_nobody")
    assert (1, "") == (ended.code, ended.out)
    assert "401" in ended.err
    assert 1 == len(ended.err.splitlines())


# --- what does not count ----------------------------------------------------------------------------------------------


def test_rejected_rows_go_to_a_file_that_can_be_put_right_and_imported(run, data, usage, tmp_path):
    """
    The file names row, code, reason and place; put right, its events count, with the identity they had.
    """
    bad = {"data": {"direction": "sideways"}}
    path = write_events(tmp_path / "events.ndjson", 10, e3=bad, e7={"time": "soon"})
    with path.open("a") as file:
        file.write("{nope\n")
    ended = run("import", path, *data)
    assert 3 == ended.code
    assert "11 rows: 8 accepted, 0 duplicate, 0 conflict, 3 rejected\n" == ended.out
    rejects = tmp_path / "events.ndjson.rejected.ndjson"
    assert str(rejects) in ended.err
    lines = sorted((json.loads(line) for line in rejects.read_text().splitlines()), key=lambda line: line["row"])
    assert [4, 8, 11] == [line["row"] for line in lines]
    assert ("e3", "/data/direction") == (lines[0]["event"]["id"], lines[0]["pointer"])
    assert ("e7", "/time") == (lines[1]["event"]["id"], lines[1]["pointer"])
    assert "not JSON" in lines[2]["reason"]
    right = tmp_path / "right.ndjson"
    right.write_text(rejects.read_text().replace("sideways", "outbound").replace("soon", "2026-03-01T00:00:00Z"))
    ended = run("import", right, *data, "--rejects", tmp_path / "rest.ndjson", "--json")
    assert (3, 2, 1) == (ended.code, ended.json["accepted"], ended.json["rejected"])
    assert 10 == sum(usage("acme", "messages", "2026-03-01", "2026-03-02", "day").values())


def test_rejected_rows_of_another_width_keep_their_columns(run, data, tmp_path):
    """
    Nobody takes a cell for that of another column: what is missing is null, what is too much stands apart.
    """
    path = tmp_path / "events.csv"
    path.write_text("id,type,subject,time,data\ne1,message,acme\ne2,message,acme,2026-03-01T00:00:00Z,{},x,y\n")
    ended = run("import", path, *data)
    assert (3, "2 rows: 0 accepted, 0 duplicate, 0 conflict, 2 rejected\n") == (ended.code, ended.out)
    short, long = map(json.loads, (tmp_path / "events.csv.rejected.ndjson").read_text().splitlines())
    assert "has 3 cells where the header has 5: nothing is left for time, data" == short["reason"]
    assert {"id": "e1", "type": "message", "subject": "acme", "time": None, "data": None} == short["cells"]
    assert "surplus" not in short
    assert "has 7 cells where the header has 5" == long["reason"]
    assert ("{}", ["x", "y"]) == (long["cells"]["data"], long["surplus"])


def test_every_reason_is_told_also_where_many_rows_of_a_batch_are_refused(run, data, tmp_path):
    """
    An answer names its first 100 errors; the import asks on until it knows them all, and counts nothing twice.
    """
    bad = {f"e{n}": {"data": {"direction": "sideways"}} for n in range(0, 1_000, 2)}
    ended = run("import", write_events(tmp_path / "e.ndjson", 1_000, **bad), *data, "--json")
    assert (3, 500, 500, 0) == (
        ended.code,
        ended.json["accepted"],
        ended.json["rejected"],
        ended.json["duplicate"],
    )
    rejects = (tmp_path / "e.ndjson.rejected.ndjson").read_text().splitlines()
    assert [n + 1 for n in range(0, 1_000, 2)] == sorted(json.loads(line)["row"] for line in rejects)


def test_a_conflict_is_not_counted_and_is_told(run, data, usage, tmp_path):
    """
    An id that was counted with other content stays as it was.
    """
    assert 0 == run("import", write_events(tmp_path / "e.ndjson", 3), *data).code
    changed = write_events(tmp_path / "f.ndjson", 3, e1={"data": {"direction": "outbound"}})
    ended = run("import", changed, *data, "--json")
    assert (3, 2, 1) == (ended.code, ended.json["duplicate"], ended.json["conflict"])
    assert "event-id-reused" in (tmp_path / "f.ndjson.rejected.ndjson").read_text()
    assert {("2026-03-01T00:00:00Z", "inbound"): 3} == usage(
        "acme", "messages", "2026-03-01", "2026-03-02", "total", group="direction"
    )


def test_a_file_that_has_grown_counts_once_under_a_prefix_of_its_own(run, data, usage, tmp_path):
    """
    With --id-prefix a row is known by its number, so a longer log adds only its new rows.
    """
    lines = WEB.read_text().splitlines(keepends=True)
    log = tmp_path / "access.csv"
    command = ("import", log, "--mapping", "web_requests", "--id-prefix", "access-2015", *data, "--json")
    log.write_text("".join(lines[:101]))
    assert 100 == run(*command).json["accepted"]
    log.write_text("".join(lines[:151]))
    ended = run(*command)
    assert (50, 100) == (ended.json["accepted"], ended.json["duplicate"])
    assert 150 == sum(usage("web-requests", "requests", "2015-05-17", "2015-05-21", "total").values())


# --- before anything counts -------------------------------------------------------------------------------------------


def test_a_dry_run_shows_events_and_counts_nothing(run, tmp_path):
    """
    Five events as JSON lines on stdout; not even a directory is made.
    """
    ended = run("import", LLM, "--mapping", "llm_trace", "--account", "acme", "--dry-run")
    assert 0 == ended.code
    shown = [json.loads(line) for line in ended.out.splitlines()]
    assert 5 == len(shown)
    assert ("acme", "llm.completion", "2023-11-16T18:17:03.9799600Z", 4808) == (
        shown[0]["subject"],
        shown[0]["type"],
        shown[0]["time"],
        shown[0]["data"]["input_tokens"],
    )
    assert not (tmp_path / "tallybook-data").exists()


def test_a_dry_run_tells_rows_that_cannot_be_mapped(run, tmp_path):
    """
    On stderr, with the exit code of a partial success.
    """
    (tmp_path / "e.csv").write_text("timestamp,method,endpoint,status,response_bytes\nsoon,GET,/,200,1\n")
    ended = run("import", tmp_path / "e.csv", "--mapping", "web_requests", "--dry-run")
    assert 3 == ended.code
    assert "row 1 column timestamp" in ended.err


@pytest.mark.parametrize(
    ("name", "content", "options", "word"),
    [
        ("none.csv", None, (), "no file"),
        ("a.csv", "a,b\n1,2\n", (), "--mapping"),
        ("a.csv", "a,b\n1,2\n", ("--mapping", "web_requests"), "endpoint"),
        ("a.csv", "a,b\n1,2\n", ("--mapping", "nope"), "llm_trace"),
        ("a.csv", "", ("--mapping", "web_requests"), "header"),
        ("a.json", '[{"id": 1', (), "malformed"),
        ("a.ndjson", '{"id": "1"}\n', ("--rejects", "a.ndjson"), "overwrite"),
        ("a.ndjson", '{"id": "1"}\n', ("--rejects", "no/where.ndjson"), "--rejects"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line(run, data, tmp_path, *, name, content, options, word):
    """
    With what to do about it, exit code 1, and nothing counted.
    """
    if content is not None:
        (tmp_path / name).write_text(content)
    ended = run("import", tmp_path / name, *options, *data)
    assert 1 == ended.code
    lines = [line for line in ended.err.splitlines() if line.startswith("tallybook: ")]
    assert 1 == len(lines)
    assert word in lines[0]


def test_a_file_that_is_cut_off_counts_nothing(run, data, tmp_path):
    """
    Half a packed file is found out before its first row counts.
    """
    packed = tmp_path / "web.csv.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(WEB.read_bytes())[:-100])
    ended = run("import", packed, "--mapping", "web_requests", *data)
    assert 1 == ended.code
    assert "cut off" in ended.error
    assert not data[1].exists()


def test_a_running_server_has_the_directory(run, data, serving):
    """
    Importing into the directory of a running server is refused, with the way out.
    """
    serving(*data, "--port", 0)
    ended = run("import", LLM, "--mapping", "llm_trace", *data)
    assert 1 == ended.code
    assert "in use" in ended.err
    assert "--url" in ended.err
