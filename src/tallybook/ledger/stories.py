"""Raw events read back: searched batch by batch, newest first, within bounds; one found by its identity; notes kept.

Not for what an event counted (see `flows.story`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import zstandard
from sqlalchemy import Connection, Row, delete, insert, select

from tallybook.core.changes import NOTHING
from tallybook.core.event import Outcome, decode_events
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, HOUR_US
from tallybook.core.story import NOTES_KEPT_DAYS, EventNote, Found, FoundEvent, Stop, Wanted, identity_of
from tallybook.ledger.identities import batch_of
from tallybook.ledger.limit_tables import voids
from tallybook.ledger.open import Ledger
from tallybook.ledger.raw_index import batches_of
from tallybook.ledger.session_tables import event_notes
from tallybook.ledger.tables import accounts, raw_batches
from tallybook.ledger.usage import RAW_BATCH_BYTES_MAX

FOUND_MAX = 50
BATCHES_MAX = 60
"""Most batches that one search looks into; the next goes on from there."""
DECODED_BYTES_MAX = 64 * 1024 * 1024
NOTES_SHOWN_MAX = 50
NOTES_SEARCHED_MAX = 5_000
"""How many of the latest notes of all accounts are looked through for those of an outcome."""
ROWS_MAX = 500


class LedgerStories:
    """Finds raw events and keeps notes on those that did not count."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def search(self, account_no: int, account_id: AccountId, wanted: Wanted) -> Found:
        """Return up to FOUND_MAX events, looking into up to BATCHES_MAX batches."""
        found: list[FoundEvent] = []
        looked, decoded = 0, 0
        with self._ledger.reading() as connection:
            numbers = _batches(connection, account_no, wanted)
            for number in numbers[:BATCHES_MAX]:
                if len(found) >= FOUND_MAX or decoded > DECODED_BYTES_MAX:
                    break
                row, plain = _batch(connection, number)
                looked, decoded = looked + 1, decoded + len(plain)
                mine = list(_matching(plain, account_id, wanted))[::-1]
                seen = wanted.place.seen if wanted.place is not None and wanted.place.batch_no == number else 0
                room = FOUND_MAX - len(found)
                found += [FoundEvent(body, number, row.received_us) for body in mine[seen : seen + room]]
                if len(mine) > seen + room:
                    return Found(found, Stop(number, seen + room), looked)
        return Found(found, Stop(numbers[looked], 0) if len(numbers) > looked else None, looked)

    def find(self, account_no: int, account_id: AccountId, source: str, identity: tuple[int, int]) -> FoundEvent | None:
        """Return the accepted event of an identity, None where there is none."""
        with self._ledger.reading() as connection:
            number = batch_of(connection, account_no, identity)
            if number is None:
                return None
            row, plain = _batch(connection, number)
        for body in _lines(plain, [_needle("subject", account_id), _needle("source", source)]):
            if body.get("subject") == account_id and identity == identity_of(account_id, source, str(body.get("id"))):
                return FoundEvent(body, number, row.received_us)
        return None

    def is_voided(self, account_no: int, identity: tuple[int, int]) -> bool:
        """Whether the event was taken back."""
        mine = (voids.c.key_hi == identity[0]) & (voids.c.key_lo == identity[1])
        with self._ledger.reading() as connection:
            return (
                connection.scalar(select(voids.c.voided_us).where(voids.c.account_no == account_no, mine)) is not None
            )

    # --- notes -------------------------------------------------------------------------------------------------------

    def notes(self, account_no: int, event_id: str = "") -> list[EventNote]:
        """Return the latest notes of the account, or of its events with this id, newest first."""
        wanted = (
            select(event_notes, accounts.c.account_id)
            .join(accounts, accounts.c.account_no == event_notes.c.account_no)
            .where(event_notes.c.account_no == account_no)
            .order_by(event_notes.c.note_no.desc())
            .limit(NOTES_SHOWN_MAX)
        )
        if event_id:
            wanted = wanted.where(event_notes.c.event_id == event_id)
        with self._ledger.reading() as connection:
            return [_note(row) for row in connection.execute(wanted)]

    def latest_notes(self, outcomes: Sequence[Outcome]) -> list[EventNote]:
        """Return the latest notes of all accounts with one of these outcomes, newest first, among the latest of all."""
        latest = select(event_notes).order_by(event_notes.c.note_no.desc()).limit(NOTES_SEARCHED_MAX).subquery()
        wanted = (
            select(latest, accounts.c.account_id)
            .join(accounts, accounts.c.account_no == latest.c.account_no)
            .where(latest.c.outcome.in_([outcome.value for outcome in outcomes]))
            .order_by(latest.c.note_no.desc())
            .limit(NOTES_SHOWN_MAX)
        )
        with self._ledger.reading() as connection:
            return [_note(row) for row in connection.execute(wanted)]

    def put_notes(self, notes: Sequence[EventNote]) -> None:
        """Keep notes; those on accounts that do not exist are let go."""
        with self._ledger.writing(NOTHING) as connection:
            wanted = select(accounts.c.account_id, accounts.c.account_no)
            mine = accounts.c.account_id.in_({note.account_id for note in notes})
            numbers = {row.account_id: row.account_no for row in connection.execute(wanted.where(mine))}
            rows = [_row(note, numbers[note.account_id]) for note in notes if note.account_id in numbers]
            if rows:
                connection.execute(insert(event_notes), rows)

    def drop_notes(self, now_us: int) -> int:
        """Forget some of the notes that are too old; return how many."""
        before_us = now_us - NOTES_KEPT_DAYS * DAY_US  # days: a bound on age
        old = select(event_notes.c.note_no).where(event_notes.c.seen_us < before_us).limit(ROWS_MAX)
        with self._ledger.writing(NOTHING) as connection:
            return connection.execute(delete(event_notes).where(event_notes.c.note_no.in_(old))).rowcount


