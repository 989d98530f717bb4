"""The program as a whole: help, exit codes, and errors in one line."""

import re
from pathlib import Path

import pytest
import typer

from tallybook import __version__
from tallybook.cli.app import app

DOCS = Path(__file__).parent.parent.parent / "docs" / "cli.md"


def commands(command=None, path=()):
    """Yield (path, command) of every command that does something."""
    command = command or typer.main.get_command(app)
    inner = getattr(command, "commands", None)
    if inner is None:
        yield " ".join(path), command
        return
    for name, child in inner.items():
        yield from commands(child, (*path, name))


COMMANDS = dict(commands())


def test_version_is_the_package_version(run):
    """
    For people and for programs.
    """
    assert f"tallybook {__version__}\n" == run("version").out
    assert f"tallybook {__version__}\n" == run("--version").out
    assert {"version": __version__} == run("version", "--json").json


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(run, name):
    """
    Help says what the command does and shows one way to use it.
    """
    ended = run(*name.split(), "--help")
    assert 0 == ended.code
    assert f"Example: tallybook {name}" in re.sub(r"\s+", " ", ended.out)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    """
    docs/cli.md has a heading for each command, and names each of its options below it.
    """
    text = DOCS.read_text("utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    section = next((part for part in sections if part.startswith(f"tallybook {name}\n")), None)
    assert section is not None, f"no heading for {name}"
    assert f"\ntallybook {name}" in section
    shared = next(part for part in sections if part.startswith("Options that most commands have\n"))
    for parameter in COMMANDS[name].params:
        for option in parameter.opts:
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in section or f"`{option}" in shared, f"{name} {option}"


def test_every_exit_code_is_documented():
    """
    The codes are a promise to scripts.
    """
    text = DOCS.read_text("utf-8")
    for code in ("0", "1", "2", "3", "130"):
        assert re.search(rf"^\| {code} \|", text, flags=re.MULTILINE)


def test_without_a_command_the_help_is_the_answer(run):
    """
    And the exit code says that nothing was done.
    """
    ended = run()
    assert 2 == ended.code
    assert "Commands:" in ended.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["count"], "count"),
        (["import"], "FILE"),
        (["import", "a.csv", "--nope"], "--nope"),
        (["serve", "--port", "99999"], "65535"),
        (["serve", "--port", "http"], "--port"),
        (["import", "a.csv", "--format", "xml"], "xml"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(run, arguments, word):
    """
    It names what is wrong and where the help is.
    """
    ended = run(*arguments)
    assert 2 == ended.code
    assert word in ended.error
    assert "--help" in ended.error


def test_a_data_directory_and_a_server_at_once_are_refused(run):
    """
    One of the two would be ignored in silence.
    """
    ended = run("accounts", "list", "--data", "x", "--url", "http://127.0.0.1:1")
    assert 1 == ended.code
    assert "not both" in ended.error
