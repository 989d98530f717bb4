"""What a server and its readers say to each other: msgpack behind a length, over a pair of sockets.

Both ends are ours and of one release, so there is no version in it.
"""

import socket
import struct
from typing import Any

import msgspec

from tallybook.core.bundle import Bundle
from tallybook.core.catalogue import Catalogue
from tallybook.core.event import EventError
from tallybook.core.ids import AccountId
from tallybook.core.scheme import Generation

LETTER_BYTES_MAX = 512 * 1024 * 1024
"""Far above what any request comes to; a length beyond it means that the two ends have lost each other."""
AHEAD_MAX = 2
"""So many batches are sent to a reader while it reads another, so that it need not wait for the next."""
_LENGTH = struct.Struct("<I")


class Rules(msgspec.Struct, tag="rules"):
    """What batches are read by from now on; not answered."""

    version: int
    catalogue: Catalogue
    generations: list[Generation]
    lanes: int


class Work(msgspec.Struct, tag="work"):
    """A batch to be read; answered by `Read` or `Unable`.

    Attributes:
        account_id: Whose key sends it, None for the operator's.
    """

    body: bytes
    lines: bool
    account_id: AccountId | None
    now_us: int
    backfill: bool


class Read(msgspec.Struct, tag="read"):
    """A batch that was read."""

    bundles: dict[int, Bundle]
    errors: list[EventError]


class Unable(msgspec.Struct, tag="unable"):
    """A batch that is refused as a whole, or is beyond the reader; whoever asked finds out by reading it again."""


_encode = msgspec.msgpack.Encoder().encode


def send(connection: socket.socket, letter: msgspec.Struct) -> None:
    """Send one letter.

    Raises:
        OSError: If the other end is gone.
        OverflowError: For numbers beyond 64 bits; nothing was sent then.
    """
    written = _encode(letter)
    connection.sendall(_LENGTH.pack(len(written)))
    connection.sendall(written)


def receive(connection: socket.socket, decoder: "msgspec.msgpack.Decoder[Any]") -> Any:
    """Return the next letter, None when the other end is gone.

    Raises:
        OSError: If the other end broke off in the middle, or took too long.
        msgspec.MsgspecError: If it is no letter.
    """
    head = _exactly(connection, _LENGTH.size)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LETTER_BYTES_MAX:
        raise OSError(f"a letter of {length} bytes")
    body = _exactly(connection, length)
    if body is None:
        raise OSError("a letter was cut short")
    return decoder.decode(body)


def _exactly(connection: socket.socket, size: int) -> bytearray | None:
    buffer = bytearray(size)
    view, at = memoryview(buffer), 0
    while at < size:
        got = connection.recv_into(view[at:])
        if not got:
            if at:
                raise OSError("a letter was cut short")
            return None
        at += got
    return buffer
