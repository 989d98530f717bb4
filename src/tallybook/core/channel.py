"""Channels: what mail and chat say of a message, and when: at once, together with others, or not before the morning.

A channel is a destination that a person reads. Pure rules and texts; sending is `outside.mail` and `outside.slack`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from html import escape
from zoneinfo import ZoneInfo

import msgspec

from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import Problems, read_object
from tallybook.core.instant import EPOCH, MINUTE_US, instant_text
from tallybook.core.message import ENDPOINT_TEST, Message, MessageType
from tallybook.core.window import local_day, read_zone

EMAIL, SLACK = "email", "slack"
KINDS = (EMAIL, SLACK)
DIGEST = "alert.digest"
DAILY = "daily"
DIGEST_MINUTES_MAX = 24 * 60
GAP_MINUTES_MAX = 24 * 60
DIGEST_ITEMS_MAX = 200
"""Most messages of one digest; what is more comes with the next."""
ADDRESS_BYTES_MAX = 254

_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII
)
_CLOCK = re.compile(r"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a channel speaks.

    Attributes:
        digest_minutes: Messages are collected for so long from the first on; 0 for at once.
        daily_at: Minute of the day at which all of the last day are sent together; None for no daily digest.
        quiet: From which minute of the day to which nothing is sent; None for no quiet hours.
        gap_minutes: The least time between two messages.
        timezone: Whose clock; "" for the account's.
    """

    digest_minutes: int = 0
    daily_at: int | None = None
    quiet: tuple[int, int] | None = None
    gap_minutes: int = 0
    timezone: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether everything is sent at once."""
        return self == PLAIN or self == Pace(timezone=self.timezone)

    def due_us(self, now_us: int, tz: ZoneInfo, sent_us: int | None) -> int:
        """Return when a message that comes now may be sent; *sent_us* is when the last one was."""
        at_us = now_us + self.digest_minutes * MINUTE_US
        if self.daily_at is not None:
            at_us = _next_us(now_us, self.daily_at, tz)
        if sent_us is not None:
            at_us = max(at_us, sent_us + self.gap_minutes * MINUTE_US)
        return self._after_quiet(at_us, tz)

    def _after_quiet(self, at_us: int, tz: ZoneInfo) -> int:
        if self.quiet is None:
            return at_us
        begins, ends = self.quiet
        minute = _minute_of_day(at_us, tz)
        inside = begins <= minute < ends if begins < ends else minute >= begins or minute < ends
        return _next_us(at_us, ends, tz) if inside else at_us


PLAIN = Pace()


def _minute_of_day(at_us: int, tz: ZoneInfo) -> int:
    """Return what a clock on the wall shows, in minutes."""
    moment = (EPOCH + timedelta(microseconds=at_us)).astimezone(tz)
    return moment.hour * 60 + moment.minute


def _next_us(now_us: int, minute: int, tz: ZoneInfo) -> int:
    """Return the next instant after *now_us* at which the clock shows *minute* of the day, or first would have."""
    day = local_day(now_us, tz)
    at_us = _at_us(day, minute, tz)
    return at_us if at_us > now_us else _at_us(day + timedelta(days=1), minute, tz)


def _at_us(day: date, minute: int, tz: ZoneInfo) -> int:
    moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=tz)
    return (moment.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


# --- reading and writing ---------------------------------------------------------------------------------------------

_FIELDS = {"digest", "quiet_hours", "minimum_gap_minutes", "timezone"}


def read_pace(value: object, pointer: str) -> Pace:
    """Read ``{"digest": 15 | "daily" | "daily 08:00", "quiet_hours": "22:00-07:00", "minimum_gap_minutes": 10}``.

    Raises:
        FieldInvalid: Telling all that is wrong.
    """
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, _FIELDS, pointer, "a pace")
    none: tuple[int, int | None] = (0, None)
    minutes, daily_at = problems.take(_read_digest, body.get("digest"), f"{pointer}/digest", none)
    quiet = problems.take(_read_quiet, body.get("quiet_hours"), f"{pointer}/quiet_hours", None)
    gap = problems.take(_read_gap, body.get("minimum_gap_minutes", 0), f"{pointer}/minimum_gap_minutes", 0)
    timezone = problems.take(_read_zone, body.get("timezone"), f"{pointer}/timezone", "")
    problems.finish()
    return Pace(minutes, daily_at, quiet, gap, timezone)


def write_pace(pace: Pace) -> dict[str, object]:
    """Return JSON that `read_pace` reads back."""
    digest: object = pace.digest_minutes or None
    if pace.daily_at is not None:
        digest = f"{DAILY} {_clock(pace.daily_at)}"
    quiet = None if pace.quiet is None else f"{_clock(pace.quiet[0])}-{_clock(pace.quiet[1])}"
    return {
        "digest": digest,
        "quiet_hours": quiet,
        "minimum_gap_minutes": pace.gap_minutes,
        "timezone": pace.timezone or None,
    }


def pace_of(options: Mapping[str, str]) -> Pace:
    """Return the pace that a destination's options hold."""
    said = options.get("pace")
    return PLAIN if said is None else read_pace(msgspec.json.decode(said), "")


