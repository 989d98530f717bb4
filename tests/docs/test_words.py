"""The words of the pages about the code are the words of the code: files, names, constants, terms."""

import ast
import re
from functools import cache

import pytest

from tallybook.core.event import FUTURE_US, PAST_US
from tallybook.core.instant import DAY_US, MINUTE_US
from tallybook.flows.access import CACHE_S
from tallybook.flows.metering import SCHEME_AGE_MAX_S
from tallybook.flows.sweep import SWEEP_EVERY_S
from tallybook.ledger.open import SQLITE_FLOOR
from tallybook.ledger.prune import ANSWERS_KEPT_HOURS
from tallybook.ledger.series import FOLDED
from tests.docs.pages import ROOT, headings, prose, read, section
from tests.support.house_doors import DOORS

SOURCE = ROOT / "src" / "tallybook"
ABOUT_CODE = ("docs/tour.md", "docs/architecture.md", "docs/consistency.md", "docs/glossary.md")
QUOTED = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")

DESIGNED = frozenset(
    {
        "operator",
        "account",
        "event",
        "meter",
        "dimension",
        "rollup",
        "resource",
        "plan",
        "limit",
        "subscription",
        "period",
        "reservation",
        "lease",
        "alert",
        "ledger",
        "archive",
        "dialect",
    }
)
"""The vocabulary of the design: these words, and no others for these things."""

INTRODUCED = frozenset(
    {
        "lane",
        "batch",
        "shape",
        "generation",
        "scheme",
        "series",
        "segment",
        "edge",
        "fold",
        "hold",
        "desk",
        "nanos",
        "limb",
        "bucket",
        "window",
        "span",
        "surface",
        "group",
        "verdict",
        "errand",
        "reading",
        "mark",
        "tally",
        "view",
        "identity",
        "digest",
        "outcome",
        "check",
        "demand",
        "sweep",
        "void",
        "outbox",
        "add-on",
        "arrears",
    }
)
"""Words that the code brought."""

NOT_YET = {"archive"}
"""Words for what is designed and not built: the glossary says so."""


def _names_in(node):
    """Yield every name and every word of a text that one piece of a program holds."""
    for field in ("name", "arg", "id", "attr"):
        value = getattr(node, field, None)
        if isinstance(value, str):
            yield value
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from re.findall(r"\w+", node.value)


@cache
def known_names():
    """Return every name that the source defines or uses, the words of its texts, and those of the packaged data."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found.update(_names_in(node))
    for path in SOURCE.rglob("*.toml"):
        found.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return found


def is_known(name):
    """Whether the source has *name*; `read_` stands for names that begin so, `_us` for names that end so."""
    if name.endswith("_"):
        return any(known.startswith(name) for known in known_names())
    return name in known_names() or (name.startswith("_") and any(known.endswith(name) for known in known_names()))


@cache
def classes():
    """Return class name -> the names of what its body defines, of every class of that name."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                members = found.setdefault(node.name, set())
                members |= {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
                members |= {item.target.id for item in node.body if isinstance(item, ast.AnnAssign)}
    return found


@pytest.mark.parametrize("page", ABOUT_CODE)
def test_files_that_are_named_exist(page):
    """
    A path is below src/tallybook, or from the root.
    """
    named = {quoted for quoted in QUOTED.findall(prose(read(page))) if re.fullmatch(r"[\w./]+\.(py|toml|md)", quoted)}
    missing = {name for name in named if not (SOURCE / name).exists() and not (ROOT / name).exists()}
    assert set() == missing - {"catalogue.toml"} - {path.name for path in SOURCE.rglob("*.toml")}


@pytest.mark.parametrize("page", ABOUT_CODE)
def test_names_that_are_quoted_exist(page):
    """
    A function, class, setting, table or word between backticks is one of the source; a method belongs to its class.
    """
    outside = {"tests", "psycopg", "fsync", "synchronous_commit", "src"}
    for quoted in QUOTED.findall(prose(read(page))):
        if not NAME.fullmatch(quoted) or quoted.endswith((".py", ".toml", ".md")) or quoted in outside:
            continue
        first, *rest = quoted.split(".")
        assert is_known(first), f"`{quoted}`"
        for part in rest:
            assert part in classes().get(first, known_names()), f"`{quoted}`"


# --- the glossary -----------------------------------------------------------------------------------------------------


def test_the_glossary_has_each_word_once():
    """
    Those of the design and those that the code brought.
    """
    words = headings(read("docs/glossary.md"), 3)
    assert len(words) == len(set(words))
    assert set() == (DESIGNED | INTRODUCED) - set(words)


@pytest.mark.parametrize("word", headings(read("docs/glossary.md"), 3))
def test_a_word_of_the_glossary_is_used_in_the_code(word):
    """
    A word that nothing uses any more leaves the glossary; one for what is not built says so.
    """
    names = " ".join(known_names()).lower()
    said = section(read("docs/glossary.md"), word)
    if word in NOT_YET:
        assert "does not exist yet" in said
    else:
        assert re.sub("[ -]", "_", word) in names
    assert len(said.split()) >= 5


# --- figures and tables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        f"| {CACHE_S} s on other servers",
        f"| {SCHEME_AGE_MAX_S:.0f} s on other servers | they look at the scheme",
        f"remembered for {ANSWERS_KEPT_HOURS} hours",
        f"up to `SWEEP_EVERY_S` later: {'half a second' if SWEEP_EVERY_S == 0.5 else SWEEP_EVERY_S}",
        f"more than {PAST_US // DAY_US} days old",
        f"at most {FUTURE_US // MINUTE_US} minutes ahead",
        f"the value `{FOLDED}`",
        f"before {'.'.join(map(str, SQLITE_FLOOR))}",
    ],
)
def test_figures_of_consistency_are_those_of_the_code(told):
    """
    The page and the constants change together.
    """
    assert told in read("docs/consistency.md")


def test_the_import_table_is_what_the_house_rules_check():
    """
    docs/architecture.md and tests/support/house_doors.py say the same of every room there is.
    """
    table = section(read("docs/architecture.md"), "Who may import whom")
    shown = dict(re.findall(r"^\| (\w+) \| ([^|]+?) \|$", table, re.MULTILINE))
    del shown["room"]
    there = {path.stem for path in SOURCE.iterdir() if not path.name.startswith("_")} & DOORS.keys()
    assert there <= shown.keys()
    for room in there:
        allowed = {door for door in DOORS[room] if door in there and door != room}
        if room == "house":
            assert "everything but cli" == shown[room]
            assert "cli" not in allowed
        else:
            assert allowed == set(shown[room].split(", ")) - {room, "nothing"}, room
