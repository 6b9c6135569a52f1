"""The heartbeat process, as the worker starts it and tells it its jobs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mmap
import os
import pkgutil
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

from novita_sdk._interpreter import interpreter
from novita_sdk._network import certificates, environment_proxy
from novita_sdk.rpc import WorkerServiceMethods
from novita_sdk.wire.headers import USER_AGENT
from novita_worker._environment import IS_HEARTBEAT, Environment
from novita_worker.link.heartbeat_fork import ForkedProcess
from novita_worker.link.heartbeat_main import HEADER, HELLO, Heart, SharedIds
from novita_worker.link.log_throttle import Throttle

__all__ = ["Heartbeat"]

SIZE: Final = 1024 * 1024
"""Room for the ids in bytes; only what is used takes memory."""
RESTART_DELAY: Final = 1.0
HELLO_TIMEOUT: Final = 60.0
"""Seconds after which a process that has not said what it is counts as another program."""
TRIES: Final = 5
"""Starts in a row without a word after which a thread of the worker pings instead."""
_MARK: Final = "IDS"
_SCRIPT: Final = Path(__file__).with_name("heartbeat_main.py")
_log: Final = logging.getLogger("novita_worker")


class Heartbeat:
    """A process of its own that tells the gateway that the worker lives, and which jobs it has.

    It goes on while a handler holds the GIL, ends with the worker however that ends, and is started again if it dies.
    Where there is no Python to start, as in a frozen program, it is a copy of the worker from before it had threads;
    where that is lost, a thread of the worker, with a warning.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._file: IO[bytes] | None = None
        self._memory: mmap.mmap | None = None
        self._process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failures = Throttle(_log, "the heartbeat process")
        self._starts = 0
        self._thread_is_over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """The process, or None while there is none."""
        return self._process.pid if self._process is not None else None

    def fork(self) -> None:
        """Starts the process now, where it can only be a copy of this one; before there are threads, then `start`."""
        if self._environment.urls.ping_template and _command() is None and hasattr(os, "fork"):
            descriptor = self._share()
            try:
                self._process = ForkedProcess(self._settings(descriptor), descriptor)
            except OSError as error:
                _log.debug("no process could be made to ping: %s", error)

    def start(self) -> None:
        """Starts the process; call it on the I/O loop. Without a ping URL there is none."""
        if not self._environment.urls.ping_template:
            _log.warning("no ping URL is set: the gateway can't know that this worker lives")
            return
        self._loop = asyncio.get_running_loop()
        descriptor = self._share()
        if self._process is None:
            self._spawn(self._loop, descriptor)
        else:
            self._watch(self._loop, descriptor, self._process)

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
        self._set_timer(None)
        if self._process is not None:
            self._end(self._process)
        self._thread_is_over.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)
        if self._memory is not None:
            self._memory.close()
            self._memory = None
        if self._file is not None:
            self._file.close()

    def _share(self) -> int:
        if self._file is None:
            self._file = _shared_file()
            self._file.truncate(SIZE)
            self._memory = mmap.mmap(self._file.fileno(), SIZE)
        return self._file.fileno()

    def _spawn(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        command = _command()
        if command is None:
            lost = "no other process pings, and there is no Python beside this program to start one with"
            self._ping_in_thread(descriptor, lost)
            return
        if self._starts == TRIES:
            self._ping_in_thread(descriptor, f"{command[0]} does not start as a process of its own")
            return
        self._starts += 1
        try:
            process = subprocess.Popen(  # noqa: S603  our own interpreter and script
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(descriptor,),
                env={**os.environ, IS_HEARTBEAT: "1"},
            )
        except (OSError, subprocess.SubprocessError) as error:  # there may be memory for it later
            self._respawn_soon(loop, descriptor, str(error))
            return
        self._process = process
        if process.stdin is not None and process.stdout is not None:
            with contextlib.suppress(BrokenPipeError):  # it died already, which is seen below
                process.stdin.write(json.dumps(self._settings(descriptor)).encode() + b"\n")
                process.stdin.flush()
            self._watch(loop, descriptor, process)

    def _watch(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, process: subprocess.Popen[bytes] | ForkedProcess
    ) -> None:
        if process.stdout is not None:
            # Nothing follows its hello; the end is the end of the process.
            loop.add_reader(process.stdout, self._read, loop, descriptor, process)
            self._set_timer(loop.call_later(HELLO_TIMEOUT, process.kill))

    def _settings(self, descriptor: int) -> dict[str, str]:
        urls = self._environment.urls
        prefix, _, suffix = urls.ping([_MARK]).rpartition(_MARK)
        return {
            "interval": str(self._environment.ping_interval),
            "verb": WorkerServiceMethods.PING.verb,
            "idle": urls.ping([]),
            "prefix": prefix,
            "suffix": suffix,
            "authorization": self._environment.authorization,
            "user_agent": USER_AGENT,
            "fd": str(descriptor),
            "parent": str(os.getpid()),
            "proxy": environment_proxy(urls.ping([])) or "",
            "certificates": certificates() or "",
        }

    def _read(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, process: subprocess.Popen[bytes] | ForkedProcess
    ) -> None:
        text = b"" if process.stdout is None else os.read(process.stdout.fileno(), 4096)
        if text == HELLO:
            self._starts = 0
            self._set_timer(None)
        elif not text:
            self._end(process)
            self._respawn_soon(loop, descriptor, f"it ended with code {process.returncode}")

    def _respawn_soon(self, loop: asyncio.AbstractEventLoop, descriptor: int, reason: str) -> None:
        self._failures.failed(f"{reason}; starting another", loop.time())
        self._set_timer(loop.call_later(RESTART_DELAY, self._spawn, loop, descriptor))

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _ping_in_thread(self, descriptor: int, reason: str) -> None:
        _log.warning(
            "%s: a thread of the worker pings, which stops while a handler holds the GIL, and a job whose handler "
            "does that for longer than a lease is given to another worker",
            reason,
        )

        def say(text: str) -> None:
            _log.warning("heartbeat: %s", text)

        heart = Heart(self._settings(descriptor), SharedIds(descriptor), say, in_process_of_its_own=False)
        self._thread = threading.Thread(
            target=heart.beat, args=(self._thread_is_over.wait,), name="novita-heartbeat", daemon=True
        )
        self._thread.start()

    def _end(self, process: subprocess.Popen[bytes] | ForkedProcess) -> None:
        self._set_timer(None)
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


def _command() -> list[str] | None:
    """What starts the process; None where there is nothing to start it with."""
    python = interpreter()
    if python is None:
        return None
    command = [python, "-I", "-S"]
    if _SCRIPT.is_file():
        return [*command, str(_SCRIPT)]
    source = pkgutil.get_data(__package__, _SCRIPT.name)  # from a zip, which Python itself can't run it in
    return None if source is None else [*command, "-c", source.decode()]


def _shared_file() -> IO[bytes]:
    """A file without a name, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("novita-job-ids"), "w+b")
    return tempfile.TemporaryFile()
