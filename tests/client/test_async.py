"""The client for tasks: the same answers, and nothing held by a task that was cancelled."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tallybook.client import AsyncClient, ClientClosed, Conflict, HoldState, LeaseLost, LimitReached, Unreachable
from tests.client.times import PATIENCE_S, Ceiling
from tests.client.toy import KEY, Fault

AWAY = "http://127.0.0.1:9"


@asynccontextmanager
async def opened(toy, clock, **options):
    """Open a client of the toy, or of somewhere else, and close it without waiting for events."""
    options = {"clock": clock, "random": Ceiling(), **options}
    client = AsyncClient(options.pop("url", toy.url), KEY, **options)
    try:
        yield client
    finally:
        await client.aclose(0)


async def within(awaitable):
    """Await something that must happen."""
    return await asyncio.wait_for(awaitable, PATIENCE_S)


def run(main):
    """Run a test's coroutine."""
    asyncio.run(main)


def test_events_checks_and_reservations(toy, clock):
    """As in threads."""

    async def main():
        async with opened(toy, clock) as client:
            assert "e1" == client.track("message", id="e1")
            assert await client.flush()
            assert await client.check("credits", 3, account="acme")
            async with client.reserve("credits", 5, account="acme") as hold:
                await hold.commit(3.2, event={"type": "credit.spend", "id": "e2"})
            assert {"credits": "3.2"} == toy.holds[hold.id]["settled"]
            assert {"e1", "e2"} == set(toy.events)
            hold = await client.reserve("credits", 5, account="acme")
            await hold.release()
            with pytest.raises(Conflict):
                await hold.commit(1)
            with pytest.raises(LimitReached):
                async with client.reserve("credits", 11, account="acme"):
                    pass

    run(main())


def test_many_tasks_share_a_client(toy, clock):
    """Ten fit, and ten are granted."""

    async def main():
        async with opened(toy, clock) as client:

            async def one():
                try:
                    return await client.reserve("credits", 1, account="acme")
                except LimitReached:
                    return None

            holds = await asyncio.gather(*(one() for _ in range(40)))
            assert 10 == sum(hold is not None for hold in holds)

    run(main())


def test_an_exception_gives_back(toy, clock):
    """Holds and leases."""

    async def main():
        async with opened(toy, clock) as client:
            for opening in (
                client.reserve("credits", account="acme"),
                client.lease("concurrent_calls", account="acme"),
            ):
                with pytest.raises(KeyError):
                    async with opening:
                        raise KeyError
        assert ["released"] == [hold["state"] for hold in toy.holds.values()]
        assert {} == toy.leases

    run(main())


@pytest.mark.parametrize("what", ["reserve", "lease"])
def test_a_cancelled_task_gives_back(toy, clock, what):
    """Also when it is cancelled again while it does so."""

    async def main():
        async with opened(toy, clock) as client:
            inside = asyncio.Event()

            async def work():
                async with getattr(client, what)("concurrent_calls", account="acme"):
                    inside.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await within(inside.wait())
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert 1 == len(toy.seen("/release"))
        assert {} == toy.leases
        assert {"released"} >= {hold["state"] for hold in toy.holds.values()}

    run(main())


@pytest.mark.parametrize("what", ["reserve", "lease"])
def test_a_task_that_is_cancelled_while_it_asks_gives_back_what_comes(toy, clock, what):
    """The grant was on its way: nobody would know of it."""

    async def main():
        loop, asked = asyncio.get_running_loop(), asyncio.Event()

        def gate(seen):
            if seen.path.endswith("s"):
                loop.call_soon_threadsafe(asked.set)

        toy.gate = gate
        async with opened(toy, clock) as client:
            task = asyncio.ensure_future(getattr(client, what)("concurrent_calls", account="acme"))
            await within(asked.wait())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert 1 == len(toy.seen("/release"))
        assert {} == toy.leases

    run(main())


def test_heartbeats_keep_a_lease_and_the_event_tells_of_its_loss(toy, clock):
    """In the caller's own loop."""

    async def main():
        lost = []
        async with (
            opened(toy, clock) as client,
            client.lease("concurrent_calls", account="acme", on_lost=lost.append) as lease,
        ):
            for beats in (1, 2):
                await asyncio.to_thread(clock.until_waiting)
                clock.advance(10)
                await asyncio.to_thread(toy.until, lambda beats=beats: toy.beats.get(lease.id) == beats)
            toy.leases[lease.id] = "2.another"
            await asyncio.to_thread(clock.until_waiting)
            clock.advance(10)
            await within(lease.lost.wait())
            assert ("refused", [lease]) == (lease.lost_reason, lost)
            with pytest.raises(LeaseLost):
                lease.raise_if_lost()
        assert [] == toy.seen("/release")

    run(main())


def test_nobody_answers(toy, clock):
    """Open, closed, or raised, as chosen."""

    async def main():
        async with opened(toy, clock, url=AWAY) as client:
            with pytest.raises(Unreachable):
                await client.check("credits", account="acme")
            assert (await client.check("credits", account="acme", on_unreachable="allow")).assumed
            with pytest.raises(LimitReached):
                await client.reserve("credits", account="acme", on_unreachable="deny")
            async with client.reserve("credits", account="acme", on_unreachable="allow") as hold:
                assert (await hold.commit(1, event={"type": "credit.spend"})).assumed
            assert 1 == client.stats().pending

    # The clock of this test is moved by whoever pauses, as nobody else would.
    clock.pause = lambda seconds: _passing(clock, seconds)
    run(main())


async def _passing(clock, seconds):
    clock.sleep(seconds)


def test_failures_are_logged_when_leaving(toy, clock, caplog):
    """They must not hide what happened inside."""

    async def main():
        async with opened(toy, clock, retries=0) as client:
            async with client.reserve("credits", account="acme") as hold:
                toy.fail(Fault(503))
            assert HoldState.HELD is hold.state
            async with client.lease("concurrent_calls", account="acme"):
                toy.fail(Fault(503))

    run(main())
    assert 2 == caplog.text.count("will expire")


def test_a_closed_client_is_closed(toy, clock):
    """For requests and for events; twice is harmless."""

    async def main():
        async with AsyncClient(toy.url, KEY, clock=clock) as client:
            await client.lease("concurrent_calls", account="acme")
        assert await client.aclose()
        with pytest.raises(ClientClosed):
            await client.check("credits", account="acme")
        with pytest.raises(ClientClosed):
            client.track("message")

    run(main())
