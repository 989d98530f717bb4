"""How an operator's dashboard presents itself: a name, a colour, a logo.

Not for where they are set (see `settings`).
"""

import re
from dataclasses import dataclass

from tallybook.core.errors import StartRefused

NAME = "Tallybook"
LOGO_BYTES_MAX = 256 * 1024
LOGO_MEDIA = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}

_COLOR = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)
_CONTRAST_MIN = 4.5
"""What WCAG asks between a text and what is behind it (level AA)."""
_PAPER, _NIGHT = (255, 255, 255), (24, 27, 30)
_STEPS = 40

_Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Logo:
    """An image file."""

    content: bytes
    media: str


@dataclass(frozen=True, slots=True)
class Brand:
    """What stands at the top of each page; *color* is ``#rrggbb``, or empty for our own."""

    name: str = NAME
    color: str = ""
    logo: Logo | None = None


def check_color(color: str) -> str:
    """Return *color* if it is one.

    Raises:
        StartRefused: If it is not written as ``#rrggbb``.
    """
    if color and not _COLOR.fullmatch(color):
        raise StartRefused("brand_color must be written as #rrggbb")
    return color


def stylesheet(brand: Brand) -> bytes:
    """Return the style that puts the brand's colour in force, made darker and lighter until text in it can be read."""
    if not brand.color:
        return b"/* our own colours */\n"
    light, dark = _readable(_rgb(brand.color), _PAPER), _readable(_rgb(brand.color), _NIGHT)
    on_light = "#ffffff" if _contrast(light, _PAPER) >= _CONTRAST_MIN else "#111315"
    return (
        f":root {{ --accent: light-dark({_text(light)}, {_text(dark)}); "
        f"--on-accent: light-dark({on_light}, #111315); }}\n"
    ).encode()


def _readable(color: _Rgb, behind: _Rgb) -> _Rgb:
    """Return the nearest shade of *color* that can be read on *behind*."""
    towards = (0, 0, 0) if behind == _PAPER else (255, 255, 255)
    for step in range(_STEPS + 1):
        shade = _mixed(color, towards, step)
        if _contrast(shade, behind) >= _CONTRAST_MIN:
            return shade
    return towards


def _mixed(color: _Rgb, other: _Rgb, step: int) -> _Rgb:
    red, green, blue = (a + (b - a) * step // _STEPS for a, b in zip(color, other, strict=True))
    return red, green, blue


def _rgb(text: str) -> _Rgb:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _text(color: _Rgb) -> str:
    return "#" + "".join(f"{part:02x}" for part in color)


def _contrast(one: _Rgb, other: _Rgb) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(color: _Rgb) -> float:
    """Return the relative luminance as WCAG defines it; colours are no quantities, so floats do."""
    parts = [part / 255 for part in color]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
