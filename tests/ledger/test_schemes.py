"""Generations of rollups in the ledger: which serve at once, which are filled first, who may begin one."""

import pytest

from tallybook.core.catalogue import UNMETERED
from tallybook.core.ports import StoredScheme
from tallybook.core.scheme import State
from tallybook.core.shape import Shape
from tallybook.ledger.open import Ledger
from tallybook.ledger.schemes import Schemes
from tests.support.works import Works, in_parallel, job

JOB = Shape("job", dimensions=("region",), fields=("cpu",))
WIDER = Shape("job", dimensions=("region", "worker"), fields=("cpu", "net"))
TICKS = '{"event":"tick","aggregation":"count"}'
FIRST = {"job": JOB, UNMETERED: Shape(UNMETERED, dimensions=("type",))}


@pytest.fixture
def schemes(ledger: Ledger) -> Schemes:
    """What an empty ledger knows of meters."""
    return Schemes(ledger, lanes_count=2)


def states(stored: StoredScheme, event_type: str = "job") -> list[tuple[int, State]]:
    """The generations of a type: number and state."""
    return [(one.number, one.state) for one in stored.generations if one.shape.event_type == event_type]


def test_registering_again_changes_nothing(schemes: Schemes) -> None:
    """The version rises when something is new, and only then; what is loaded is what was stored."""
    first = schemes.register(FIRST, {"m": "{}"}, 1)
    assert first == schemes.register(FIRST, {"m": "{}"}, 2) == schemes.register({"job": JOB}, {}, 3) == schemes.load()
    assert (first.version, (("m", "{}"),)) == (schemes.version(), first.meters)
    assert [(1, State.SERVING)] == states(first)
    assert first.version < schemes.register(FIRST, {"m": '{"new":1}'}, 4).version == schemes.version()


def test_a_narrower_shape_is_kept_already(schemes: Schemes) -> None:
    """It asks for nothing new."""
    stored = schemes.register({"job": WIDER}, {}, 1)
    assert stored == schemes.register({"job": JOB}, {}, 2)


def test_a_wider_shape_is_filled_beside_the_one_that_serves(schemes: Schemes) -> None:
    """A third one, asked for meanwhile, takes the place of the one that was not finished."""
    schemes.register(FIRST, {}, 1)
    assert [(1, State.SERVING), (2, State.FILLING)] == states(schemes.register({"job": WIDER}, {}, 2))
    third = Shape("job", dimensions=("region", "worker", "zone"), fields=("cpu", "net"))
    told = [(1, State.SERVING), (2, State.RETIRED), (3, State.FILLING)]
    assert told == states(schemes.register({"job": third}, {}, 3)) == states(schemes.register({"job": WIDER}, {}, 4))


def test_rebuilding_counts_anew_beside_what_serves(schemes: Schemes) -> None:
    """Whether or not the shape is kept already."""
    before = schemes.register(FIRST, {}, 1)
    after = schemes.rebuild(JOB)
    assert [(1, State.SERVING), (2, State.FILLING)] == states(after)
    assert before.version < after.version


def test_a_type_that_nobody_ever_sent_serves_at_once(ledger_url: str) -> None:
    """One that was sent before, and so counted as unmetered, is filled first; however its name is written."""
    names = ("sent", 'se"nt\\', "gesendet-ü", "se\x1fnt")
    with Works(ledger_url) as works:
        works.write([{**job(name), "type": name} for name in names])
        schemes = Schemes(works.ledger, lanes_count=1)
        for name in names:
            assert [(1, State.FILLING)] == states(schemes.register({name: Shape(name)}, {}, 1), name)
        assert [(1, State.SERVING)] == states(schemes.register({"unsent": Shape("unsent")}, {}, 1), "unsent")


def test_a_type_whose_name_was_folded_away_is_filled_first(ledger_url: str) -> None:
    """Beyond the cap on series nobody knows which types were sent, so the raw events are asked."""
    with Works(ledger_url, series_an_hour_max=1) as works:
        works.write([{**job(f"{n}"), "type": f"t{n}"} for n in range(3)])
        schemes = Schemes(works.ledger, lanes_count=1)
        assert [(1, State.FILLING)] == states(schemes.register({"t2": Shape("t2")}, {}, 1), "t2")


def test_a_declared_type_without_a_meter_is_filled_first_if_there_are_events(ledger_url: str) -> None:
    """Its events are counted nowhere until a meter reads it, so the raw events are asked; none, and it serves."""
    with Works(ledger_url) as works:
        schemes = Schemes(works.ledger, lanes_count=1)
        stored = schemes.register({"early": Shape("early")}, {}, 1, declared={"early"})
        assert [(1, State.SERVING)] == states(stored, "early")
        works.metering.refresh()
        works.write([job("1")])
        stored = schemes.register({"late": Shape("late")}, {}, 1, declared={"late"})
        assert [(1, State.FILLING)] == states(stored, "late")


def test_houses_that_open_together_agree(ledger_url: str) -> None:
    """Eight processes meet an empty ledger, with different numbers of lanes: one scheme, every lane at its version."""

    def start(number: int) -> StoredScheme:
        ledger = Ledger(ledger_url)
        stored = Schemes(ledger, lanes_count=1 + number % 3).register(FIRST, {"m": TICKS}, 1)
        ledger.close()
        return stored

    stored = in_parallel(8, start)
    newest = max(stored, key=lambda one: one.version)
    assert {one.generations for one in stored} == {newest.generations}
    assert [(1, State.SERVING)] == states(newest)
    with Works(ledger_url, own=None, lanes=3) as works:
        for lane in range(12):
            assert 1 == works.write([job(str(lane), f"acct-{lane}")]).accepted
