"""Rules 5, 6 and 8, exactness: no float near money, no wall clock, no month of 30 days, no `except Exception` inside.

Not about imports or sizes (see `house_doors` and `house_shape`).
"""

import ast
from collections.abc import Iterator

from tests.support.house_rules import House, Source, Violation

EXACT_ROOMS = frozenset({"core", "flows", "ledger"})
"""Where quantities and money pass: no floats."""

EDGE_ROOMS = frozenset({"web", "cli"})
"""Where any exception may be caught, to be logged once."""

CLOCK_MODULES = frozenset({"tallybook.core.clock", "tallybook.client.clock"})
"""The house's clock, and that of the client, which may import nothing of the house."""

WALL_CLOCK = frozenset(
    {
        ("datetime", "now"),
        ("datetime", "utcnow"),
        ("datetime", "today"),
        ("date", "today"),
        ("time", "time"),
        ("time", "time_ns"),
    }
)

MONTH_OR_YEAR_DAYS = frozenset({28, 29, 30, 31, 360, 365, 366})
DAY_LENGTHS = frozenset({24, 1_440, 86_400, 86_400_000, 86_400_000_000, 86_400_000_000_000})
DAY_LENGTH_NAMES = frozenset({"DAY", "DAYS", "DAY_S", "DAY_MS", "DAY_US", "DAY_NS", "SECONDS_PER_DAY", "US_PER_DAY"})
MONTH_OR_YEAR_LENGTHS = frozenset(
    days * unit for days in MONTH_OR_YEAR_DAYS for unit in (86_400, 86_400_000, 86_400_000_000)
)


def check_floats(house: House) -> Iterator[Violation]:
    """No float in core, flows and ledger, but in names that end in `_s`: how long a wait lasts."""
    for source in house.values():
        if source.room not in EXACT_ROOMS:
            continue
        for node in ast.walk(source.tree):
            what = _float_in(node, source)
            if what and not _about_seconds(node, source):
                yield source.violation(node, "float", f"{what} near usage or money; only a name in `_s` may be a float")


def check_wall_clock(house: House) -> Iterator[Violation]:
    """Only the clocks read the wall clock; everyone else is given a Clock or an instant."""
    for source in house.values():
        if source.module in CLOCK_MODULES:
            continue
        for node in ast.walk(source.tree):
            name = _wall_clock(node)
            if name:
                yield source.violation(node, "wall-clock", f"`{name}`; take the time as an argument or from a Clock")


def check_months(house: House) -> Iterator[Violation]:
    """A month is never 30 days, nor a year 365; a span of days that is meant says `# days: reason`."""
    for source in house.values():
        for node in ast.walk(source.tree):
            if _is_month(node) and not source.says("days", getattr(node, "lineno", 1)):
                message = "a month or year as a number of days; use the calendar, or say `# days: reason`"
                yield source.violation(node, "month", message)


def check_broad_except(house: House) -> Iterator[Violation]:
    """Everything is caught only at the edges: web, cli, files with `# edge: reason`. Tidy up and `raise` is fine."""
    for source in house.values():
        if source.room in EDGE_ROOMS or source.says("edge"):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_on(node):
                message = "catches everything; only an edge may, and it says `# edge: reason`"
                yield source.violation(node, "broad-except", message)


RULES = (check_floats, check_wall_clock, check_months, check_broad_except)


def _float_in(node: ast.AST, source: Source) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        return f"float literal `{node.value}`"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
        return "`float(...)`"
    if isinstance(node, ast.Name) and node.id == "float" and _in_annotation(node, source):
        return "annotation `float`"
    return ""


def _in_annotation(node: ast.AST, source: Source) -> bool:
    below = node
    for up in source.ancestors(node):
        if below in (getattr(up, "annotation", None), getattr(up, "returns", None)):
            return True
        if isinstance(up, ast.stmt):
            return False
        below = up
    return False


def _about_seconds(node: ast.AST, source: Source) -> bool:
    """Whether the nearest thing around *node* that has a name is named in seconds."""
    below = node
    for up in source.ancestors(node):
        names = _names_around(up, below)
        if names is not None:
            return _seconds(names)
        below = up
    return False


def _names_around(up: ast.AST, below: ast.AST) -> list[str] | None:
    """The names that *up* gives to its part *below*, or None if *up* names nothing."""
    if isinstance(up, ast.arg):
        return [up.arg]
    if isinstance(up, ast.keyword):
        return [up.arg or ""]
    if isinstance(up, ast.arguments):
        return _names_of_default(up, below)
    if isinstance(up, ast.FunctionDef | ast.AsyncFunctionDef):
        return [up.name]
    if isinstance(up, ast.Compare | ast.BinOp | ast.AnnAssign | ast.Assign | ast.AugAssign | ast.Return):
        parts = ast.walk(up.target) if isinstance(up, ast.AnnAssign) else ast.walk(up)
        named = [_name(part) for part in parts if isinstance(part, ast.Name | ast.Attribute)]
        return None if isinstance(up, ast.Compare | ast.BinOp | ast.Return) and not _seconds(named) else named
    return [] if isinstance(up, ast.stmt) else None


def _names_of_default(arguments: ast.arguments, below: ast.AST) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    pairs = [*zip(with_default, arguments.defaults, strict=True)]
    pairs += [(arg, value) for arg, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value]
    return [arg.arg for arg, value in pairs if value is below]


def _seconds(names: list[str]) -> bool:
    return any(name.lower().endswith("_s") for name in names)


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _wall_clock(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute) and (_name(node.value), node.attr) in WALL_CLOCK:
        return f"{_name(node.value)}.{node.attr}"
    if isinstance(node, ast.ImportFrom) and node.module == "time":
        return next((f"time.{alias.name}" for alias in node.names if ("time", alias.name) in WALL_CLOCK), "")
    return ""


def _is_month(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int and node.value in MONTH_OR_YEAR_LENGTHS
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        factors = list(_factors(node))
        values = [factor.value for factor in factors if isinstance(factor, ast.Constant)]
        of_a_day = any(value in DAY_LENGTHS for value in values)
        named = any(_name(factor).lstrip("_") in DAY_LENGTH_NAMES for factor in factors)
        return (of_a_day or named) and any(value in MONTH_OR_YEAR_DAYS for value in values)
    if isinstance(node, ast.Call) and _name(node.func) == "timedelta":
        days = [keyword.value for keyword in node.keywords if keyword.arg == "days"] + node.args[:1]
        return any(isinstance(value, ast.Constant) and value.value in MONTH_OR_YEAR_DAYS for value in days)
    return False


def _factors(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _factors(node.left)
        yield from _factors(node.right)
    else:
        yield node


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_name(kind) in {"Exception", "BaseException"} for kind in kinds)


def _raises_on(handler: ast.ExceptHandler) -> bool:
    """Whether the handler ends by passing on what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
