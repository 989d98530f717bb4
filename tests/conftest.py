"""What every test may ask for, and how a run tells what it left out."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tallybook.ledger import recent
from tests.support.postgres import PostgresServer
from tests.support.suites import LEFT_OUT, SUITES, in_ci

POSTGRES_FIXTURES = {"postgres_server", "postgres_url"}

settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if in_ci() else "dev"))


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let so few rows lie in `recent` that what a test writes is partly there and partly in the rollups."""
    for name, bound in {"ROWS_MAX": 40, "ACCOUNT_ROWS_MAX": 9, "MOVED_MIN": 5}.items():
        monkeypatch.setattr(recent, name, bound)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole session (one for each worker, when several run)."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy URL of a fresh, empty PostgreSQL database."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its suite, leave out the suites that cannot run here, and begin with what takes long."""
    missing = {suite.name: suite.missing() for suite in SUITES}
    for item in items:
        if POSTGRES_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.postgres)
        for name, reason in missing.items():
            if name in Path(item.path).parts or item.get_closest_marker(name):
                item.add_marker(name)
                if reason:
                    item.add_marker(pytest.mark.skip(reason=reason))
    # Or one core would wait at the end for the other's last test; all others stay in the order they came in.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a skip is a failure: what was not run was not proved."""
    report = yield
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI=true allows no skip: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which suites were left out, and how to have them."""
    counts: dict[str, int] = {}
    for report in terminalreporter.getreports("skipped"):
        _, _, reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else "").partition(LEFT_OUT)
        if reason:
            counts[reason] = counts.get(reason, 0) + 1
    if counts:
        terminalreporter.section("left out", yellow=True)
        for reason, count in sorted(counts.items()):
            terminalreporter.line(f"{count} tests of {reason}")
