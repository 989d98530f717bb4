"""Ledgers to measure on: an empty one with an operator's key, made and opened the way the command line does."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tallybook.core.key import SCOPES, Caller
from tallybook.house import House
from tallybook.settings import Settings

OPERATOR = Caller("bench", None, frozenset(SCOPES))


class Silent:
    """A log that nobody reads."""

    def info(self, event: str, **fields: object) -> None:
        """Say nothing."""

    def warning(self, event: str, **fields: object) -> None:
        """Say nothing."""

    def error(self, event: str, **fields: object) -> None:
        """Fail: while measuring, nothing may go wrong."""
        raise AssertionError(event, fields)


@contextmanager
def opened(folder: Path) -> Iterator[House]:
    """Open the house on the ledger in *folder*, making it if there is none."""
    with House.open(Settings(data_dir=folder), log=Silent()) as house:
        yield house


def fresh(folder: Path) -> str:
    """Make an empty ledger in *folder*, whatever is there, and return an operator's key for it."""
    shutil.rmtree(folder, ignore_errors=True)
    with opened(folder) as house:
        return house.access.create_key(None, SCOPES, "bench").token
