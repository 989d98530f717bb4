"""Opening the house for a command, and closing it whatever happens."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from tallybook.cli.outcome import complain
from tallybook.core.errors import NotFound
from tallybook.core.key import SCOPES, Caller
from tallybook.house import House
from tallybook.settings import Settings

OPERATOR = Caller(key_id="command-line", account_id=None, scopes=frozenset(SCOPES))
"""Who works on a data directory itself: whoever may write its files may do everything."""


class _Quiet:
    """The log of a command: a request answered in this process is no news, a bug is."""

    def info(self, event: str, **fields: object) -> None:
        del event, fields

    def warning(self, event: str, **fields: object) -> None:
        del event, fields

    def error(self, event: str, **fields: object) -> None:
        complain(f"{event}: a bug; please report it with what follows")
        error = fields.get("exc_info")
        if isinstance(error, BaseException):
            traceback.print_exception(error)


_QUIET = _Quiet()


@contextmanager
def opened_house(settings: Settings, *, exclusive: bool = False, makes: bool = False) -> Iterator[House]:
    """Open the house of *settings*.

    Args:
        settings: Which house.
        exclusive: Take the lock that a server holds too.
        makes: Whether a directory without a ledger gets one; a command that only reads has mistaken the directory.

    Raises:
        NotFound: If there is no ledger, and none is to be made.
        StartRefused: If it must not be opened like this.
    """
    if not makes and not settings.ledger_url and not (settings.data_dir / "ledger.db").exists():
        raise NotFound(f"there is no ledger in {settings.data_dir}; name its directory with --data")
    house = House.open(settings, log=_QUIET, exclusive=exclusive)
    try:
        yield house
    finally:
        house.close()
