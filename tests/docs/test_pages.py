"""Every page: links lead somewhere, examples can be read, and nothing of anybody's machine stands on it."""

import json
import re
import tomllib

import pytest

from tests.docs.pages import PAGES, ROOT, anchor, blocks, headings, links

SHIPPED = [page for page in PAGES if "tests" not in page.relative_to(ROOT).parts]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

REGISTRIES = re.compile(
    r"\b(pypi\.|pythonhosted|npmjs|registry\.|crates\.io|proxy\.golang|docker\.io|ghcr\.)|--(extra-)?index-url"
)
MACHINES = re.compile(r"(?<![\w.])/(home|root|work|Users|tmp)/")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_relative_links_lead_to_a_file_and_a_heading(page):
    """
    A link to a page or a part of it that is gone fails here.
    """
    for target in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, part = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{target}: no such file"
        assert found.is_relative_to(ROOT), f"{target}: outside of the repository"
        if part:
            assert part in map(anchor, headings(found.read_text(encoding="utf-8"))), f"{target}: no such heading"


def test_every_page_is_on_the_map():
    """
    docs/README.md links every page of docs, and decisions/README.md every decision.
    """
    for folder, pages in (
        (ROOT / "docs", [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "dialects").glob("*.md")]),
        (ROOT / "docs" / "decisions", (ROOT / "docs" / "decisions").glob("*.md")),
    ):
        index = folder / "README.md"
        linked = {(folder / target).resolve() for target in links(index.read_text(encoding="utf-8"))}
        assert set() == {page for page in pages if page != index} - linked


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_a_page_has_one_title(page):
    """
    The title is the first line.
    """
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert 1 == len(headings(text, 1))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_can_be_read(page):
    """
    JSON is JSON (one document, or one a line), TOML is TOML, Python is Python.
    """
    text = page.read_text(encoding="utf-8")
    for block in blocks(text, "json"):
        try:
            json.loads(block.text)
        except ValueError:
            for line in block.text.splitlines():
                json.loads(line)
    for block in blocks(text, "toml"):
        tomllib.loads(block.text)
    for block in blocks(text, "python"):
        compile(block.text, str(page), "exec")


@pytest.mark.parametrize("page", SHIPPED, ids=[str(page.relative_to(ROOT)) for page in SHIPPED])
def test_no_page_names_a_registry_or_a_folder_of_somebodys_machine(page):
    """
    Where packages come from is the reader's business.
    """
    text = page.read_text(encoding="utf-8")
    assert None is REGISTRIES.search(text)
    assert None is MACHINES.search(text)
