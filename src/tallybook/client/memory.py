"""Events that wait in memory: a queue bounded in count and bytes.

Not thread-safe by itself: `delivery` holds its lock around every call. Not for surviving the process (see `spool`).
"""

from collections import deque
from collections.abc import Sequence
from typing import Literal, Protocol

OnFull = Literal["drop_newest", "drop_oldest", "raise"]
"""What to do with one event too many: lose it, lose the oldest that wait, or tell the caller."""


class Store(Protocol):
    """Where events wait until the server has them; first in, first out.

    Attributes:
        count, size: What waits, in events and bytes, events under way included.
        dropped: How many `append` has let go of to make room, so far.
    """

    count: int
    size: int
    dropped: int

    def append(self, line: bytes, *, oldest_may_go: bool) -> bool:
        """Keep *line*; False if there is no room, also after dropping the oldest where they may go."""
        ...

    def take(self, events_max: int, bytes_max: int) -> Sequence[bytes]:
        """Return the oldest lines, at least one if any waits; they are under way until settled or put back."""
        ...

    def settle(self, count: int) -> None:
        """Forget the first *count* of the lines that are under way."""
        ...

    def put_back(self) -> None:
        """Let what is still under way wait again."""
        ...

    def dirty_files(self) -> list[int]:
        """Return file descriptors, now the caller's, to be synced and closed outside the lock."""
        ...

    def close(self) -> None:
        """Close whatever is open."""
        ...


class Memory:
    """A `Store` that lives and dies with the process."""

    def __init__(self, events_max: int, bytes_max: int) -> None:
        self.count = 0
        self.size = 0
        self.dropped = 0
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._waiting: deque[bytes] = deque()
        self._under_way: deque[bytes] = deque()

    def append(self, line: bytes, *, oldest_may_go: bool) -> bool:
        """Keep *line*, if there is room or can be made."""
        while oldest_may_go and self._waiting and not self._fits(line):
            self._forget(self._waiting.popleft())
            self.dropped += 1
        if not self._fits(line):
            return False
        self._waiting.append(line)
        self.count += 1
        self.size += len(line)
        return True

    def take(self, events_max: int, bytes_max: int) -> Sequence[bytes]:
        """Return the oldest lines."""
        size = 0
        while self._waiting and len(self._under_way) < events_max:
            size += len(self._waiting[0])
            if self._under_way and size > bytes_max:
                break
            self._under_way.append(self._waiting.popleft())
        return list(self._under_way)

    def settle(self, count: int) -> None:
        """Forget the first *count* lines that are under way."""
        for _ in range(count):
            self._forget(self._under_way.popleft())

    def put_back(self) -> None:
        """Let what is under way wait again, in its place."""
        self._waiting.extendleft(reversed(self._under_way))
        self._under_way.clear()

    def dirty_files(self) -> list[int]:
        """Return nothing: memory has no files."""
        return []

    def close(self) -> None:
        """Do nothing: memory has no files."""

    def _fits(self, line: bytes) -> bool:
        return self.count < self._events_max and self.size + len(line) <= self._bytes_max

    def _forget(self, line: bytes) -> None:
        self.count -= 1
        self.size -= len(line)
