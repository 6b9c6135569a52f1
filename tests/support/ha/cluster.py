"""Two PostgreSQL servers, of which one follows the other; the test is who promotes it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from tests.support.postgres_server import PostgresServer
from tests.support.processes import children
from tests.support.waiting import eventually

__all__ = ["Cluster", "Pair", "kill_tree", "open_folder", "pair", "signal_receivers", "signal_tree", "sql"]


ROOM: Final = 4 << 30
"""Bytes that must be free in memory."""


class Cluster(Protocol):
    """Servers of which one takes writes, and another one after it died.

    Attributes:
        dsn: Names all of them.
    """

    dsn: str

    def hold_standbys(self) -> None:
        """What the primary sends from now on reaches no standby, though it leaves the primary."""
        ...

    def kill_primary(self, *, machine: bool = False) -> None:
        """Ends the primary as `kill -9` does, or as its machine does; what it sent and was not received is gone.

        Returns when another server takes writes.
        """
        ...

    def kill_standby(self) -> None:
        """Ends the standby that the primary waits for."""
        ...


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that another user may enter, in memory where that has room: pytest's own are closed."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="novita-ha-", dir=memory if has_room else None))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def signal_tree(pid: int, number: int) -> None:
    """Sends a signal to a server and its processes: each of them is in a session of its own."""
    for process in (pid, *children(pid)):
        with suppress(ProcessLookupError):
            os.kill(process, number)


def kill_tree(pid: int) -> None:
    """Ends a server and its processes at once."""
    signal_tree(pid, signal.SIGKILL)


def signal_receivers(pid: int, number: int) -> int:
    """Sends a signal to the process of a standby that receives; returns to how many."""
    found = []
    for child in children(pid):
        with suppress(OSError):
            if b"walreceiver" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, number)
                found.append(child)
    return len(found)


def sql(dsn: str, *statements: str) -> list[Any]:
    """Carries statements out at the primary; returns the records of the last."""

    async def run() -> list[Any]:
        import asyncpg

        connection = await asyncpg.connect(dsn, target_session_attrs="read-write")
        try:
            records: list[Any] = []
            for statement in statements:
                records = await connection.fetch(statement)
            return records
        finally:
            await connection.close()

    return asyncio.run(run())


class Pair:
    """A primary and its standby.

    Args:
        folder: For both.
        is_synchronous: A commit waits for the standby.
    """

    def __init__(self, folder: Path, *, is_synchronous: bool) -> None:
        self.primary = PostgresServer(folder / "primary")
        self.standby = PostgresServer(folder / "standby")
        self._is_synchronous = is_synchronous
        self.dsn = f"postgresql://postgres@127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}/postgres"

    def start(self) -> None:
        """Returns when the standby follows."""
        self.primary.create()
        self.primary.start()
        self.standby.create_from(self.primary)
        self.standby.start()
        eventually(lambda: signal_receivers(self._standby, 0) == 1, "the standby does not follow")
        self._name_standbys("*" if self._is_synchronous else "")

    def stop(self) -> None:
        """Ends both."""
        for server in (self.primary, self.standby):
            if server.process is not None and server.process.poll() is None:
                kill_tree(server.process.pid)
                server.process.wait()

    def hold_standbys(self) -> None:
        """What the primary sends from now on reaches no standby, though it leaves the primary."""
        assert signal_receivers(self._standby, signal.SIGSTOP) == 1

    def kill_primary(self, *, machine: bool = False) -> None:
        """Ends the primary, and has the standby take its place."""
        assert self.primary.process is not None
        kill_tree(self.primary.process.pid)
        self.primary.process.wait()
        signal_receivers(self._standby, signal.SIGKILL)
        eventually(self._promote, "the standby can't be promoted")

    def kill_standby(self) -> None:
        """Ends the standby, and has the primary wait for none any more, as an operator does."""
        kill_tree(self._standby)
        self._name_standbys("")

    def _name_standbys(self, names: str) -> None:
        sql(self.primary.dsn, f"ALTER SYSTEM SET synchronous_standby_names = '{names}'", "SELECT pg_reload_conf()")

    @property
    def _standby(self) -> int:
        assert self.standby.process is not None
        return self.standby.process.pid

    def _promote(self) -> bool:
        try:
            self.standby.call("pg_ctl", "promote", "-w", "-D", str(self.standby.data))
        except (AssertionError, subprocess.SubprocessError):  # it begins anew, because its receiver was killed
            return False
        return True


@contextmanager
def pair(is_synchronous: bool) -> Iterator[Pair]:
    """A primary and its standby, while a block lasts."""
    with open_folder() as folder:
        made = Pair(folder, is_synchronous=is_synchronous)
        try:
            made.start()
            yield made
        finally:
            made.stop()
