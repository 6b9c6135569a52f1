"""The heartbeat process. Run as a script, without site and without the package, so that it stays small.

Two processes are at work here: one that pings, and the one that was started, which starts another when the first one
dies; the worker can't do that while a handler holds its GIL. If the second dies, the first pings on until the worker,
which closes its standard input then, has started another pair.

Standard input carries one line of JSON, the settings, and then nothing: its end is the worker's end. The ids in
progress stand in shared memory, because a worker that can't get the GIL can't write to a pipe.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import signal
import sys
import time
import zlib
from urllib.parse import quote, unquote, urlsplit

TYPE_CHECKING = False  # typing is not worth its memory here
if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPConnection

HEADER = 8
"""Length and CRC-32 of the ids, four bytes each."""
HELLO = b"novita-heartbeat\n"
"""What the process says when it has come this far; a program that was started in its place by mistake does not."""
LONGEST_SILENCE = 30.0
"""Seconds that a gateway may take for one step of an answer, where the interval is not shorter."""
LIMIT = 6.0
"""How many such silences one ping may take in all: two tries, of three steps each."""
RESTART_DELAY = 0.2
SLOWEST_RESTART = 5.0
"""Seconds before another process is started, where one after the other ends before it has lived so long."""
LARGEST_ANSWER = 64 * 1024
_EXCERPT = 200


class Heart:
    """Pings at its interval. A ping that fails is tried again sooner.

    Args:
        settings: As `heartbeat.py` makes them.
        ids: Gives the jobs in progress, joined with commas.
        say: Told when pings fail and when they arrive again.
        in_process_of_its_own: Whether nothing else in this process needs `ssl`.
    """

    def __init__(
        self,
        settings: dict[str, str],
        ids: Callable[[], str],
        say: Callable[[str], object],
        *,
        in_process_of_its_own: bool,
    ) -> None:
        self._interval = float(settings["interval"])
        self._timeout = min(self._interval, LONGEST_SILENCE)
        self._verb = settings["verb"]
        self._idle, self._prefix, self._suffix = settings["idle"], settings["prefix"], settings["suffix"]
        # As the worker itself writes it; http.client writes text in Latin-1.
        self._headers: dict[str, str | bytes] = {
            "Authorization": settings["authorization"].encode(),
            "User-Agent": settings["user_agent"],
        }
        self._proxy, self._certificates = settings["proxy"], settings["certificates"]
        self._ids = ids
        self._say = say
        if in_process_of_its_own and not self._idle.startswith("https:"):
            # Else http.client loads it, which is a quarter of this process's memory.
            sys.modules["ssl"] = None  # type: ignore[assignment]
        self._connection: HTTPConnection | None = None
        self._is_failing = False

    def beat(self, rest: Callable[[float], bool]) -> None:
        """Pings until `rest`, which waits so many seconds, says that it is over."""
        due = time.monotonic()
        while True:
            is_good = self._ping()
            now = time.monotonic()
            if is_good:
                due = max(due + self._interval, now)
            # A ping that was answered late may be followed by one that is due at once, never by a negative pause.
            if rest(due - now if is_good else min(1.0, self._interval / 4)):
                self._hang_up()
                return

    def _ping(self) -> bool:
        is_answered, problem = self._try()
        if not is_answered:  # a kept connection may have been closed by the other side
            is_answered, problem = self._try()
        if bool(problem) != self._is_failing:
            self._is_failing = bool(problem)
            self._say(problem or "pings arrive again")
        return is_answered

    def _try(self) -> tuple[bool, str | None]:
        """One ping: whether the gateway had its say, and what is wrong, or None."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request(self._verb, self._target(), headers=self._headers)
            response = self._connection.getresponse()
            body = response.read(LARGEST_ANSWER)
            if not response.isclosed():
                self._hang_up()
        except Exception as error:  # noqa: BLE001  whatever it is, the next ping may do better
            self._hang_up()
            return False, f"a ping failed: {type(error).__name__}: {error}".removesuffix(": ")
        status = response.status
        if status < 300:
            return True, None
        said = " ".join(body[:_EXCERPT].decode(errors="replace").split())
        # What it refuses for good it would refuse at once again.
        return not (status == 429 or status >= 500), f"a ping was answered with HTTP {status} {said}".rstrip()

    def _connect(self) -> HTTPConnection:
        from http import client

        url, via = urlsplit(self._idle), urlsplit(self._proxy)
        place = f"{via.hostname}:{via.port or 80}" if self._proxy else url.netloc
        if url.scheme == "http":
            return client.HTTPConnection(place, timeout=self._timeout)
        import ssl

        found = self._certificates
        is_folder = os.path.isdir(found)  # noqa: PTH112  pathlib is not worth its memory here
        context = ssl.create_default_context(
            cafile=None if is_folder or not found else found, capath=found if is_folder else None
        )
        connection = client.HTTPSConnection(place, timeout=self._timeout, context=context)
        if self._proxy:
            connection.set_tunnel(url.hostname or "", url.port or 443, headers=self._proxy_headers())
        return connection

    def _target(self) -> str:
        ids = self._ids()
        text = f"{self._prefix}{quote(ids, safe='')}{self._suffix}" if ids else self._idle
        url = urlsplit(text)
        if self._proxy and url.scheme == "http":
            self._headers.update(self._proxy_headers())
            return text.partition("#")[0]
        return f"{url.path or '/'}?{url.query}"

    def _proxy_headers(self) -> dict[str, str]:
        via = urlsplit(self._proxy)
        if not via.username:
            return {}
        from binascii import b2a_base64

        word = f"{unquote(via.username)}:{unquote(via.password or '')}".encode()
        return {"Proxy-Authorization": "Basic " + b2a_base64(word, newline=False).decode()}

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class SharedIds:
    """The ids that the worker wrote last; while it is writing, what it wrote before."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        self._ids = ""

    def __call__(self) -> str:
        """Reads them."""
        size = int.from_bytes(self._memory[:4], "little")
        data = self._memory[HEADER : HEADER + size]
        if zlib.crc32(data) == int.from_bytes(self._memory[4:HEADER], "little"):
            self._ids = data.decode()
        return self._ids


def say(text: str) -> None:
    """Writes a line to stderr, where anybody reads that; a ping must not wait for it, nor fail with it."""
    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"novita-gpus heartbeat: {text}\n".encode(errors="replace"))
    except (OSError, ValueError):
        return


def ping(settings: dict[str, str], supervisor: int) -> None:
    """Pings until the worker is gone; the process's only work."""
    limit = LIMIT * min(float(settings["interval"]), LONGEST_SILENCE)
    parent = int(settings["parent"])

    def rest(seconds: float) -> bool:
        signal.setitimer(signal.ITIMER_REAL, 0)
        is_over = bool(select.select([0], [], [], seconds)[0]) and not os.read(0, 1)
        # Looked at too, because a process that the worker forked may hold the pipe open.
        if os.getppid() != supervisor:
            is_over = is_over or not _exists(parent)
        signal.setitimer(signal.ITIMER_REAL, limit)
        return is_over

    # A ping that hangs for good, as a name server or an answer byte by byte may make it, ends this process.
    signal.setitimer(signal.ITIMER_REAL, limit)
    Heart(settings, SharedIds(int(settings["fd"])), say, in_process_of_its_own=True).beat(rest)


