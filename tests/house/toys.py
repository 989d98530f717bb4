"""Toy houses: for each rule, small trees that break it (with the line to be named), and one that keeps them all."""

from dataclasses import dataclass, field

DOC = '"""A toy."""\n'


@dataclass(frozen=True, slots=True)
class Toy:
    """A small tree that breaks one rule in one place."""

    rule: str
    why: str
    file: str
    code: str
    line: int
    others: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        """All files of the tree below the package, each with a docstring."""
        return {name: DOC + code for name, code in {**self.others, self.file: self.code}.items()}


def nested(depth: int) -> str:
    """Return a function with *depth* nested blocks, the deepest on line depth + 2 of its file."""
    blocks = "".join(f"{'    ' * level}if level > {level}:\n" for level in range(1, depth + 1))
    return f"def deep(level):\n{blocks}{'    ' * (depth + 1)}return level\n"


def long_function(lines: int) -> str:
    """Return a function of exactly *lines* lines."""
    return "def long():\n" + "    pass\n" * (lines - 1)


SECOND_REASON = "def f():\n    import csv  # late import: mine\n    csv()\n\n    import json\n"
EMPTY_ERRORS = {"core/errors.py": ""}

TOYS = (
    Toy("doors", "core looks up", "core/errors.py", "import tallybook.flows.watch\n", 2, {"flows/watch.py": ""}),
    Toy(
        "doors", "flows see a store", "flows/watch.py", "from tallybook.ledger import open\n", 2, {"ledger/open.py": ""}
    ),
    Toy("doors", "flows see the web", "flows/watch.py", "\nfrom tallybook import web\n", 3, {"web/__init__.py": ""}),
    Toy("doors", "stores meet", "ledger/open.py", "from tallybook.archive import x\n", 2, {"archive/x.py": ""}),
    Toy(
        "doors", "a store reads settings", "archive/x.py", "from tallybook.settings import S\n", 2, {"settings.py": ""}
    ),
    Toy("doors", "web sees a store", "web/app.py", "from tallybook.ledger.open import x\n", 2, {"ledger/open.py": ""}),
    Toy("doors", "web sees the house", "web/app.py", "from tallybook.house import x\n", 2, {"house.py": ""}),
    Toy("doors", "the house sees the cli", "house.py", "from tallybook.cli import main\n", 2, {"cli/__init__.py": ""}),
    Toy(
        "doors",
        "outside sees flows",
        "outside/mail.py",
        "import tallybook.flows.watch as w\n",
        2,
        {"flows/watch.py": ""},
    ),
    Toy(
        "doors", "for types only", "flows/watch.py", "if T:\n    from tallybook.web import app\n", 3, {"web/app.py": ""}
    ),
    Toy("doors", "relative as well", "flows/watch.py", "from ..ledger import open\n", 2, {"ledger/open.py": ""}),
    Toy("doors", "a new room", "billing/x.py", "", 1),
    Toy("doors", "the package sees a room", "__init__.py", "from tallybook.core import errors\n", 2, EMPTY_ERRORS),
    Toy("core-order", "looks ahead", "core/errors.py", "from tallybook.core import ids\n", 2, {"core/ids.py": ""}),
    Toy("core-order", "is not listed", "core/thing.py", "", 1),
    Toy(
        "core-order",
        "names the room",
        "core/ids.py",
        "from tallybook.core import x\n",
        2,
        {"core/__init__.py": "x = 1\n"},
    ),
    Toy("neighbours", "flows", "flows/a.py", "from tallybook.flows import b\n", 2, {"flows/b.py": ""}),
    Toy(
        "neighbours",
        "dialects",
        "web/dialects/a.py",
        "from tallybook.web.dialects.b import x\n",
        2,
        {"web/dialects/b.py": ""},
    ),
    Toy("libraries", "core and a library", "core/errors.py", "import sqlalchemy as sa\n", 2),
    Toy("libraries", "core and a socket", "core/errors.py", "from socket import socket\n", 2),
    Toy("libraries", "flows and SQL", "flows/a.py", "from sqlalchemy.sql import text\n", 2),
    Toy("libraries", "flows and HTTP", "flows/a.py", "import httpx\n", 2),
    Toy("libraries", "flows and the web", "flows/a.py", "import starlette.requests\n", 2),
    Toy("libraries", "flows and the server", "flows/a.py", "import uvicorn\n", 2),
    Toy("libraries", "web and SQL", "web/app.py", "import sqlalchemy\n", 2),
    Toy("absolute", "a dot", "core/ids.py", "from .errors import E\n", 2, EMPTY_ERRORS),
    Toy("late-import", "in a function", "core/ids.py", "def f():\n    import json\n", 3),
    Toy("late-import", "below another one's reason", "core/ids.py", SECOND_REASON, 6),
    Toy("late-import", "without a reason", "core/ids.py", "async def f():\n    import json  # late import:\n", 3),
    Toy(
        "cycle",
        "of two",
        "web/a.py",
        "from tallybook.web import b\n",
        2,
        {"web/b.py": "from tallybook.web.a import x\n"},
    ),
    Toy(
        "cycle",
        "of three, one of them late",
        "ledger/a.py",
        "import tallybook.ledger.b\n",
        2,
        {
            "ledger/b.py": "from tallybook.ledger import c\n",
            "ledger/c.py": "def f():\n    from tallybook.ledger import a  # late import: toy\n",
        },
    ),
    Toy("file-lines", "one line too many", "core/ids.py", "\n" * 350, 351),
    Toy("function-lines", "one line too many", "core/ids.py", long_function(51), 2),
    Toy("nesting", "one block too deep", "core/ids.py", nested(4), 6),
    Toy("positional", "six", "core/ids.py", "def f(a, b, c, d, e, f): ...\n", 2),
    Toy("positional", "six and self", "core/ids.py", "class A:\n    def f(self, a, b, c, d, e, f): ...\n", 3),
    Toy("init", "a function", "core/__init__.py", "def f(): ...\n", 2),
    Toy("init", "a call", "core/__init__.py", "x = open('y')\n", 2),
    Toy("names", "a drawer for all", "web/utils.py", "", 1),
    Toy("float", "a call", "core/price.py", "x = float('1')\n", 2),
    Toy("float", "a parameter", "core/price.py", "def f(price: float): ...\n", 2),
    Toy("float", "inside another type", "flows/bill.py", "def f(prices: dict[str, float]): ...\n", 2),
    Toy("float", "a result", "ledger/sums.py", "def total() -> float | None: ...\n", 2),
    Toy("float", "a field", "core/price.py", "class A:\n    price: float\n", 3),
    Toy("float", "a literal", "core/price.py", "PRICE = 0.5\n", 2),
    Toy("float", "a literal in arithmetic", "core/price.py", "def f(x):\n    return x * 0.5\n", 3),
    Toy("float", "a default", "core/price.py", "def f(wait_s=0.5, price=0.5): ...\n", 2),
    Toy("wall-clock", "now", "flows/a.py", "def f():\n    return datetime.now(UTC)\n", 3),
    Toy("wall-clock", "now of the module", "web/a.py", "x = datetime.datetime.now()\n", 2),
    Toy("wall-clock", "as a default", "web/a.py", "f(default_factory=datetime.utcnow)\n", 2),
    Toy("wall-clock", "time", "cli/a.py", "x = time.time()\n", 2),
    Toy("wall-clock", "imported", "cli/a.py", "from time import time\n", 2),
    Toy("wall-clock", "today", "cli/a.py", "x = date.today()\n", 2),
    Toy("month", "of 30 days", "web/a.py", "x = 30 * 86400\n", 2),
    Toy("month", "of 31 days", "web/a.py", "x = now + 31 * 24 * 3600\n", 2),
    Toy("month", "by name", "core/window.py", "x = 30 * DAY_US\n", 2),
    Toy("month", "written out", "core/window.py", "x = 2_592_000\n", 2),
    Toy("month", "as a timedelta", "core/window.py", "x = timedelta(days=30)\n", 2),
    Toy("month", "a year", "core/window.py", "x = timedelta(365)\n", 2),
    Toy("broad-except", "in a flow", "flows/a.py", "try:\n    x\nexcept Exception:\n    pass\n", 4),
    Toy(
        "broad-except", "among others", "ledger/a.py", "try:\n    x\nexcept (ValueError, BaseException):\n    pass\n", 4
    ),
    Toy("broad-except", "to raise another", "flows/a.py", "try:\n    x\nexcept Exception:\n    raise E from None\n", 4),
    Toy("broad-except", "bare", "house.py", "try:\n    x\nexcept:\n    pass\n", 4),
)

