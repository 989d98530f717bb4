"""Webhooks put together: where secrets are kept, who sends what kind, what is counted; alerts join their kinds here."""

import math
from collections.abc import Callable, Sequence

from prometheus_client import Counter, Histogram

from tallybook.core.clock import US_PER_S, Clock
from tallybook.core.delivery import Sender
from tallybook.core.egress import Egress
from tallybook.core.errors import StartRefused, Unavailable
from tallybook.core.message_types import MESSAGE_TYPES
from tallybook.core.vitals import Backlog
from tallybook.flows.channels import Channels
from tallybook.flows.deliver import AttemptSeen, Deliverer
from tallybook.flows.endpoints import Endpoints, SecretForms
from tallybook.flows.redeliver import Redeliveries
from tallybook.flows.sweep import Job
from tallybook.house.channels import channel_senders, mail_settings
from tallybook.ledger.deliveries import LedgerDeliveries
from tallybook.ledger.delivery_log import LedgerDeliveryLog, PruneDeliveries
from tallybook.ledger.destinations import LedgerDestinations
from tallybook.ledger.digests import LedgerShelf
from tallybook.ledger.open import Ledger
from tallybook.ledger.vault import KEY_FILE, Vault, keys_in_file, read_keys
from tallybook.outside.guard import GuardedClient
from tallybook.outside.resolver import Resolver, SystemResolver
from tallybook.outside.signing import Scheme, new_secret, shown_secret
from tallybook.outside.webhook import KIND, WebhookSender
from tallybook.settings import Settings
from tallybook.web.observe import Observer

SWEEPS = 60
"""Sweeps between two rounds of what is not urgent."""
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 600.0, 3_600.0)

FORMS = SecretForms(tuple(Scheme), new_secret, shown_secret, public=frozenset({Scheme.ED25519}))


class Webhooks:
    """What is open of it; `start` begins to deliver."""

    def __init__(
        self, ledger: Ledger, settings: Settings, clock: Clock, observer: Observer, *, resolver: Resolver | None = None
    ) -> None:
        self._clock = clock
        self._observer = observer
        self.egress = Egress(settings.egress_allow)
        vault = vault_of(settings)
        self.destinations = LedgerDestinations(ledger, vault)
        self._queue = LedgerDeliveries(ledger, vault)
        self.endpoints = Endpoints(self.destinations, self.egress, FORMS, [each.name for each in MESSAGE_TYPES])
        self.redeliveries = Redeliveries(LedgerDeliveryLog(ledger))
        self.shelf = LedgerShelf(ledger, clock)
        self.channels = Channels(self.destinations, self.egress, [each.name for each in MESSAGE_TYPES])
        client = GuardedClient(self.egress, resolver or SystemResolver())
        self.deliverer = Deliverer(
            self._queue,
            senders(client, clock) | channel_senders(client, self.shelf, mail_settings(settings)),
            clock,
            seen=_counting(observer),
            bug=self._bug,
            in_flight_max=settings.deliveries_in_flight_max,
            in_flight_per_destination_max=settings.deliveries_per_endpoint_max,
        )
        prune = PruneDeliveries(ledger, clock, kept_days=settings.delivery_log_days)
        self.jobs: Sequence[Job] = (
            Job("digests", self.shelf.step),
            Job("failing-destinations", self._disable_failing, every=SWEEPS),
            Job("prune-deliveries", prune.step, every=SWEEPS),
        )
        observer.gauge(
            "tallybook_destinations_disabled",
            "Webhook endpoints and other destinations that are disabled.",
            _or_nan(self._queue.disabled),
        )
        observer.gauge(
            "tallybook_outbox_oldest_seconds",
            "For how long the oldest message waits in the outbox.",
            _or_nan(lambda: self._queue.outbox_age_us(clock.now_us()) / US_PER_S),
        )

    def start(self) -> None:
        """Begin to deliver.

        Raises:
            StartRefused: If secrets in the ledger were sealed with a key that is not here.
        """
        try:
            self.destinations.reseal()
        except Unavailable as error:
            raise StartRefused(f"{error.message}; see the settings secrets_key and secrets_key_file") from None
        self.deliverer.start()

    def backlog(self) -> Backlog:
        """Return what waits to be delivered."""
        return self._queue.backlog(self._clock.now_us())

    def close(self) -> None:
        """Let attempts end, and stop."""
        self.deliverer.close()

    def _disable_failing(self) -> int:
        return self._queue.disable_failing(self._clock.now_us())

    def _bug(self, error: Exception) -> None:
        self._observer.bug(error, request_id="", route="deliveries")


def senders(client: GuardedClient, clock: Clock) -> dict[str, Sender]:
    """Return the sender of each kind of destination."""
    return {KIND: WebhookSender(client, clock)}


def vault_of(settings: Settings) -> Vault:
    """Return the vault that the settings describe; a key of its own is made when the first is needed.

    Raises:
        StartRefused: If the settings give keys that are none.
    """
    own = settings.secrets_key_file
    if settings.secrets_key:
        given = read_keys(settings.secrets_key, "the setting secrets_key")
    elif own is not None:
        given = keys_in_file(own, make=False)
    else:
        return Vault(lambda: keys_in_file(settings.data_dir / KEY_FILE, make=True))
    return Vault(lambda: given)


def _counting(observer: Observer) -> Callable[[AttemptSeen], None]:
    registry = observer.registry
    attempts = Counter("tallybook_delivery_attempts", "Attempts to deliver.", ("kind", "outcome"), registry=registry)
    took = Histogram(
        "tallybook_delivery_attempt_seconds", "One attempt.", ("kind",), buckets=_SECONDS, registry=registry
    )
    lag = Histogram(
        "tallybook_delivery_lag_seconds",
        "From a message being handed to a destination to the end of its first attempt.",
        ("kind",),
        buckets=_SECONDS,
        registry=registry,
    )

    def seen(attempt: AttemptSeen) -> None:
        attempts.labels(attempt.kind, attempt.outcome.value).inc()
        took.labels(attempt.kind).observe(attempt.latency_us / US_PER_S)
        if attempt.lag_us is not None:
            lag.labels(attempt.kind).observe(attempt.lag_us / US_PER_S)

    return seen


def _or_nan(read: Callable[[], float]) -> Callable[[], float]:
    """Return *read*, which says that it does not know while the ledger is away."""

    def reading() -> float:
        try:
            return read()
        except Unavailable:
            return math.nan

    return reading
