"""What follows from an attempt: the schedule with its jitter, Retry-After, and when a destination is disabled."""

from dataclasses import replace

import pytest

from tallybook.core.clock import US_PER_S
from tallybook.core.delivery import (
    RETRY_AFTER_S_MAX,
    RETRY_DELAYS_S,
    Attempted,
    Claimed,
    Destination,
    Outcome,
    Reason,
    Secret,
    Settled,
    Status,
    settle,
)
from tallybook.core.instant import DAY_US
from tallybook.core.message import Message

NOW_US = 1_773_576_000_000_000
DESTINATION = Destination("hook_1", None, "webhook", "https://example.com/", ("*",))
CLAIMED = Claimed(1, "dlv_1", DESTINATION, Message("msg_1", "a.b", None, b"{}", NOW_US), 0, NOW_US, NOW_US)
FAILED = Attempted(Outcome.FAILED, 0, "timeout")


def settled(claimed: Claimed = CLAIMED, attempted: Attempted = FAILED, luck: int = 0) -> Settled:
    return settle(claimed, attempted, NOW_US, NOW_US + 7, luck)


@pytest.mark.parametrize("tries", range(len(RETRY_DELAYS_S)))
def test_the_schedule_is_eight_attempts_over_28_hours(tries):
    """
    Each wait is at least what is promised and at most a tenth more; after the last there is none.
    """
    soonest, latest = (settled(replace(CLAIMED, tries=tries), luck=luck) for luck in (0, 999))
    if tries == 7:
        assert (Status.FAILED, None) == (soonest.status, soonest.next_us)
        return
    delay_us = RETRY_DELAYS_S[tries + 1] * US_PER_S
    assert Status.PENDING is soonest.status
    assert soonest.next_us == NOW_US + 7 + delay_us
    assert latest.next_us is not None
    assert NOW_US + 7 + delay_us <= latest.next_us < NOW_US + 7 + delay_us * 11 // 10


def test_the_waits_add_up_to_27_hours_and_35_minutes():
    """
    As docs/webhooks.md says.
    """
    assert (8, 27 * 3600 + 35 * 60 + 5) == (len(RETRY_DELAYS_S), sum(RETRY_DELAYS_S))


@pytest.mark.parametrize(
    ("asked_s", "waited_s"),
    [(None, 5), (0, 5), (4, 5), (60, 60), (RETRY_AFTER_S_MAX, RETRY_AFTER_S_MAX), (10**8, RETRY_AFTER_S_MAX), (-9, 5)],
)
def test_retry_after_puts_off_within_a_bound(asked_s, waited_s):
    """
    It never brings an attempt forward.
    """
    assert NOW_US + 7 + waited_s * US_PER_S == settled(attempted=replace(FAILED, retry_after_s=asked_s)).next_us


def test_success_ends_a_delivery():
    """
    There is nothing more to do.
    """
    found = settled(attempted=Attempted(Outcome.DELIVERED, 0))
    assert (Status.DELIVERED, None, None) == (found.status, found.next_us, found.disable)


def test_a_rejected_message_is_not_tried_again():
    """
    Others still are.
    """
    found = settled(attempted=Attempted(Outcome.REJECTED, 0, "no-such-mailbox"))
    assert (Status.FAILED, None, None) == (found.status, found.next_us, found.disable)


def test_gone_disables_at_once():
    """
    The receiver said so.
    """
    found = settled(attempted=Attempted(Outcome.GONE, 0, "gone"))
    assert (Status.FAILED, None, Reason.GONE) == (found.status, found.next_us, found.disable)


@pytest.mark.parametrize(
    ("failing_us", "disable"), [(None, None), (5 * DAY_US - 8, None), (5 * DAY_US - 7, Reason.FAILING)]
)
def test_five_days_of_failures_disable(failing_us, disable):
    """
    To the microsecond, counted from the first failure.
    """
    since_us = None if failing_us is None else NOW_US - failing_us
    claimed = replace(CLAIMED, destination=replace(DESTINATION, failing_since_us=since_us))
    assert disable is settled(claimed).disable


def test_secrets_are_not_in_the_text_of_a_destination():
    """
    Nobody logs them by mistake.
    """
    secret = Secret(1, "hmac-sha256", b"very secret")
    assert "very" not in f"{secret} {replace(DESTINATION, secrets=(secret,))}"
