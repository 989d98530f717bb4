"""What an operator can set, frozen at start: a TOML file, and over it the environment (``TALLYBOOK_`` + KEY).

A key that nothing reads is an error that names the nearest one. Each key is explained in docs/settings.md.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tallybook.core.egress import Network, read_networks
from tallybook.core.errors import RangeInvalid, StartRefused
from tallybook.core.instant import parse_instant

ENVIRONMENT_PREFIX = "TALLYBOOK_"
ENVIRONMENT_OTHERS = frozenset({"CONFIG", "KEY", "URL"})
"""Names with the prefix that the command line reads itself: the settings file, and which server to talk to."""

LOG_FORMATS = ("auto", "json", "console")
SMTP_SECURITIES = ("starttls", "tls", "none")
MIB = 1024 * 1024
_PUBLIC_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?", re.ASCII)
_NO_HOSTS: Mapping[str, str] = MappingProxyType({})


def _integer(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return read


def _flag(value: object) -> bool:
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false")


def _text(value: object) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("must be a string")
    return value


def _url(value: object) -> str:
    text = _text(value)
    if text and not _PUBLIC_URL.fullmatch(text):
        raise ValueError("must look like https://usage.example.com, without a slash at its end")
    return text


def _log_format(value: object) -> str:
    if value not in LOG_FORMATS:
        raise ValueError(f"must be one of {', '.join(LOG_FORMATS)}")
    return str(value)


def _smtp_security(value: object) -> str:
    if value not in SMTP_SECURITIES:
        raise ValueError(f"must be one of {', '.join(SMTP_SECURITIES)}")
    return str(value)


def _directory(value: object) -> Path:
    if not _text(value):
        raise ValueError("must be the path of a directory")
    return Path(_text(value))


def _file(value: object) -> Path | None:
    return Path(_text(value)) if value else None


def _instant(value: object) -> str:
    text = _text(value)
    try:
        if text:
            parse_instant(text, "test_clock_start")
    except RangeInvalid:
        raise ValueError("must be an RFC 3339 instant such as 2026-03-15T12:00:00Z") from None
    return text


def _hosts(value: object) -> Mapping[str, str]:
    """Read a table, or from the environment ``host=dialect,host=dialect``."""
    if isinstance(value, str):
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        value = {host.strip(): dialect.strip() for host, _, dialect in pairs}
    if not isinstance(value, dict) or not all(isinstance(item, str) and item for item in value.values()):
        raise ValueError("must map host names to dialects")
    hosts = {str(host).lower(): dialect for host, dialect in value.items()}
    for host in hosts:
        if not host or ":" in host or "/" in host:
            raise ValueError(f"{host!r} is no host name: leave the scheme, port and path out")
    return MappingProxyType(hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings with their defaults; what each is for stands in docs/settings.md."""

    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: Path = Path("tallybook-data")
    ledger_url: str = ""
    catalogue_file: Path | None = None
    plans_file: Path | None = None
    llm_prices_file: Path | None = None
    invoices_close_after_h: int = 0
    accounts_auto_create: bool = True
    dialect_hosts: Mapping[str, str] = field(default_factory=lambda: _NO_HOSTS)
    metrics_public: bool = False
    log_format: str = "auto"
    body_bytes_max: int = 4 * MIB
    handler_threads_max: int = 16
    requests_max: int = 512
    reader_processes: int = 1
    rate_limit_per_minute: int = 600_000
    connections_max: int = 4096
    ingest_queue_events_max: int = 200_000
    ingest_queue_bytes_max: int = 32 * MIB
    series_an_hour_max: int = 10_000
    drain_notice_s: int = 1
    drain_timeout_s: int = 10
    disk_free_bytes_min: int = 64 * MIB
    egress_allow: tuple[Network, ...] = ()
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: str = "starttls"
    smtp_user: str = ""
    smtp_password: str = field(default="", repr=False)
    smtp_password_file: Path | None = None
    mail_from: str = ""
    secrets_key: str = field(default="", repr=False)
    secrets_key_file: Path | None = None
    deliveries_in_flight_max: int = 256
    deliveries_per_endpoint_max: int = 8
    delivery_log_days: int = 30
    test_clock_start: str = ""
    public_url: str = ""
    brand_name: str = "Tallybook"
    brand_color: str = ""
    brand_logo_file: Path | None = None


_READERS: Mapping[str, Callable[[object], object]] = {
    "host": _text,
    "port": _integer(0, 65_535),
    "data_dir": _directory,
    "ledger_url": _text,
    "catalogue_file": _file,
    "plans_file": _file,
    "llm_prices_file": _file,
    "invoices_close_after_h": _integer(0, 2_400),
    "accounts_auto_create": _flag,
    "dialect_hosts": _hosts,
    "metrics_public": _flag,
    "log_format": _log_format,
    "body_bytes_max": _integer(1024, 256 * MIB),
    "handler_threads_max": _integer(1, 256),
    "requests_max": _integer(1, 100_000),
    "rate_limit_per_minute": _integer(1, 1_000_000_000),
    "connections_max": _integer(1, 1_000_000),
    "ingest_queue_events_max": _integer(1, 100_000_000),
    "reader_processes": _integer(0, 64),
    "ingest_queue_bytes_max": _integer(MIB, 64 * 1024 * MIB),
    "series_an_hour_max": _integer(1, 100_000_000),
    "drain_notice_s": _integer(0, 600),
    "drain_timeout_s": _integer(1, 600),
    "disk_free_bytes_min": _integer(0, 2**60),
    "egress_allow": read_networks,
    "smtp_host": _text,
    "smtp_port": _integer(1, 65_535),
    "smtp_security": _smtp_security,
    "smtp_user": _text,
    "smtp_password": _text,
    "smtp_password_file": _file,
    "mail_from": _text,
    "secrets_key": _text,
    "secrets_key_file": _file,
    "deliveries_in_flight_max": _integer(1, 10_000),
    "deliveries_per_endpoint_max": _integer(1, 64),
    "delivery_log_days": _integer(1, 3_650),
    "test_clock_start": _instant,
    "public_url": _url,
    "brand_name": _text,
    "brand_color": _text,
    "brand_logo_file": _file,
}


def load_settings(file: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read *file*, if there is one, and over it *environment*.

    Raises:
        StartRefused: In one line: which key of what is wrong, and how.
    """
    values: dict[str, object] = {}
    if file is not None:
        for key, value in _read_toml(file).items():
            values[key] = _read(key, value, f"{file}: {key}")
    for name, text in sorted(environment.items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            if key.upper() not in ENVIRONMENT_OTHERS:
                values[key] = _read(key, text, f"the environment: {name}")
    return Settings(**values)  # type: ignore[arg-type]  # each value was read by its key's own reader


def _read_toml(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StartRefused(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartRefused(f"{file}: {error}") from None


def _read(key: str, value: object, place: str) -> object:
    reader = _READERS.get(key)
    if reader is None:
        nearest = difflib.get_close_matches(key, _READERS, n=1, cutoff=0)
        raise StartRefused(f"{place} is no setting; did you mean {nearest[0]}?")
    try:
        return reader(value)
    except ValueError as error:
        raise StartRefused(f"{place} {error}") from None
