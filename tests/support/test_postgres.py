"""The throw-away PostgreSQL is a real one, gives fresh databases, and survives being crashed."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.support.postgres import PostgresServer


def ask(url: str, statement: str) -> object:
    """Run one statement and return its single answer, if it has one."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        return result.scalar_one() if result.returns_rows else None


def test_it_is_postgresql_18(postgres_url: str) -> None:
    """The version is the one that DESIGN.md names."""
    assert str(ask(postgres_url, "SHOW server_version")).startswith("18.")


@pytest.mark.parametrize("_round", [1, 2])
def test_each_test_gets_an_empty_database(postgres_url: str, _round: int) -> None:
    """What one test creates, the next does not see."""
    assert ask(postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    ask(postgres_url, "CREATE TABLE leftover (x int)")


def test_a_template_is_copied_with_all_it_holds(postgres_server: PostgresServer) -> None:
    """A schema that was built once can be handed out many times."""
    template = postgres_server.create_database()
    ask(postgres_server.url(template), "CREATE TABLE kept AS SELECT 7 AS x")
    copies = [postgres_server.create_database(template) for _ in range(2)]
    assert [ask(postgres_server.url(copy), "SELECT x FROM kept") for copy in copies] == [7, 7]


def test_what_was_committed_survives_a_crash() -> None:
    """A server can be crashed and started again, for the tests of what we do then."""
    with PostgresServer() as server:
        url = server.url(server.create_database())
        ask(url, "CREATE TABLE kept AS SELECT 7 AS x")
        server.stop(immediately=True)
        server.start()
        assert ask(url, "SELECT x FROM kept") == 7
