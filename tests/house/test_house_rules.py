"""The source keeps the house rules of STYLE.md, and each rule is proved able to fail."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.house.toys import NO_DOCSTRING, SOUND, TOYS, Toy
from tests.support import house_doors, house_exactness, house_shape
from tests.support.house_rules import PACKAGE, House, Rule, read_house, report, violations

ROOT = Path(__file__).resolve().parents[2]
RULES = (*house_doors.RULES, *house_shape.RULES, *house_exactness.RULES)


def build(tmp_path: Path, files: Mapping[str, str]) -> Path:
    """Write *files* as a package below tmp_path/src and return that src."""
    src = tmp_path / "src"
    for name, code in files.items():
        path = src / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    return src


@pytest.fixture(scope="module")
def our_house() -> House:
    """Every file of ours, parsed once for all rules."""
    return read_house(ROOT / "src")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__.removeprefix("check_"))
def test_the_source_keeps_the_rule(rule: Rule, our_house: House) -> None:
    """No file of ours breaks this rule; the message lists every place that does."""
    found = violations(our_house, [rule])
    assert not found, f"\n{report(found)}"


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: f"{toy.rule}: {toy.why}")
def test_a_broken_house_is_caught(toy: Toy, tmp_path: Path) -> None:
    """Each toy tree breaks its rule, at the place the message names, and breaks no other."""
    found = violations(read_house(build(tmp_path, toy.files)), RULES)
    assert (f"src/{PACKAGE}/{toy.file}", toy.line) in {(one.path, one.line) for one in found}, report(found)
    also_fair = {"absolute", "doors"} if toy.why == "relative as well" else {toy.rule}
    assert {one.rule for one in found} == also_fair, report(found)
    assert str(found[0]).startswith(f"src/{PACKAGE}/")


def test_a_missing_docstring_is_caught(tmp_path: Path) -> None:
    """A file that opens with code is named."""
    found = violations(read_house(build(tmp_path, NO_DOCSTRING)), RULES)
    assert [(one.rule, one.line) for one in found] == [("docstring", 1)]


def test_every_rule_has_a_toy_that_breaks_it(tmp_path: Path) -> None:
    """A rule that nothing can break would prove nothing."""
    able = set()
    for number, files in enumerate([*(toy.files for toy in TOYS), NO_DOCSTRING]):
        house = read_house(build(tmp_path / str(number), files))
        able |= {rule for rule in RULES if any(rule(house))}
    assert able == set(RULES)


def test_a_sound_house_passes(tmp_path: Path) -> None:
    """What the rules allow, they let through, up to the very bound."""
    assert report(violations(read_house(build(tmp_path, SOUND)), RULES)) == ""


def test_an_empty_house_passes(tmp_path: Path) -> None:
    """No source, no violation."""
    assert violations(read_house(tmp_path / "src"), RULES) == []
