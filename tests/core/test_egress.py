"""What may be called from here: every trick to reach inside is refused in one text, and public hosts are not."""

from ipaddress import ip_network

import pytest

from tallybook.core.egress import NOT_ALLOWED, Egress, Target, UrlNotAllowed, read_networks
from tests.support.hostile_urls import ADDRESSES, PUBLIC, URLS

NOWHERE = Egress()
EXAMPLE = Target(tls=True, host="example.com", port=443, path="/")


@pytest.mark.parametrize("url", URLS)
def test_a_hostile_url_is_refused_when_it_is_given(url):
    """
    Whatever is wrong with it, the text is the same.
    """
    with pytest.raises(UrlNotAllowed) as refused:
        NOWHERE.check_url(url.replace("{port}", "8443"))

    assert (NOT_ALLOWED, "/url") == (refused.value.message, refused.value.pointer)


def test_there_are_enough_hostile_urls():
    """
    The list may grow, not shrink.
    """
    assert len(set(URLS)) >= 60
    assert len(set(ADDRESSES)) >= 50


@pytest.mark.parametrize("value", [None, 7, ["https://example.com/"], b"https://example.com/"])
def test_what_is_no_text_is_refused(value):
    """
    As any other.
    """
    with pytest.raises(UrlNotAllowed):
        NOWHERE.check_url(value)


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://example.com", EXAMPLE, "example.com"),
        ("https://example.com/", EXAMPLE, "example.com"),
        ("HTTPS://EXAMPLE.com:443/", EXAMPLE, "example.com"),
        ("https://example.com?a=b", Target(tls=True, host="example.com", port=443, path="/?a=b"), "example.com"),
        (
            "https://hooks.example.co.uk:8443/a/%0d%0a?x=1&y=@z",
            Target(tls=True, host="hooks.example.co.uk", port=8443, path="/a/%0d%0a?x=1&y=@z"),
            "hooks.example.co.uk:8443",
        ),
        ("https://xn--bcher-kva.example/", Target(tls=True, host="xn--bcher-kva.example", port=443, path="/"), None),
        ("https://1.1.1.1/", Target(tls=True, host="1.1.1.1", port=443, path="/"), "1.1.1.1"),
        (
            "https://[2606:4700::1111]:1024/",
            Target(tls=True, host="2606:4700::1111", port=1024, path="/"),
            "[2606:4700::1111]:1024",
        ),
    ],
)
def test_a_public_url_is_taken_apart(url, target, authority):
    """
    Scheme and host in lower case, the path as it is.
    """
    assert target == NOWHERE.check_url(url)
    assert (authority or target.host) == target.authority


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_inner_address_is_never_dialled(address):
    """
    Whatever name stood for it.
    """
    assert NOWHERE.permits(EXAMPLE, address) is False


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_dialled(address):
    """
    Over TLS and on a usual port; not otherwise.
    """
    assert NOWHERE.permits(EXAMPLE, address) is True
    assert NOWHERE.permits(Target(tls=False, host="example.com", port=80, path="/"), address) is False
    assert NOWHERE.permits(Target(tls=True, host="example.com", port=22, path="/"), address) is False


@pytest.mark.parametrize("address", ["", "example.com", "1.2.3", "1.2.3.4.5", "0x7f.1", "1.1.1.1/32", "::g"])
def test_what_is_no_address_is_not_dialled(address):
    """
    A resolver may answer anything.
    """
    assert NOWHERE.permits(EXAMPLE, address) is False


def test_the_operator_allows_networks():
    """
    In them any port goes, TLS or not, in any form the address may have; beside them nothing changes.
    """
    egress = Egress([ip_network("10.1.0.0/16"), ip_network("fd00::/8")])
    plain = Target(tls=False, host="hooks", port=25, path="/")

    assert plain == egress.check_url("http://hooks:25/")
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd00::1"):
        assert egress.permits(plain, address), address
    for address in ("10.2.0.1", "127.0.0.1", "1.1.1.1", "fc00::1"):
        assert not egress.permits(plain, address), address
    assert "10.1.2.3" == egress.check_url("http://10.1.2.3:8080/x").host
    for url in ("http://10.2.0.1/", "https://127.0.0.1/", "http://1.1.1.1/", "https://10.1.2.3@evil.com/"):
        with pytest.raises(UrlNotAllowed):
            egress.check_url(url)


def test_networks_are_read_from_a_list_or_a_text():
    """
    As the settings file and the environment have them.
    """
    assert (ip_network("10.0.0.0/8"), ip_network("::1/128")) == read_networks(["10.0.0.0/8", "::1"])
    assert (ip_network("10.0.0.0/8"), ip_network("fd00::/8")) == read_networks("10.0.0.0/8, fd00::/8")
    assert () == read_networks([])


@pytest.mark.parametrize("value", [7, {"a": 1}, ["10.0.0.1/8"], ["example.com"], "10.0.0.0/33", [None]])
def test_what_is_no_network_is_refused(value):
    """
    Host bits that are set are a mistake, not a network.
    """
    with pytest.raises(ValueError, match="network"):
        read_networks(value)
