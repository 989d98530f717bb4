"""Bringing a ledger's tables to the form this release knows; forward only (to go back, restore a backup).

Not for what the tables are (see `tables`), nor for the steps themselves (see `migrations/versions`). A new step:
``alembic.command.revision(script_config(), message, rev_id="0013")``, then raise HEAD.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from tallybook.core.errors import StartRefused
from tallybook.ledger.open import Ledger

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0012"
"""The newest revision in `migrations/versions`; a ledger that stands there needs no Alembic."""

LOCK = 0x7A11_B00C
"""The advisory lock of PostgreSQL that one migrating process holds; any number that nobody else uses."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_ABOUT_VERSION = {
    True: "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    # not to_regclass(): it may answer from a cache that is older than the lock we waited for
    False: "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'alembic_version'",
}


def migrate(ledger: Ledger, begins: Callable[[str], object] | None = None) -> bool:
    """Bring an empty or older ledger to HEAD in one transaction; say whether anything had to be done.

    Any number of processes may do this at once: one migrates, the others wait and find it done.

    Args:
        ledger: Which one.
        begins: Told the revision of an older ledger before that is changed: a large one takes a while.

    Raises:
        StartRefused: The ledger was written by a newer release.
        Unavailable: The store is away; nothing was changed.
    """
    with ledger.reading() as connection:
        if revision(connection) == HEAD:
            return False
    with ledger.writing() as connection:
        if not ledger.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        found = revision(connection)
        if found == HEAD:
            return False
        if found is not None and begins is not None:
            begins(found)
        _upgrade(connection, found)
        return True


def revision(connection: Connection) -> str | None:
    """Return the revision the ledger stands at, None for an empty one."""
    on_sqlite = connection.dialect.name == "sqlite"
    if connection.scalar(text(_ABOUT_VERSION[on_sqlite])) is None:
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _upgrade(connection: Connection, found: str | None) -> None:
    # late import: Alembic takes longer to import than an up-to-date ledger takes to open
    from alembic import command
    from alembic.script import ScriptDirectory

    config = script_config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StartRefused(
            f"the ledger is at revision {found} and this release knows none beyond {HEAD}; start a newer Tallybook"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def script_config() -> "Config":
    """Return Alembic's configuration; there is no file for it on disk."""
    # late import: see `_upgrade`
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
