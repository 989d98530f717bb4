"""Which meters are in force: the built-in catalogue, the operator's file and the meters added by API, as one scheme."""

import threading
import time
from collections.abc import Callable, Mapping

from tallybook.core.catalogue import Catalogue, load_catalogue, read_meter
from tallybook.core.clock import Clock
from tallybook.core.errors import FieldInvalid, StartRefused
from tallybook.core.event import decode_json, encode_json
from tallybook.core.meter import Meter
from tallybook.core.ports import SchemeStore, StoredScheme
from tallybook.core.scheme import Scheme, make_scheme, shapes_needed

SCHEME_AGE_MAX_S = 1.0


class Metering:
    """Holds the scheme in force; any thread may read it, and adding a meter replaces it.

    *on_added* is called after a meter was added, before its caller is answered.
    """

    def __init__(self, store: SchemeStore, clock: Clock, *, builtin: str, own: str | None, own_name: str) -> None:
        self._store = store
        self._clock = clock
        self._files = load_catalogue(builtin, own, own_name=own_name)
        self._lock = threading.Lock()
        self.on_added: Callable[[], None] = _nothing
        self._scheme = self._register({})
        self._looked_s = time.monotonic()

    @property
    def scheme(self) -> Scheme:
        """The scheme in force, at most SCHEME_AGE_MAX_S behind what another process made of it."""
        now_s = time.monotonic()
        if now_s - self._looked_s > SCHEME_AGE_MAX_S:
            self._looked_s = now_s
            if self._store.version() != self._scheme.version:
                self.refresh()
        return self._scheme

    @property
    def catalogue(self) -> Catalogue:
        """Event types and meters in force."""
        return self._scheme.catalogue

    def refresh(self) -> Scheme:
        """Read the ledger's state again, as another process may have changed it."""
        with self._lock:
            self._scheme = self._join(self._store.load())
            return self._scheme

    def put(self, name: str, body: dict[str, object]) -> Meter:
        """Add the meter *name*, or replace the one that was added under that name.

        It answers at once where the rollups already keep what it needs, or no event of its type came yet; else it is
        filled from the raw events first.

        Raises:
            FieldInvalid: If the meter is not sound, or the name belongs to the catalogue's files.
        """
        meter = read_meter(name, body)
        if name in self._files.meters:
            raise FieldInvalid("belongs to the catalogue's files; choose another name", pointer="/name")
        with self._lock:
            self.catalogue.with_meter(meter)
            self._scheme = self._register({name: encode_json(body).decode()})
        self.on_added()
        return meter

    def rebuild(self, name: str) -> str:
        """Count all events of a meter's type anew; return the type. The work itself is `flows.fill`'s.

        Raises:
            NotFound: If there is no such meter.
        """
        event_type = self.catalogue.meter(name).event_type
        with self._lock:
            self._scheme = self._join(self._store.rebuild(shapes_needed(self.catalogue)[event_type]))
        return event_type

    def _register(self, added: dict[str, str]) -> Scheme:
        stored = self._store.load()
        while True:
            known = {**dict(stored.meters), **added}
            catalogue = self._with_added(known)
            stored = self._store.register(
                shapes_needed(catalogue), added, self._clock.now_us(), declared=catalogue.events.keys()
            )
            if dict(stored.meters) == known:
                return self._join(stored)
            # Another process added a meter meanwhile: a shape has to serve both.

    def _join(self, stored: StoredScheme) -> Scheme:
        return make_scheme(stored.version, self._with_added(dict(stored.meters)), stored.generations)

    def _with_added(self, meters: Mapping[str, str]) -> Catalogue:
        catalogue = self._files
        for name, body in meters.items():
            if name in catalogue.meters:
                continue
            try:
                catalogue = catalogue.with_meter(read_meter(name, decode_json(body.encode())))
            except FieldInvalid as error:
                raise StartRefused(f"the meter {name}, added earlier, does not fit the catalogue: {error}") from None
        return catalogue


def _nothing() -> None:
    """Leave filling to the background."""
