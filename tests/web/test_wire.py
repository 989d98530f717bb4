"""Bodies are read with a cap, decoded with the same cap, and refused cheaply when they lie."""

import gzip
import time
import zlib

import pytest
import zstandard
from starlette.datastructures import Headers

from tallybook.core.errors import EncodingUnsupported, TallybookError, TooLarge
from tallybook.web.errors import BodyMalformed
from tallybook.web.wire import GZIP_MEMBERS_MAX, decode_body

CAP = 4 * 1024 * 1024
TEXT = b'{"a": 1}' * 1000
ZSTD = zstandard.ZstdCompressor()
GIB = 1 << 30


def packed(data):
    """Return *data* as one gzip member, the same at any time, as test names are made of it."""
    return gzip.compress(data, mtime=0)


def coded(name):
    return Headers({"content-encoding": name})


def zstd_without_size(data):
    stream = ZSTD.compressobj()
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", packed(TEXT)),
        ("x-gzip", packed(TEXT)),
        ("GZIP", packed(TEXT)),
        ("gzip", packed(TEXT[:100]) + packed(TEXT[100:])),
        ("zstd", ZSTD.compress(TEXT)),
        ("zstd", zstd_without_size(TEXT)),
        ("zstd", ZSTD.compress(TEXT[:100]) + zstd_without_size(TEXT[100:])),
        ("identity", TEXT),
        ("", TEXT),
    ],
)
def test_known_encodings_are_undone(name, body):
    """
    gzip, zstd and identity give the bytes back, also in several members or frames.
    """
    assert TEXT == decode_body(body, coded(name), CAP)


@pytest.mark.parametrize("name", ["br", "deflate", "gzip, gzip", "gzip,zstd", "identity, gzip", "gzip;q=1", "\x00"])
def test_unknown_or_stacked_encodings_are_refused(name):
    """
    Only one encoding, and only one of ours.
    """
    with pytest.raises(EncodingUnsupported):
        decode_body(packed(packed(TEXT)), coded(name), CAP)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", b""),
        ("gzip", TEXT),
        ("gzip", packed(TEXT)[:-1]),
        ("gzip", packed(TEXT) + b"junk"),
        ("gzip", packed(TEXT)[:40] + b"\xff" * 40 + packed(TEXT)[80:]),
        ("gzip", zlib.compress(TEXT)),
        ("zstd", b""),
        ("zstd", TEXT),
        ("zstd", ZSTD.compress(TEXT)[:-1]),
        ("zstd", zstd_without_size(TEXT)[:-1]),
        ("zstd", ZSTD.compress(TEXT) + b"junk"),
        ("zstd", ZSTD.compress(TEXT) + ZSTD.compress(TEXT)[:7]),
    ],
)
def test_damaged_bodies_are_refused(name, body):
    """
    Cut short, damaged, or followed by something else: nothing of it is used.
    """
    with pytest.raises(BodyMalformed):
        decode_body(body, coded(name), CAP)


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("gzip", packed(bytes(GIB)), TooLarge),
        ("gzip", packed(bytes(CAP + 1)), TooLarge),
        ("zstd", ZSTD.compress(bytes(GIB)), TooLarge),
        ("zstd", zstd_without_size(bytes(GIB)), TooLarge),
        ("gzip", packed(b"") * 50_000, BodyMalformed),
        ("zstd", ZSTD.compress(b"") * 50_000, BodyMalformed),
    ],
    ids=["gzip 1 GiB", "gzip one byte", "zstd 1 GiB", "zstd 1 GiB unsized", "50000 members", "50000 frames"],
)
def test_bombs_are_refused_within_a_quarter_second(name, body, error):
    """
    What would decode to more than the cap costs no more than the cap.
    """
    began_s = time.process_time()

    with pytest.raises(error):
        decode_body(body, coded(name), CAP)

    assert 0.25 > time.process_time() - began_s


def test_a_body_of_exactly_the_cap_passes():
    """
    The bound is inclusive, and so is the number of members.
    """
    full = bytes(CAP)
    members = b"".join(packed(full[start::GZIP_MEMBERS_MAX]) for start in range(GZIP_MEMBERS_MAX))

    assert full == decode_body(packed(full), coded("gzip"), CAP)
    assert full == decode_body(zstd_without_size(full), coded("zstd"), CAP)
    assert full == decode_body(members, coded("gzip"), CAP)


def test_a_frame_that_lies_about_its_size_is_refused():
    """
    A zstd header that promises ten bytes does not open the door to a megabyte.
    """
    honest = ZSTD.compress(bytes(10))
    long = ZSTD.compress(bytes(1 << 20))
    size = zstandard.get_frame_parameters(long)
    lying = honest[: len(honest) - 4] + long[4 + 5 :]

    assert size.content_size == 1 << 20
    with pytest.raises(TallybookError):
        decode_body(lying, coded("zstd"), CAP)
