"""The heartbeat process of a program that can start no Python: a copy of itself, made before it has threads."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from typing import IO, Final

from novita_worker.link.heartbeat_main import say, serve

__all__ = ["ForkedProcess"]

_GLANCE: Final = 0.01


class ForkedProcess:
    """Pings as the script does, until its standard input ends; to its parent it is like a `subprocess.Popen`.

    Of the program's memory it holds what both read and neither writes, and none of its open files.

    Args:
        settings: As for the script.
        descriptor: Of the shared ids.

    Attributes:
        pid: Its id.
        stdin: Its standard input, whose end is its own.
        stdout: Its standard output, where it says what it is.
        returncode: Its exit code, or None while it runs.

    Raises:
        OSError: The system makes no more processes.
    """

    def __init__(self, settings: Mapping[str, str], descriptor: int) -> None:
        _load(settings)
        reader, stdin = os.pipe()
        stdout, writer = os.pipe()
        try:
            with warnings.catch_warnings():
                # Newer Pythons warn where a library has threads; nothing of any library is used in the copy.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.pid = os.fork()
        except OSError:
            for end in (reader, stdin, stdout, writer):
                os.close(end)
            raise
        if self.pid == 0:
            try:
                _become(reader, writer, descriptor)
                serve(dict(settings))
            except BaseException as error:  # noqa: BLE001  what a fork leaves behind must never run the worker's code
                say(f"{type(error).__name__}: {error}")
            finally:
                os._exit(1)
        os.close(reader)
        os.close(writer)
        self.stdin: IO[bytes] | None = os.fdopen(stdin, "wb")
        self.stdout: IO[bytes] | None = os.fdopen(stdout, "rb")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or None while it runs; 0 where somebody else has asked for it."""
        if self.returncode is None:
            try:
                process, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                process, status = self.pid, 0
            if process:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end.

        Raises:
            subprocess.TimeoutExpired: It goes on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("heartbeat", timeout or 0.0)
            time.sleep(_GLANCE)
        return code

    def kill(self) -> None:
        """Ends it at once."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _load(settings: Mapping[str, str]) -> None:
    """What the copy needs, so that it imports nothing: the program's files may be gone by then."""
    import http.client
    import socket

    del http, socket
    if settings["idle"].startswith("https:"):
        import ssl

        del ssl


def _become(reader: int, writer: int, descriptor: int) -> None:
    """Makes a process of its own of the copy: with pipes as its input and output, and no other file of the program."""
    gc.freeze()  # an object that is collected would close its file, whose number may be a connection's by then
    os.dup2(reader, 0)
    os.dup2(writer, 1)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  names are all it has
        if int(name) > 2 and int(name) != descriptor:
            with contextlib.suppress(OSError):
                os.close(int(name))
    sys.argv = ["novita-gpus heartbeat"]
