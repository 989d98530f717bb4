"""The two files that the demo keeps beside its ledger: what it is loading, and where a client finds it.

`demo.state.json` is written before the first event, so that a demo that was cut short goes on with the same
instant, seed and keys; `demo.json` is written when everything is there.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from tallybook.cli.demo_cast import CUSTOMERS
from tallybook.cli.demo_data import SEED
from tallybook.core.errors import StartRefused
from tallybook.core.key import new_token

STATE_FILE = "demo.state.json"
DEMO_FILE = "demo.json"


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """The keys of one account: one that may do what the account's API needs, one that may not."""

    key: str
    key_without_scope: str


@dataclass(frozen=True, slots=True)
class DemoState:
    """What a demo directory holds, or is on its way to hold."""

    now_us: int
    seed: int
    operator_key: str
    keys: Mapping[str, AccountKeys]
    loaded: bool = False


def new_state(now_us: int) -> DemoState:
    """Return the state of a demo that begins now, with fresh keys."""
    keys = {customer.account: AccountKeys(new_token(), new_token()) for customer in CUSTOMERS}
    return DemoState(now_us=now_us, seed=SEED, operator_key=new_token(), keys=keys)


def read_state(data_dir: Path) -> DemoState | None:
    """Return the state kept in *data_dir*, None where no demo ever began.

    Raises:
        StartRefused: If the directory holds a ledger that is no demo's, or the state is damaged.
    """
    path, has_ledger = data_dir / STATE_FILE, (data_dir / "ledger.db").exists()
    try:
        state = msgspec.json.decode(path.read_bytes(), type=DemoState)
        return state if has_ledger else replace(state, loaded=False)
    except FileNotFoundError:
        if has_ledger:
            raise StartRefused(
                f"{data_dir} holds a ledger that is no demo; give the demo a directory of its own with --data"
            ) from None
        return None
    except OSError as error:
        raise StartRefused(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise StartRefused(f"{path} is damaged ({error}); remove {data_dir} and start the demo again") from None


def write_state(data_dir: Path, state: DemoState) -> None:
    """Keep *state* in *data_dir*, whole or not at all.

    Raises:
        StartRefused: If it cannot be written.
    """
    _write(data_dir / STATE_FILE, msgspec.json.encode(state))


def write_demo(data_dir: Path, state: DemoState, base_url: str) -> None:
    """Write `demo.json`: where the demo answers, and with which keys.

    Raises:
        StartRefused: If it cannot be written.
    """
    accounts = {
        customer.dialect: {
            "account": customer.account,
            "key": state.keys[customer.account].key,
            "key_without_scope": state.keys[customer.account].key_without_scope,
            "base_url": f"{base_url}/{customer.dialect}",
        }
        for customer in CUSTOMERS
        if customer.dialect is not None
    }
    demo = {"base_url": base_url, "operator_key": state.operator_key, "accounts": accounts}
    _write(data_dir / DEMO_FILE, json.dumps(demo, indent=2).encode() + b"\n")


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, because it holds keys."""
    half = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - a mode
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    except OSError as error:
        raise StartRefused(f"{path} cannot be written: {error.strerror}") from None