NO_DOCSTRING = {"core/ids.py": "x = 1\n"}

SOUND = {
    "__init__.py": DOC + '__version__ = "1"\n',
    "settings.py": DOC + "from tallybook import __version__\nfrom tallybook.core.errors import E\n",
    "house.py": DOC
    + "from tallybook import archive, core, flows, ledger, outside, settings, web\n"
    + "from tallybook.web.dialects import ALL\n",
    "core/__init__.py": DOC + "from tallybook.core.ids import Id as Id\n",
    "core/errors.py": DOC + "import json\nimport msgspec\nclass E(Exception): ...\n",
    "core/clock.py": DOC + "import time\ndef now() -> int:\n    return time.time_ns()\n",
    "core/ids.py": DOC
    + "from tallybook.core.errors import E\n"
    + "def f(a, b, c, d, e, *, f, wait_s: float = 0.5, waits_s: tuple[float, ...] = (0.5, 1.5)) -> None:\n"
    + "    import json  # late import: heavy, and seldom needed\n"
    + "    # late import: two of a kind\n    import csv\n    import this\n    from re import S\n\n"
    + "def elapsed_s() -> float:\n    return clock_s() - 0.5\n"
    + "class A:\n    TIMEOUT_S = 1.5\n    def f(self, a, b, c, d, e): ...\n"
    + "def g(value, clock, event):\n    event.wait(timeout_s=0.5)\n    return isinstance(value, float) or clock.now()\n"
    + nested(3)
    + long_function(50),
    "core/window.py": DOC
    + "# days: what operators were promised\nx = timedelta(days=30)\ny = 7 * 86400\nz = 30 * 60\n",
    "flows/__init__.py": DOC,
    "flows/a.py": DOC + "from tallybook.core import Id, ids\ntry:\n    x\nexcept ValueError:\n    pass\n",
    "flows/b.py": DOC
    + "# edge: the loop must outlive what one round meets\ntry:\n    x\nexcept Exception:\n    pass\n",
    "ledger/__init__.py": DOC,
    "ledger/a.py": DOC + "import sqlalchemy\nfrom tallybook.ledger import b\n",
    "ledger/b.py": DOC + "try:\n    x\nexcept BaseException:\n    tidy()\n    raise\n",
    "ledger/migrations/versions/one.py": DOC + long_function(90),
    "archive/__init__.py": DOC,
    "outside/__init__.py": DOC + "import httpx\n",
    "web/__init__.py": DOC,
    "web/app.py": DOC + "from tallybook.flows import a\ntry:\n    x\nexcept Exception:\n    ratio = 0.5\n",
    "web/dialects/__init__.py": DOC + "from tallybook.web.dialects import a, b\nALL = (a, b)\n",
    "web/dialects/a.py": DOC + "from tallybook.web import app\n",
    "web/dialects/b.py": DOC,
    "cli/__init__.py": DOC + "from tallybook.cli.run import main\n__all__ = ['main']\n",
    "cli/run.py": DOC + "from tallybook import house, settings\ndef main(): ...\n",
    "__main__.py": DOC + "from tallybook.cli import main\n",
}
