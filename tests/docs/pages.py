"""The Markdown of this repository as tests read it: its files, their code blocks, headings and links.

Not a Markdown parser: it knows the few forms that our pages use.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")])

_BLOCK = re.compile(r"^```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^()\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    language: str
    text: str


def read(name: str) -> str:
    """Return the text of a page, named from the root of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, *languages: str) -> list[Block]:
    """Return the code blocks of a page in one of *languages*, or all of them."""
    found = [Block(match["language"], match["text"]) for match in _BLOCK.finditer(text)]
    return [block for block in found if not languages or block.language in languages]


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return _BLOCK.sub("", text)


def headings(text: str, level: int | None = None) -> list[str]:
    """Return a page's headings, of one level or of all."""
    found = _HEADING.findall(prose(text))
    return [title for marks, title in found if level is None or len(marks) == level]


def section(text: str, title: str) -> str:
    """Return what stands below a heading, up to the next one of its level or above."""
    start = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert start is not None, f"no heading {title}"
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE).search(text, start.end())
    return text[start.end() : end.start() if end else len(text)]


def links(text: str) -> Iterator[str]:
    """Yield the target of every link in a page's prose."""
    for match in _LINK.finditer(prose(text)):
        yield match["target"]


def anchor(title: str) -> str:
    """Return the anchor that a heading gets on the pages where people read us."""
    words = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda match: match[1] or "", title).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
