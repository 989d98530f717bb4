"""Events that wait on disk: NDJSON segments that are only appended to, and a mark of how far they are sent.

A line is handed to the operating system before `track` returns, so a killed process loses nothing; it is on the disk
itself after the next sync. What was sent and not yet marked as sent is sent again, which is a duplicate and counts
once: so the mark need not be durable, only readable. Every process that opens the spool begins a segment of its own
and never appends to an older one. Not thread-safe by itself: `delivery` holds its lock around every call.
"""

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tallybook.client.errors import SpoolLocked, SpoolUnusable
from tallybook.client.memory import Memory

if sys.platform != "win32":
    import fcntl

SEGMENTS_AIMED = 16
"""A full spool is about this many segments; dropping the oldest drops one."""

SEGMENT_BYTES_MIN = 64 * 1024
READ_BYTES = 1024 * 1024
LOCK, MARK = "lock", "acknowledged.json"
_SUFFIX = ".ndjson"
_log = logging.getLogger("tallybook.client")


@dataclass(slots=True)
class _Segment:
    """One file: *size* bytes of whole lines, sent up to *done*; *count* lines wait from there."""

    number: int
    path: Path
    size: int
    done: int = 0
    count: int = 0


class _Mark(msgspec.Struct, frozen=True):
    """How far the spool is sent: all older segments, and this one up to *offset*."""

    segment: int
    offset: int


class Spool:
    """A `Store` in a folder that one client of one process uses at a time."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        self.dropped = 0
        self._folder = folder
        self._bytes_max = bytes_max
        self._segment_bytes_max = max(SEGMENT_BYTES_MIN, bytes_max // SEGMENTS_AIMED)
        self._under_way: list[tuple[_Segment, int]] = []
        self._fd: int | None = None
        self._dirty = False
        self._unsynced: list[int] = []
        self._last_number = 0
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock_fd = _lock(folder)
        except OSError as error:
            raise SpoolUnusable(f"{folder}: {error.strerror or error}") from None
        try:
            self._segments = self._read_segments()
        except OSError as error:
            os.close(self._lock_fd)
            raise SpoolUnusable(f"{folder}: {error.strerror or error}") from None
        self.count = sum(segment.count for segment in self._segments)
        self.size = sum(segment.size - segment.done for segment in self._segments)

    # --- the store ---------------------------------------------------------------------------------------------------

    def append(self, line: bytes, *, oldest_may_go: bool) -> bool:
        """Write *line*, if there is room or can be made; a disk that is full, or fails, has no room."""
        while oldest_may_go and not self._fits(line) and self._drop_oldest():
            pass
        if not self._fits(line):
            return False
        try:
            segment, fd = self._open_segment(len(line))
            if os.write(fd, line) < len(line):
                os.ftruncate(fd, segment.size)
                return False
        except OSError as error:
            _log.warning("the spool cannot be written: %s", error.strerror)
            return False
        segment.size += len(line)
        segment.count += 1
        self.count += 1
        self.size += len(line)
        self._dirty = True
        return True

    def take(self, events_max: int, bytes_max: int) -> Sequence[bytes]:
        """Read the oldest lines back."""
        lines: list[bytes] = []
        size = 0
        for segment in self._segments:
            room = bytes_max - size
            if len(lines) >= events_max or (lines and room <= 0):
                break
            found = _read_lines(segment, events_max - len(lines), max(room, 1), one=not lines)
            lines += found
            size += sum(map(len, found))
            self._under_way += [(segment, len(line)) for line in found]
            if len(found) < segment.count:
                break
        return lines

    def settle(self, count: int) -> None:
        """Mark the first *count* lines that are under way as sent, and remove segments that are sent whole."""
        for segment, size in self._under_way[:count]:
            segment.done += size
            segment.count -= 1
            self.count -= 1
            self.size -= size
        del self._under_way[:count]
        while len(self._segments) > 1 and not self._segments[0].count:
            self._segments.pop(0).path.unlink(missing_ok=True)
        self._write_mark()

    def put_back(self) -> None:
        """Let what is under way wait again: it never left the disk."""
        self._under_way.clear()

    def dirty_files(self) -> list[int]:
        """Return what was written since the last time, the folder included where segments were added."""
        dirty, self._unsynced = self._unsynced, []
        if self._dirty and self._fd is not None:
            dirty.append(os.dup(self._fd))
        self._dirty = False
        return dirty

    def close(self) -> None:
        """Close the files and unlock the folder; nothing that waits is lost."""
        for fd in (*self.dirty_files(), *([] if self._fd is None else [self._fd])):
            os.fsync(fd)
            os.close(fd)
        self._fd = None
        os.close(self._lock_fd)

    def abandon(self) -> None:
        """Close this process' copies of the files after a fork, without touching what the parent's stand for."""
        for fd in (*self._unsynced, self._lock_fd, *([] if self._fd is None else [self._fd])):
            os.close(fd)
        self._unsynced, self._fd = [], None

    # --- segments ----------------------------------------------------------------------------------------------------

    def _fits(self, line: bytes) -> bool:
        return self.size + len(line) <= self._bytes_max

    def _open_segment(self, room: int) -> tuple[_Segment, int]:
        """Return the segment that is appended to, after a new one was begun where the last is full."""
        if self._fd is not None and self._segments[-1].size + room <= self._segment_bytes_max:
            return self._segments[-1], self._fd
        number = self._last_number + 1
        path = self._folder / f"{number:012d}{_SUFFIX}"
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if self._fd is not None:
            self._unsynced.append(self._fd)
        self._unsynced.append(os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC))
        self._fd, self._last_number = fd, number
        self._segments.append(_Segment(number, path, 0))
        return self._segments[-1], fd

    def _drop_oldest(self) -> bool:
        """Remove the oldest segment that is neither under way nor appended to; False if there is none."""
        busy = {id(segment) for segment, _ in self._under_way}
        for index, segment in enumerate(self._segments[:-1]):
            if id(segment) not in busy:
                del self._segments[index]
                segment.path.unlink(missing_ok=True)
                self.count -= segment.count
                self.size -= segment.size - segment.done
                self.dropped += segment.count
                return True
        return False

    def _read_segments(self) -> list[_Segment]:
        paths = sorted(path for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal())
        mark = self._read_mark()
        # A number is never used again, or the mark of an old segment would speak of a new one.
        self._last_number = max([mark.segment, *(int(path.stem) for path in paths)])
        segments = []
        for path in paths:
            number = int(path.stem)
            if number < mark.segment:
                path.unlink()
                continue
            segment = _measure(number, path, mark.offset if number == mark.segment else 0)
            segments.append(segment)
        while segments and not segments[0].count:
            segments.pop(0).path.unlink()
        return segments

    def _read_mark(self) -> _Mark:
        try:
            return msgspec.json.decode((self._folder / MARK).read_bytes(), type=_Mark)
        except FileNotFoundError:
            return _Mark(0, 0)
        except msgspec.MsgspecError:
            _log.warning(
                "%s: the mark cannot be read; what the segments hold is sent again and counts once", self._folder
            )
            return _Mark(0, 0)

    def _write_mark(self) -> None:
        """Replace the mark; should that fail, what was sent is sent again after a restart, and counts once."""
        if not self._segments:
            return
        first = self._segments[0]
        draft = self._folder / f"{MARK}.new"
        try:
            draft.write_bytes(msgspec.json.encode(_Mark(first.number, first.done)))
            draft.replace(self._folder / MARK)
        except OSError as error:
            _log.warning("the spool's mark cannot be written: %s", error.strerror)


class Inherited(Memory):
    """Stands in a forked child for the parent's spool, which only one process may use."""

    def __init__(self) -> None:
        super().__init__(1, 1)

    def append(self, line: bytes, *, oldest_may_go: bool) -> bool:
        """Refuse: nothing that is lost silently may look as if it were spooled."""
        del line, oldest_may_go
        raise SpoolUnusable("the spool belongs to the process that opened it; make a client of your own after a fork")


