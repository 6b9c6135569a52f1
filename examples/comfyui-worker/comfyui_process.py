"""The ComfyUI process: starts it, watches it, starts it again; or finds the one that runs already."""

import asyncio
import atexit
import collections
import contextlib
import logging
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from comfyui_errors import ComfyUIError

LOG = logging.getLogger("comfyui")
LOG_LINES = 60
START_SECONDS = 600
ANSWER_SECONDS = 30
STOP_SECONDS = 30
# Ends ComfyUI's process group when the worker is gone, however that ended: the pipe then closes.
WARDEN = "read _; kill -KILL -$0 2>/dev/null"


@dataclass(frozen=True)
class NodeClass:
    """What the worker needs to know of a node class."""

    is_output: bool
    choices: frozenset[str]
    """Inputs that are chosen from a list."""

    @classmethod
    def of(cls, info: dict[str, Any]) -> "NodeClass":
        """From ComfyUI's `object_info`."""
        inputs = [inputs for inputs in info["input"].values() if isinstance(inputs, dict)]
        specs = [(name, spec[0]) for group in inputs for name, spec in group.items() if isinstance(spec, list) and spec]
        choices = frozenset(name for name, kind in specs if isinstance(kind, list) or kind == "COMBO")
        return cls(bool(info.get("output_node")), choices)


class Server:
    """The ComfyUI process. One that listens at the URL already is used as it is."""

    def __init__(self, url: str, command: Sequence[str]) -> None:
        self.url = url
        self.launches = 0
        self.stuck: dict[str, float] = {}
        """Cancelled runs that a ComfyUI which is not ours went on with, and since when."""
        self.classes: dict[str, NodeClass] = {}
        """Node classes that ComfyUI is known to have."""
        self.uploads: collections.Counter[tuple[str, str]] = collections.Counter()
        """Input files, by subfolder and name, and how many jobs of this worker need them."""
        self.deleting: set[tuple[str, str]] = set()
        """Input files that ComfyUI is about to delete."""
        self.extension: bool | None = None
        """Whether ComfyUI has `worker_extension.py`; None if nobody asked yet."""
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._warden: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._address: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this object started it, and so may end it."""
        return self._process is not None

    @property
    def has_command(self) -> bool:
        """Whether it can be started at all."""
        return bool(self._command)

    def choices(self, class_type: str) -> frozenset[str]:
        """The inputs of a class that are chosen from a list."""
        known = self.classes.get(class_type)
        return known.choices if known else frozenset()

    def is_output(self, class_type: str) -> bool:
        """Whether nodes of a class are output nodes."""
        known = self.classes.get(class_type)
        return known is not None and known.is_output

    def launch(self) -> None:
        """Starts the process if there is none, without waiting for it."""
        if not self._command or (self._process and self._process.poll() is None) or self._listens():
            return
        self.launches += 1
        self.classes.clear()
        self.extension = self._address = None
        self._log.clear()
        # A session of its own: Ctrl-C reaches the worker alone, which finishes its job before it stops ComfyUI.
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self._warden = subprocess.Popen(
            ["/bin/sh", "-c", WARDEN, str(self._process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        atexit.register(self.stop)
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Ends the process if this object started it, with what it has started itself."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self._kill()

    async def restart(self) -> None:
        """Ends a ComfyUI that no longer does anything, and starts it again without waiting for it."""
        await asyncio.to_thread(self._kill)
        self.launch()

    async def wait_until_ready(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """Starts ComfyUI if nothing listens, and returns its `system_stats` when it answers."""
        self.launch()
        begin = time.monotonic()
        while True:
            problem, is_there = "nothing listens there", False
            try:
                async with session.get("/system_stats", timeout=aiohttp.ClientTimeout(total=5)) as answer:
                    if answer.status == 200 and answer.content_type == "application/json":
                        stats: dict[str, Any] = await answer.json()
                        return stats
                    problem, is_there = f"what listens there answers {answer.status} to /system_stats", True
            except TimeoutError:
                problem, is_there = "what listens there does not answer", True
            except aiohttp.ClientError:
                pass
            self.raise_if_dead("starting", self.launches)
            patience = START_SECONDS if self._process else ANSWER_SECONDS if is_there else 0
            if self._address and self._address != urllib.parse.urlsplit(self.url).port:
                patience = 0
                problem = f"the ComfyUI that COMFYUI_COMMAND started listens on port {self._address}"
            if time.monotonic() - begin >= patience:
                raise ComfyUIError(
                    "COMFYUI_UNREACHABLE",
                    f"ComfyUI does not answer at {self.url} ({problem}): set COMFYUI_URL to where it listens, "
                    "or COMFYUI_COMMAND to the command that starts it there",
                    self._tail(),
                )
            await asyncio.sleep(0.2)

    def raise_if_dead(self, doing: str, launches: int) -> None:
        """Raises if the process of that launch is gone, with the end of its log; starts it for the next job."""
        if self._process and (status := self._process.poll()) is not None:
            log = self._tail()
            self._kill()
            self.launch()
            raise ComfyUIError("COMFYUI_CRASHED", f"ComfyUI ended with status {status} while {doing}", log)
        if self.launches != launches:
            raise ComfyUIError("COMFYUI_RESTARTED", f"ComfyUI was started again, for another job's sake, while {doing}")

    def _kill(self) -> None:
        process, self._process = self._process, None
        warden, self._warden = self._warden, None
        if warden:
            warden.kill()
            warden.communicate()
        if process:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)

    def _listens(self) -> bool:
        parts = urllib.parse.urlsplit(self.url)
        with contextlib.suppress(OSError):
            socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1).close()
            return True
        return False

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        with process:
            for line in process.stdout or ():
                self._log.append(line.rstrip())
                if found := re.search(r"To see the GUI go to: http://\S*:(\d+)", line):
                    self._address = int(found[1])
                print(line, end="", flush=True)

    def _tail(self) -> str:
        if self._reader:
            self._reader.join(timeout=1)
        return "The end of ComfyUI's log:\n" + "\n".join(self._log) if self._log else ""
