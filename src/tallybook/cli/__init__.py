"""The command line: serve, demo, import, get, and an operator's keys, accounts, meters and plans. See docs/cli.md."""

from tallybook.cli.app import main

__all__ = ["main"]
