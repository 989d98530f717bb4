"""Mappings turn rows into events, and a mapping that says nonsense is refused before the first row."""

from decimal import Decimal

import pytest

from tallybook.cli.importing.mapping import RowInvalid, rows_are_events
from tallybook.cli.importing.mapping_file import MappingInvalid, load_mapping, mapping_names, read_mapping
from tallybook.core.errors import NotFound

CALLS = """
source = "pbx"
subject = { column = "tenant" }
id = { column = "uid" }
time = { column = "ended", format = "epoch_ms" }
where = { kind = ["voice", "chat"] }
skip = { tenant = "internal" }

[[event]]
type = "call"
[event.data]
channel = { column = "kind" }
direction = { constant = "inbound" }
duration_s = { column = "duration_ms", multiply = "0.001" }
agent_id = { column = "meta.agent", default = "nobody" }
number_id = { column = "number" }

[[event]]
type = "llm.completion"
where = { kind = "chat" }
[event.data]
input_tokens = { column = "tokens", type = "integer" }
output_tokens = { constant = 0 }
"""

ROW = {
    "uid": "u1",
    "tenant": "acme",
    "ended": 1_700_000_000_000,
    "kind": "chat",
    "duration_ms": "1500",
    "meta": {"agent": "a-1"},
    "tokens": "42",
    "number": "",
}


def test_a_row_becomes_its_events():
    """
    Columns, constants, defaults, products and paths into nested objects; empty cells leave their field out.
    """
    head = {"source": "pbx", "subject": "acme", "time": "2023-11-14T22:13:20Z"}
    call = {"channel": "chat", "direction": "inbound", "duration_s": Decimal("1.5"), "agent_id": "a-1"}
    completion = {"input_tokens": 42, "output_tokens": 0}
    expected = [
        {**head, "id": "u1", "type": "call", "data": call},
        {**head, "id": "u1.1", "type": "llm.completion", "data": completion},
    ]
    assert expected == read_mapping(CALLS, "calls").events(ROW, "digest-1")


def test_conditions_leave_events_and_rows_out():
    """
    A row must pass `where` and not meet `skip`, for the file and for each event of its own.
    """
    mapping = read_mapping(CALLS, "calls")
    assert ["call"] == [event["type"] for event in mapping.events({**ROW, "kind": "voice"}, "d-1")]
    assert [] == mapping.events({**ROW, "kind": "fax"}, "d-1")
    assert [] == mapping.events({**ROW, "tenant": "internal"}, "d-1")


def test_an_account_given_by_hand_wins():
    """
    --account is the subject of every event, whatever the mapping and the row say.
    """
    assert {"other"} == {event["subject"] for event in read_mapping(CALLS, "calls").events(ROW, "d-1", "other")}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"tokens": "many"}, "column tokens is not a whole number"),
        ({"ended": ""}, "column ended is empty"),
        ({"ended": "soon"}, "column ended"),
        ({"tenant": None}, "no account"),
        ({"uid": ""}, "no id"),
        ({"duration_ms": "1e3"}, "column duration_ms"),
    ],
)
def test_a_row_that_cannot_be_mapped_names_its_column(change, word):
    """
    The reason of a rejected row says where to look.
    """
    with pytest.raises(RowInvalid, match=word):
        read_mapping(CALLS, "calls").events({**ROW, **change}, "d-1")


def test_columns_lists_everything_the_mapping_reads():
    """
    So that a missing column is told before the first row, not on every one of them.
    """
    expected = {"uid", "tenant", "ended", "kind", "duration_ms", "meta.agent", "number", "tokens"}
    assert expected == read_mapping(CALLS, "calls").columns()


def test_without_a_mapping_a_row_is_an_event():
    """
    JSON rows pass as they are; the data of a CSV row is a JSON text; a line of a rejects file is its event.
    """
    event = {"id": "1", "type": "t", "data": {"a": 1}}
    assert [event] == rows_are_events(event, "d-1")
    assert [{**event, "subject": "acme"}] == rows_are_events(event, "d-1", "acme")
    assert [event] == rows_are_events({"id": "1", "type": "t", "source": "", "data": '{"a": 1}'}, "d-1")
    assert [event] == rows_are_events({"row": 7, "code": "c", "reason": "r", "event": event}, "d-1")
    with pytest.raises(RowInvalid, match="data"):
        rows_are_events({"id": "1", "type": "t", "data": "{"}, "d-1")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("subject =", "subjekt ="), "subjekt is no key"),
        (("[[event]]", "[event]"), "TOML"),
        (('time = { column = "ended", format = "epoch_ms" }', ""), "needs the time"),
        (("epoch_ms", "epoch_fortnights"), "time.format"),
        (('format = "epoch_ms"', 'zone = "Mars/Olympus"'), "time.zone"),
        (('type = "integer"', 'type = "float"'), "data.input_tokens.type"),
        (('multiply = "0.001"', "multiply = 0.001"), "multiply"),
        (('column = "kind" }', 'column = "kind", constant = "x" }'), "data.channel"),
        (('{ constant = "inbound" }', '"inbound"'), "data.direction"),
        (('default = "nobody"', 'otherwise = "nobody"'), "otherwise"),
        (("constant = 0 ", "constant = 0.5 "), "exact"),
        (('skip = { tenant = "internal" }', 'skip = "internal"'), "skip"),
        (('source = "pbx"', 'delimiter = "||"'), "delimiter"),
        (('source = "pbx"', "columns = [1]"), "columns"),
        (('type = "call"', ""), "type"),
    ],
)
def test_a_mapping_that_says_nonsense_is_refused(change, word):
    """
    Every mistake is named before a single row counts.
    """
    broken = CALLS.replace(*change)
    assert broken != CALLS
    with pytest.raises(MappingInvalid, match=word):
        read_mapping(broken, "calls")


def test_a_mapping_without_events_is_refused():
    """
    A mapping has to make something.
    """
    with pytest.raises(MappingInvalid, match="event"):
        read_mapping('time = { column = "t" }', "none")


def test_the_mappings_of_the_package_are_found_by_name():
    """
    Both come with Tallybook and read the columns of their files.
    """
    assert ["llm_trace", "web_requests"] == mapping_names()
    assert {"TIMESTAMP", "ContextTokens", "GeneratedTokens"} == load_mapping("llm_trace").columns()
    assert {"timestamp", "method", "endpoint", "status", "response_bytes"} == load_mapping("web_requests").columns()


def test_an_unknown_mapping_names_those_there_are(tmp_path):
    """
    A path that is no file and a file that is no mapping are told apart.
    """
    with pytest.raises(NotFound, match="llm_trace"):
        load_mapping("llm_traces")
    with pytest.raises(MappingInvalid, match="cannot be read"):
        load_mapping(str(tmp_path))
