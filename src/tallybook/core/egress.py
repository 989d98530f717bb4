"""What may be called from here: which URLs and which addresses, so that nobody makes us call what only we can reach.

Every refusal reads the same, so that it tells nothing of the network behind us. A name is judged when it is dialled,
by the addresses it has then (see `outside.guard`); a URL is judged before it is kept, by what it says. Python's own
`is_global` takes several addresses for public that lead inside, so the list is ours.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from tallybook.core.errors import FieldInvalid

URL_CHARS_MAX = 2_048
HOST_CHARS_MAX = 253
HTTPS_PORT, HTTP_PORT = 443, 80
PORT_UNPRIVILEGED = 1_024
PORT_MAX = 65_535

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_URL = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<six>[0-9a-f:.]{2,45})\]|(?P<host>[a-z0-9.-]{1,253}))(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>(?:[/?][!$%&'()*+,./0-9:;=?@A-Z\[\]_a-z~-]*)?)",
    re.ASCII | re.IGNORECASE,
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_LOCAL_SUFFIXES = frozenset(
    {"arpa", "corp", "home", "internal", "intranet", "invalid", "lan", "local", "localdomain", "localhost", "private"}
)
"""Last labels of names that lead to no public host."""

_DENIED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT, and the metadata service of a cloud
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the platform address of a cloud, which every machine there reaches
            "169.254.0.0/16",  # link-local, with the metadata services of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # the relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_GLOBAL_6 = IPv6Network("2000::/3")
_DENIED_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, ORCHID and other assignments of protocols
            "2001:db8::/32",  # documentation
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64, _6TO4 = IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")
_LOW_32 = 0xFFFF_FFFF


class UrlNotAllowed(FieldInvalid):
    """The URL may not be called from here; why is not told."""

    code = "webhook-url-not-allowed"


NOT_ALLOWED = "must be an https URL of a public host, without a user name, on port 443 or above 1023"
"""The one text of every refusal."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart.

    Attributes:
        host: In lower case; an IPv6 address without brackets.
        path: With the query; begins with a slash.
    """

    tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (HTTPS_PORT if self.tls else HTTP_PORT) else f"{host}:{self.port}"


class Egress:
    """The policy; *allow* are networks of the operator's own that may be called all the same, also without TLS."""

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        self._allow = tuple(allow)

    def check_url(self, url: object, pointer: str = "/url") -> Target:
        """Return *url* taken apart, if it may be kept as one to call.

        Raises:
            UrlNotAllowed: In one text, whatever is wrong.
        """
        target = _split(url) if isinstance(url, str) else None
        if target is None or not self._is_plausible(target):
            raise UrlNotAllowed(NOT_ALLOWED, pointer=pointer)
        return target

    def permits(self, target: Target, address: str) -> bool:
        """Whether *target* may be called at *address*, which its host has just now."""
        try:
            found = ip_address(address)
        except ValueError:  # also an address with a zone that we cannot judge
            return False
        if isinstance(found, IPv6Address) and found.scope_id is not None:
            return False
        if self._is_allowed(found):
            return True
        return target.tls and _is_usual(target.port) and _is_public(found)

    def _is_plausible(self, target: Target) -> bool:
        address = _literal(target.host)
        if address is not None:
            return self.permits(target, str(address))
        if self._allow:  # the name may have one of these addresses: that is seen when it is dialled
            return True
        *parents, last = target.host.split(".")
        return bool(parents) and last not in _LOCAL_SUFFIXES and target.tls and _is_usual(target.port)

    def _is_allowed(self, address: Address) -> bool:
        return any(form in network for network in self._allow for form in (address, _inner(address)))


def read_networks(value: object) -> tuple[Network, ...]:
    """Read a list of networks, or from the environment one text with commas between them.

    Raises:
        ValueError: In words for the operator.
    """
    items = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if isinstance(items, list):
        return tuple(_network(item) for item in items)
    raise ValueError("must be a list of networks such as 10.0.0.0/8")


def _network(item: object) -> Network:
    try:
        return ip_network(str(item))
    except ValueError:
        raise ValueError(f"{item!r} is no network: write it as 10.0.0.0/8, 192.168.1.7/32 or fd00::/8") from None


def _split(url: str) -> Target | None:
    found = _URL.fullmatch(url) if len(url) <= URL_CHARS_MAX else None
    if found is None:
        return None
    tls = found["scheme"].lower() == "https"
    host = (found["six"] or found["host"]).lower()
    port = int(found["port"] or (HTTPS_PORT if tls else HTTP_PORT))
    path = found["path"]
    if port > PORT_MAX or not _is_host(host, six=found["six"] is not None):
        return None
    return Target(tls, host, port, path if path.startswith("/") else f"/{path}")


def _is_host(host: str, *, six: bool) -> bool:
    """Whether it is a name, or an address in its one usual form: shortened, octal and hexadecimal ones are tricks."""
    if six:
        return isinstance(_literal(host), IPv6Address)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        return isinstance(_literal(host), IPv4Address)
    return all(_LABEL.fullmatch(label) for label in labels)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_usual(port: int) -> bool:
    return port == HTTPS_PORT or port >= PORT_UNPRIVILEGED


def _is_public(address: Address) -> bool:
    inner = _inner(address)
    if isinstance(inner, IPv4Address):
        return not any(inner in network for network in _DENIED_4)
    return inner in _GLOBAL_6 and not any(inner in network for network in _DENIED_6)


def _inner(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one leads to, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _6TO4:
        return IPv4Address(int(address) >> 80 & _LOW_32)
    mapped = address.ipv4_mapped is not None
    compatible = int(address) <= _LOW_32 and int(address) > 1
    if mapped or compatible or address in _NAT64:
        return IPv4Address(int(address) & _LOW_32)
    return address
