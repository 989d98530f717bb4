"""Leases: kept by heartbeats, lost when the server says so or time is up, given back in the end."""

import threading

import pytest

from tallybook.client import LeaseLost, LimitReached
from tests.client.toy import Fault


def pass_time(clock, seconds):
    """Let time pass in small steps, each when all that the last one set off is done."""
    for _ in range(int(seconds * 2)):
        clock.until_waiting()
        clock.advance(0.5)
    clock.until_waiting()


def test_a_lease_is_kept_by_heartbeats_and_given_back(make, toy, clock):
    """Every third of its time to live, with its token."""
    client = make()
    with client.lease("concurrent_calls", ttl_s=30, account="acme", call_id="call-1") as lease:
        for beats in (1, 2, 3):
            clock.until_waiting()
            assert beats - 1 == toy.beats.get(lease.id, 0)
            clock.advance(10)
            toy.until(lambda beats=beats: toy.beats.get(lease.id) == beats)
        assert not lease.lost.is_set()
        assert {"limit": "concurrent_calls", "ttl_s": 30, "call_id": "call-1"} == toy.seen("/leases")[0].json
    assert {} == toy.leases


def test_no_slot_is_a_limit_reached(make):
    """As for reservations."""
    client = make()
    with client.lease("concurrent_calls", account="acme"), client.lease("concurrent_calls", account="acme"):
        with pytest.raises(LimitReached) as refused:
            client.lease("concurrent_calls", account="acme")
        assert ("concurrent_calls",) == refused.value.decision.violated


@pytest.mark.parametrize("gone", ["another has it", "unknown"])
def test_a_lease_is_lost_when_the_server_says_so(make, toy, clock, gone):
    """409 or 404: the event is set, the callback called, nothing released that is not ours."""
    lost = []
    client = make()
    with client.lease("concurrent_calls", account="acme", on_lost=lost.append) as lease:
        clock.until_waiting()
        if gone == "unknown":
            toy.fail(Fault(404, b'{"code":"not-found","detail":"no"}'))
        toy.leases[lease.id] = "2.another"
        clock.advance(10)
        assert lease.lost.wait(20)
        toy.until(lambda: bool(lost))
        assert ("refused", [lease]) == (lease.lost_reason, lost)
        with pytest.raises(LeaseLost) as error:
            lease.raise_if_lost()
        assert "refused" == error.value.reason
    assert [] == toy.seen("/release")


def test_a_lease_is_lost_when_no_heartbeat_came_through(make, toy, clock, caplog):
    """At the end of its time to live, not before: until then it is tried again."""
    client = make()
    with client.lease("concurrent_calls", ttl_s=30, account="acme") as lease:
        toy.fail(*[Fault(503)] * 1000)
        pass_time(clock, 29.5)
        assert not lease.lost.is_set()
        clock.advance(0.5)
        assert lease.lost.wait(20)
        assert "expired" == lease.lost_reason
        assert len(toy.seen("/heartbeat")) > 3


def test_a_heartbeat_that_comes_through_again_keeps_the_lease(make, toy, clock):
    """A server that restarts costs nothing."""
    client = make()
    with client.lease("concurrent_calls", ttl_s=30, account="acme") as lease:
        toy.fail(*[Fault(503)] * 3)
        pass_time(clock, 100)
        assert not lease.lost.is_set()
        assert toy.beats[lease.id] >= 7


def test_those_who_fail_open_keep_an_unheard_lease(make, toy, clock):
    """Assumed, until the server can be asked again: its answer decides."""
    client = make(on_unreachable="allow")
    with client.lease("concurrent_calls", ttl_s=30, account="acme") as lease:
        toy.fail(*[Fault(503)] * 1000)
        pass_time(clock, 29.5)
        assert not lease.assumed
        pass_time(clock, 0.5)
        assert lease.assumed
        toy.leases.pop(lease.id)
        toy.faults.clear()
        clock.advance(10)
        assert lease.lost.wait(20)
        assert "refused" == lease.lost_reason


def test_the_deadline_ends_a_lease_whatever_the_heartbeats(make, toy, clock):
    """Measured from the grant by the server's own times: our clock may be wrong by years."""
    toy.deadline = "2026-03-15T12:01:15Z"  # 15 s after its expiry, which is 30 s after the grant
    client = make()
    with client.lease("concurrent_calls", ttl_s=30, account="acme") as lease:
        assert 2026 == lease.deadline.year
        pass_time(clock, 44.5)
        assert not lease.lost.is_set()
        clock.advance(0.5)
        assert lease.lost.wait(20)
        assert "deadline" == lease.lost_reason
        assert toy.beats[lease.id] == 4


def test_a_callback_that_fails_is_logged(make, toy, clock, caplog):
    """And stops nothing."""

    def fail(lease):
        raise KeyError(lease.id)

    client = make()
    with client.lease("concurrent_calls", account="acme", on_lost=fail) as lease:
        toy.leases[lease.id] = "2.another"
        clock.until_waiting()
        clock.advance(10)
        assert lease.lost.wait(20)
        with client.lease("concurrent_calls", account="acme") as other:
            clock.until_waiting()
            clock.advance(10)
            toy.until(lambda: other.id in toy.beats)
    assert "on_lost failed" in caplog.text


def test_many_leases_share_one_thread(make, toy, clock):
    """Each has its own heartbeats."""
    toy.limits["concurrent_calls"] = 200
    client = make()
    leases = [client.lease("concurrent_calls", account="acme") for _ in range(100)]
    clock.until_waiting(100)
    clock.advance(10)
    toy.until(lambda: len(toy.beats) == 100)
    assert 1 == sum(thread.name == "tallybook-leases" for thread in threading.enumerate())
    for lease in leases:
        lease.release()
    assert {} == toy.leases


def test_releasing_twice_is_harmless(make, toy):
    """The second asks nobody."""
    lease = make().lease("concurrent_calls", account="acme")
    lease.release()
    lease.release()
    assert 1 == len(toy.seen("/release"))


def test_a_release_that_fails_is_logged_when_leaving(make, toy, caplog):
    """The lease runs out by itself."""
    client = make(retries=0)
    with client.lease("concurrent_calls", account="acme"):
        toy.fail(Fault(503))
    assert "will expire" in caplog.text


def test_closing_the_client_ends_the_heartbeats(make, toy, clock):
    """The thread is gone, and the lease runs out."""
    client = make()
    client.lease("concurrent_calls", account="acme")
    clock.until_waiting()
    client.close()
    client.close()
    assert not any(thread.name == "tallybook-leases" for thread in threading.enumerate())
