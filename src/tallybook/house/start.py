"""What a house needs before it can open: the clock, texts of files, and the lock on its data directory."""

import fcntl
import os
from importlib.resources import files
from pathlib import Path

from tallybook.core.clock import Clock, FrozenClock, SystemClock
from tallybook.core.errors import StartRefused
from tallybook.core.instant import parse_instant
from tallybook.settings import Settings


def clock_of(settings: Settings) -> Clock:
    """Return the clock that the settings ask for.

    Raises:
        FieldInvalid: If the instant to start at is none.
    """
    if not settings.test_clock_start:
        return SystemClock()
    return FrozenClock(parse_instant(settings.test_clock_start, "test_clock_start")[0])


def packaged_text(name: str) -> str:
    """Return a text that ships with the package."""
    return files("tallybook").joinpath("data", name).read_text(encoding="utf-8")


def own_text(file: Path | None) -> tuple[str | None, str]:
    """Return the text of a file of the operator's own and the name to call it by in messages.

    Raises:
        StartRefused: If it cannot be read.
    """
    if file is None:
        return None, ""
    try:
        return file.read_text(encoding="utf-8"), str(file)
    except OSError as error:
        raise StartRefused(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartRefused(f"{file}: is no text in UTF-8") from None


def lock_directory(data_dir: Path) -> int:
    """Take the data directory for this process; the lock goes with the descriptor, also when the process is killed.

    Raises:
        StartRefused: If another process has it.
    """
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StartRefused(
            f"{data_dir} is in use by a running server; stop it, use another directory, or ask it with --url"
        ) from None
    return descriptor


def check_hosts(settings: Settings, names: set[str]) -> None:
    """Refuse a host that is given to a dialect which does not exist.

    Raises:
        StartRefused: Naming those that there are.
    """
    for host, dialect in settings.dialect_hosts.items():
        if dialect not in names:
            known = ", ".join(sorted(names)) or "none"
            raise StartRefused(f"dialect_hosts: {host} names the dialect {dialect!r}; there are: {known}")
