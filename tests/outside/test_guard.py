"""Calls go only where they may, to the address that was judged, and end within their bounds."""

import asyncio
import threading
from ipaddress import ip_network
from urllib.parse import urlsplit

import pytest
import trustme

from tallybook.core.delivery import RESPONSE_BYTES_MAX
from tallybook.core.egress import Egress, Target
from tallybook.outside.guard import CallFailed, GuardedClient, _Blocked, _Pinned
from tallybook.outside.resolver import NameUnknown, SystemResolver
from tests.support.canary import canary
from tests.support.hostile_urls import ADDRESSES, URLS
from tests.support.names import AskingResolver, FixedResolver, Rebinding
from tests.support.receivers import Receivers
from tests.support.tls import client_context, server_context

LOOPBACK = Egress([ip_network("127.0.0.0/8")])
SECOND = Egress([ip_network("127.0.0.2/32")])
"""Allows one address of this machine, which stands for a public one."""


def post(url, *, egress=LOOPBACK, resolver=None, tls=None, timeout_s=15.0, times=1, body=b"{}"):
    """Call *url* so many times over one client; return the last answer."""

    async def call():
        client = GuardedClient(egress, resolver or SystemResolver(), tls=tls, timeout_s=timeout_s)
        try:
            for _ in range(times):
                answered = await client.post(url, body, {"content-type": "application/json"})
            return answered
        finally:
            await client.close()

    return asyncio.run(call())


def refusal(url, **more):
    """Return the code with which a call fails."""
    with pytest.raises(CallFailed) as failed:
        post(url, **more)
    return failed.value.code


@pytest.fixture(scope="module")
def receivers():
    """Receivers over plain HTTP."""
    with Receivers() as opened:
        yield opened


@pytest.fixture
def authority():
    """Whoever signs certificates."""
    return trustme.CA()


# --- nothing inside is ever reached -------------------------------------------------------------------------------


def test_the_canaries_hear_whoever_comes():
    """
    Or the tests below would prove nothing.
    """
    with canary() as listening:
        code = refusal(f"https://127.0.0.1:{listening.port}/", timeout_s=0.5)
        assert (1, "timeout") == (listening.connects(), code)
        refusal(f"https://[::1]:{listening.port}/", egress=Egress([ip_network("::1")]), timeout_s=0.5)
        assert 1 == listening.connects()


def test_no_hostile_url_is_ever_connected_to():
    """
    Each is blocked when it is called, too, and no canary hears of it.
    """
    with canary() as listening:
        codes = {url: refusal(url.replace("{port}", str(listening.port)), egress=Egress()) for url in URLS}

        assert ({}, 0) == ({u: c for u, c in codes.items() if c != "blocked-address"}, listening.connects())


def host_of(url):
    """Return what a careless parser takes for the host, and None where it finds none."""
    try:
        parts = urlsplit(url.replace("{port}", "0"))
        return parts.hostname if parts.hostname and "." not in parts.hostname.strip("0123456789.abcdefx") else None
    except ValueError:
        return None


PUBLIC_AS_OCTAL = "00000000127.0.0.1"
"""Which the system reads as 87.0.0.1."""
HOSTS = sorted({host for url in URLS if (host := host_of(url)) and "example" not in host} - {PUBLIC_AS_OCTAL})


@pytest.mark.parametrize("host", HOSTS)
def test_no_hostile_host_is_dialled_even_if_its_url_were_kept(host):
    """
    The system reads many spellings of loopback; what it finds is judged, not what was written.
    """

    async def dial(port):
        backend = _Pinned(Egress(), SystemResolver(), Target(tls=True, host=host, port=port, path="/"))
        await backend.connect_tcp(host, port)

    with canary() as listening:
        with pytest.raises((_Blocked, NameUnknown)):
            asyncio.run(dial(listening.port))
        assert 0 == listening.connects()


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_name_that_leads_inside_is_blocked(address):
    """
    Alone, or hidden behind a public address.
    """
    for addresses in ([address], ["1.1.1.1", address], [address, "1.1.1.1"]):
        with canary() as listening:
            code = refusal(
                f"https://evil.example:{listening.port}/",
                egress=Egress(),
                resolver=FixedResolver(evil_example=addresses),
            )
            assert ("blocked-address", 0) == (code, listening.connects())


def test_a_name_that_changes_after_it_was_judged_leads_nowhere(receivers):
    """
    One question a connection, and the connection goes to the answer that was judged; the retry is judged again.
    """
    url = f"http://rebind.example:{receivers.port}/ok/rebind"
    with Rebinding(["127.0.0.2"], ["127.0.0.1"]) as server:
        resolver = AskingResolver(server.port)
        assert 200 == post(url, egress=SECOND, resolver=resolver).status
        assert (1, 1) == (server.asked, sum(one.path == "/ok/rebind" for one in receivers.received))
        codes = [refusal(url, egress=SECOND, resolver=resolver) for _ in range(3)]

    assert ["blocked-address"] * 3 == codes
    assert 1 == sum(one.path == "/ok/rebind" for one in receivers.received)


