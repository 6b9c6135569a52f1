"""Real worker processes, made of a script's text."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.environment import WAYS, plain_environment
from tests.support.waiting import DEADLINE, eventually

HOLD = """
def hold(name="go"):
    while not os.path.exists(name):
        time.sleep(0.005)
"""
"""In every script: a handler that calls it blocks its thread until the test says `let_go`."""


START = 'start({"handler": handler})'
ECHO = 'def handler(job):\n    return job["input"]\n' + START
"""The shortest worker there is."""


@dataclass
class WorkerProcess:
    process: subprocess.Popen[str]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = DEADLINE) -> int:
        return self.process.wait(timeout)

    def let_go(self, name: str = "go") -> None:
        """Ends the `hold()` of its handlers."""
        (self.log.parent / name).touch()

    @property
    def stderr(self) -> str:
        return self.log.read_text()

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        def found() -> re.Match[str] | None:
            return re.search(pattern, self.stderr)

        match = eventually(found, lambda: f"{pattern!r} is not in the log:\n{self.stderr}")
        assert match is not None
        return match

    def end(self) -> None:
        """Asks the worker to end, and sees that it does so cleanly."""
        self.send_signal(signal.SIGTERM)
        assert self.wait() == 0, self.stderr


class Spawn(Protocol):
    """Starts a worker process from a script; everything of `novita_worker` is imported there.

    `environ` is what the platform sets; without it, it names the test's gateway.
    """

    def __call__(self, script: str, *arguments: str, environ: Mapping[str, str] | None = None) -> WorkerProcess: ...


IMPORTS = """\
import asyncio, contextlib, logging, os, sys, threading, time
import novita_worker
from novita_worker import *
"""


@contextmanager
def worker_processes(folder: Path, default: Mapping[str, str]) -> Iterator[Spawn]:
    """Starts workers, which are killed at the end of the block where they still run."""
    workers: list[WorkerProcess] = []

    def spawn(script: str, *arguments: str, environ: Mapping[str, str] | None = None) -> WorkerProcess:
        home = folder / f"worker{len(workers)}"
        home.mkdir()
        file = home / "handler.py"
        file.write_text(IMPORTS + HOLD + textwrap.dedent(script))
        log = home / "stderr.txt"
        plain = {name: value for name, value in plain_environment().items() if name.upper() not in WAYS}
        env = {**plain, **(default if environ is None else environ), "PYTHONWARNINGS": "error"}
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(file), *arguments], env=env, cwd=home, stderr=stderr, text=True
            )
        workers.append(WorkerProcess(process, log))
        return workers[-1]

    try:
        yield spawn
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGKILL)
            worker.process.wait(DEADLINE)
            if "Traceback" in worker.stderr or "Warning" in worker.stderr:
                sys.stderr.write(worker.stderr)
