"""Which series of a type count, and in which groups: as a list that is unfolded, or as a few bits.

Series of an account that are of one type mostly have numbers close to each other. Whether one counts is then a bit of
one number, which SQLite looks at in less time than it looks a series up in a list. Not for what the groups mean (see
core.view).
"""

from collections.abc import Mapping
from typing import NamedTuple

from tallybook.ledger.rows import once, to_json, unfold

SERIES_BITS = 63
"""So many numbers of series, one after the other, fit into a number that is not negative."""
PLANES_MAX = 2
"""Up to so many bits tell groups apart; of more of them, looking a series up takes less time."""

_GROUP = [(name, "bigint") for name in ("series_no", "group_no")]


class GroupForm(NamedTuple):
    """How a statement says which series count, and in which group.

    Attributes:
        picked: Whether not all of the type count.
        told: Whether they are in several groups; all rows are in one otherwise.
        planes: How many bits tell groups apart, where bits say which series count; None for a list.
    """

    picked: bool = False
    told: bool = False
    planes: int | None = None


class Groups:
    """How the rows of a statement are put in groups: by a list of series or by bits, or all in group 0.

    A list that is not told apart only says which series count, which is looked up in less time than it is joined.
    """

    def __init__(self, form: GroupForm, *, sqlite: bool) -> None:
        is_joined = form.told and form.planes is None
        self.number = "g.group_no" if is_joined else "0"
        self.list = f"WITH g AS MATERIALIZED ({once('groups', _GROUP, sqlite=sqlite)}) " if is_joined else ""
        self.join = " CROSS JOIN g" if is_joined else ""
        self.match = " AND g.series_no = r.series_no" if is_joined else ""
        if form.planes is not None:
            bits = [f"(:plane_{n} >> (r.series_no - :first_no) & 1) * {1 << n}" for n in range(form.planes)]
            self.number = f"({' + '.join(bits)})" if bits else "0"
            self.match = " AND :counted >> (r.series_no - :first_no) & 1"
        elif form.picked and not form.told:
            self.match = f" AND r.series_no IN (SELECT series_no FROM ({unfold('groups', _GROUP, sqlite=sqlite)}) g)"


class Picked(NamedTuple):
    """What a statement is told of groups: how it looks, and what is bound to it."""

    form: GroupForm
    values: Mapping[str, object]


NO_GROUPS = Picked(GroupForm(), {})
"""All series count, in group 0."""


def pick(groups: Mapping[int, int], *, sqlite: bool) -> Picked:
    """Return how to say which series count, and in which of *groups* each of them is.

    PostgreSQL shifts by the rest of 64, so numbers far away would count; it is told by a list.
    """
    first_no, last_group = min(groups, default=0), max(groups.values(), default=0)
    planes = last_group.bit_length()
    if not sqlite or planes > PLANES_MAX or max(groups, default=0) - first_no >= SERIES_BITS:
        return Picked(GroupForm(picked=True, told=last_group > 0), {"groups": to_json(list(groups.items()))})
    values = {"first_no": first_no, "counted": sum([1 << (series_no - first_no) for series_no in groups])}
    for plane in range(planes):
        told = [1 << (series_no - first_no) for series_no, group in groups.items() if group >> plane & 1]
        values[f"plane_{plane}"] = sum(told)
    return Picked(GroupForm(picked=True, told=last_group > 0, planes=planes), values)
