"""Channels: mailboxes and chats that are told, kept as destinations like webhook endpoints are.

An account's key reaches the channels of its account, the operator's those of every account; the operator's own need the
scope ``admin``. Webhooks have a flow of their own (see `endpoints`); what was delivered is in `redeliver`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tallybook.core.channel import EMAIL, KINDS, PLAIN, SLACK, Pace, check_address, options_of
from tallybook.core.delivery import Destination, DestinationStore, Reason, Secret, State
from tallybook.core.egress import Egress
from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.ids import NAME_BYTES_MAX, AccountId, check_text, new_id
from tallybook.core.key import Caller
from tallybook.core.message import check_patterns

DEFAULT_EVENTS = ("usage.*", "budget.*")
HINT_CHARS = 4
_SCHEME = "url"


@dataclass(frozen=True, slots=True)
class NewChannel:
    """What a channel is to be; *target* is the mail address or the URL."""

    kind: str
    target: str
    account_id: AccountId | None
    events: Sequence[str] = DEFAULT_EVENTS
    pace: Pace = PLAIN
    description: str = ""


@dataclass(frozen=True, slots=True)
class ChannelChange:
    """What of a channel is to be another; None leaves it."""

    events: Sequence[str] | None = None
    pace: Pace | None = None
    description: str | None = None
    enabled: bool | None = None


class Channels:
    """Keeps channels."""

    def __init__(self, store: DestinationStore, egress: Egress, event_types: Collection[str]) -> None:
        self._store = store
        self._egress = egress
        self._types = event_types

    def create(self, caller: Caller, new: NewChannel, now_us: int) -> Destination:
        """Make a channel.

        Raises:
            NotFound: If the account is unknown, or not the caller's.
            Forbidden: If it is the operator's and the key lacks the scope admin.
            UrlNotAllowed, FieldInvalid: If it cannot be one.
            Conflict: If there are too many.
        """
        account_id = caller.account_id if new.account_id is None else new.account_id
        caller.require_reach(account_id, "there is no such account")
        address, secrets = self._address(new)
        channel = Destination(
            destination_id=new_id("chn"),
            account_id=account_id,
            kind=new.kind,
            address=address,
            patterns=check_patterns(list(new.events), "/events", self._types),
            description=_description(new.description),
            options=options_of(new.pace),
            created_us=now_us,
            secrets=secrets,
        )
        self._store.put(channel)
        return channel

    def find(self, caller: Caller, channel_id: str) -> Destination:
        """Return a channel.

        Raises:
            NotFound: If there is none that the caller may see.
        """
        found = None
        if "\x00" not in channel_id:
            found = next((one for kind in KINDS if (one := self._store.get(channel_id, kind)) is not None), None)
        if found is None:
            raise NotFound("there is no such channel")
        caller.require_reach(found.account_id, "there is no such channel")
        return found

    def page(self, caller: Caller, account_id: AccountId | None, after: str, limit: int) -> Sequence[Destination]:
        """Return channels of an account, or with None of the caller's account, or for the operator all there are.

        Raises:
            NotFound: If the account is not the caller's.
            Forbidden: If all are asked for and the key lacks the scope admin.
        """
        account_id = caller.account_id if account_id is None else account_id
        caller.require_reach(account_id, "there is no such account")
        found = [one for kind in KINDS for one in self._store.page(kind, account_id, after, limit)]
        return sorted(found, key=lambda one: one.destination_id)[:limit]

    def change(self, caller: Caller, channel_id: str, change: ChannelChange, now_us: int) -> Destination:
        """Change a channel.

        Raises:
            NotFound: If there is none that the caller may see.
            FieldInvalid: If it cannot be so.
        """
        known = self.find(caller, channel_id)
        values: dict[str, object] = {}
        if change.events is not None:
            values["patterns"] = check_patterns(list(change.events), "/events", self._types)
        if change.pace is not None:
            values["options"] = options_of(change.pace)
        if change.description is not None:
            values["description"] = _description(change.description)
        if values:
            self._store.change(channel_id, values)
        if change.enabled is not None and change.enabled is not (known.state is State.ENABLED):
            if change.enabled:
                self._store.enable(channel_id)
            else:
                self._store.disable(channel_id, Reason.ASKED, now_us)
        return self.find(caller, channel_id)

    def delete(self, caller: Caller, channel_id: str, now_us: int) -> None:
        """Forget a channel, and what was held back for it.

        Raises:
            NotFound: If there is none that the caller may see.
        """
        self.find(caller, channel_id)
        self._store.delete(channel_id, now_us)

    def _address(self, new: NewChannel) -> tuple[str, tuple[Secret, ...]]:
        """Return the address as it may be shown, and what may not be."""
        if new.kind == EMAIL:
            return check_address(new.target, "/address"), ()
        if new.kind == SLACK:
            target = self._egress.check_url(new.target, "/url")
            shown = f"https://{target.authority}/…{new.target[-HINT_CHARS:]}"
            return shown, (Secret(1, _SCHEME, new.target.encode()),)
        raise FieldInvalid(f"must be one of {', '.join(KINDS)}", pointer="/kind")


def _description(text: str) -> str:
    return check_text(text, "/description", bytes_max=NAME_BYTES_MAX) if text else ""
