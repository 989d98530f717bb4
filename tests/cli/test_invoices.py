"""Invoices from the command line: previewed, closed once, listed and shown."""


def test_a_period_is_closed_listed_and_shown(run, tmp_path):
    """
    The first of January 2026 lies in a period that has ended.
    """
    place = ("--data", tmp_path / "data")
    assert 0 == run("keys", "create", *place).code
    assert 0 == run("accounts", "put", "acme", "--plan", "wontopos-basic", *place).code
    preview = run("invoices", "show", "acme", "--json", *place).json
    assert (None, "USD", "0.00") == tuple(preview["invoice"][name] for name in ("number", "currency", "total"))
    assert "forecast" in run("invoices", "show", "acme", *place).out
    closed = run("invoices", "close", "acme", "--at", "2026-01-01", "--json", *place)
    assert 0 == closed.code, closed.err
    assert ("INV-000001", "2026-02-01T00:00:00Z") == tuple(closed.json["invoice"][name] for name in ("number", "end"))
    assert closed.json == run("invoices", "close", "acme", "--at", "2026-01-20", "--json", *place).json
    assert closed.json == run("invoices", "show", "acme", "INV-000001", "--json", *place).json
    assert "INV-000001" in run("invoices", "list", "acme", *place).out
    assert ["INV-000001"] == [
        one["number"] for one in run("invoices", "list", "acme", "--json", *place).json["invoices"]
    ]


def test_what_cannot_be_closed_is_said_in_one_line(run, tmp_path):
    """
    A period ahead, another's number, a date that is none.
    """
    place = ("--data", tmp_path / "data")
    assert 0 == run("keys", "create", *place).code
    assert 0 == run("accounts", "put", "acme", *place).code
    for arguments, told in (
        (("close", "acme", "--at", "2199-01-01"), "can be closed from then on"),
        (("show", "acme", "INV-000009"), "no such invoice"),
        (("close", "acme", "--at", "soon"), "at"),
        (("list", "nobody"), "no such account"),
    ):
        ended = run("invoices", *arguments, *place)
        assert 1 == ended.code
        assert told in ended.error
