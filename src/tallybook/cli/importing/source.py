"""Opening a file to import: plain, gzip or zstd by its first bytes, read as a stream of bounded memory.

Not for what the bytes mean (see `rows`).
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import zstandard

from tallybook.core.errors import Invalid, NotFound

CHUNK_BYTES = 1024 * 1024
ZSTD_INPUT_BYTES = 1024
"""How much compressed input is unpacked at a time: at zstd's worst (a run of one byte) that is 32 MiB of output."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
DIGEST_CHARS = 16


class SourceDamaged(Invalid):
    """The file cannot be read to its end."""

    code = "file-damaged"


@dataclass(frozen=True, slots=True)
class Source:
    """An open file: its unpacked bytes, and how far its packed ones have been read."""

    stream: BinaryIO
    packed: BinaryIO

    @property
    def position_bytes(self) -> int:
        """How much of the file itself has been read, for progress."""
        return self.packed.tell()


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open *path*, whatever it is packed with.

    Raises:
        NotFound: If there is no such file.
        SourceDamaged: If it cannot be read, or ends in the middle of its compression.
    """
    try:
        # A large buffer: each read of the file lets other threads run, and waits for them before it goes on.
        with path.open("rb", buffering=CHUNK_BYTES) as packed:
            yield Source(_unpacked(packed), packed)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise SourceDamaged(f"{path.name} is damaged or cut off: {error}") from None
    except OSError as error:
        raise SourceDamaged(f"{path} cannot be read: {error.strerror or error}") from None


def digest_of(path: Path, on_progress: Callable[[int], None] | None = None) -> str:
    """Return the digest of the file's unpacked content, so that packing a file does not change it.

    Raises:
        NotFound, SourceDamaged: As `opened`; a damaged file is found here, before anything of it counts.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_CHARS // 2)
    with opened(path) as source:
        while chunk := source.stream.read(CHUNK_BYTES):
            digest.update(chunk)
            if on_progress is not None:
                on_progress(source.position_bytes)
    return digest.hexdigest()


def _unpacked(packed: BinaryIO) -> BinaryIO:
    head = packed.read(4)
    packed.seek(0)
    if head.startswith(_GZIP):
        return io.BufferedReader(gzip.GzipFile(fileobj=packed), CHUNK_BYTES)
    if head == _ZSTD:
        return io.BufferedReader(_ZstdStream(packed), CHUNK_BYTES)
    return packed


class _ZstdStream(io.RawIOBase):
    """Frames of zstd, one after the other; unlike the library's own reader it notices a file that was cut off."""

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(buffer)  # type: ignore[arg-type]
        while not self._output:
            if not self._fill():
                return 0
        count = min(len(target), len(self._output))
        target[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _fill(self) -> bool:
        """Unpack the next piece of input; False at the end of the file."""
        piece = self._input or self._packed.read(ZSTD_INPUT_BYTES)
        self._input = b""
        if not piece:
            if self._frame is not None:
                raise EOFError("the file ends in the middle of a zstd frame")
            return False
        if self._frame is None:
            self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._output = memoryview(self._frame.decompress(piece))
        if self._frame.eof:
            self._input, self._frame = self._frame.unused_data, None
        return True
