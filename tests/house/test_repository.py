"""The repository's own promises: locked with hashes, no address of a registry, every ignore with its reason."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_a_version_and_hashes(lock: Path) -> None:
    """A lock names one exact version and at least one hash for each package."""
    for block in re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8").strip()):
        assert re.match(r"[a-z0-9-]+(\[[a-z,]+\])?==\S+", block), block
        assert "--hash=sha256:" in block, block


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").iterdir()), ids=lambda path: path.name)
def test_requirements_name_no_host_and_no_folder(path: Path) -> None:
    """Where packages come from is the machine's business, not ours."""
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|^-[if] ", text, re.MULTILINE)


def test_the_locks_agree() -> None:
    """What runs in the tests is what runs in production: the same versions in every lock."""
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", lock.read_text("utf-8"), re.MULTILINE):
            pins.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}


def test_every_ruff_ignore_has_its_reason() -> None:
    """An ignore without a reason is a rule nobody decided on."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    codes = [*lint["ignore"], *(code for codes in lint["per-file-ignores"].values() for code in codes)]
    bare = [code for code in codes if not re.search(rf'"{code}",? +# \S+ \S+', text)]
    assert bare == []


def test_the_version_is_told_once() -> None:
    """The package and its metadata agree, as soon as the package tells a version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = ROOT / "src" / "tallybook" / "__init__.py"
    told = re.findall(
        r'^__version__ = "(.+)"$', package.read_text(encoding="utf-8") if package.exists() else "", re.MULTILINE
    )
    assert set(told) <= {project["version"]}
