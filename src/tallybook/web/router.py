"""Finding the endpoint of a path, by whole segments, each percent-decoded on its own: an id may hold a slash."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from tallybook.web.endpoint import Endpoint
from tallybook.web.errors import MethodNotAllowed, RouteUnknown

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Match:
    """An endpoint and the parameters of its path."""

    endpoint: Endpoint
    path: dict[str, str]


@dataclass(slots=True)
class _Route:
    """All endpoints of one path; *pattern* has None where a parameter stands."""

    pattern: tuple[str | None, ...]
    names: tuple[str, ...]
    endpoints: dict[str, Endpoint]


class Router:
    """The routes of one surface."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._routes: dict[int, list[_Route]] = {}
        for endpoint in endpoints:
            self._add(endpoint)

    def _add(self, endpoint: Endpoint) -> None:
        parts = _split(endpoint.path)
        pattern = tuple(None if part.startswith("{") else part for part in parts)
        names = tuple(part[1:-1] for part in parts if part.startswith("{"))
        routes = self._routes.setdefault(len(parts), [])
        for route in routes:
            if route.pattern == pattern:
                assert endpoint.method not in route.endpoints, f"{endpoint.name} stands twice"
                assert route.names == names, f"{endpoint.name} names its parameters otherwise"
                route.endpoints[endpoint.method] = endpoint
                return
        routes.append(_Route(pattern, names, {endpoint.method: endpoint}))
        # A fixed segment wins over a parameter, whatever the order of the table.
        routes.sort(key=lambda route: tuple(part is None for part in route.pattern))

    def match(self, method: str, path: str) -> Match:
        """Return the endpoint for *path*, as sent and without the surface's prefix; one trailing slash is tolerated.

        Raises:
            RouteUnknown: If no endpoint has this path.
            MethodNotAllowed: If those that have it do not know *method*.
        """
        parts = _split(path)
        for route in self._routes.get(len(parts), ()):
            values = _values(route.pattern, parts)
            if values is None:
                continue
            endpoint = route.endpoints.get("GET" if method == "HEAD" else method)
            if endpoint is None:
                raise MethodNotAllowed(_allowed(route))
            return Match(endpoint, dict(zip(route.names, values, strict=True)))
        raise RouteUnknown("there is nothing at this path")


def _allowed(route: _Route) -> list[str]:
    known = {*route.endpoints, "OPTIONS"} | ({"HEAD"} if "GET" in route.endpoints else set())
    return [method for method in METHODS if method in known]


def _split(path: str) -> list[str]:
    return path.removesuffix("/").split("/")[1:]


def _values(pattern: tuple[str | None, ...], parts: list[str]) -> list[str] | None:
    values = []
    for fixed, part in zip(pattern, parts, strict=True):
        if fixed is not None:
            if fixed != part:
                return None
            continue
        try:
            value = unquote_to_bytes(part).decode() if "%" in part else part
        except UnicodeDecodeError:
            return None
        if not value or "\x00" in value:  # nothing is called so, and PostgreSQL cannot even be asked
            return None
        values.append(value)
    return values
