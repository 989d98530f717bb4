"""All commands as one program: every expected failure is one line on stderr and an exit code, never a traceback."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from tallybook.cli.accounts import accounts
from tallybook.cli.demo import demo
from tallybook.cli.get import get
from tallybook.cli.import_ import import_
from tallybook.cli.invoices import invoices
from tallybook.cli.keys import keys
from tallybook.cli.meters import meters
from tallybook.cli.outcome import Exit, complain
from tallybook.cli.plans import plans
from tallybook.cli.serve import serve
from tallybook.cli.version import version
from tallybook.core.errors import TallybookError, Unavailable

app = typer.Typer(
    name="tallybook",
    help="The book of record for usage: exact metering, limits, cost and alerts, self-hosted.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    """Take the options that stand before any command."""
    del show_version  # answered by its callback


app.command()(serve)
app.command()(demo)
app.command("import")(import_)
app.command()(get)
app.add_typer(keys, name="keys")
app.add_typer(accounts, name="accounts")
app.add_typer(meters, name="meters")
app.add_typer(plans, name="plans")
app.add_typer(invoices, name="invoices")
app.command()(version)

_ADVICE = {
    "disk is full": "; free some space and start again, nothing is lost",
    "disk I/O error": "; look at the disk and the space left on it",
    "not a database": "; restore the ledger from a backup, or use another directory",
    "malformed": "; restore the ledger from a backup, or use another directory",
    "readonly": "; make the files of the data directory writable",
    "locked": "; another process writes, try again",
    "Connection refused": "; is the database server running, and the URL right?",
}
"""What helps against the causes that stores give."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    command = typer.main.get_command(app)
    try:
        ended = command.main(
            args=None if arguments is None else list(arguments), prog_name="tallybook", standalone_mode=False
        )
    except TallybookError as error:
        complain(_in_one_line(error))
        return Exit.FAILED
    except typer.TyperException as error:
        return _misused(error)
    except (typer.Abort, KeyboardInterrupt):
        complain("interrupted")
        return Exit.INTERRUPTED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        complain(f"{place}{error.strerror or error}")
        return Exit.FAILED
    return ended if isinstance(ended, int) else Exit.OK


def _in_one_line(error: TallybookError) -> str:
    """Return the message with the place it is about, and for an operator the cause and what helps against it."""
    place = (error.pointer or error.parameter or "").lstrip("/")
    message = f"{place}: {error.message}" if place and place not in error.message else error.message
    cause = error.detail.get("cause")
    if isinstance(error, Unavailable) and isinstance(cause, str):
        first = cause.strip().splitlines()[0] if cause.strip() else "no reason given"
        help_ = next((advice for words, advice in _ADVICE.items() if words in cause), "")
        message = f"{message}: {first}{help_}"
    return message


def _misused(error: typer.TyperException) -> int:
    """Answer a command line that is wrong; without any command, the help is the answer."""
    context = getattr(error, "ctx", None)
    message = error.format_message().strip()
    if "\n" in message:
        print(message, file=sys.stderr)
    else:
        path = context.command_path if context is not None else "tallybook"
        complain(f"{message.rstrip('.')}; see {path} --help")
    return Exit.USAGE
