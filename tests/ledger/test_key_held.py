"""Identities in memory: found by their first bytes, and nowhere between two entries."""

from random import Random

from tallybook.core.claims import split
from tallybook.ledger.key_held import BUCKETS, Held, bucket_of, count_up_to, find, find_sorted

DICE = Random(11)
IDENTITY = DICE.randbytes(16)
ENTRY = IDENTITY + DICE.randbytes(16)


def test_an_identity_is_only_found_where_an_entry_begins() -> None:
    """Not where two entries beside each other, or a digest and a place, look like it."""
    inside = DICE.randbytes(8) + IDENTITY + DICE.randbytes(8)
    across = DICE.randbytes(24) + IDENTITY + DICE.randbytes(24)
    for hidden in (inside, across, inside + across):
        assert find(hidden, IDENTITY) is None
        assert ENTRY == find(hidden + ENTRY, IDENTITY)
        assert ENTRY == find(bytearray(ENTRY + hidden), IDENTITY)
    assert find(b"", IDENTITY) is None


def test_entries_in_order_are_searched_by_halves() -> None:
    """Each is found, nothing else is, and it is known how many come up to one."""
    entries = sorted(DICE.randbytes(32) for _ in range(100))
    packed = b"".join(entries)
    for place, entry in enumerate(entries):
        assert entry == find_sorted(packed, entry[:16])
        assert place + 1 == count_up_to(entries, entry[:16])
        assert find_sorted(packed, entry[:15] + bytes([entry[15] ^ 1])) is None
    assert find_sorted(b"", IDENTITY) is None
    assert find_sorted(packed, b"\xff" * 16) is None
    assert (0, 100) == (count_up_to(entries, bytes(16)), count_up_to(entries, b"\xff" * 16))


def test_what_is_held_is_found_and_given_back_in_order() -> None:
    """Bucket by bucket, whatever order it came in."""
    entries = [DICE.randbytes(32) for _ in range(3_000)]
    held = Held()
    for at in range(0, len(entries), 250):
        held.add(b"".join(entries[at : at + 250]))
    assert 3_000 == len(held)
    assert entries == [held.find(entry[:16]) for entry in entries]
    assert held.find(IDENTITY) is None
    given = [entry for number in range(BUCKETS) for entry in held.bucket(number)]
    assert sorted(entries) == given
    assert all(bucket_of(entry) == number for number in range(BUCKETS) for entry in held.bucket(number))
    assert split(b"".join(given)) == given
