"""Receivers in JavaScript accept our signatures: the reference library, installed for this, and node's own ed25519."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tallybook.core.clock import SystemClock
from tallybook.core.delivery import Secret
from tallybook.outside.signing import Scheme, new_secret, shown_secret, sign

HERE = Path(__file__).parent
BODY = '{"id":"msg_1","data":{"name":"\u00fc\u202e<b>","n":"2.50"}}'
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")


@pytest.fixture(scope="module")
def verify(tmp_path_factory):
    """Return a function that has node verify deliveries; the library comes once a run, exactly as it is locked."""
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "verify.mjs"):
        shutil.copy(HERE / name, folder)
    installed = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True, check=False, env=os.environ)
    assert 0 == installed.returncode, installed.stderr

    def verify(*deliveries):
        command = ["node", "verify.mjs"]
        done = subprocess.run(
            command, cwd=folder, input=json.dumps(deliveries), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return verify


def signed(keys, body=BODY, *, now_s=None):
    """Return the headers of a delivery that is signed with *keys*."""
    now_s = SystemClock().now_us() // 1_000_000 if now_s is None else now_s
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now_s),
        "webhook-signature": sign(keys, "msg_1", now_s, body.encode()),
    }


@pytest.mark.parametrize("scheme", Scheme)
def test_a_receiver_in_javascript_accepts_what_we_sign_and_nothing_else(verify, scheme):
    """
    Each of two secrets while one is replaced; not a third, not another body, not another id.
    """
    old, new, other = (Secret(number, scheme, new_secret(scheme)) for number in (1, 2, 3))
    shown = [shown_secret(scheme, one.value) for one in (old, new, other)]
    headers = signed([new, old])

    accepted = verify(*({"secret": secret, "headers": headers, "body": BODY} for secret in shown))
    changed = verify(
        {"secret": shown[0], "headers": headers, "body": BODY.replace("2.50", "9.99")},
        {"secret": shown[0], "headers": {**headers, "webhook-id": "msg_2"}, "body": BODY},
        {"secret": shown[0], "headers": {**headers, "webhook-timestamp": "1"}, "body": BODY},
    )

    assert ([True, True, False], [False, False, False]) == (accepted, changed)


def test_the_reference_library_refuses_an_old_timestamp(verify):
    """
    So a replay needs a new one, which every attempt has.
    """
    key = Secret(1, Scheme.HMAC, new_secret(Scheme.HMAC))
    told = verify({"secret": shown_secret(key.scheme, key.value), "headers": signed([key], now_s=1), "body": BODY})

    assert [False] == told


def test_the_lock_names_no_registry():
    """
    Where packages come from is the machine's business; what they hold is not.
    """
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    packages = [one for name, one in lock["packages"].items() if name]

    assert all("integrity" in one and "resolved" not in one for one in packages)
