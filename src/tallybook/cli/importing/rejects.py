"""The rejects file: every row and event that did not count, with its reason, as NDJSON that can be imported again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from tallybook.cli.importing.mapping import Event
from tallybook.core.errors import Unavailable

_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a row did not count: its *cells* (and *surplus* ones) if it was never mapped, else the *event* it became."""

    row: int
    code: str
    reason: str
    pointer: str = ""
    cells: Mapping[str, object] | None = None
    surplus: tuple[str, ...] = ()
    event: Event | None = None


class Rejects:
    """A rejects file that is made with the first reject."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, reject: Reject) -> None:
        """Add *reject* to the file.

        Raises:
            Unavailable: If the file cannot be written.
        """
        line: dict[str, object] = {"row": reject.row, "code": reject.code, "reason": reject.reason}
        if reject.pointer:
            line["pointer"] = reject.pointer
        if reject.event is not None:
            line["event"] = reject.event
        else:
            line["cells"] = dict(reject.cells or {})
            if reject.surplus:
                line["surplus"] = reject.surplus
        try:
            if self._file is None:
                self._file = self.path.open("wb")
            self._file.write(_encoder.encode(line) + b"\n")
        except OSError as error:
            raise Unavailable(
                f"the rejects file {self.path} cannot be written ({error.strerror}); name another with --rejects"
            ) from None
        self.count += 1
