"""Webhook endpoints: made, changed, enabled, disabled, deleted, and their secrets replaced while both are valid.

An account's key reaches the endpoints of its account, the operator's those of every account; the operator's own need
the scope ``admin``. Not for bringing messages there (see `deliver`), nor for what was brought (see `redeliver`).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from tallybook.core.clock import US_PER_S
from tallybook.core.delivery import Destination, DestinationStore, Reason, Secret, State
from tallybook.core.egress import Egress
from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.ids import NAME_BYTES_MAX, AccountId, check_text, new_id
from tallybook.core.key import Caller
from tallybook.core.message import EVERYTHING, check_patterns

KIND = "webhook"
SCHEME = "scheme"
"""The option that says how messages are signed."""
OVERLAP_S, OVERLAP_S_MAX = 86_400, 604_800
"""For how long a replaced secret is valid beside the new one, unless it is said, and at most."""


@dataclass(frozen=True, slots=True)
class SecretForms:
    """How secrets are made and shown.

    Attributes:
        schemes: Names of the ways to sign, the usual one first.
        make: Returns a fresh secret of a scheme.
        show: Returns what receivers verify with.
        public: Schemes where that is no secret.
    """

    schemes: Sequence[str]
    make: Callable[[str], bytes]
    show: Callable[[str, bytes], str]
    public: Collection[str]


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """What an endpoint is to be."""

    url: str
    account_id: AccountId | None
    events: Sequence[str] = (EVERYTHING,)
    description: str = ""
    scheme: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What of an endpoint is to be another; None leaves it."""

    url: str | None = None
    events: Sequence[str] | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key that signatures verify with: *public* where it may be shown, else None."""

    public: str | None
    expires_us: int | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint with its keys, the newest first; *shown* is what to verify with, only where it was just made."""

    destination: Destination
    keys: tuple[Key, ...]
    shown: str | None = None

    @property
    def scheme(self) -> str:
        """How messages to it are signed."""
        return self.destination.options[SCHEME]


class Endpoints:
    """Keeps webhook endpoints."""

    def __init__(
        self, store: DestinationStore, egress: Egress, forms: SecretForms, event_types: Collection[str]
    ) -> None:
        self._store = store
        self._egress = egress
        self._forms = forms
        self._types = event_types

    def create(self, caller: Caller, new: NewEndpoint, now_us: int) -> Endpoint:
        """Make an endpoint and its secret, which is shown this once.

        Raises:
            NotFound: If the account is unknown, or not the caller's.
            Forbidden: If it is the operator's and the key lacks the scope admin.
            UrlNotAllowed, FieldInvalid: If it cannot be one.
            Conflict: If there are too many.
        """
        account_id = caller.account_id if new.account_id is None else new.account_id
        caller.require_reach(account_id, "there is no such account")
        self._egress.check_url(new.url)
        scheme = new.scheme or self._forms.schemes[0]
        if scheme not in self._forms.schemes:
            raise FieldInvalid(f"must be one of {', '.join(self._forms.schemes)}", pointer="/signature")
        value = self._forms.make(scheme)
        destination = Destination(
            destination_id=new_id("hook"),
            account_id=account_id,
            kind=KIND,
            address=new.url,
            patterns=check_patterns(list(new.events), "/events", self._types),
            description=_description(new.description),
            options={SCHEME: scheme},
            created_us=now_us,
            secrets=(Secret(1, scheme, value),),
        )
        self._store.put(destination)
        return self._endpoint(destination, destination.secrets, shown=self._forms.show(scheme, value))

    def get(self, caller: Caller, endpoint_id: str, now_us: int) -> Endpoint:
        """Return an endpoint with its keys.

        Raises:
            NotFound: If there is none that the caller may see.
        """
        found = self.find(caller, endpoint_id)
        return self._endpoint(found, self._store.secrets_of(endpoint_id, now_us))

    def find(self, caller: Caller, endpoint_id: str) -> Destination:
        """Return an endpoint without its keys.

        Raises:
            NotFound: If there is none that the caller may see.
        """
        found = None if "\x00" in endpoint_id else self._store.get(endpoint_id, KIND)
        if found is None:
            raise NotFound("there is no such webhook endpoint")
        caller.require_reach(found.account_id, "there is no such webhook endpoint")
        return found

    def page(self, caller: Caller, account_id: AccountId | None, after: str, limit: int) -> Sequence[Destination]:
        """Return endpoints of an account, or with None of the caller's account, or for the operator all there are.

        Raises:
            NotFound: If the account is not the caller's.
            Forbidden: If all are asked for and the key lacks the scope admin.
        """
        account_id = caller.account_id if account_id is None else account_id
        caller.require_reach(account_id, "there is no such account")
        return self._store.page(KIND, account_id, after, limit)

    def change(self, caller: Caller, endpoint_id: str, change: Change, now_us: int) -> Endpoint:
        """Change an endpoint; messages on their way go to the new URL.

        Raises:
            NotFound: If there is none that the caller may see.
            UrlNotAllowed, FieldInvalid: If it cannot be so.
        """
        self.find(caller, endpoint_id)
        values: dict[str, object] = {}
        if change.url is not None:
            self._egress.check_url(change.url)
            values["address"] = change.url
        if change.events is not None:
            values["patterns"] = check_patterns(list(change.events), "/events", self._types)
        if change.description is not None:
            values["description"] = _description(change.description)
        if values:
            self._store.change(endpoint_id, values)
        return self.get(caller, endpoint_id, now_us)

    def set_state(self, caller: Caller, endpoint_id: str, state: State, now_us: int) -> Endpoint:
        """Enable or disable an endpoint; doing so again changes nothing.

        Raises:
            NotFound: If there is none that the caller may see.
        """
        if self.find(caller, endpoint_id).state is not state:
            if state is State.ENABLED:
                self._store.enable(endpoint_id)
            else:
                self._store.disable(endpoint_id, Reason.ASKED, now_us)
        return self.get(caller, endpoint_id, now_us)

    def delete(self, caller: Caller, endpoint_id: str, now_us: int) -> None:
        """Forget an endpoint.

        Raises:
            NotFound: If there is none that the caller may see.
        """
        self.find(caller, endpoint_id)
        self._store.delete(endpoint_id, now_us)

    def rotate(self, caller: Caller, endpoint_id: str, overlap_s: int, now_us: int) -> Endpoint:
        """Make a new secret, which is shown this once; messages are signed with the old one too for *overlap_s*.

        Raises:
            NotFound: If there is none that the caller may see.
            Conflict: If too many are valid already.
        """
        scheme = self.find(caller, endpoint_id).options[SCHEME]
        value = self._forms.make(scheme)
        until_us = now_us + overlap_s * US_PER_S
        self._store.rotate(endpoint_id, scheme, value, now_us, old_until_us=until_us)
        return replace(self.get(caller, endpoint_id, now_us), shown=self._forms.show(scheme, value))

    def _endpoint(self, found: Destination, secrets: Sequence[Secret], shown: str | None = None) -> Endpoint:
        keys = tuple(
            Key(self._forms.show(one.scheme, one.value) if one.scheme in self._forms.public else None, one.expires_us)
            for one in secrets
        )
        return Endpoint(replace(found, secrets=()), keys, shown)


def _description(text: str) -> str:
    return check_text(text, "/description", bytes_max=NAME_BYTES_MAX) if text else ""
