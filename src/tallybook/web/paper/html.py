"""An invoice as a page of HTML that prints well; every name is escaped. Not for the dashboard's pages."""

import base64
import hashlib

import jinja2
from markupsafe import Markup

from tallybook.core.invoice import Invoice

MEDIA = "text/html; charset=utf-8"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1a1a1a;background:#fff;margin:2rem auto;max-width:60rem;"
    "padding:0 1rem}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}dt{color:#555}dd{margin:0}"
    "table{border-collapse:collapse;width:100%;margin-top:2rem}th,td{text-align:left;padding:.5rem;vertical-align:top;"
    "border-bottom:1px solid #ccc;overflow-wrap:anywhere}.n{text-align:right;white-space:nowrap;"
    "font-variant-numeric:tabular-nums}small,.v{color:#555}tfoot th,tfoot td{font-weight:700;border-bottom:0}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
}
"""The page loads nothing, and no script of anybody runs on it."""

_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("tallybook.web.paper"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
)


def title_of(invoice: Invoice) -> str:
    """Return what the document is called."""
    return f"Invoice {invoice.number}" if invoice.number else "Invoice preview"


def write_html(invoice: Invoice, digest: str | None) -> bytes:
    """Return the document as a page."""
    template = _environment.get_template("invoice.html")
    style = Markup(STYLE)  # noqa: S704 - our own constant, of which the policy above has the hash
    return template.render(invoice=invoice, digest=digest, title=title_of(invoice), style=style).encode()