def sync(files: Sequence[int]) -> None:
    """Bring *files* to the disk and close them; a disk that fails will be noticed by the next write."""
    for fd in files:
        try:
            os.fsync(fd)
        except OSError as error:
            _log.warning("the spool cannot be synced: %s", error.strerror)
        os.close(fd)


def _lock(folder: Path) -> int:
    if sys.platform == "win32":
        raise SpoolUnusable("a spool needs the file locks of POSIX")
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise SpoolLocked(f"{folder} is in use by another client; give each process its own spool") from None
    return fd


def _measure(number: int, path: Path, done: int) -> _Segment:
    """Count the whole lines of a segment after *done*; half a line at the end was never acknowledged to anyone."""
    size = count = at = 0
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            last = chunk.rfind(b"\n")
            if last >= 0:
                size = at + last + 1
            count += chunk.count(b"\n", max(0, done - at))
            at += len(chunk)
    if at > size:
        _log.warning("%s: the last %d bytes are half a line, left by a crash, and are ignored", path, at - size)
    return _Segment(number, path, size, min(done, size), count)


def _read_lines(segment: _Segment, events_max: int, bytes_max: int, *, one: bool) -> list[bytes]:
    """Read up to *events_max* lines of at most *bytes_max* together; with *one*, the first whatever its size."""
    lines: list[bytes] = []
    with segment.path.open("rb") as file:
        file.seek(segment.done)
        left = segment.count
        while left and len(lines) < events_max:
            line = file.readline()
            bytes_max -= len(line)
            if bytes_max < 0 and (lines or not one):
                break
            lines.append(line)
            left -= 1
    return lines
