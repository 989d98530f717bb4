"""Opening a ledger, its transactions and what is said when its store cannot be used, on both stores."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, InternalError

from tallybook.core.errors import StartRefused, Unavailable
from tallybook.ledger import lending
from tallybook.ledger import open as opening
from tallybook.ledger.open import READERS_MAX, SQLITE_FLOOR, Ledger, check_sqlite, sqlite_url

COUNT = text("SELECT count(*) FROM ledger_info WHERE key LIKE 'test%'")
END_OTHERS = text(
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
INSERT = text("INSERT INTO ledger_info (key, value) VALUES (:key, 'x')")


def count(ledger: Ledger) -> int:
    """How many rows of ours are there."""
    with ledger.reading() as connection:
        return int(connection.scalar(COUNT) or 0)


# --- starting -----------------------------------------------------------------------------------------------------


def test_an_sqlite_that_can_corrupt_a_ledger_is_refused() -> None:
    """Below the floor the message says which is there and which is needed; the one we ship passes."""
    check_sqlite()
    check_sqlite(SQLITE_FLOOR)
    with pytest.raises(StartRefused, match=r"3\.40\.1.*3\.51\.3"):
        check_sqlite((3, 40, 1))


@pytest.mark.parametrize("url", ["", "ledger.db", "mysql://localhost/x", "://", "duckdb:///x"])
def test_a_url_that_is_no_ledger_is_refused(url: str) -> None:
    """Before anything is touched, in one line."""
    with pytest.raises(StartRefused):
        Ledger(url)


@pytest.mark.parametrize(
    "url", ["postgresql://nobody@/x?host=/nonexistent", "postgresql+psycopg://nobody@127.0.0.1:1/x?connect_timeout=2"]
)
def test_a_server_that_is_away_is_unavailable(url: str) -> None:
    """Reading and writing say so, without the address or password of the server."""
    ledger = Ledger(url.replace("nobody@", "nobody:hunter2@"))
    for transaction in (ledger.reading, ledger.writing):
        with pytest.raises(Unavailable) as refused, transaction():
            pass
        assert refused.value.retry_after_s >= 1
        assert not {"hunter2", "127.0.0.1", "/nonexistent"} & set(refused.value.message.split())
    ledger.close()


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    """SQLite cannot open its file; nothing is made."""
    ledger = Ledger(sqlite_url(tmp_path / "missing"))
    with pytest.raises(Unavailable), ledger.reading():
        pass
    assert not (tmp_path / "missing").exists()


def test_sqlite_is_durable_and_in_wal_mode(tmp_path: Path) -> None:
    """Every connection, of readers and of the writer: a commit that was answered survives a loss of power."""
    ledger = Ledger(sqlite_url(tmp_path))
    for transaction in (ledger.writing, ledger.reading):
        with transaction() as connection:
            told = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
            assert {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1} == told
    ledger.close()


def test_closing_folds_the_wal_back_into_the_file(tmp_path: Path) -> None:
    """A closed ledger is one file, which may be copied."""
    ledger = Ledger(sqlite_url(tmp_path))
    with ledger.writing() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
    with ledger.reading() as connection:
        assert 0 == connection.scalar(text("SELECT count(*) FROM t"))
    ledger.close()
    assert ["ledger.db"] == [path.name for path in tmp_path.iterdir()]


# --- transactions -------------------------------------------------------------------------------------------------


def test_a_transaction_is_kept_as_a_whole_or_not_at_all(ledger: Ledger) -> None:
    """Kept at the end of the block; any exception takes all of it back and goes on as it is."""
    with ledger.writing() as connection:
        connection.execute(INSERT, {"key": "test-1"})
    for key, error in ((None, ZeroDivisionError), ("test-1", IntegrityError)):
        with pytest.raises(error):
            insert_and_fail(ledger, key)
    assert 1 == count(ledger)


def insert_and_fail(ledger: Ledger, key: str | None) -> None:
    """Write one row, then fail: by a key that is there already, or without one by a bug of ours."""
    with ledger.writing() as connection:
        connection.execute(INSERT, {"key": "test-2"})
        connection.execute(INSERT, {"key": key or f"test-{1 // 0}"})


def test_nothing_is_kept_of_what_a_reader_writes(ledger: Ledger) -> None:
    """A snapshot is for reading; both stores refuse at once."""
    with pytest.raises((Unavailable, InternalError)), ledger.reading() as connection:
        connection.execute(INSERT, {"key": "test-1"})
    assert 0 == count(ledger)


def test_a_snapshot_stands_still_while_others_write(ledger: Ledger) -> None:
    """What is committed after its first look is not seen in it, and is in the next one."""
    with ledger.reading() as connection:
        assert 0 == connection.scalar(COUNT)
        with ledger.writing() as writer:
            writer.execute(INSERT, {"key": "test-1"})
        assert 0 == connection.scalar(COUNT)
    assert 1 == count(ledger)


def test_readers_do_not_wait_for_a_writer(ledger: Ledger) -> None:
    """As many snapshots as there are readers open beside a transaction that is not finished."""
    with ledger.writing() as writer:
        writer.execute(INSERT, {"key": "test-1"})
        held = [ledger._readers.lend() for _ in range(READERS_MAX)]
        assert [0] * READERS_MAX == [one.__enter__().scalar(COUNT) for one in held]
        for one in held:
            one.__exit__(None, None, None)


def test_a_reader_too_many_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When all connections are lent the refusal is ours, not the driver's."""
    monkeypatch.setattr(lending, "LEND_TIMEOUT_S", 0.05)
    ledger = Ledger(sqlite_url(tmp_path))
    held = [ledger._readers.lend() for _ in range(READERS_MAX)]
    for one in held:
        one.__enter__()
    with pytest.raises(Unavailable), ledger.reading():
        pass
    for one in held:
        one.__exit__(None, None, None)
    with ledger.reading() as connection:
        assert 1 == connection.scalar(text("SELECT 1"))
    ledger.close()


