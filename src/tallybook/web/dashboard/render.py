"""Pages as HTML: the templates, what they may call, and the headers that every page carries.

Whatever comes from events reaches a page as text: templates escape everything, scripts set text only, and the policy
in the headers lets nothing run that is not a file of ours.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tallybook.core.instant import instant_text
from tallybook.core.number import NANOS, to_text
from tallybook.web.dashboard.assets import Assets, packed
from tallybook.web.dashboard.brand import Brand
from tallybook.web.dashboard.money import amount, money, price
from tallybook.web.dashboard.samples import event_curl, request_curl
from tallybook.web.dashboard.words import Unit, title_of
from tallybook.web.endpoint import Reply

HTML = "text/html; charset=utf-8"
PREFIX = "/dashboard"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}; require-trusted-types-for 'script'"
)
_JSON_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def page_headers(ancestors: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the headers of a page that only *ancestors* may frame."""
    headers = {
        "Content-Security-Policy": _POLICY.format(ancestors=" ".join(ancestors) or "'none'"),
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if not ancestors:
        headers["X-Frame-Options"] = "DENY"
    return headers


@dataclass(frozen=True, slots=True)
class Look:
    """What a page looks like to one reader: their theme, what they accept, who may frame it."""

    theme: str = ""
    accept_encoding: str = ""
    ancestors: tuple[str, ...] = ()


class Templates:
    """Makes HTML of templates."""

    def __init__(self, brand: Brand, assets: Assets) -> None:
        self.brand = brand
        self.assets = assets
        self._environment = Environment(
            loader=PackageLoader("tallybook.web.dashboard", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.globals.update(
            brand=brand,
            asset=self.asset,
            prefix=PREFIX,
            sample_curl=sample_curl,
            event_curl=event_curl,
            request_curl=request_curl,
        )
        self._environment.filters.update(
            number=number,
            exact=to_text,
            instant=instant_text,
            segment=segment,
            block=block,
            count=count,
            shown=shown,
            title=title_of,
            money=money,
            price=price,
            amount=amount,
        )

    def asset(self, name: str) -> str:
        """Return the address of a file that pages load."""
        assert name in self.assets.names, f"there is no file {name}"
        return f"{PREFIX}/static/{self.assets.version}/{name}"

    def reply(self, name: str, look: Look, *, status: int = 200, **values: Any) -> Reply:
        """Return the page that the template *name* makes of *values*."""
        html = self._environment.get_template(name).render(theme=look.theme, **values)
        headers = page_headers(look.ancestors)
        return packed(html.encode(), HTML, look.accept_encoding, headers, status=status)


# --- what templates may call ----------------------------------------------------------------------------------------


def segment(text: str) -> str:
    """Return *text* as one segment of a path: an id may hold anything, a slash too."""
    return quote(text, safe="")


def grouped(value: Decimal | int | str) -> str:
    """Return a number with its thousands apart, as it stands until the reader's own way of writing is put in force."""
    return f"{Decimal(value):,f}"


def number(nanos: int | None, unit: str = "") -> Markup:
    """Return a quantity as an element that holds it exactly and shows it readably; a dash for none."""
    if nanos is None:
        return Markup('<span class="soft">-</span>')
    exact = to_text(nanos)
    return _data(exact, grouped(exact), unit)


def shown(nanos: int | None, unit: Unit) -> Markup:
    """Return a quantity in the unit that people read."""
    return number(None if nanos is None else unit.nanos(nanos), unit.name)


def count(value: int) -> Markup:
    """Return a whole number of ours, which is no quantity, the same way."""
    return number(value * NANOS)


def _data(exact: str, shown: str, unit: str) -> Markup:
    tail = Markup(' <span class="unit">{}</span>').format(unit) if unit else Markup()
    return Markup('<data class="n" value="{}">{}</data>{}').format(exact, shown, tail)


def sample_curl(account_id: str) -> str:
    """Return a command that sends an account's first event; whatever the id holds, a shell reads it as one text."""
    data = {"channel": "voice", "direction": "inbound", "duration_s": 90}
    event = json.dumps({"id": "first-call", "type": "call", "subject": account_id, "data": data}, ensure_ascii=False)
    return (
        'curl "$TALLYBOOK_URL/v1/events" \\\n'
        '  -H "Authorization: Bearer $TALLYBOOK_KEY" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(event)}"
    )


def block(value: Mapping[str, Any]) -> Markup:
    """Return *value* as JSON that may stand inside a data block of a page."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    for raw, escaped in _JSON_ESCAPES.items():
        text = text.replace(raw, escaped)
    return Markup(text)  # noqa: S704 - nothing in it can end the block or begin a tag
