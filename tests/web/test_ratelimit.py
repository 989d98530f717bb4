"""The door's fixed windows: exact counts, whole minutes, threads."""

from concurrent.futures import ThreadPoolExecutor

from tallybook.core.instant import MINUTE_US
from tallybook.web.ratelimit import RateLimiter

NOON_US = 1_772_366_400_000_000  # 2026-03-01T12:00:00Z


def test_exactly_the_maximum_passes_in_one_minute():
    """
    Of five requests against a maximum of three, three pass, and the count left falls to 0 and stays there.
    """
    limiter = RateLimiter(3)

    taken = [limiter.take("a", NOON_US + second * 1_000_000) for second in range(5)]

    assert [True, True, True, False, False] == [one.allowed for one in taken]
    assert [2, 1, 0, 0, 0] == [one.remaining for one in taken]


def test_the_next_minute_begins_anew():
    """
    A key that was refused passes again when the minute turns, which is when the headers said it would.
    """
    limiter = RateLimiter(1)
    limiter.take("a", NOON_US + 59_999_999)
    refused = limiter.take("a", NOON_US + 59_999_999)

    assert {
        "X-RateLimit-Limit": "1",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str((NOON_US + MINUTE_US) // 1_000_000),
        "Retry-After": "1",
    } == refused.headers()
    assert limiter.take("a", NOON_US + MINUTE_US).allowed


def test_retry_after_covers_the_rest_of_the_minute():
    """
    Whoever waits as long as Retry-After says arrives in the next minute.
    """
    limiter = RateLimiter(1)

    for into_us in (0, 1, 30_000_000, 30_000_001, 59_000_000, 59_000_001):
        allowance = limiter.untouched(NOON_US + into_us)
        assert (NOON_US + into_us + allowance.retry_after_s * 1_000_000) // MINUTE_US == NOON_US // MINUTE_US + 1


def test_keys_do_not_share():
    """
    One key's requests take nothing from another's, and a look takes nothing at all.
    """
    limiter = RateLimiter(1)
    limiter.take("a", NOON_US)

    assert 1 == limiter.untouched(NOON_US).remaining
    assert limiter.take("b", NOON_US).allowed
    assert "Retry-After" not in limiter.untouched(NOON_US).headers()


def test_threads_never_pass_the_maximum_and_never_fall_short():
    """
    Of 400 requests from 16 threads, exactly 100 pass.
    """
    limiter = RateLimiter(100)

    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda _: limiter.take("a", NOON_US).allowed, range(400)))

    assert 100 == sum(taken)
