"""The headers of a request, read once: a handler's path looks up half a dozen of them."""

from collections.abc import Iterable

from starlette.datastructures import Headers


class RequestHeaders(Headers):
    """Headers that are looked up by name without going through all of them each time."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=list(raw))
        self._by_name: dict[str, list[str]] = {}
        for name, value in self.raw:
            self._by_name.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def getlist(self, key: str) -> list[str]:
        """Return every value of the header, in the order they were sent."""
        return list(self._by_name.get(key.lower(), ()))

    def __getitem__(self, key: str) -> str:
        return self._by_name[key.lower()][0]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.lower() in self._by_name
