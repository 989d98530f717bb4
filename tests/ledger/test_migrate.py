"""Migrations make exactly the tables that the code knows, once, whoever starts first; a newer ledger is left alone."""

import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tallybook.core.errors import StartRefused
from tallybook.ledger import alert_tables, invoice_tables, session_tables, webhook_tables
from tallybook.ledger.limit_tables import metadata
from tallybook.ledger.migrate import HEAD, migrate, revision, script_config
from tallybook.ledger.open import Ledger
from tests.support.stores import NewStore

TABLES = (alert_tables, invoice_tables, session_tables, webhook_tables)
assert all(tables.metadata is metadata for tables in TABLES)
SQLITE_SCHEMA = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'alembic%' AND sql IS NOT NULL ORDER BY name"
POSTGRES_SCHEMA = """
    SELECT 'column', table_name, ordinal_position::text, column_name, data_type, is_nullable,
           column_default, collation_name
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'alembic%'
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef, '', '', '', ''
      FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '', '', ''
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'alembic%'
    ORDER BY 1, 2, 3"""


def schema(ledger: Ledger) -> list[tuple[str, ...]]:
    """Describe every table, column, index and constraint, in the store's own words."""
    with ledger.reading() as connection:
        rows = connection.execute(text(SQLITE_SCHEMA if ledger.is_sqlite else POSTGRES_SCHEMA))
        return [tuple(" ".join(str(cell).split()) for cell in row) for row in rows]


def test_an_empty_ledger_is_brought_to_head_once(new_store: NewStore) -> None:
    """The first call makes the tables, the second finds nothing to do."""
    ledger = Ledger(new_store())
    assert [True, False] == [migrate(ledger), migrate(ledger)]
    with ledger.reading() as connection:
        assert revision(connection) == HEAD
    ledger.close()


def test_the_migrations_make_the_tables_that_the_code_knows(new_store: NewStore) -> None:
    """Column by column, index by index, a migrated ledger is what `tables.py` says."""
    migrated, made = Ledger(new_store()), Ledger(new_store())
    migrate(migrated)
    with made.writing() as connection:
        metadata.create_all(connection)
    assert schema(made) == schema(migrated)
    assert len(schema(made)) >= len(metadata.tables)
    for ledger in (migrated, made):
        ledger.close()


def test_head_is_the_newest_migration() -> None:
    """The constant that spares an up-to-date ledger the import of Alembic is not forgotten."""
    assert ScriptDirectory.from_config(script_config()).get_heads() == [HEAD]


def test_a_newer_ledger_is_refused_and_left_alone(ledger: Ledger) -> None:
    """An older release says in one line what is wrong and changes nothing."""
    with ledger.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = schema(ledger)
    with pytest.raises(StartRefused, match=r"^the ledger is at revision 9999 .* start a newer Tallybook$"):
        migrate(ledger)
    assert before == schema(ledger)
    with ledger.reading() as connection:
        assert revision(connection) == "9999"


MIGRATE_IN_A_PROCESS = """
import sys
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger
ledger = Ledger(sys.argv[1])
print(migrate(ledger), "alembic" in sys.modules)
ledger.close()
"""


def start(url: str) -> "subprocess.Popen[str]":
    """Start a process that migrates the ledger at *url* and says what it did."""
    return subprocess.Popen([sys.executable, "-c", MIGRATE_IN_A_PROCESS, url], stdout=subprocess.PIPE, text=True)


def test_processes_that_start_together_migrate_once(new_store: NewStore) -> None:
    """Of four processes on one empty ledger one makes the tables, the others wait for it; nobody fails."""
    url = new_store()
    processes = [start(url) for _ in range(4)]
    answers = [process.communicate(timeout=60)[0].split()[0] for process in processes]
    assert [0, 0, 0, 0] == [process.returncode for process in processes]
    assert ["False", "False", "False", "True"] == sorted(answers)


def test_an_up_to_date_ledger_needs_no_alembic(ledger_url: str) -> None:
    """Starting again costs a query, not an import."""
    assert start(ledger_url).communicate(timeout=60)[0].split() == ["False", "False"]
