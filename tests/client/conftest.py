"""What every test of the client may ask for: a toy server, and a clock that only moves when it is told."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tallybook.client import Client
from tests.client.times import Ceiling, ManualClock
from tests.client.toy import KEY, Toy, serving


@pytest.fixture
def toy() -> Iterator[Toy]:
    """A toy server on a port of its own."""
    with serving(Toy()) as serving_toy:
        yield serving_toy


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at 2026-03-15T12:00:00Z."""
    return ManualClock()


MakeClient = Callable[..., Client]


@pytest.fixture
def make(toy: Toy, clock: ManualClock) -> Iterator[MakeClient]:
    """Makes clients of the toy, and closes them."""
    with ExitStack() as closing:

        def make_client(url: str | None = None, **options: Any) -> Client:
            options = {"clock": clock, "random": Ceiling(), **options}
            client = Client(url or toy.url, KEY, **options)
            closing.callback(client.close, 0)
            return client

        yield make_client
