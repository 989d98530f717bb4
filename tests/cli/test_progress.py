"""Progress is a bar on a terminal and a line now and then elsewhere."""

import io

from rich.console import Console

from tallybook.cli.progress import LINE_EVERY_S, shown


class Ticks:
    """A clock that is moved by hand."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def test_without_a_terminal_a_line_comes_every_few_seconds():
    """
    With part, count, rate and time left; nothing in between.
    """
    out, ticks = io.StringIO(), Ticks()
    with shown(Console(file=out, width=40), "file[1].csv", 1_000, ticks) as report:
        report(10, 100)
        assert "" == out.getvalue()
        ticks.now_s += LINE_EVERY_S
        report(250, 50_000)
        report(260, 52_000)
        ticks.now_s += 1
        report(300, 60_000)
    assert "file[1].csv: 25 %, 50,000 events, 10,000 events/s, 15 s left\n" == out.getvalue()


def test_without_a_total_the_line_says_what_is_known():
    """
    Work of unknown size has no part and no end.
    """
    out, ticks = io.StringIO(), Ticks()
    with shown(Console(file=out), "counting", 0, ticks) as report:
        ticks.now_s += LINE_EVERY_S
        report(5, 5)
    assert out.getvalue().startswith("counting: running, 5 events")


def test_on_a_terminal_a_bar_shows_the_rate():
    """
    The bar is drawn over and leaves nothing behind.
    """
    out, ticks = io.StringIO(), Ticks()
    with shown(Console(file=out, force_terminal=True, width=100), "file.csv", 1_000, ticks) as report:
        ticks.now_s += 2
        report(500, 10_000)
    assert "5,000 events/s" in out.getvalue()
