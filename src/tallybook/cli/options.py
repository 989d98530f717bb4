"""The options that commands share, and the settings they make together with the file and the environment."""

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer

from tallybook.core.errors import Invalid
from tallybook.settings import Settings, load_settings

DataDir = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Data directory [default: tallybook-data]")]
LedgerUrl = Annotated[
    str | None, typer.Option("--ledger", metavar="URL", help="Ledger elsewhere, such as postgresql://HOST/DB")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", envvar="TALLYBOOK_CONFIG", help="Settings in TOML")
]
ServerUrl = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", envvar="TALLYBOOK_URL", help="Ask a running server, not a data directory"),
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", envvar="TALLYBOOK_KEY", help="The key to ask with; safer in TALLYBOOK_KEY"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read")]


def check_place(data: Path | None, ledger: str | None, url: str | None) -> None:
    """Refuse options that name a data directory and a server at once.

    Raises:
        Invalid: Saying what to do.
    """
    if url is not None and (data is not None or ledger is not None):
        raise Invalid("work on a data directory (--data, --ledger) or ask a server (--url, TALLYBOOK_URL), not both")


def read_settings(config: Path | None, overrides: Mapping[str, object]) -> Settings:
    """Return the settings of *config* and the environment, with the options that were given over them.

    Raises:
        StartRefused: If a setting is unknown or wrong.
    """
    settings = load_settings(config, os.environ)
    known = {item.name for item in fields(Settings)}
    given = {name: value for name, value in overrides.items() if value is not None}
    assert given.keys() <= known  # an option that sets nothing is a bug
    return replace(settings, **given)  # type: ignore[arg-type]  # options have the types of their settings
