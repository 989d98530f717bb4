"""What a house needs before it can open: the clock and texts of files. Its directory is in `directory`."""

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


def check_hosts(settings: Settings, names: set[str]) -> None:
    """Refuse a host that is given to a dialect which does not exist.

    Raises:
        StartRefused: Naming those that there are.
    """
    for host, dialect in settings.dialect_hosts.items():
        if dialect not in names:
            known = ", ".join(sorted(names)) or "none"
            raise StartRefused(f"dialect_hosts: {host} names the dialect {dialect!r}; there are: {known}")