def test_a_writer_that_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another process holds the file: unavailable, and fine once it lets go."""
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_MS", 50)
    ours, theirs = Ledger(sqlite_url(tmp_path)), Ledger(sqlite_url(tmp_path))
    with theirs.writing() as connection:
        connection.execute(text("CREATE TABLE t (x INTEGER)"))
        with pytest.raises(Unavailable), ours.writing():
            pass
    with ours.writing() as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))
    ours.close()
    theirs.close()


def test_writers_take_turns(ledger: Ledger) -> None:
    """Transactions of many threads that change the same row all count."""
    with ledger.writing() as connection:
        connection.execute(text("INSERT INTO ledger_info (key, value) VALUES ('test-n', '0')"))

    def add() -> None:
        for _ in range(5):
            with ledger.writing() as connection:
                connection.execute(
                    text("UPDATE ledger_info SET value = CAST(CAST(value AS integer) + 1 AS text) WHERE key = 'test-n'")
                )

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.reading() as connection:
        assert "40" == connection.scalar(text("SELECT value FROM ledger_info WHERE key = 'test-n'"))


def test_a_snapshot_inside_another_is_the_same(ledger: Ledger) -> None:
    """What was committed meanwhile is in neither; so many threads that look twice never wait for each other."""
    both = threading.Barrier(READERS_MAX)

    def look() -> list[int | None]:
        with ledger.reading() as outer:
            both.wait(60)  # every connection is lent
            first = outer.scalar(COUNT)
            with ledger.reading() as inner:
                return [first, inner.scalar(COUNT), outer.scalar(COUNT)]

    with ThreadPoolExecutor(READERS_MAX) as threads:
        assert [[0, 0, 0]] * READERS_MAX == [f.result() for f in [threads.submit(look) for _ in range(READERS_MAX)]]
    with ledger.reading() as outer:
        assert 0 == outer.scalar(COUNT)
        with ledger.writing() as writer:
            writer.execute(INSERT, {"key": "test-1"})
        with ledger.reading() as inner:
            assert 0 == inner.scalar(COUNT)
    assert 1 == count(ledger)


def test_whoever_leaves_last_closes_a_snapshot(ledger: Ledger) -> None:
    """In whatever order they leave; after an error, too."""
    outer, inner = ledger.reading(), ledger.reading()
    outer.__enter__()
    connection = inner.__enter__()
    outer.__exit__(None, None, None)
    assert 0 == connection.scalar(COUNT)
    inner.__exit__(None, None, None)
    with pytest.raises(ZeroDivisionError), ledger.reading(), ledger.reading():
        raise ZeroDivisionError
    with ledger.writing() as writer:
        writer.execute(INSERT, {"key": "test-1"})
    assert 1 == count(ledger)


@pytest.mark.parametrize("ping_after_s", [60.0, 0.0])
def test_a_connection_that_the_server_ended_is_not_used_again(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, ping_after_s: float
) -> None:
    """Whether it is only looked at or asked: the next transaction has a new one."""
    monkeypatch.setattr(opening, "PING_AFTER_S", ping_after_s)
    ledger, other = Ledger(ledger_url), Ledger(ledger_url)
    for _ in range(2):
        with ledger.writing() as writer:
            writer.execute(text("DELETE FROM ledger_info WHERE key = 'test-1'"))
            writer.execute(INSERT, {"key": "test-1"})
        assert 1 == count(ledger)
        if not ledger.is_sqlite:
            with other.writing() as connection:
                assert connection.scalars(END_OTHERS).all()
    other.close()
    ledger.close()