def _batches(connection: Connection, account_no: int, wanted: Wanted) -> list[int]:
    """Return the numbers of the newest batches to look into, and one more where there are more."""
    found = batches_of(account_no, wanted.start_us // HOUR_US, (wanted.end_us - 1) // HOUR_US).subquery()
    numbers = select(found.c.batch_no)
    if wanted.place is not None:
        numbers = numbers.where(found.c.batch_no <= wanted.place.batch_no)
    return list(connection.scalars(numbers.order_by(found.c.batch_no.desc()).limit(BATCHES_MAX + 1)))


def _batch(connection: Connection, number: int) -> tuple[Row[Any], bytes]:
    row = connection.execute(select(raw_batches).where(raw_batches.c.batch_no == number)).one()
    return row, zstandard.ZstdDecompressor().decompress(row.body, max_output_size=RAW_BATCH_BYTES_MAX)


def _needle(name: str, value: str) -> bytes:
    return b'"%s":%s' % (name.encode(), msgspec.json.encode(value))


def _lines(plain: bytes, needles: Sequence[bytes]) -> Iterator[dict[str, object]]:
    """Return the events whose bytes hold all *needles*; only these are decoded."""
    lines = b"\n".join(line for line in plain.splitlines() if all(needle in line for needle in needles))
    yield from (event for event in decode_events(lines, lines=True, events_max=None) if isinstance(event, dict))


def _matching(plain: bytes, account_id: AccountId, wanted: Wanted) -> Iterator[dict[str, object]]:
    needles = [_needle("subject", account_id)]
    if wanted.type:
        needles.append(_needle("type", wanted.type))
    if wanted.event_id:
        needles.append(_needle("id", wanted.event_id))
    for body in _lines(plain, needles):
        same = body.get("subject") == account_id and wanted.type in ("", body.get("type"))
        if same and wanted.event_id in ("", body.get("id")):
            yield body


def _note(row: Row[Any]) -> EventNote:
    return EventNote(
        account_id=AccountId(row.account_id),
        event_id=row.event_id,
        source=row.source,
        type=row.type,
        outcome=Outcome(row.outcome),
        code=row.code,
        pointer=row.pointer,
        detail=row.detail,
        seen_us=row.seen_us,
    )


def _row(note: EventNote, account_no: int) -> dict[str, object]:
    return {
        "account_no": account_no,
        "event_id": note.event_id,
        "source": note.source,
        "type": note.type,
        "outcome": note.outcome.value,
        "code": note.code,
        "pointer": note.pointer,
        "detail": note.detail,
        "seen_us": note.seen_us,
    }