def test_a_name_with_one_bad_address_of_two_is_blocked(receivers):
    """
    Whichever comes first.
    """
    url = f"http://both.example:{receivers.port}/ok/both"
    for answer in (["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]):
        with Rebinding(answer) as server:
            assert "blocked-address" == refusal(url, egress=SECOND, resolver=AskingResolver(server.port))
    assert not any(one.path == "/ok/both" for one in receivers.received)


def test_a_redirect_is_not_followed(receivers):
    """
    Its answer is the answer; where it leads to hears nothing.
    """
    answered = post(receivers.url("redirect/x"))

    assert (302, receivers.url("ok/redirected")) == (answered.status, answered.headers["location"])
    assert not any(one.path == "/ok/redirected" for one in receivers.received)


# --- what is called is who it says it is ------------------------------------------------------------------------------


def test_tls_and_host_name_the_host_although_the_address_is_pinned(authority):
    """
    The certificate must be the name's, and the header says the name.
    """
    context = server_context(authority, "hooks.example")
    with Receivers(tls=context) as secure:
        answered = post(
            f"https://hooks.example:{secure.port}/ok/tls",
            resolver=FixedResolver(hooks_example=["127.0.0.1"]),
            tls=client_context(authority),
        )
        assert 200 == answered.status
        assert f"hooks.example:{secure.port}" == secure.received[0].headers["host"]


def test_a_certificate_of_another_name_or_of_nobody_we_trust_is_refused(authority):
    """
    The request is never sent.
    """
    for name, signer in (("other.example", authority), ("hooks.example", trustme.CA())):
        with Receivers(tls=server_context(signer, name)) as secure:
            code = refusal(
                f"https://hooks.example:{secure.port}/ok",
                resolver=FixedResolver(hooks_example=["127.0.0.1"]),
                tls=client_context(authority),
            )
            assert ("tls-failed", []) == (code, secure.received)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_a_gigabyte_is_read_up_to_the_bound(receivers):
    """
    The status counts; the rest is left.
    """
    answered = post(receivers.url("huge/x"))

    assert (200, RESPONSE_BYTES_MAX) == (answered.status, len(answered.body))


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_who_is_silent_or_slow_is_left_at_the_deadline(receivers, behaviour):
    """
    A byte a second keeps nobody waiting: the deadline is for the whole call.
    """
    assert "timeout" == refusal(receivers.url(f"{behaviour}/x"), timeout_s=0.3)


def test_each_failure_has_a_word_for_it(receivers):
    """
    Which tells nothing of our network.
    """
    with canary() as listening:
        closed = listening.port
    assert "connection-broken" == refusal(receivers.url("reset/x"))
    assert "connect-failed" == refusal(f"http://127.0.0.1:{closed}/")
    assert "name-not-resolved" == refusal("http://nowhere.example/", resolver=FixedResolver())


def test_connections_are_used_again_unless_they_were_closed(receivers):
    """
    Ten calls, one connection; and after a reset the call is made on a new one.
    """
    before = receivers.connections
    assert 200 == post(receivers.url("ok/again"), times=10).status
    assert 1 == receivers.connections - before


def test_the_body_and_headers_arrive_as_they_were_sent(receivers):
    """
    To the byte.
    """
    body = '{"name":"\u202e<img src=x>"}'.encode()
    answered = post(receivers.url("echo/x"), body=body)

    assert body == answered.body
    assert "application/json" == receivers.received[-1].headers["content-type"]


def test_silent_name_servers_take_a_bounded_number_of_threads(monkeypatch):
    """
    Questions wait for room; who gave up frees it when the name server does, and the end waits for nobody.
    """
    silent, asked = threading.Event(), threading.Semaphore(0)

    def ask(host):
        del host
        asked.release()
        silent.wait(60)
        return ["127.0.0.1"]

    monkeypatch.setattr("tallybook.outside.resolver.addresses_of", ask)

    async def questions():
        resolver = SystemResolver(threads_max=2)
        waiting = [asyncio.ensure_future(resolver.resolve(f"{number}.example")) for number in range(5)]
        for _ in range(2):
            await asyncio.to_thread(asked.acquire)
        assert not asked.acquire(blocking=False)
        waiting[0].cancel()
        silent.set()
        return await asyncio.gather(*waiting[1:])

    assert [["127.0.0.1"]] * 4 == asyncio.run(questions())
    assert [True] * 3 == [asked.acquire(blocking=False) for _ in range(3)]
