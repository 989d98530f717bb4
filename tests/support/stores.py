"""One table of stores, so that every test of a store's promise runs on SQLite in a file and on a real PostgreSQL.

A conftest takes the fixtures from here by importing them; `ledger` is migrated and empty, `new_store` makes bare ones.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import LEDGER_FILE, Ledger, sqlite_url
from tests.support.postgres import PostgresServer

ALL_STORES = (pytest.param("sqlite", id="sqlite"), pytest.param("postgresql", id="pg", marks=pytest.mark.postgres))

NewStore = Callable[[], str]


@pytest.fixture(params=ALL_STORES)
def store_kind(request: pytest.FixtureRequest) -> str:
    """The kind of store that this run of the test is on."""
    return str(request.param)


@pytest.fixture
def new_store(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NewStore]:
    """Make a store without tables and return its URL, as often as asked."""
    made: list[str] = []

    def on_sqlite() -> str:
        folder = tmp_path / f"store-{len(made)}"
        folder.mkdir()
        made.append(str(folder))
        return sqlite_url(folder)

    if store_kind == "sqlite":
        yield on_sqlite
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")

    def on_postgresql() -> str:
        made.append(server.create_database())
        return server.url(made[-1])

    yield on_postgresql
    for name in made:
        server.drop_database(name)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """A PostgreSQL database with all tables and no rows, to be copied."""
    name = postgres_server.create_database()
    ledger = Ledger(postgres_server.url(name))
    migrate(ledger)
    ledger.close()
    return name


@cache
def _empty_sqlite() -> bytes:
    """Return an SQLite ledger with all tables and no rows: a copy takes a fortieth of what migrating takes."""
    with TemporaryDirectory() as folder:
        ledger = Ledger(sqlite_url(Path(folder)))
        migrate(ledger)
        ledger.close()
        return (Path(folder) / LEDGER_FILE).read_bytes()


@pytest.fixture
def ledger_url(store_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated, empty ledger, which a test may open as often as it likes."""
    if store_kind == "sqlite":
        (tmp_path / LEDGER_FILE).write_bytes(_empty_sqlite())
        yield sqlite_url(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create_database(request.getfixturevalue("postgres_template"))
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A migrated, empty ledger."""
    opened = Ledger(ledger_url)
    yield opened
    opened.close()
