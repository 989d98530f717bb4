"""The house rules, read from the syntax tree: what a source file is, what a violation is, and the list of all rules.

Not the rules themselves: those are in `house_doors`, `house_shape` and `house_exactness`.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "tallybook"


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One place where the code leaves the house rules."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: [{self.rule}] {self.message}"


@dataclass(frozen=True)
class Source:
    """One parsed file of the package."""

    path: Path
    shown: str
    """The path as messages show it."""
    module: str
    """The dotted name, such as `tallybook.core.window`; a package has the name of its folder."""
    is_package: bool
    lines: tuple[str, ...]
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        """The dotted name below the package: `("core", "window")`."""
        return tuple(self.module.split(".")[1:])

    @property
    def room(self) -> str:
        """The folder right below the package, or the file's own name, or nothing for the package itself."""
        return self.parts[0] if self.parts else ""

    @property
    def is_migration(self) -> bool:
        """Whether Alembic runs this file, by its own conventions."""
        return "migrations" in self.parts

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Each node's parent."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parent of *node*, then its parent, up to the module."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def says(self, word: str, line: int | None = None) -> bool:
        """Whether a comment `# word: reason` stands on *line* or alone on the line above; anywhere, without a line."""
        comment = re.compile(rf"#\s*{re.escape(word)}:\s*\S")
        if line is None:
            return any(comment.search(text) for text in self.lines)
        above = self.lines[line - 2].strip() if line >= 2 else ""
        return bool(comment.search(self.lines[line - 1]) or (above.startswith("#") and comment.search(above)))

    def violation(self, node: ast.AST | int, rule: str, message: str) -> Violation:
        """Make a violation that points at *node* (or at a line)."""
        line = node if isinstance(node, int) else getattr(node, "lineno", 1)
        return Violation(path=self.shown, line=line, rule=rule, message=message)


House = dict[str, Source]
"""All sources by dotted name."""

Rule = Callable[[House], Iterable[Violation]]


def read_house(src: Path) -> House:
    """Parse every file of the package below *src*; an absent package is an empty house."""
    sources = (read_source(path, src) for path in sorted((src / PACKAGE).rglob("*.py")))
    return {source.module: source for source in sources}


def read_source(path: Path, src: Path) -> Source:
    """Parse one file; *src* is the folder that holds the package."""
    text = path.read_text(encoding="utf-8")
    names = path.relative_to(src).with_suffix("").parts
    is_package = names[-1] == "__init__"
    return Source(
        path=path,
        shown=str(path.relative_to(src.parent)),
        module=".".join(names[:-1] if is_package else names),
        is_package=is_package,
        lines=tuple(text.splitlines()),
        tree=ast.parse(text, filename=str(path)),
    )


def violations(house: House, rules: Iterable[Rule]) -> list[Violation]:
    """Return what *rules* find in *house*, in the order of files and lines."""
    return sorted({found for rule in rules for found in rule(house)})


def report(found: Iterable[Violation]) -> str:
    """Write one line for each violation."""
    return "\n".join(str(violation) for violation in found)
