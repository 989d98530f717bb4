"""What `AsyncClient.reserve` and `lease` return: to be awaited, or entered by ``async with``.

It sees to it that a task which is cancelled gives back what it was granted, also when the grant was under way.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from tallybook.client.errors import TallybookError


class Leavable(Protocol):
    """A hold or a lease."""

    async def leave(self) -> None:
        """Give back what is still held."""
        ...


H = TypeVar("H", bound=Leavable)


class Background:
    """Tasks that must end although nobody waits for them any more."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start *work* and keep it from being forgotten."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Ask all of it to end."""
        for task in self._tasks:
            task.cancel()

    async def finish(self) -> None:
        """Wait for all of it."""
        while self._tasks:
            await asyncio.wait(self._tasks)


class Opening(Generic[H]):
    """Something that is granted when it is awaited or entered.

    Example:
        >>> async def answer(client):
        ...     async with client.reserve("messages", 5, account="acme") as hold:
        ...         return hold.assumed
        >>> run(answer)
        False
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, H]], background: Background) -> None:
        self._make = make
        self._background = background
        self._opened: H | None = None

    def __await__(self) -> Generator[Any, Any, H]:
        return self._open().__await__()

    async def __aenter__(self) -> H:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._opened is not None  # it was entered
        # Shielded, so that a second cancellation does not leave behind what the first one gives back.
        await asyncio.shield(self._background.run(self._opened.leave()))

    async def _open(self) -> H:
        making: asyncio.Task[H] = self._background.run(self._make())
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            self._background.run(_undo(making))
            raise


async def _undo(making: "asyncio.Task[H]") -> None:
    try:
        opened = await making
    except TallybookError:
        return
    await opened.leave()
