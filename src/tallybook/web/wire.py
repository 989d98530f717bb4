"""Bodies off the wire: read with a cap, decoded from gzip or zstd with the same cap, and turned into JSON or structs.

Reading is asynchronous, decoding is plain work for a worker thread. What a body means is the endpoint's.
"""

import asyncio
import zlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec
import zstandard
from starlette.datastructures import Headers
from starlette.types import Receive

from tallybook.core.errors import EncodingUnsupported, TooLarge
from tallybook.core.event import decode_json
from tallybook.web.endpoint import JSON, Fault
from tallybook.web.errors import BodyInvalid, BodyMalformed, MediaUnsupported, UnknownField

GZIP_MEMBERS_MAX = 64
"""Members of one gzip body: enough for writers that flush by starting a new one, too few to burn time on."""

ZSTD_FRAMES_MAX = 64
ZSTD_WINDOW_BYTES_MAX = 8 * 1024 * 1024
"""What RFC 8878 asks every decoder to support."""

ZSTD_SLICE_BYTES = 256
"""Fed to the decoder at once: 64 blocks at most, so never more than 8 MiB decoded beyond the cap."""

LENGTH_DIGITS_MAX = 18

BODY_TIMEOUT_S = 60.0
"""How long a client may take to send one body."""

_T = TypeVar("_T")


class ClientGone(Exception):
    """The client hung up before its request was complete; there is nobody to answer."""


# --- reading ---------------------------------------------------------------------------------------------------


async def receive_body(receive: Receive, headers: Headers, bytes_max: int, *, is_there: bool = False) -> bytes:
    """Read the request's body as sent, at most *bytes_max*; if it *is_there*, it need not be waited for.

    Raises:
        TooLarge: As soon as it is known to be longer.
        BodyMalformed: If its length is not what Content-Length says, or it does not arrive in time.
        ClientGone: If the client hung up.
    """
    announced = _content_length(headers)
    if announced is not None and announced > bytes_max:
        raise _too_large(bytes_max)
    if is_there:
        body = await _collect(receive, bytes_max)
    else:
        body = await _collect_in_time(receive, bytes_max)
    if announced is not None and len(body) != announced:
        raise BodyMalformed(f"the body has {len(body)} bytes, Content-Length says {announced}")
    return body


