"""The data directory: made, kept from a second server, and refused where the ledger in it was lost."""

import fcntl
import os
from pathlib import Path

from tallybook.core.errors import StartRefused
from tallybook.ledger.open import LEDGER_FILE
from tallybook.ledger.vault import KEY_FILE

LOCK_FILE = "lock"


def prepare_directory(data_dir: Path) -> None:
    """Make the data directory if it is missing, and refuse one whose ledger was emptied.

    SQLite takes a file of no bytes for a new database, and makes one when a first start is cut off; but where a ledger
    was before, nothing less than a disk or a person has emptied it.

    Raises:
        StartRefused: If it cannot be made, or its ledger is lost.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"cannot make the directory {data_dir}: {error.strerror}; name another") from None
    ledger = data_dir / LEDGER_FILE
    traces = (data_dir / LOCK_FILE, data_dir / f"{LEDGER_FILE}-wal", data_dir / KEY_FILE)
    if _size(ledger) == 0 and any(_size(trace) for trace in traces):
        raise StartRefused(
            f"{ledger} is empty, and a ledger was there: put a copy of it back, or delete it to begin anew"
        )


def note_ledger(data_dir: Path) -> None:
    """Leave word in the data directory that it has a ledger, for `prepare_directory`."""
    descriptor = _open_lock(data_dir)
    try:
        if os.fstat(descriptor).st_size == 0:
            os.write(descriptor, b"locked by whoever serves the ledger of this directory\n")
    finally:
        os.close(descriptor)


def lock_directory(data_dir: Path) -> int:
    """Take the data directory for this process; the lock goes with the descriptor, also when the process is killed.

    Raises:
        StartRefused: If another process has it.
    """
    descriptor = _open_lock(data_dir)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StartRefused(
            f"{data_dir} is in use by a running server; stop it, use another directory, or ask it with --url"
        ) from None
    return descriptor


def _open_lock(data_dir: Path) -> int:
    return os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None
