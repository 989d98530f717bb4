"""The operator's name, colour and logo on every page, and the files that pages load."""

import gzip
import re

import pytest

from tallybook.core.errors import StartRefused
from tallybook.web.dashboard.assets import CHART_NAME, Assets
from tallybook.web.dashboard.brand import Brand, check_color, stylesheet
from tests.support.client import open_desk
from tests.support.guest import Guest

BEFORE_CHARTS_BYTES_MAX = 60 * 1024
"""Far below what a page may cost before its charts: 150 KB."""


def test_name_color_and_logo_are_on_the_page(tmp_path):
    """
    The name as text, whatever it holds; the logo as an image that runs nothing.
    """
    logo = tmp_path / "logo.svg"
    logo.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    brand = {"brand_name": "A<b>&Co", "brand_color": "#ff0066", "brand_logo_file": logo}
    with open_desk(tmp_path / "data", **brand) as desk:
        page = Guest(desk).get("/login").text
        address = re.search(r'src="/dashboard(/static/[0-9a-f]+/logo)"', page)
        image = Guest(desk).get(address[1])

    assert "A&lt;b&gt;&amp;Co" in page
    assert "A<b>" not in page
    assert ("image/svg+xml", "default-src 'none'; style-src 'unsafe-inline'; sandbox") == (
        image.headers["content-type"],
        image.headers["content-security-policy"],
    )


@pytest.mark.parametrize("color", ["red", "#fff", "#12345g", "#123456;}", "url(x)"])
def test_what_is_no_color_is_refused(color):
    """
    At start, in words; nothing gets into the style that is not six digits.
    """
    with pytest.raises(StartRefused, match="#rrggbb"):
        check_color(color)


@pytest.mark.parametrize("color", ["#ffff00", "#000000", "#ffffff", "#ff0066", "#00aaff", "#14695a"])
def test_text_in_any_color_can_be_read(color):
    """
    It is made darker on paper and lighter at night until the contrast is 4.5.
    """
    light, dark = re.search(
        r"--accent: light-dark\((#\w{6}), (#\w{6})\)", stylesheet(Brand(color=color)).decode()
    ).groups()

    assert contrast(light, "#ffffff") >= 4.5
    assert contrast(dark, "#181b1e") >= 4.5


def contrast(one, other):
    """Return the contrast as WCAG has it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(color):
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_files_are_kept_for_ever_under_an_address_that_names_them(desk):
    """
    Compressed where the browser takes it; another content has another address.
    """
    assets = Assets(Brand())
    path = f"/static/{assets.version}/base.css"
    packed = Guest(desk).get(path, headers={"Accept-Encoding": "gzip"})
    plain = Guest(desk).get(path, headers={"Accept-Encoding": "gzip;q=0"})

    assert "public, max-age=31536000, immutable" == packed.headers["cache-control"]
    assert ("gzip", plain.content) == (packed.headers["content-encoding"], packed.content)
    assert "content-encoding" not in plain.headers
    assert Assets(Brand(color="#ff0066")).version != assets.version
    assert 404 == Guest(desk).get(f"/static/{assets.version}/nothing.js").status_code


def test_all_files_together_are_small_but_for_the_charts():
    """
    The library of charts comes after the page, with its licence in it.
    """
    assets = Assets(Brand())
    reply = assets.reply(CHART_NAME, "gzip")

    assert sum(assets.packed_bytes(name) for name in assets.names - {CHART_NAME}) < BEFORE_CHARTS_BYTES_MAX
    assert b"Released under the MIT License" in gzip.decompress(reply.body)[:2_000]


def test_no_file_of_ours_asks_anybody_else():
    """
    No address of another host stands in scripts, styles and templates.
    """
    assets = Assets(Brand())
    for name in assets.names - {CHART_NAME}:
        text = assets.reply(name, "").body.decode()
        assert not set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}, name
