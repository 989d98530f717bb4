"""The files that pages load: our scripts and styles, the charting library from its package, the operator's logo.

All are read once at start, compressed when first asked for, and served under an address that names their content, for
ever.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from tallybook.web.dashboard.brand import Brand, stylesheet
from tallybook.web.endpoint import Reply

CHART_PACKAGE = "chartkick"
CHART_FILE = "django/static/chartkick/Chart.bundle.js"
CHART_NAME = "vendor-chart.js"
BRAND_NAME = "brand.css"
LOGO_NAME = "logo"
GZIP_LEVEL = 9
COMPRESS_BYTES_MIN = 512
PACKED_MAX = 64
"""Most files that are kept compressed; more than there are."""

_MEDIA = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable", "Cross-Origin-Resource-Policy": "same-origin"}
_INERT = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""For images: an SVG that somebody opens by itself runs nothing."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    media: str

    @property
    def packed(self) -> bytes | None:
        """The file compressed, None where that would save nothing."""
        return _packed(self.content) if len(self.content) >= COMPRESS_BYTES_MIN else None


class Assets:
    """Every file that a page may load, by name; *version* is in their addresses and changes with any of them."""

    def __init__(self, brand: Brand) -> None:
        self._assets: dict[str, Asset] = {}
        for name, content in sorted(_sources().items()):
            self._assets[name] = Asset(content, _MEDIA[name[name.rindex(".") :]])
        self._assets[BRAND_NAME] = Asset(stylesheet(brand), _MEDIA[".css"])
        if brand.logo is not None:
            self._assets[LOGO_NAME] = Asset(brand.logo.content, brand.logo.media)
        digest = hashlib.sha256()
        for name, asset in self._assets.items():
            digest.update(name.encode() + b"\0" + asset.content)
        self.version = digest.hexdigest()[:12]

    @property
    def names(self) -> frozenset[str]:
        """The names of all files."""
        return frozenset(self._assets)

    def packed_bytes(self, name: str) -> int:
        """Return how many bytes the file costs on the wire."""
        asset = self._assets[name]
        return len(asset.packed or asset.content)

    def reply(self, name: str, accept_encoding: str) -> Reply | None:
        """Return the file, None where there is none of that name."""
        asset = self._assets.get(name)
        if asset is None:
            return None
        headers: dict[str, str] = {**_KEPT}
        if asset.media.startswith("image/"):
            headers["Content-Security-Policy"] = _INERT
        return _maybe_packed(asset, accept_encoding, headers)


def packed(content: bytes, media: str, accept_encoding: str, headers: Mapping[str, str], *, status: int = 200) -> Reply:
    """Return *content* as a reply, compressed where the browser takes it."""
    if len(content) < COMPRESS_BYTES_MIN or not _takes_gzip(accept_encoding):
        return Reply(status, content, media, {**headers, "Vary": "Accept-Encoding"})
    more = {"Vary": "Accept-Encoding", "Content-Encoding": "gzip"}
    return Reply(status, gzip.compress(content, 5, mtime=0), media, {**headers, **more})


def _maybe_packed(asset: Asset, accept_encoding: str, headers: dict[str, str]) -> Reply:
    headers["Vary"] = "Accept-Encoding"
    shrunk = asset.packed if _takes_gzip(accept_encoding) else None
    if shrunk is None:
        return Reply(200, asset.content, asset.media, headers)
    headers["Content-Encoding"] = "gzip"
    return Reply(200, shrunk, asset.media, headers)


@lru_cache(maxsize=PACKED_MAX)
def _packed(content: bytes) -> bytes:
    return gzip.compress(content, GZIP_LEVEL, mtime=0)


def _takes_gzip(accept_encoding: str) -> bool:
    """Whether the header names gzip without refusing it by ``q=0``."""
    for part in accept_encoding.lower().split(","):
        name, _, quality = part.strip().partition(";")
        if name.strip() == "gzip":
            return quality.strip().replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _sources() -> dict[str, bytes]:
    ours = files("tallybook.web.dashboard").joinpath("static")
    found = {entry.name: entry.read_bytes() for entry in ours.iterdir() if entry.is_file() and "." in entry.name}
    found[CHART_NAME] = files(CHART_PACKAGE).joinpath(CHART_FILE).read_bytes()
    return found
