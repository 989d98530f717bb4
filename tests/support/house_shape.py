"""Rules 2 to 4, shape: sizes, nesting, parameters, opening docstrings, what an `__init__` may hold, forbidden names.

Not about imports (see `house_doors`).
"""

import ast
from collections.abc import Iterator

from tests.support.house_rules import House, Source, Violation

FILE_LINES_MAX = 350
FUNCTION_LINES_MAX = 50
NESTING_MAX = 3
POSITIONAL_MAX = 5

NAMES_FORBIDDEN = frozenset({"common", "helper", "helpers", "manager", "misc", "service", "util", "utils"})
"""Names that say nothing."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


def check_file_lines(house: House) -> Iterator[Violation]:
    """A file has at most 350 lines."""
    for source in house.values():
        if len(source.lines) > FILE_LINES_MAX:
            message = f"{len(source.lines)} lines; a file has at most {FILE_LINES_MAX}"
            yield source.violation(FILE_LINES_MAX + 1, "file-lines", message)


def check_function_lines(house: House) -> Iterator[Violation]:
    """A function has at most 50 lines, its docstring not counted; a migration is a list and may be longer."""
    for source, function in _functions(house):
        count = _lines(function)
        if count > FUNCTION_LINES_MAX and not source.is_migration:
            message = f"`{function.name}` has {count} lines; a function has at most {FUNCTION_LINES_MAX}"
            yield source.violation(function, "function-lines", message)


def check_nesting(house: House) -> Iterator[Violation]:
    """Blocks nest at most 3 deep; `elif` and `case` add nothing."""
    for source, function in _functions(house):
        deepest, node = max(_depths(function), key=lambda found: found[0], default=(0, function))
        if deepest > NESTING_MAX:
            message = f"`{function.name}` nests {deepest} deep; at most {NESTING_MAX}"
            yield source.violation(node, "nesting", message)


def check_positional(house: House) -> Iterator[Violation]:
    """A function takes at most 5 parameters by position; the rest are keyword-only."""
    for source, function in _functions(house):
        names = [arg.arg for arg in [*function.args.posonlyargs, *function.args.args]]
        if names[:1] in (["self"], ["cls"]) and isinstance(source.parents[function], ast.ClassDef):
            names = names[1:]
        if len(names) > POSITIONAL_MAX:
            message = f"`{function.name}` takes {len(names)} positional parameters; at most {POSITIONAL_MAX}, then `*`"
            yield source.violation(function, "positional", message)


def check_docstring(house: House) -> Iterator[Violation]:
    """A file opens with a docstring that says what it is for."""
    for source in house.values():
        if not ast.get_docstring(source.tree):
            yield source.violation(
                1, "docstring", "the file must open with a docstring: what it is for, what it is not"
            )


def check_init(house: House) -> Iterator[Violation]:
    """An `__init__` holds names (imports, constants), not logic."""
    for source in house.values():
        if not source.is_package:
            continue
        for node in source.tree.body:
            if not _is_naming(node):
                yield source.violation(
                    node, "init", "`__init__` holds names, not logic; move this to a file of its own"
                )


def check_names(house: House) -> Iterator[Violation]:
    """A file is named after what it is about."""
    for source in house.values():
        name = source.parts[-1] if source.parts else ""
        if name in NAMES_FORBIDDEN:
            yield source.violation(1, "names", f"`{name}` says nothing; name the file after what it is about")


RULES = (
    check_file_lines,
    check_function_lines,
    check_nesting,
    check_positional,
    check_docstring,
    check_init,
    check_names,
)


def _functions(house: House) -> Iterator[tuple[Source, Function]]:
    for source in house.values():
        for node in ast.walk(source.tree):
            if isinstance(node, Function):
                yield source, node


def _lines(function: Function) -> int:
    count = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        count -= (first.end_lineno or first.lineno) - first.lineno + 1
    return count


def _depths(node: ast.AST, depth: int = 0) -> Iterator[tuple[int, ast.AST]]:
    """Yield each block below *node* with its depth, without entering functions defined inside."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(child, _BLOCKS) and not _is_elif(child, node):
            yield depth + 1, child
            yield from _depths(child, depth + 1)
        else:
            yield from _depths(child, depth)


def _is_elif(child: ast.AST, parent: ast.AST) -> bool:
    return isinstance(child, ast.If) and isinstance(parent, ast.If) and parent.orelse == [child]


def _is_naming(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING" and all(_is_naming(inner) for inner in node.body)
    if isinstance(node, ast.Assign | ast.AnnAssign):
        logic = (ast.Call, ast.Lambda, ast.IfExp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
        return not any(isinstance(inner, logic) for inner in ast.walk(node.value or node))
    return False
