"""The suites that need more than Python: what each needs, and whether it is here.

A suite is every test that carries its marker or lies in a folder of its name. To add one, add a line to SUITES and its
marker to pyproject.toml. Where something is missing, the suite is left out and the run says so; with CI=true a skip is
a failure.
"""

import os
import shutil
from dataclasses import dataclass

LEFT_OUT = "left out: "
"""How the reason of such a skip begins."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A group of tests that needs a program which cannot come with the Python packages."""

    name: str
    programs: tuple[str, ...]
    """Any of these on the PATH will do."""
    hint: str
    """What to do to have it."""

    def missing(self) -> str:
        """Return why the suite cannot run here, or nothing if it can."""
        if any(shutil.which(program) for program in self.programs):
            return ""
        return f"{LEFT_OUT}{self.name} (no {' or '.join(self.programs)} on the PATH; {self.hint})"


SUITES = (
    Suite("browser", ("chromium", "chromium-browser", "google-chrome"), "scripts/system-deps installs it on Debian"),
    Suite("node", ("node",), "scripts/system-deps installs it on Debian, with npm"),
    Suite("clickhouse", ("clickhouse", "clickhouse-server"), "install a ClickHouse server"),
)


def in_ci() -> bool:
    """Whether a machine reads the result: then nothing may be left out."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}