def options_of(pace: Pace) -> dict[str, str]:
    """Return the options that hold a pace."""
    return {} if pace == PLAIN else {"pace": msgspec.json.encode(write_pace(pace)).decode()}


def check_address(value: object, pointer: str) -> str:
    """Return *value* if it is one plain mail address, without a name, a comment or a line break.

    Raises:
        FieldInvalid: With *pointer*.
    """
    if not isinstance(value, str) or len(value) > ADDRESS_BYTES_MAX or not _ADDRESS.fullmatch(value):
        raise FieldInvalid("must be a mail address such as ops@example.com", pointer=pointer)
    local, _, host = value.rpartition("@")
    if ".." in host or ".." in local or local.startswith(".") or local.endswith("."):
        raise FieldInvalid("must be a mail address such as ops@example.com", pointer=pointer)
    return value


def _read_digest(value: object, pointer: str) -> tuple[int, int | None]:
    if value is None:
        return 0, None
    if type(value) is int and 1 <= value <= DIGEST_MINUTES_MAX:
        return value, None
    if value == DAILY:
        return 0, 8 * 60
    if isinstance(value, str) and value.startswith(f"{DAILY} "):
        return 0, _read_clock(value.removeprefix(f"{DAILY} "), pointer)
    raise FieldInvalid(f'must be minutes from 1 to {DIGEST_MINUTES_MAX}, "daily" or "daily 08:00"', pointer=pointer)


def _read_quiet(value: object, pointer: str) -> tuple[int, int] | None:
    if value is None:
        return None
    begins, dash, ends = value.partition("-") if isinstance(value, str) else ("", "", "")
    if not dash or begins == ends:
        raise FieldInvalid('must be a span of the day such as "22:00-07:00"', pointer=pointer)
    return _read_clock(begins, pointer), _read_clock(ends, pointer)


def _read_clock(text: str, pointer: str) -> int:
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise FieldInvalid("must be a time of the day such as 08:00", pointer=pointer)
    return int(found["hour"]) * 60 + int(found["minute"])


def _read_gap(value: object, pointer: str) -> int:
    if type(value) is not int or not 0 <= value <= GAP_MINUTES_MAX:
        raise FieldInvalid(f"must be whole minutes from 0 to {GAP_MINUTES_MAX}", pointer=pointer)
    return value


def _read_zone(value: object, pointer: str) -> str:
    return "" if value is None else read_zone(value, pointer)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


# --- what is said ----------------------------------------------------------------------------------------------------


class DigestItem(msgspec.Struct, frozen=True):
    """One message of a digest."""

    id: str
    type: str
    account: str | None
    timestamp: str
    data: msgspec.Raw


