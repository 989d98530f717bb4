"""Claims: identities in their order, found again by the event that asks for them."""

from sys import byteorder

from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.claims import ENTRY, WORDS, claims_of, placed, split

names = st.lists(st.binary(min_size=24, max_size=24), max_size=40)
repeated = names.flatmap(lambda known: st.lists(st.sampled_from(known), max_size=40) if known else st.just(known))


@given(known=repeated)
def test_claims_are_in_order_and_know_their_events(known: list[bytes]) -> None:
    """Those that ask for the same are told, and the event that came first stands first."""
    same_identity = [one[:16] + bytes(8) if seq % 3 else one for seq, one in enumerate(known)]
    claims = claims_of(same_identity)
    asked = sorted((one[:16], seq) for seq, one in enumerate(same_identity))
    assert asked == [(claims.identity(place), claims.seq(place)) for place in range(len(claims))]
    for place in range(len(claims)):
        name = same_identity[claims.seq(place)]
        assert int.from_bytes(name[16:], signed=True) == claims.digest(place)
    assert [place for place in range(1, len(asked)) if asked[place][0] == asked[place - 1][0]] == claims.repeats


@given(known=names)
def test_a_claim_has_one_to_four_bits_in_one_word(known: list[bytes]) -> None:
    """The same ones whoever asks, and with whom."""
    claims = claims_of(known)
    words, masks = memoryview(claims.words).cast("I"), memoryview(claims.masks).cast("I")
    assert len(claims) == len(words) == len(masks)
    for place, (word, mask) in enumerate(zip(words, masks, strict=True)):
        alone = claims_of([known[claims.seq(place)]])
        assert (alone.words, alone.masks) == (word.to_bytes(4, byteorder), mask.to_bytes(4, byteorder))
        assert word < WORDS
        assert mask < 1 << 30
        assert 1 <= mask.bit_count() <= 4


@given(known=names, left_out=st.sets(st.integers(0, 39)))
def test_claims_of_some_events_are_left_out(known: list[bytes], left_out: set[int]) -> None:
    """By event, or by place."""
    claims = claims_of(known)
    fewer = claims.less(left_out)
    assert [seq for seq in range(len(known)) if seq not in left_out] == sorted(map(fewer.seq, range(len(fewer))))
    places = [place for place in range(len(claims)) if claims.seq(place) in left_out]
    assert fewer.entries == claims.entries_less(places)


@given(
    entries=st.lists(st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 3, st.integers(0, 2**20 - 1)), max_size=20),
    base=st.integers(0, 2**62),
)
def test_a_base_is_added_to_every_place_and_to_nothing_else(entries: list[tuple[int, ...]], base: int) -> None:
    """Whatever stands before it."""
    packed = b"".join(ENTRY.pack(*entry) for entry in entries)
    moved = [ENTRY.unpack(entry) for entry in split(placed(packed, base))]
    assert [(*entry[:3], entry[3] + base) for entry in entries] == moved
