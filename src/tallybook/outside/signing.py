"""Signatures as Standard Webhooks writes them: symmetric (HMAC-SHA256) and asymmetric (ed25519), and their secrets.

Not for keeping secrets (see `ledger.vault`).
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tallybook.core.delivery import Secret

SECRET_BYTES = 32
SYMMETRIC_PREFIX, PUBLIC_PREFIX = "whsec_", "whpk_"


class Scheme(StrEnum):
    """How messages to an endpoint are signed."""

    HMAC = "hmac-sha256"
    ED25519 = "ed25519"


def new_secret(scheme: str) -> bytes:
    """Return a fresh secret, or private key."""
    if scheme == Scheme.ED25519:
        return Ed25519PrivateKey.generate().private_bytes_raw()
    return secrets.token_bytes(SECRET_BYTES)


def shown_secret(scheme: str, value: bytes) -> str:
    """Return what the receiver verifies with: ``whsec_...``, or the public key ``whpk_...``, which is no secret."""
    if scheme == Scheme.ED25519:
        public = Ed25519PrivateKey.from_private_bytes(value).public_key().public_bytes_raw()
        return PUBLIC_PREFIX + base64.b64encode(public).decode()
    return SYMMETRIC_PREFIX + base64.b64encode(value).decode()


def sign(keys: Sequence[Secret], message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: one signature for each key that is valid."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(_signature(key, signed) for key in keys)


def _signature(key: Secret, signed: bytes) -> str:
    if key.scheme == Scheme.ED25519:
        return "v1a," + base64.b64encode(Ed25519PrivateKey.from_private_bytes(key.value).sign(signed)).decode()
    return "v1," + base64.b64encode(hmac.digest(key.value, signed, hashlib.sha256)).decode()
