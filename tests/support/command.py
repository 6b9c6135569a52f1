"""The real command as a process, and a worker's script that does what its input says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from click.testing import CliRunner

from novita_cli._app import app
from tests.support.waiting import DEADLINE

WORKER = """
import time
import novita_gpus

def handler(job, context):
    wish = job["input"]
    if "progress" in wish:
        novita_gpus.progress_update(job, wish["progress"])
    if "chunks" in wish:
        return stream(wish, context)
    sleep(wish, context)
    if "raise" in wish:
        raise ValueError(wish["raise"])
    return wish

def stream(wish, context):
    yield from wish["chunks"]
    sleep(wish, context)
    if "raise" in wish:
        raise ValueError(wish["raise"])

def sleep(wish, context):
    end = time.monotonic() + wish.get("sleep", 0)
    while time.monotonic() < end and not context.cancelled:
        time.sleep(0.01)

if __name__ == "__main__":
    novita_gpus.start({"handler": handler, "concurrency": 8})
"""


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout, which must be exactly one JSON document."""
        return json.loads(self.out)


class Running:
    """A command that runs; what it has said on stderr so far can be waited for."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        cwd: Path,
        stdin: str,
        stdout: int = subprocess.PIPE,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "novita_cli", *arguments],
            env=environment,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self.process.stdin is not None
        self.process.stdin.write(stdin)
        self.process.stdin.close()
        self.err = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.err += line
                self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        """Waits until stderr has the text."""
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.err, DEADLINE), f"no {text!r} in:\n{self.err}"

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def outcome(self) -> Outcome:
        """Waits for the end."""
        assert self.process.stderr is not None
        guard = threading.Timer(DEADLINE, self.process.kill)
        guard.start()
        stdout = self.process.stdout
        out = "" if stdout is None or stdout.closed else stdout.read()
        code = self.process.wait(DEADLINE)
        guard.cancel()
        self._reader.join(DEADLINE)
        if stdout is not None:
            stdout.close()
        self.process.stderr.close()
        return Outcome(code, out, self.err)


class Cli(Protocol):
    """Runs the command to its end. A variable that is None is not set."""

    def __call__(self, *arguments: str, stdin: str = "", env: Mapping[str, str | None] | None = None) -> Outcome: ...


class Start(Protocol):
    """Starts the command and returns while it runs."""

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        stdout: int = subprocess.PIPE,
    ) -> Running: ...


def run_to_end(environment: Mapping[str, str], cwd: Path) -> Cli:
    def cli(*arguments: str, stdin: str = "", env: Mapping[str, str | None] | None = None) -> Outcome:
        merged = {name: value for name, value in {**environment, **(env or {})}.items() if value is not None}
        done = subprocess.run(
            [sys.executable, "-m", "novita_cli", *arguments],
            env=merged,
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=DEADLINE,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return cli


def run_inline(environment: Mapping[str, str]) -> Cli:
    """Runs the command in this process, where one of its own would add nothing."""

    def inline(*arguments: str, stdin: str = "", env: Mapping[str, str | None] | None = None) -> Outcome:
        done = CliRunner().invoke(
            app, arguments, input=stdin, env={**environment, **(env or {})}, prog_name="novita-gpus"
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return inline


@contextmanager
def commands(environment: Mapping[str, str], cwd: Path) -> Iterator[Start]:
    """Starts commands; what still runs at the end of the block is killed."""
    running: list[Running] = []

    def start(
        *arguments: str, env: Mapping[str, str] | None = None, stdin: str = "", stdout: int = subprocess.PIPE
    ) -> Running:
        running.append(Running(arguments, {**environment, **(env or {})}, cwd, stdin, stdout))
        return running[-1]

    yield start
    for command in running:
        if command.process.poll() is None:
            command.process.kill()
            command.outcome()