def supervise(settings: dict[str, str]) -> None:
    """Keeps one process pinging until the worker is gone."""
    parent, delay = int(settings["parent"]), RESTART_DELAY
    while os.getppid() == parent:
        began = time.monotonic()
        status = _run_one(settings, parent)
        if os.getppid() != parent or status == 0:
            return
        say(f"{status}; another is started")
        delay = RESTART_DELAY if time.monotonic() - began > SLOWEST_RESTART else min(SLOWEST_RESTART, delay * 2)
        time.sleep(delay)


def _run_one(settings: dict[str, str], parent: int) -> str | int:
    """Has a process ping until it ends, or until the worker does; 0, or what became of it."""
    supervisor = os.getpid()
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError as error:  # there may be room for it later
        os.close(reader)
        os.close(writer)
        return f"no process could be made to ping: {error}"
    if child == 0:
        os.close(reader)
        os.close(1)  # whose end tells the worker of its supervisor's
        code = 1
        try:
            ping(settings, supervisor)
            code = 0
        except BaseException as error:  # noqa: BLE001  a process that pings no more must not stay
            say(f"{type(error).__name__}: {error}")
        finally:
            os._exit(code)
    os.close(writer)
    is_over, glance = False, float(settings["interval"]) / 2
    while not is_over and reader not in (ready := select.select([0, reader], [], [], glance)[0]):
        # Looked at too, because a process that the worker forked may hold the pipe open.
        is_over = os.getppid() != parent or (0 in ready and not os.read(0, 1))
    os.close(reader)
    if is_over:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 0 if is_over or code == 0 else f"the process that pings ended with code {code}"


def main() -> None:
    """Pings until the worker is gone."""
    _ignore_signals()
    serve(json.loads(sys.stdin.buffer.readline()))


def serve(settings: dict[str, str]) -> None:
    """Pings until the worker is gone, and ends the process; standard input and output are the worker's pipes."""
    _ignore_signals()
    os.write(1, HELLO)
    supervise(settings)
    os._exit(0)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        # Meant for the worker, which still has jobs to finish.
        signal.signal(number, signal.SIG_IGN)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main()
