"""docs/api.md names every native operation, with the scope it asks for, and no other."""

import re
from io import StringIO

from tallybook.core.key import SCOPES
from tallybook.web.log import make_log
from tallybook.web.native.surface import native_surface
from tallybook.web.observe import Observer
from tallybook.web.published import with_documents
from tests.docs.pages import headings, read, section

PAGE = read("docs/api.md")
INTERNAL = {"GET /static/reference.css"}
"""Serves another operation; nobody calls it by hand."""


def operations():
    """Return every native operation by its name."""
    observer = Observer(make_log("json", StringIO()))
    surface = with_documents(native_surface(observer, metrics_public=False, test_clock=True))
    return {endpoint.name: endpoint for endpoint in surface.endpoints}


def rows():
    """Return operation -> what its row says of scopes."""
    return dict(re.findall(r"^\| `([A-Z]+ /[^`]*)` \| ([^|]+) \|", section(PAGE, "All operations"), re.MULTILINE))


def test_every_operation_has_its_row_and_no_row_is_without_one():
    """
    Routes come and go with their row.
    """
    assert operations().keys() - INTERNAL == rows().keys()


def test_each_row_says_the_scope():
    """
    And whether only the operator may.
    """
    for name, told in rows().items():
        endpoint = operations()[name]
        scope = "-" if endpoint.scope is None else f"`{endpoint.scope}`"
        assert f"{scope}{', operator' if endpoint.operator_only else ''}" == told, name


def test_every_scope_is_named():
    """
    With the others, under what holds everywhere.
    """
    assert "What holds everywhere" in headings(PAGE)
    for scope in SCOPES:
        assert f"`{scope}`" in section(PAGE, "What holds everywhere")