class Digest(msgspec.Struct, frozen=True):
    """What was collected for a channel, the oldest first; `more` follow in the next."""

    items: list[DigestItem]
    more: int = 0


DIGEST_TYPE = MessageType(
    DIGEST,
    "What was collected for one channel, to that channel only.",
    Digest,
    Digest(
        [
            DigestItem(
                "msg_5f0c61",
                "usage.warning",
                "acme",
                "2026-03-15T12:00:00Z",
                msgspec.Raw(b'{"account":"acme","limit":"messages","threshold":80}'),
            )
        ]
    ),
)


@dataclass(frozen=True, slots=True)
class Said:
    """A message in words: a line for the subject, and lines of (label, text) for each thing it tells."""

    title: str
    parts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]

    def plain(self) -> str:
        """Return it as plain text."""
        blocks = ["\n".join([heading, *(f"{label}: {text}" for label, text in lines)]) for heading, lines in self.parts]
        return "\n\n".join(blocks) + "\n"

    def html(self) -> str:
        """Return it as a small HTML page; everything that others named is escaped."""
        blocks = []
        for heading, lines in self.parts:
            rows = "".join(f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>" for label, text in lines)
            blocks.append(f"<h2>{escape(heading)}</h2><table>{rows}</table>")
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f"<title>{escape(self.title)}</title><style>{_CSS}</style></head><body>{''.join(blocks)}</body></html>"
        )


_CSS = "body{font:15px sans-serif}th{text-align:left;padding-right:1em;font-weight:600}h2{font-size:17px}"
_WORDS = {
    "usage.warning": "Usage is near a limit",
    "usage.critical": "Usage is very near a limit",
    "usage.overage": "A limit is used up",
    "usage.limit_reached": "A threshold of a limit was reached",
    "usage.recovered": "Usage recovered",
    "usage.forecast": "A limit will be used up before its period ends",
    "budget.warning": "Cost is near a budget",
    "budget.critical": "Cost is very near a budget",
    "budget.overage": "A budget is spent",
    "budget.limit_reached": "A threshold of a budget was reached",
    ENDPOINT_TEST: "This is a test",
}
_HIDDEN = frozenset({"alert"})


def say(message: Message) -> Said:
    """Return the message in words."""
    if message.type == DIGEST:
        items = msgspec.json.decode(message.body, type=Digest).items
        parts = [_part(item.type, bytes(item.data), item.timestamp) for item in items]
        return Said(f"{len(items)} alerts", tuple(parts))
    part = _part(message.type, message.body, instant_text(message.time_us))
    about = next((text for label, text in part[1] if label in ("limit", "budget")), "")
    whom = f" ({line(message.account_id)})" if message.account_id else ""
    return Said(f"{part[0]}{': ' + about if about else ''}{whom}", (part,))


def _part(kind: str, body: bytes, at: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    data = msgspec.json.decode(body)
    fields = data.items() if isinstance(data, dict) else ()
    lines = [(line(str(name)), _text(value)) for name, value in fields if value is not None and name not in _HIDDEN]
    heading = _WORDS.get(kind) or kind.replace(".", ": ").replace("_", " ")
    return heading, (*lines, ("event", kind), ("at", at))


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " to ".join(_text(one) for one in value.values())
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return line(str(value))


def line(text: str) -> str:
    """Return *text* as one line without control characters, at most 200 long: names come from anywhere."""
    return _CONTROL.sub(" ", text)[:200]


def lines_for_chat(said: Said) -> Sequence[str]:
    """Return it in the markup of chat, in which the three characters that mean something are escaped."""
    found = [f"*{_chat(said.title)}*"]
    for heading, lines in said.parts:
        found.append(f"_{_chat(heading)}_" if len(said.parts) > 1 else "")
        found += [f"{_chat(label)}: {_chat(text)}" for label, text in lines]
    return [one for one in found if one]


def _chat(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace("@", "@\u200b")
