"""Ids of ours: none is given twice."""

import re

from tallybook.core.ids import new_id


def test_no_id_is_given_twice() -> None:
    """Random bits are drawn for many at once, and each is used for one."""
    ids = [new_id("rsv") for _ in range(10_000)]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("rsv_[0-9a-f]{24}", one) for one in ids)
