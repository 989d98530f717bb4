"""Deliveries over a ledger, without sockets: a queue, its log and its destinations, and a sender that does as told."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tallybook.core.clock import FrozenClock
from tallybook.core.delivery import Attempted, Destination, Outcome, Secret, Status
from tallybook.core.delivery_log import Delivery, LogFilter
from tallybook.core.ids import AccountId
from tallybook.core.message import OPERATOR_NO, Message
from tallybook.core.ports import AccountChange
from tallybook.flows.deliver import AttemptSeen, Deliverer
from tallybook.ledger.accounts import LedgerAccounts
from tallybook.ledger.deliveries import LedgerDeliveries
from tallybook.ledger.delivery_log import LedgerDeliveryLog
from tallybook.ledger.destinations import LedgerDestinations
from tallybook.ledger.open import Ledger
from tallybook.ledger.outbox import put_message
from tallybook.ledger.vault import KEY_BYTES, Vault

NOW_US = 1_773_576_000_000_000
"""2026-03-15T12:00:00Z."""
DELIVERED, FAILED = Attempted(Outcome.DELIVERED, 0, status=200), Attempted(Outcome.FAILED, 0, "timeout")
VAULT = Vault(lambda: [b"k" * KEY_BYTES])


@dataclass
class Post:
    """A ledger's post office, at a time that stands still."""

    ledger: Ledger
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(NOW_US))

    def __post_init__(self) -> None:
        self.queue = self.process()
        self.destinations = LedgerDestinations(self.ledger, VAULT)
        self.log = LedgerDeliveryLog(self.ledger)

    @property
    def now_us(self) -> int:
        """Now."""
        return self.clock.now_us()

    def process(self) -> LedgerDeliveries:
        """Return the queue as another process would have it."""
        return LedgerDeliveries(self.ledger, VAULT)

    def account(self, account_id: str) -> int:
        """Make an account and return its number."""
        change = AccountChange(AccountId(account_id), plan_name="default", plan_version=1)
        return LedgerAccounts(self.ledger).put(change, NOW_US).no

    def endpoint(self, name: str, account_id: str | None = None, *patterns: str) -> Destination:
        """Make an endpoint called *name*."""
        made = Destination(
            name,
            None if account_id is None else AccountId(account_id),
            "webhook",
            f"https://{name}.example/",
            patterns or ("*",),
            options={"scheme": "hmac-sha256"},
            created_us=self.now_us,
            secrets=(Secret(1, "hmac-sha256", f"secret of {name}".encode()),),
        )
        self.destinations.put(made)
        return made

    def tell(self, account_no: int = OPERATOR_NO, message_type: str = "lease.terminated", count: int = 1) -> None:
        """Write messages into the outbox."""
        with self.ledger.writing() as connection:
            for number in range(count):
                put_message(connection, account_no, message_type, {"n": number}, self.now_us)

    def deliveries(self, name: str, **wanted: object) -> list[Delivery]:
        """Return what was handed to an endpoint, the newest first."""
        return list(self.log.page(name, LogFilter(**wanted), None, 1_000)[0])  # type: ignore[arg-type]

    def statuses(self, name: str) -> list[Status]:
        """Return the state of each delivery of an endpoint, the oldest first."""
        return [one.status for one in reversed(self.deliveries(name))]


@dataclass
class ToySender:
    """Does as *behave* says of each message, and keeps what it was given."""

    behave: Callable[[Destination, Message], Attempted] = lambda _destination, _message: DELIVERED
    sent: list[tuple[str, str]] = field(default_factory=list)
    closed: int = 0

    async def send(self, destination: Destination, message: Message) -> Attempted:
        """Note it, and do as told."""
        self.sent.append((destination.destination_id, message.message_id))
        return self.behave(destination, message)

    async def close(self) -> None:
        """Note it."""
        self.closed += 1


def deliverer(post: Post, sender: ToySender, **more: int) -> Deliverer:
    """Return a deliverer that would fail on any bug."""
    return Deliverer(post.process(), {"webhook": sender}, post.clock, seen=_ignore, bug=_fail, **more)


def _ignore(_: AttemptSeen) -> None:
    """Count nothing."""


def _fail(error: Exception) -> None:
    raise AssertionError from error
