"""`tallybook version`: which release this is."""

from tallybook import __version__
from tallybook.cli.options import AsJson
from tallybook.cli.outcome import print_json


def version(*, as_json: AsJson = False) -> None:
    """Print the version.

    Example: tallybook version
    """
    if as_json:
        print_json({"version": __version__})
    else:
        print(f"tallybook {__version__}")
