"""The heartbeat process. Run as a script, without site and without the package, so that it stays small.

Its standard input carries one line of JSON, the settings, and then nothing: its end is the worker's end. The ids in
progress stand in shared memory, because a worker that can't get the GIL can't write to a pipe.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import sys
import threading
import time
import zlib
from urllib.parse import quote, urlsplit

TYPE_CHECKING = False  # typing is not worth its memory here
if TYPE_CHECKING:
    from http.client import HTTPConnection

HEADER = 8
"""Length and CRC-32 of the ids, four bytes each."""


class Heart:
    """Pings at its interval. A ping that fails is tried again sooner."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._interval = float(settings["interval"])
        self._idle, self._prefix, self._suffix = settings["idle"], settings["prefix"], settings["suffix"]
        # As the worker itself writes it; http.client writes text in Latin-1.
        self._headers: dict[str, str | bytes] = {
            "Authorization": settings["authorization"].encode(),
            "User-Agent": settings["user_agent"],
        }
        self._memory = mmap.mmap(int(settings["fd"]), 0, prot=mmap.PROT_READ)
        self._connect, self._errors = _http(is_tls=self._idle.startswith("https:"))
        self._connection: HTTPConnection | None = None
        self._ids = ""
        self._is_failing = False

    def beat(self) -> None:
        """Pings for ever."""
        due = time.monotonic()
        while True:
            if not self._ping():
                time.sleep(min(1.0, self._interval / 4))
                continue
            due = max(due + self._interval, time.monotonic())
            time.sleep(due - time.monotonic())

    def beat_or_end(self) -> None:
        """Ends the process when pinging fails in a way that was not foreseen, so that it is started again."""
        try:
            self.beat()
        except BaseException as error:  # noqa: BLE001  whatever it is, a process that pings no more must not stay
            print(f"novita-gpus heartbeat: {type(error).__name__}", file=sys.stderr, flush=True)  # noqa: T201
            os._exit(1)

    def _ping(self) -> bool:
        problem = self._try() and self._try()  # a kept connection may have been closed by the other side
        if bool(problem) != self._is_failing:
            self._is_failing = bool(problem)
            print(f"novita-gpus heartbeat: {problem or 'pings arrive again'}", file=sys.stderr, flush=True)  # noqa: T201
        return not problem

    def _try(self) -> str | None:
        """One ping; what went wrong, or None."""
        url = urlsplit(self._url())
        try:
            if self._connection is None:
                self._connection = self._connect(url.netloc, timeout=self._interval)
            self._connection.request("GET", f"{url.path or '/'}?{url.query}", headers=self._headers)
            response = self._connection.getresponse()
            response.read()
        except self._errors as error:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            return f"a ping failed: {type(error).__name__}"
        is_transient = response.status == 429 or response.status >= 500
        return f"a ping was answered with HTTP {response.status}" if is_transient else None

    def _url(self) -> str:
        self._read_ids()
        return f"{self._prefix}{quote(self._ids, safe='')}{self._suffix}" if self._ids else self._idle

    def _read_ids(self) -> None:
        """Reads what the worker wrote last; while it is writing, what it wrote before."""
        size = int.from_bytes(self._memory[:4], "little")
        data = self._memory[HEADER : HEADER + size]
        if zlib.crc32(data) == int.from_bytes(self._memory[4:HEADER], "little"):
            self._ids = data.decode()


def _http(*, is_tls: bool) -> tuple[type[HTTPConnection], tuple[type[Exception], ...]]:
    """The kind of connection, and what goes wrong on it."""
    if not is_tls:
        # Else http.client loads it, which is a quarter of this process's memory.
        sys.modules["ssl"] = None  # type: ignore[assignment]
    import http.client

    connect = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
    return connect, (OSError, http.client.HTTPException)


def main() -> None:
    """Pings until the worker is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Meant for the worker, which still has jobs to finish.
        signal.signal(number, signal.SIG_IGN)
    settings = json.loads(sys.stdin.buffer.readline())
    parent = int(settings["parent"])
    threading.Thread(target=Heart(settings).beat_or_end, daemon=True).start()
    # A process that the worker forked may hold the pipe open, so the parent is looked at too.
    while os.getppid() == parent:
        if select.select([sys.stdin], [], [], float(settings["interval"]) / 2)[0] and not os.read(0, 1):
            break
    os._exit(0)


if __name__ == "__main__":
    main()
