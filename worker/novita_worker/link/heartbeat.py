"""The worker's side of its heartbeat process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mmap
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

from novita_sdk.wire.headers import USER_AGENT
from novita_worker._environment import Environment
from novita_worker.link.heartbeat_main import HEADER
from novita_worker.link.log_throttle import Throttle

__all__ = ["Heartbeat"]

SIZE: Final = 1024 * 1024
"""Room for the ids in bytes; only what is used takes memory."""
RESTART_DELAY: Final = 1.0
_MARK: Final = "IDS"
_SCRIPT: Final = Path(__file__).with_name("heartbeat_main.py")
_log: Final = logging.getLogger("novita_worker")


class Heartbeat:
    """A process of its own that tells the gateway that the worker lives, and which jobs it has.

    It goes on while a handler holds the GIL, ends with the worker however that ends, and is started again if it dies.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._file: IO[bytes] | None = None
        self._memory: mmap.mmap | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._failures = Throttle(_log, "the heartbeat process")

    @property
    def pid(self) -> int | None:
        """The process, or None while there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Starts the process; call it on the I/O loop. Without a ping URL there is none."""
        if not self._environment.urls.ping_template:
            _log.warning("no ping URL is set: the gateway can't know that this worker lives")
            return
        self._loop = asyncio.get_running_loop()
        self._file = _shared_file()
        self._file.truncate(SIZE)
        self._memory = mmap.mmap(self._file.fileno(), SIZE)
        self._spawn()

    def set_ids(self, ids: Iterable[str]) -> None:
        """Sets the jobs of the next ping."""
        if self._memory is None:
            return
        data = ",".join(ids).encode()
        if len(data) > SIZE - HEADER:
            data = data[: SIZE - HEADER].rpartition(b",")[0]
        self._memory[HEADER : HEADER + len(data)] = data
        self._memory[:HEADER] = len(data).to_bytes(4, "little") + zlib.crc32(data).to_bytes(4, "little")

    def stop(self) -> None:
        """Ends the process."""
        if self._restart is not None:
            self._restart.cancel()
        if self._process is not None:
            self._end(self._process)
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        if self._file is not None:
            self._file.close()

    def _spawn(self) -> None:
        if self._file is None or self._loop is None:
            return
        fd = self._file.fileno()
        process = subprocess.Popen(  # noqa: S603  our own interpreter and script
            [sys.executable, "-I", "-S", str(_SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(fd,),
        )
        urls = self._environment.urls
        prefix, _, suffix = urls.ping([_MARK]).rpartition(_MARK)
        settings = {
            "interval": str(self._environment.ping_interval),
            "idle": urls.ping([]),
            "prefix": prefix,
            "suffix": suffix,
            "authorization": self._environment.authorization,
            "user_agent": USER_AGENT,
            "fd": str(fd),
            "parent": str(os.getpid()),
        }
        self._process = process
        if process.stdin is not None and process.stdout is not None:
            with contextlib.suppress(BrokenPipeError):  # it died already, which is seen below
                process.stdin.write(json.dumps(settings).encode() + b"\n")
                process.stdin.flush()
            # Nothing is ever written there; its end is the end of the process.
            self._loop.add_reader(process.stdout, self._died, process)

    def _died(self, process: subprocess.Popen[bytes]) -> None:
        self._end(process)
        if self._loop is not None:
            self._respawn_soon(self._loop, f"it ended with code {process.returncode}")

    def _respawn_soon(self, loop: asyncio.AbstractEventLoop, reason: str) -> None:
        self._failures.failed(f"{reason}; starting another", loop.time())
        self._restart = loop.call_later(RESTART_DELAY, self._respawn, loop)

    def _respawn(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._spawn()
        except OSError as error:  # there may be memory for it later
            self._respawn_soon(loop, str(error))

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if self._loop is not None and process.stdout is not None:
            self._loop.remove_reader(process.stdout)
            process.stdout.close()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        try:
            process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None


def _shared_file() -> IO[bytes]:
    """A file without a name, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("novita-job-ids"), "w+b")
    return tempfile.TemporaryFile()
