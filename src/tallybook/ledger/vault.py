"""Secrets at rest: encrypted with a key that is not in the ledger, so that neither it nor a backup gives them away.

The first key encrypts, all of them decrypt: to replace a key, put the new one in front of the old. AES-256-GCM; each
secret is bound to the place it is kept at, so that none can be moved to another. Not for API keys, which are hashed.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tallybook.core.errors import StartRefused, Unavailable

KEY_BYTES = 32
KEYS_MAX = 8
KEY_FILE = "secrets.key"
_NONCE_BYTES = 12
_NAME_CHARS = 12
"""Digits of a key's SHA-256 by which sealed texts name it."""


class Vault:
    """Seals and opens secrets; *load* is asked for the keys once, when the first is needed."""

    def __init__(self, load: Callable[[], Sequence[bytes]]) -> None:
        self._load = load
        self._ciphers: dict[str, AESGCM] = {}

    @property
    def key_name(self) -> str:
        """The name of the key that encrypts."""
        return next(iter(self._opened()))

    def knows(self, key_name: str) -> bool:
        """Whether texts that name this key can be opened."""
        return key_name in self._opened()

    def seal(self, value: bytes, place: str) -> str:
        """Return *value* encrypted, to be kept at *place*."""
        name, cipher = next(iter(self._opened().items()))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return f"{name}.{base64.b64encode(nonce + cipher.encrypt(nonce, value, place.encode())).decode()}"

    def open(self, sealed: str, place: str) -> bytes:
        """Return what was sealed for *place*.

        Raises:
            Unavailable: If it was sealed with a key that is not here, or damaged.
        """
        name, _, text = sealed.partition(".")
        cipher = self._opened().get(name)
        if cipher is None:
            raise Unavailable(f"a secret was sealed with the key {name}, which this server does not have")
        raw = base64.b64decode(text)
        try:
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode())
        except InvalidTag:
            raise Unavailable(f"a secret in the ledger is damaged: {place}") from None

    def _opened(self) -> dict[str, AESGCM]:
        if not self._ciphers:
            self._ciphers = {_name(key): AESGCM(key) for key in self._load()}
        return self._ciphers


def key_name_of(sealed: str) -> str:
    """Return the name of the key that *sealed* was sealed with."""
    return sealed.partition(".")[0]


def read_keys(text: str, place: str) -> list[bytes]:
    """Return the keys in *text*: 32 bytes in base64 each, by line or with commas between, the newest first.

    Raises:
        StartRefused: Naming *place*, never the key.
    """
    keys = []
    for word in text.replace(",", "\n").split():
        try:
            key = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise StartRefused(f"{place} must hold keys of {KEY_BYTES} bytes in base64 (openssl rand -base64 32)")
        keys.append(key)
    if not 0 < len(keys) <= KEYS_MAX:
        raise StartRefused(f"{place} must hold 1 to {KEYS_MAX} keys")
    return keys


def keys_in_file(file: Path, *, make: bool) -> list[bytes]:
    """Return the keys in *file*, which only its owner may read; *make* it with a fresh key if it does not exist.

    Raises:
        StartRefused: If it cannot be read or made, or others may read it.
    """
    try:
        if make:
            _make(file)
        mode = file.stat().st_mode
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise StartRefused(f"{file}: {getattr(error, 'strerror', None) or 'is not text'}") from None
    if mode & 0o077:
        raise StartRefused(f"{file} holds the key of all secrets and others may read it; chmod 600 it")
    return read_keys(text, str(file))


def _make(file: Path) -> None:
    """Make *file* with a fresh key; of several processes that do, one wins, and none ever sees half a key."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        os.link(fresh, file)
    except FileExistsError:
        pass  # another process was first, and its key counts
    finally:
        fresh.unlink()


def _name(key: bytes) -> str:
    return hashlib.sha256(b"tallybook vault\0" + key).hexdigest()[:_NAME_CHARS]
