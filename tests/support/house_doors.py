"""Rule 1, doors: who may import whom. Imports point only down, are absolute, make no cycle and stand at the top.

Not about what a file looks like inside (see `house_shape`).
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.house_rules import PACKAGE, House, Source, Violation

DOORS: dict[str, frozenset[str]] = {
    "core": frozenset({"core"}),
    "settings": frozenset({"core"}),
    "flows": frozenset({"core", "flows"}),
    "ledger": frozenset({"core", "ledger"}),
    "archive": frozenset({"core", "archive"}),
    "outside": frozenset({"core", "outside"}),
    "readers": frozenset({"core", "readers"}),
    "web": frozenset({"core", "flows", "web"}),
    "house": frozenset({"house", "core", "settings", "flows", "ledger", "archive", "outside", "readers", "web"}),
    "cli": frozenset({"core", "flows", "settings", "house", "cli"}),
    "client": frozenset({"client"}),
    "__main__": frozenset({"cli"}),
}
"""Which rooms each room may import. `house` is the only one that knows them all; the command line starts the house."""

CORE_ORDER = (
    "errors",
    "ids",
    "fields",
    "changes",
    "clock",
    "number",
    "instant",
    "window",
    "cover",
    "period",
    "key",
    "vitals",
    "session",
    "identity",
    "claims",
    "event",
    "aggregate",
    "meter",
    "catalogue",
    "shape",
    "resource",
    "form",
    "usual",
    "scheme",
    "pending",
    "limit",
    "currency",
    "rate",
    "price",
    "card",
    "pricelist",
    "sums",
    "view",
    "tasks",
    "figures",
    "story",
    "threshold",
    "plan",
    "allowance",
    "arrears",
    "hold",
    "lease",
    "folding",
    "bundle",
    "reading",
    "demand",
    "settle",
    "message",
    "egress",
    "delivery",
    "delivery_log",
    "bill",
    "reckon",
    "forecast",
    "invoice",
    "invoice_lines",
    "alert",
    "crossing",
    "rules",
    "channel",
    "message_types",
    "ports",
    "intake",
    "recall",
    "standing",
    "desk",
    "watch",
    "gauge",
)
"""A file of core imports only files that stand before it here."""

CORE_LIBRARIES = frozenset({"msgspec"})

CORE_FORBIDDEN = frozenset({"asyncio", "http", "multiprocessing", "select", "socket", "sqlite3", "ssl", "subprocess"})
"""Parts of the standard library that do I/O: core is pure."""

CLIENT_LIBRARIES = frozenset({"httpx", "msgspec"})
"""What the client needs beside the standard library: so little that it could be shipped alone."""

_DATABASES = frozenset({"alembic", "duckdb", "psycopg", "pysqlite3", "sqlalchemy", "sqlite3"})
_SERVERS = frozenset({"uvicorn", "starlette"})

LIBRARIES_FORBIDDEN: dict[str, frozenset[str]] = {
    "flows": _DATABASES | _SERVERS | {"httpx"},
    "web": _DATABASES,
    "ledger": _SERVERS | {"httpx"},
    "archive": _SERVERS,
    "outside": _SERVERS | _DATABASES,
    "settings": _SERVERS | _DATABASES | {"httpx"},
}


@dataclass(frozen=True, slots=True)
class Door:
    """One import of ours: the node that does it and the module it reaches."""

    node: ast.stmt
    target: str


def check_rooms(house: House) -> Iterator[Violation]:
    """A room imports only the rooms below it."""
    for source in house.values():
        allowed = DOORS.get(source.room, frozenset()) if source.room else frozenset()
        if source.room and source.room not in DOORS:
            yield source.violation(1, "doors", f"`{source.room}` is no room of the house; rooms: {', '.join(DOORS)}")
            continue
        for door in doors(source, house):
            room = _room(door.target)
            if room and room not in allowed:
                yield source.violation(
                    door.node,
                    "doors",
                    f"`{source.room or PACKAGE}` imports `{door.target}`; it may import only: {_listed(allowed)}",
                )


def check_core_order(house: House) -> Iterator[Violation]:
    """Inside core, a file imports only files that stand before it in the list."""
    for source in house.values():
        if source.room != "core" or len(source.parts) < 2:
            continue
        own = source.parts[1]
        if own not in CORE_ORDER:
            yield source.violation(1, "core-order", f"`{own}` is not in the list of core; give it its place there")
            continue
        before = CORE_ORDER[: CORE_ORDER.index(own)]
        for door in doors(source, house):
            unit = _unit(door.target, "core")
            if unit is None or unit == own or unit in before:
                continue
            name = f"`{unit}`, which does not stand before it" if unit else "the room, where it should name a file"
            yield source.violation(door.node, "core-order", f"`core.{own}` imports {name}")


def check_neighbours(house: House) -> Iterator[Violation]:
    """Flows never import one another, and no dialect imports another."""
    for source in house.values():
        for shelf, noun in (("flows", "flow"), ("web.dialects", "dialect")):
            own = _unit(source.module, shelf)
            if not own:
                continue
            for door in doors(source, house):
                unit = _unit(door.target, shelf)
                if unit is not None and unit != own:
                    message = f"{noun} `{own}` imports {noun} `{unit or 'registry'}`; neighbours never meet"
                    yield source.violation(door.node, "neighbours", message)


def check_libraries(house: House) -> Iterator[Violation]:
    """Core knows the standard library and msgspec; other rooms do not know what is not theirs."""
    for source in house.values():
        for node in imports(source):
            for library in _libraries(node):
                if source.room == "core" and library in CORE_FORBIDDEN:
                    yield source.violation(node, "libraries", f"core is pure; `{library}` does I/O")
                elif source.room == "core" and library not in CORE_LIBRARIES | sys.stdlib_module_names:
                    yield source.violation(
                        node, "libraries", f"core may import the stdlib and msgspec, not `{library}`"
                    )
                elif source.room == "client" and library not in CLIENT_LIBRARIES | sys.stdlib_module_names:
                    yield source.violation(
                        node, "libraries", f"the client may import the stdlib, httpx and msgspec, not `{library}`"
                    )
                elif library in LIBRARIES_FORBIDDEN.get(source.room, frozenset()):
                    yield source.violation(node, "libraries", f"`{source.room}` may not import `{library}`")


def check_absolute(house: House) -> Iterator[Violation]:
    """Imports are absolute."""
    for source in house.values():
        for node in imports(source):
            if isinstance(node, ast.ImportFrom) and node.level:
                yield source.violation(node, "absolute", "relative import; write the full name")


def check_top(house: House) -> Iterator[Violation]:
    """No import inside a function, unless it says why: `# late import: reason`."""
    for source in house.values():
        for node in imports(source):
            inside = any(isinstance(up, ast.FunctionDef | ast.AsyncFunctionDef) for up in source.ancestors(node))
            if inside and not any(source.says("late import", line) for line in (node.lineno, _run_start(node, source))):
                message = "import inside a function; move it up, or say `# late import: reason`"
                yield source.violation(node, "late-import", message)


def check_cycles(house: House) -> Iterator[Violation]:
    """No file imports itself through others (imports for types and late imports count as well)."""
    graph = {name: {door.target: door.node for door in doors(source, house)} for name, source in house.items()}
    for start in graph:
        path = _path_back(start, graph)
        if path and start == min(path):
            yield house[start].violation(graph[start][path[1]], "cycle", f"import cycle: {' -> '.join(path)}")


RULES = (
    check_rooms,
    check_core_order,
    check_neighbours,
    check_libraries,
    check_absolute,
    check_top,
    check_cycles,
)


def imports(source: Source) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield every import statement of the file, wherever it stands."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def doors(source: Source, house: House) -> Iterator[Door]:
    """Yield each import of ours, resolved to the module it really reaches."""
    for node in imports(source):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        else:
            base = _base(node, source)
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in house else base for alias in node.names]
        for target in dict.fromkeys(targets):
            if target == PACKAGE or target.startswith(f"{PACKAGE}."):
                yield Door(node, target)


def _run_start(node: ast.Import | ast.ImportFrom, source: Source) -> int:
    """The line of the first of the imports that stand together with *node*: one comment above serves them all."""
    body = [up for up in ast.iter_child_nodes(source.parents[node]) if isinstance(up, ast.stmt)]
    place = body.index(node)
    while place and isinstance(body[place - 1], ast.Import | ast.ImportFrom):
        place -= 1
    return body[place].lineno


def _base(node: ast.ImportFrom, source: Source) -> str:
    if not node.level:
        return node.module or ""
    package = source.module.split(".")
    keep = len(package) - node.level + (1 if source.is_package else 0)
    return ".".join([*package[:keep], *([node.module] if node.module else [])])


def _libraries(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names} - {PACKAGE}
    return set() if node.level or not node.module else {node.module.split(".")[0]} - {PACKAGE}


def _room(module: str) -> str:
    return [*module.split("."), ""][1]


def _unit(module: str, shelf: str) -> str | None:
    """The file or folder right below *shelf* that *module* belongs to; "" for the shelf itself, None elsewhere."""
    prefix = f"{PACKAGE}.{shelf}"
    if module == prefix:
        return ""
    return module[len(prefix) + 1 :].split(".", maxsplit=1)[0] if module.startswith(f"{prefix}.") else None


def _listed(rooms: frozenset[str]) -> str:
    return ", ".join(sorted(rooms)) or "nothing of ours"


def _path_back(start: str, graph: dict[str, dict[str, ast.stmt]]) -> list[str]:
    """Return a shortest way from *start* to itself, both ends included, or nothing."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for target in graph.get(way[-1], {}):
            if target == start:
                return [*way, start]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []
