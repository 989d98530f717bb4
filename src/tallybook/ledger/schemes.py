"""Event types, generations and added meters in the ledger. What a scheme means is `core.scheme`."""

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import Connection, func, insert, select, text, update

from tallybook.core.catalogue import UNMETERED
from tallybook.core.ports import StoredScheme
from tallybook.core.scheme import Generation, State
from tallybook.core.shape import Shape
from tallybook.ledger.open import Ledger
from tallybook.ledger.series import FOLDED, unmetered_dims
from tallybook.ledger.tables import event_types, fills, lanes, meters, raw_batches, series

_NEW_LANE = text(
    "INSERT INTO lanes (lane, last_batch_no, catalogue_version) VALUES (:lane, 0, 0) ON CONFLICT DO NOTHING"
)


class Schemes:
    """Keeps the numbers under which the ledger knows event types."""

    def __init__(self, ledger: Ledger, *, lanes_count: int) -> None:
        self._ledger = ledger
        self._lanes_count = lanes_count

    def load(self) -> StoredScheme:
        """Return what is stored."""
        with self._ledger.reading() as connection:
            return _load(connection)

    def version(self) -> int:
        """Return the version of what is stored: a cheap look."""
        with self._ledger.reading() as connection:
            return connection.scalar(select(func.max(lanes.c.catalogue_version))) or 0

    def rebuild(self, shape: Shape) -> StoredScheme:
        """Count all events of the shape's type anew, beside the rollups that serve meanwhile."""
        with self._ledger.writing() as connection:
            self._hold_lanes(connection)
            self._begin(connection, shape, _load(connection), seen=True)
            connection.execute(update(lanes).values(catalogue_version=lanes.c.catalogue_version + 1))
            return _load(connection)

    def register(
        self, shapes: Mapping[str, Shape], added: Mapping[str, str], now_us: int, *, declared: Collection[str] = ()
    ) -> StoredScheme:
        """Make sure each type has a generation that covers its shape; keep the *added* meters' JSON.

        A shape that earlier events have not been counted in yet begins as ``filling``. Every lane is held while this
        runs, so each event is either in the raw bytes to fill from or read by the new scheme. Events of types that are
        *declared* without a meter are counted nowhere, so any raw bytes may hold some.
        """
        with self._ledger.writing() as connection:
            self._hold_lanes(connection)
            stored = _load(connection)
            lacking = [shape for shape in shapes.values() if not _is_kept(shape, stored)]
            for shape in lacking:
                seen = _was_seen(connection, shape.event_type, stored)
                if not seen and shape.event_type in declared:
                    seen = connection.scalar(select(raw_batches.c.batch_no).limit(1)) is not None
                self._begin(connection, shape, stored, seen=seen)
            known = dict(stored.meters)
            news = {name: body for name, body in added.items() if known.get(name) != body}
            for name, body in news.items():
                connection.execute(meters.delete().where(meters.c.name == name))
                connection.execute(insert(meters), {"name": name, "body": body, "created_us": now_us})
            if lacking or news:
                connection.execute(update(lanes).values(catalogue_version=lanes.c.catalogue_version + 1))
            return _load(connection)

    def _hold_lanes(self, connection: Connection) -> None:
        """Make the lanes that are missing, and hold all; processes that start together wait for each other here."""
        for lane in range(self._lanes_count):
            connection.execute(_NEW_LANE, {"lane": lane})
        connection.execute(select(lanes.c.lane).order_by(lanes.c.lane).with_for_update()).all()
        newest = select(func.max(lanes.c.catalogue_version)).scalar_subquery()
        connection.execute(update(lanes).where(lanes.c.catalogue_version < newest).values(catalogue_version=newest))

    def _begin(self, connection: Connection, shape: Shape, stored: StoredScheme, *, seen: bool) -> None:
        """Start a generation: serving at once where no event of the type was kept so far, else to be filled first."""
        earlier = _of(stored, shape)
        for generation in earlier:
            if generation.state is State.FILLING:
                _set_state(connection, generation.type_no, State.RETIRED)
        state = State.FILLING if earlier or seen else State.SERVING
        number = 1 + max((g.number for g in earlier), default=0)
        values = {"type": shape.event_type, "generation": number, "state": state.value}
        row = values | {"shape": msgspec.json.encode(shape).decode()}
        type_no = connection.scalar(insert(event_types).values(row).returning(event_types.c.type_no))
        if state is State.FILLING:
            for lane, last in connection.execute(select(lanes.c.lane, lanes.c.last_batch_no)).all():
                connection.execute(
                    insert(fills), {"type_no": type_no, "lane": lane, "upto_batch_no": last, "done_batch_no": 0}
                )


def _of(stored: StoredScheme, shape: Shape) -> list[Generation]:
    return [g for g in stored.generations if g.shape.event_type == shape.event_type]


def _is_kept(shape: Shape, stored: StoredScheme) -> bool:
    """Whether a generation that is not retired keeps all that *shape* asks for."""
    return any(g.state is not State.RETIRED and g.shape.covers(shape) for g in _of(stored, shape))


def _was_seen(connection: Connection, event_type: str, stored: StoredScheme) -> bool:
    """Whether events of the type came in before any meter read it."""
    unmetered = [g.type_no for g in stored.generations if g.shape.event_type == UNMETERED]
    told = [unmetered_dims(event_type), unmetered_dims(FOLDED)]  # beyond the cap on series its name was folded away
    found = select(series.c.series_no).where(series.c.type_no.in_(unmetered), series.c.dims.in_(told)).limit(1)
    return connection.execute(found).first() is not None


def _set_state(connection: Connection, type_no: int, state: State) -> None:
    connection.execute(update(event_types).where(event_types.c.type_no == type_no).values(state=state.value))


def _load(connection: Connection) -> StoredScheme:
    version = connection.scalar(select(func.max(lanes.c.catalogue_version))) or 0
    rows = connection.execute(select(event_types).order_by(event_types.c.type_no))
    generations = tuple(
        Generation(r.type_no, r.generation, State(r.state), msgspec.json.decode(r.shape, type=Shape)) for r in rows
    )
    added = connection.execute(select(meters.c.name, meters.c.body).order_by(meters.c.created_us, meters.c.name))
    return StoredScheme(version, generations, tuple((name, body) for name, body in added))
