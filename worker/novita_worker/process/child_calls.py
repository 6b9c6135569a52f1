"""Calls that processes which a handler started make to their worker, over a socket of this machine.

A child connects when it first has something to say: it inherits nothing, so it may be forked, spawned, or any program
that was given the environment. A call is a line: the token, the job's id and its progress as JSON, which may be empty.
So is the answer: `-`, `over` where the worker has no such job any more, or else why the job is to end.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hmac
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from novita_worker.process.forks import let_go_in_child

__all__ = ["GO_ON", "OVER", "VARIABLE", "ChildCalls", "call", "is_reachable"]

VARIABLE: Final = "NOVITA_CHILD_CALLS"
"""Where a spawned child finds its worker: the token and the address; a forked one remembers them."""
GO_ON: Final = "-"
OVER: Final = "over"
PATIENCE: Final = 5.0
"""Seconds that a child waits for an answer: the worker may have a handler that holds the GIL."""
LARGEST_CALL: Final = 64 * 1024 * 1024
_IS_LINUX: Final = "linux" in sys.platform
_PIECE: Final = 256 * 1024

_log: Final = logging.getLogger("novita_worker")
_places: Final[list[str]] = []
"""Those of the workers in this process, or in the one that it was forked from."""
_lines: Final[dict[int, _Line]] = {}
"""This process's connection, under its id: one that it was forked from is its parent's."""


class ChildCalls:
    """The worker's end. Make it anywhere, then open and close it on the I/O loop.

    Args:
        answer: Called on the loop with a job's id and its progress; gives the answer.
        environ: Gets what spawned children need to know. Without it only forked ones find this end.
    """

    def __init__(self, answer: Callable[[str, bytes], str], environ: MutableMapping[str, str] | None = None) -> None:
        self._answer = answer
        self._environ = {} if environ is None else environ
        self._token = secrets.token_hex(16)
        self._folder: Path | None = None
        self._buffers: dict[socket.socket, bytearray] = {}
        self._forget_forks: Callable[[], object] = lambda: None
        self._listener: socket.socket | None = None
        self._place: str | None = None

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listens from now on."""
        listener = socket.socket(socket.AF_UNIX)
        try:
            address = self._bind(listener)
            listener.listen(128)
        except OSError as error:  # a sandbox; whoever reports from a child is told there
            _log.debug("processes of handlers can't report: %s", error)
            listener.close()
            self._remove()
            return
        listener.settimeout(0)
        self._listener = listener
        self._forget_forks = let_go_in_child(self._let_go)
        loop.add_reader(listener, self._accept, loop, listener)
        self._environ[VARIABLE] = self._place = f"{self._token} {address}"
        _places.append(self._place)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listens no more, and hangs up."""
        self._forget_forks()
        if self._place is not None:
            _places.remove(self._place)
            self._environ.pop(VARIABLE, None)
        for connection in (*self._buffers, *([self._listener] if self._listener else [])):
            loop.remove_reader(connection)
        self._let_go()
        self._remove()

    def _bind(self, listener: socket.socket) -> str:
        if _IS_LINUX:  # where a name needs no file, so that a kill leaves none
            name = f"novita-worker-{secrets.token_hex(8)}"
            listener.bind(f"\0{name}")
            return f"@{name}"
        self._folder = Path(tempfile.mkdtemp(prefix="novita-worker-"))
        path = str(self._folder / "calls")
        listener.bind(path)
        return path

    def _remove(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _let_go(self) -> None:
        """Also in a forked process, where an open end would keep others from seeing that the worker is gone."""
        for connection in (*self._buffers, *([self._listener] if self._listener else [])):
            os.close(connection.detach())  # `close` waits for a loop that a fork left behind
        self._buffers.clear()
        self._listener = None

    def _accept(self, loop: asyncio.AbstractEventLoop, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it hung up, or there are too many open files, of which others tell
            connection, _ = listener.accept()
            connection.settimeout(0)
            self._buffers[connection] = bytearray()
            loop.add_reader(connection, self._read, loop, connection)

    def _read(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        buffer = self._buffers[connection]
        try:
            piece = connection.recv(_PIECE)
            buffer += piece
            # A child waits for its answer, so that there is no more than one line.
            if piece.endswith(b"\n"):
                connection.send(self._reply(bytes(buffer)).encode() + b"\n")
                buffer.clear()
            is_over = not piece or len(buffer) > LARGEST_CALL
        except BlockingIOError:
            return
        except (OSError, ValueError):
            is_over = True
        if is_over:
            loop.remove_reader(connection)
            del self._buffers[connection]
            connection.close()

    def _reply(self, text: bytes) -> str:
        token, job_id, progress = text[:-1].split(b" ", 2)
        if not hmac.compare_digest(token, self._token.encode()):
            raise ValueError("a call with another token")
        return self._answer(unquote(job_id.decode()), progress)


def is_reachable() -> bool:
    """Whether this process knows a worker that it could call."""
    return bool(_places) or VARIABLE in os.environ


def call(job_id: str, progress: bytes = b"") -> str:
    """Tells the worker of a job, and asks how it stands.

    Raises:
        OSError: There is no worker that answers.
    """
    process = os.getpid()
    if (line := _lines.get(process)) is None:
        while _lines:
            _lines.popitem()[1].close()
        line = _lines.setdefault(process, _Line())
    return line.call(job_id, progress)


class _Line:
    """A child's connection; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._was_answered = False
        atexit.register(self.close)

    def call(self, job_id: str, progress: bytes) -> str:
        token, _, address = (_places[-1] if _places else os.environ.get(VARIABLE, "")).partition(" ")
        text = b" ".join((token.encode(), quote(job_id, safe="").encode(), progress)) + b"\n"
        with self._lock:
            try:
                if self._socket is None:
                    self._socket = _connect(address)
                self._socket.sendall(text)
                with self._socket.makefile("rb") as answers:
                    answer = answers.readline()
                if not answer.endswith(b"\n"):
                    raise ConnectionResetError("it hung up")
            except OSError as error:
                self.close()
                if self._was_answered and isinstance(error, ConnectionError):
                    return OVER  # the worker is gone, and its jobs with it
                raise
            self._was_answered = True
        return answer[:-1].decode()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _connect(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(PATIENCE)
        connection.connect(f"\0{address[1:]}" if address.startswith("@") else address)
    except BaseException:
        connection.close()
        raise
    return connection