async def _collect_in_time(receive: Receive, bytes_max: int) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _collect(receive, bytes_max)
    except TimeoutError:
        raise BodyMalformed(f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s") from None


async def _collect(receive: Receive, bytes_max: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        if not message.get("more_body", False):
            return bytes(body)


def _content_length(headers: Headers) -> int | None:
    texts = set(headers.getlist("content-length"))
    if not texts:
        return None
    (text, *others) = texts
    if others or not text.isascii() or not text.isdigit():
        raise BodyMalformed("Content-Length is not a length")
    return int(text[:LENGTH_DIGITS_MAX])


def _too_large(bytes_max: int) -> TooLarge:
    return TooLarge(f"a body has at most {bytes_max} bytes, decoded", bound=bytes_max)


# --- content encodings ------------------------------------------------------------------------------------------


def decode_body(body: bytes, headers: Headers, bytes_max: int) -> bytes:
    """Undo the Content-Encoding, never making more than *bytes_max* of it.

    Raises:
        EncodingUnsupported: If it is not gzip, zstd or identity, or is stacked.
        BodyMalformed: If the body is cut short, damaged, or followed by something else.
        TooLarge: If it would be longer.
    """
    names = [name.strip().lower() for value in headers.getlist("content-encoding") for name in value.split(",")]
    match names:
        case [] | ["identity"] | [""]:
            return body
        case ["gzip"] | ["x-gzip"]:
            return _gunzip(body, bytes_max)
        case ["zstd"]:
            return _unzstd(body, bytes_max)
        case [_]:
            raise EncodingUnsupported("the Content-Encoding must be gzip, zstd or identity")
        case _:
            raise EncodingUnsupported("a body is encoded once, with gzip or zstd")


def _gunzip(body: bytes, bytes_max: int) -> bytes:
    decoded, rest, members = bytearray(), body, 0
    while rest or not members:
        members += 1
        if members > GZIP_MEMBERS_MAX:
            raise BodyMalformed(f"a gzip body has at most {GZIP_MEMBERS_MAX} members")
        member = zlib.decompressobj(wbits=31)
        try:
            decoded += member.decompress(rest, bytes_max + 1 - len(decoded))
        except zlib.error:
            raise BodyMalformed("the body is not gzip, or is damaged") from None
        if len(decoded) > bytes_max:
            raise _too_large(bytes_max)
        if not member.eof:
            raise BodyMalformed("the gzip body is cut short")
        rest = member.unused_data
    return bytes(decoded)


def _unzstd(body: bytes, bytes_max: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES_MAX)
    decoded, rest, frames = bytearray(), body, 0
    try:
        while rest or not frames:
            frames += 1
            if frames > ZSTD_FRAMES_MAX:
                raise BodyMalformed(f"a zstd body has at most {ZSTD_FRAMES_MAX} frames")
            rest = _unzstd_frame(decoder, rest, decoded, bytes_max)
    except zstandard.ZstdError:
        raise BodyMalformed("the body is not zstd, is damaged, or needs a window above 8 MiB") from None
    return bytes(decoded)


def _unzstd_frame(decoder: zstandard.ZstdDecompressor, body: bytes, decoded: bytearray, bytes_max: int) -> bytes:
    """Append one frame to *decoded* and return what follows it."""
    size = zstandard.frame_content_size(body)
    if size > bytes_max - len(decoded):
        raise _too_large(bytes_max)
    frame = decoder.decompressobj()
    at = 0
    while at < len(body) and not frame.eof:
        decoded += frame.decompress(body[at : at + ZSTD_SLICE_BYTES])
        at += ZSTD_SLICE_BYTES
        if len(decoded) > bytes_max:
            raise _too_large(bytes_max)
    if not frame.eof:
        raise BodyMalformed("the zstd body is cut short")
    return frame.unused_data + body[at:]


# --- media types ------------------------------------------------------------------------------------------------


def media_type(headers: Headers, accepted: Sequence[str]) -> str:
    """Return the request's media type, in lower case and without parameters.

    Raises:
        MediaUnsupported: If it is missing, given twice, not in *accepted*, or in another charset than UTF-8.
    """
    texts = headers.getlist("content-type")
    media, *parameters = (texts[0] if len(texts) == 1 else "").split(";")
    media = media.strip().lower()
    if media not in accepted:
        raise MediaUnsupported(f"the Content-Type must be {' or '.join(accepted)}")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in {"utf-8", "utf8"}:
            raise MediaUnsupported("the charset must be utf-8")
    return media


def decode_struct(body: bytes, headers: Headers, struct: type[_T]) -> _T:
    """Read a JSON body as *struct*.

    Raises:
        MediaUnsupported: If it is not sent as JSON.
        JsonMalformed: If it is not JSON, or says a key twice.
        BodyInvalid: With a pointer to the field that is wrong.
    """
    media_type(headers, (JSON,))
    value = decode_json(body)
    try:
        return msgspec.convert(value, struct)
    except msgspec.ValidationError as error:
        raise _body_invalid(str(error)) from None


def _body_invalid(text: str) -> BodyInvalid:
    """Turn msgspec's words, ``Expected `int`, got `str` - at `$.limits[0].seconds```, into a fault with a pointer."""
    message, _, place = text.partition(" - at `")
    pointer = place.rstrip("`").removeprefix("$").replace("[...]", "").replace("[", "/").replace("]", "")
    pointer = pointer.replace(".", "/")
    if message.startswith("Object contains unknown field"):
        name = message.split("`")[1]
        return UnknownField(Fault("body", f"{pointer}/{name}", "is not a field here", "unknown_field"))
    if message.startswith("Object missing required field"):
        name = message.split("`")[1]
        return BodyInvalid(Fault("body", f"{pointer}/{name}", "must be given", "missing"))
    words = message.replace("`", "")
    return BodyInvalid(Fault("body", pointer, words[:1].lower() + words[1:], "invalid"))
