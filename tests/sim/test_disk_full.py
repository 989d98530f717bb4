"""A full disk stops writing and nothing else: the sender is told, readers read on, and space heals it."""

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from tallybook.core.errors import Unavailable
from tallybook.core.number import NANOS
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger, sqlite_url
from tests.support.works import Works, job, outcomes

BATCH = 200


@contextmanager
def pages_bounded(works: Works, _folder: Path) -> Iterator[None]:
    """The database may not grow: SQLite says that the disk is full."""
    set_pages_max(works, None)
    yield
    set_pages_max(works, 2**31)


def set_pages_max(works: Works, pages: int | None) -> None:
    """Bound the pages of the database; None for as many as there are."""
    with works.ledger.writing() as connection:
        bound = pages or connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {bound}")


@contextmanager
def files_bounded(_works: Works, folder: Path) -> Iterator[None]:
    """No file may grow: the system refuses the write, in the middle of a transaction."""
    assert signal.SIG_IGN == signal.getsignal(signal.SIGXFSZ)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in folder.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


Bounded = Callable[[Works, Path], AbstractContextManager[None]]


@pytest.mark.parametrize("bounded", [pages_bounded, files_bounded])
def test_a_full_disk_refuses_writes_serves_reads_and_heals(tmp_path: Path, bounded: Bounded) -> None:
    """What was acknowledged stays, what was refused counts nothing until it is sent again, and no restart is needed."""
    ledger = Ledger(sqlite_url(tmp_path))
    migrate(ledger)
    ledger.close()
    with Works(sqlite_url(tmp_path)) as works:
        written = fill_up(works, tmp_path, bounded)
        refused = batch(written)
        assert written * BATCH * NANOS == works.total("acme", "jobs")
        assert (BATCH, 0, 0, 0) == outcomes(works.write(refused))
        assert (0, BATCH, 0, 0) == outcomes(works.write(refused))
        written += 1
    with Works(sqlite_url(tmp_path)) as works:
        assert written * BATCH * NANOS == works.total("acme", "jobs")
        assert sum(range(written * BATCH)) * NANOS == works.total("acme", "job_cpu")
        with works.ledger.reading() as connection:
            assert "ok" == connection.scalar(text("PRAGMA integrity_check"))


def batch(number: int) -> list[dict[str, object]]:
    """Events that take room: names that are not repeated."""
    return [job(f"{n}", cpu=n, worker=f"worker-{n}") for n in range(number * BATCH, (number + 1) * BATCH)]


def fill_up(works: Works, folder: Path, bounded: Bounded) -> int:
    """Write until the disk is full and twice more; return how many batches were acknowledged."""
    written = 2
    assert [BATCH, BATCH] == [works.write(batch(number)).accepted for number in range(written)]
    with bounded(works, folder):
        while written < 100:
            try:
                works.write(batch(written))
            except Unavailable:
                break
            written += 1
        assert written < 100
        for _ in range(2):
            with pytest.raises(Unavailable) as refused:
                works.write(batch(written))
            assert refused.value.retry_after_s >= 1
            assert written * BATCH * NANOS == works.total("acme", "jobs")
            assert written * BATCH == len(works.groups("acme", "jobs", "worker"))
    return written
