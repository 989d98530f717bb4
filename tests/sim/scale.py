"""How long the simulations run: as an ordinary test, or with ``SIM_SCALE=full`` until they are to be believed."""

import os
from typing import TypeVar

FULL = os.environ.get("SIM_SCALE") == "full"
_T = TypeVar("_T")


def scaled(ordinary: _T, full: _T) -> _T:
    """Return what this run asks for."""
    return full if FULL else ordinary
