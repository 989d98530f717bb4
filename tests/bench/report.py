"""What was measured against what was wanted: lines while it runs, one table at the end, and the same as JSON."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS_VARIABLE = "BENCH_RESULTS"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, and its bar where it has one."""

    bench: str
    name: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False
    """Whether the bar is a floor; else it is a ceiling."""

    @property
    def verdict(self) -> str:
        """Say whether the bar is met."""
        if self.bar is None:
            return ""
        return "pass" if (self.value >= self.bar if self.at_least else self.value <= self.bar) else "FAIL"

    @property
    def wanted(self) -> str:
        """The bar, in words."""
        return "" if self.bar is None else f"{'>=' if self.at_least else '<='} {show(self.bar)}"


def show(value: float) -> str:
    """Return *value* with as many digits as are of use."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - this is a program


def print_table(figures: list[Figure]) -> None:
    """Print all figures that have a bar, and those that explain them."""
    rows = [("bench", "figure", "measured", "bar", "")]
    rows += [(f.bench, f.name, f"{show(f.value)} {f.unit}", f.wanted, f.verdict) for f in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    say("")
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def write_json(figures: list[Figure], folder: Path, scale: object) -> Path:
    """Write the figures beside the machine they were measured on."""
    file = Path(os.environ.get(RESULTS_VARIABLE) or folder / "results.json")
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    shown = [{**asdict(figure), "verdict": figure.verdict} for figure in figures]
    document = {"machine": machine, "scale": asdict(scale), "figures": shown}  # type: ignore[call-overload]
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return file
