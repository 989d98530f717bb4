"""Every public thing has an example, and every example does what it says, against the real server."""

import asyncio
import doctest
import importlib
import inspect
import pkgutil

import pytest

import tallybook.client
from tallybook.client import AsyncClient, Client
from tests.client.times import ManualClock
from tests.client.toy import listening
from tests.support.client import open_desk

MODULES = [
    importlib.import_module(f"tallybook.client.{found.name}")
    for found in pkgutil.iter_modules(tallybook.client.__path__)
]
EXAMPLES = [
    test for module in MODULES for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples
]
PUBLIC = [
    (name, inspect.getdoc(getattr(tallybook.client, name)) or "")
    for name in tallybook.client.__all__
    if callable(getattr(tallybook.client, name))
]
METHODS = [
    (f"{name}.{method}", inspect.getdoc(value) or "")
    for name in ("Client", "AsyncClient", "Hold", "AsyncHold", "Lease", "AsyncLease")
    for method, value in inspect.getmembers(getattr(tallybook.client, name), inspect.isfunction)
    if not method.startswith("_") and method not in {"kept_by", "leave"}
]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What examples may use without saying where it is from."""
    with open_desk(tmp_path_factory.mktemp("examples")) as desk, listening(desk.house.app) as url:
        key = desk.account("acme", plan="agentphone-pro")

        def run(answer):
            async def main():
                async with AsyncClient(url, key, clock=ManualClock()) as client:
                    return await answer(client)

            return asyncio.run(main())

        with Client(url, key, clock=ManualClock()) as client:
            yield {"client": client, "run": run, "Client": Client}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name.removeprefix("tallybook.client."))
def test_an_example_does_what_it_says(example, names):
    """Word for word."""
    example.globs.update(names)
    said = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=said.append)
    assert "" == "".join(said)


@pytest.mark.parametrize(("name", "text"), [*PUBLIC, *METHODS], ids=lambda value: value if " " not in value else "")
def test_everything_public_has_an_example(name, text):
    """Nobody should have to guess how it is called."""
    assert ">>> " in text, name
