"""Tables of query strings that no dialect may accept, raw as they go over the wire."""

from collections.abc import Iterator

BAD_TEXTS = (
    "",
    "abc",
    "null",
    "true",
    "NaN",
    "Infinity",
    "[]",
    "{}",
    "%00",
    "%ff%fe",
    "%C3",
    "a" * 10_000,
    "%F0%9F%98%80",
    "%3Cscript%3E",
    "'%20OR%201=1--",
    "../../etc/passwd",
    "%2e%2e%2f",
    "%",
    "%zz",
)

BAD_INTEGERS = (
    "0",
    "-0",
    "-1",
    "-999999999999999999999",
    "1.0",
    "1.5",
    "7.",
    ".7",
    "1e1",
    "1E400",
    "0x10",
    "0b1",
    "1_0",
    "1,0",
    "1;2",
    "+7",
    "%2B7",
    "%207",
    "7%20",
    "7%0A",
    "7%00",
    "7%09",
    "--7",
    "7-",
    "%D9%A7",  # an Arabic-Indic seven
    "%EF%BC%97",  # a full-width seven
    "%C2%B2",  # a superscript two
    "%E2%85%A7",  # a Roman eight
    "9" * 19,
    "9" * 5_000,
    "9223372036854775808",
    "18446744073709551616",
)

BAD_DATES = (
    "0001-01-01",
    "9999-12-31",
    "1969-12-31",
    "2200-01-02",
    "0000-00-00",
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-12:00",
    "2026-02-29",
    "2026-02-30",
    "2026-13-01",
    "2026-00-10",
    "2026-04-31",
    "2026-3-1",
    "26-03-01",
    "2026-03",
    "2026",
    "20260301",
    "2026-060",
    "2026-W10-1",
    "01-03-2026",
    "2026/03/01",
    "1772323200",
    "-2026-03-01",
    "%2B2026-03-01",
    "%202026-03-01",
    "2026-03-01%20",
    "2026-03-01%00",
    "2026-03-01%0A",
    "2026-03-01Z",
    "2026-03-01T",
    "2026-03-01T24:00:01Z",
    "2026-03-01T12:60:00Z",
    "2026-03-01T12:00:61Z",
    "2026-03-01T12:00:00.Z",
    "2026-03-01T12:00:00.0000000000000Z",
    "2026-03-01T12:00:00%2B25:00",
    "2026-03-01T12:00:00%2B1:00",
    "2026-03-01T12:00:00ZZ",
    "2026-03-01T12:00:00%20UTC",
    "%D9%A2%D9%A0%D9%A2%D9%A6-%D9%A0%D9%A3-%D9%A0%D9%A1",
    "2026%E2%88%9203%E2%88%9201",  # minus signs
    "now",
    "today",
    "P1D",
    "9" * 40,
)

BAD_WORDS = ("DAY", "Day", "day%20", "%20day", "days", "day,week", "minute", "year", "total", "1", "0", "day%00")


def bad_queries(name: str, values: tuple[str, ...], good: str) -> Iterator[str]:
    """Yield each bad value of one parameter, and good ones said more than once."""
    for value in (*BAD_TEXTS, *values):
        yield f"{name}={value}"
    yield name
    yield f"{name}={good}&{name}={good}"
    yield f"{name}={good}&{name}="
    yield f"{name}=&{name}={good}"
    yield "&".join([f"{name}={good}"] * 150)


INVERTED = (
    "{0}=2026-03-02&{1}=2026-03-01",
    "{0}=2026-03-02&{1}=2026-02-28",
    "{0}=2026-03-02T00:00:01Z&{1}=2026-03-02T00:00:00Z",
    "{0}=2026-03-06",
    "{0}=2199-12-31",
)
"""The end before the start, the next day after today included: the clock stands on 2026-03-05."""

CASES: dict[str, list[tuple[str, str]]] = {
    "agentphone": [
        *(("/v1/usage/daily", query) for query in bad_queries("days", ("366", "1000000", *BAD_INTEGERS), "7")),
        *(("/v1/usage/monthly", query) for query in bad_queries("months", ("25", "365", *BAD_INTEGERS), "6")),
    ],
    "aurion": [
        *(("/api/v1/usage/details", query) for query in bad_queries("start_date", BAD_DATES, "2026-03-01")),
        *(("/api/v1/usage/details", query) for query in bad_queries("end_date", BAD_DATES, "2026-03-01")),
        *(("/api/v1/usage/details", query) for query in bad_queries("group_by", ("hour", *BAD_WORDS), "day")),
        *(("/api/v1/usage/details", query) for query in bad_queries("event_type", ("VOICE", "call", "*"), "voice")),
        *(("/api/v1/usage/details", query.format("start_date", "end_date")) for query in INVERTED),
        ("/api/v1/usage/details", "start_date=1970-01-01&end_date=2199-12-31"),
        ("/api/v1/usage/details", "start_date=1970-01-01&end_date=2199-12-31&group_by=week"),
    ],
    "anyreach": [
        *(("/admin/usage/summary", query) for query in bad_queries("from", BAD_DATES, "2026-03-01")),
        *(("/admin/usage/summary", query) for query in bad_queries("to", BAD_DATES, "2026-03-04")),
        *(("/admin/usage/summary", query.format("from", "to")) for query in INVERTED),
        ("/admin/usage/summary", "from=2026-03-01&to=2026-03-01"),
        ("/admin/usage/summary", "from=2026-03-01T00:00:00.000Z&to=2026-03-01"),
        ("/admin/usage/summary", "from=2025-01-01T00:00:00Z&to=2026-01-02T00:00:01Z"),
        ("/admin/usage/summary", "from=1970-01-01&to=2199-01-01"),
    ],
    "wontopos": [
        *(("/v1/usage", query) for query in bad_queries("from", BAD_DATES, "2026-03-01")),
        *(("/v1/usage", query) for query in bad_queries("to", BAD_DATES, "2026-03-04")),
        *(("/v1/usage", query) for query in bad_queries("granularity", BAD_WORDS, "day")),
        *(("/v1/usage/api_a", query) for query in bad_queries("from", BAD_DATES, "2026-03-01")),
        *(("/v1/usage/api_a", query) for query in bad_queries("to", BAD_DATES, "2026-03-04")),
        *(("/v1/usage/api_a", query) for query in bad_queries("granularity", BAD_WORDS, "day")),
        *(("/v1/usage/api_a", f"endpoint={value}") for value in ("", "%00", "a" * 10_000, "%ff", "a&endpoint=b")),
        *(("/v1/usage", query.format("from", "to")) for query in INVERTED),
        *(("/v1/usage/api_a", query.format("from", "to")) for query in INVERTED),
        ("/v1/usage/api_a", "from=2020-01-01&to=2026-01-01&granularity=hour"),
    ],
    "liberclaw": [
        *(("/api/v1/usage/history", query) for query in bad_queries("days", ("91", "365", *BAD_INTEGERS), "7")),
        *(("/api/v1/usage/per-agent", query) for query in bad_queries("days", ("91", "365", *BAD_INTEGERS), "7")),
    ],
}
