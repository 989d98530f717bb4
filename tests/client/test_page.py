"""The page about the client: its code runs as it stands, and what it says of names and defaults is true."""

import inspect
import re

import tallybook.client
from tallybook.client import Client, TallybookError, Tuning
from tests.client.times import ManualClock
from tests.client.toy import listening
from tests.docs.pages import blocks, read
from tests.support.client import open_desk

PAGE = read("docs/client.md")


def test_the_code_of_the_page_runs(tmp_path, capsys):
    """All blocks, one after another, as a reader would type them, against a real server."""
    with open_desk(tmp_path) as desk, listening(desk.house.app) as url:
        key = desk.account("acme", plan="agentphone-pro")
        names = {"CLOCK": ManualClock(), "KEY": key, "URL": url}
        for block in blocks(PAGE, "python"):
            code = block.text.replace('"https://usage.example.com", "tb_live_..."', "URL, KEY, clock=CLOCK")
            exec(code.replace("datetime.now(UTC)", '"2026-03-15T11:59:00Z"'), names)  # noqa: S102
        client = names["client"]
        assert client.close()
        stats = client.stats()
        assert (stats.tracked, 0) == (stats.accepted, stats.rejected)
        with Client(url, key, clock=ManualClock()) as reading:
            assert 3 == reading.usage("acme", "messages").total
    assert "messages" in capsys.readouterr().out


def test_every_error_is_on_the_page():
    """By name."""
    errors = [
        name
        for name in tallybook.client.__all__
        if inspect.isclass(getattr(tallybook.client, name))
        and issubclass(getattr(tallybook.client, name), TallybookError)
    ]
    assert [] == [name for name in errors if f"`{name}`" not in PAGE]


def test_the_numbers_of_the_page_are_the_defaults():
    """Those that a reader would rely on."""
    tuning = Tuning()
    assert f"at most {tuning.batch_events_max} events or 1 MiB" in PAGE
    assert f"{tuning.buffer_events_max:,} events and {tuning.buffer_bytes_max // 2**20} MiB" in PAGE
    assert f"with a spool {tuning.spool_bytes_max // 2**20} MiB" in PAGE
    assert f"for {tuning.close_timeout_s:.0f} s if you do not say otherwise" in PAGE
    defaults = {name: value.default for name, value in inspect.signature(Client).parameters.items()}
    assert f"`retries={defaults['retries']}`" in PAGE
    assert f"`timeout_s={defaults['timeout_s']:.0f}`" in PAGE
    assert re.search(rf'"{defaults["on_full"]}"` \(default\)', PAGE)
    assert re.search(rf'"{defaults["on_unreachable"]}"` \(default\)', PAGE)
