"""The real command as a process, and a real worker that does what its input says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from novita_cli._app import app
from novita_gateway import Gateway
from novita_sdk import Client

TIMEOUT = 30.0

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
            assert self._changed.wait_for(lambda: text in self.err, TIMEOUT), f"no {text!r} in:\n{self.err}"

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def outcome(self) -> Outcome:
        """Waits for the end."""
        assert self.process.stderr is not None
        guard = threading.Timer(TIMEOUT, self.process.kill)
        guard.start()
        stdout = self.process.stdout
        out = "" if stdout is None or stdout.closed else stdout.read()
        code = self.process.wait(TIMEOUT)
        guard.cancel()
        self._reader.join(TIMEOUT)
        if stdout is not None:
            stdout.close()
        self.process.stderr.close()
        return Outcome(code, out, self.err)


Cli = Callable[..., Outcome]
Start = Callable[..., Running]


@pytest.fixture
def environment(plain_environment: dict[str, str], gateway: Gateway, tmp_path: Path) -> dict[str, str]:
    """What a user has exported to reach the gateway."""
    return {
        **{name: value for name, value in plain_environment.items() if name not in {"CI", "NO_COLOR", "TERM"}},
        "HOME": str(tmp_path),
        "NOVITA_ENDPOINT_BASE_URL": gateway.url,
        "NOVITA_API_KEY": gateway.api_key,
    }


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts the command and returns while it runs."""
    running: list[Running] = []

    def start(
        *arguments: str, env: dict[str, str] | None = None, stdin: str = "", stdout: int = subprocess.PIPE
    ) -> Running:
        running.append(Running(arguments, {**environment, **(env or {})}, tmp_path, stdin, stdout))
        return running[-1]

    yield start
    for command in running:
        if command.process.poll() is None:
            command.process.kill()
            command.outcome()


@pytest.fixture
def cli(environment: dict[str, str], tmp_path: Path) -> Cli:
    """Runs the command to its end."""

    def cli(*arguments: str, stdin: str = "", env: dict[str, str | None] | None = None) -> Outcome:
        merged = {name: value for name, value in {**environment, **(env or {})}.items() if value is not None}
        done = subprocess.run(
            [sys.executable, "-m", "novita_cli", *arguments],
            env=merged,
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TIMEOUT,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return cli


@pytest.fixture
def inline(environment: dict[str, str]) -> Cli:
    """Runs the command in this process, where one of its own would add nothing."""

    def inline(*arguments: str, stdin: str | None = None, env: dict[str, str | None] | None = None) -> Outcome:
        done = CliRunner().invoke(
            app, arguments, input=stdin, env={**environment, **(env or {})}, prog_name="novita-gpus"
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return inline


@pytest.fixture(scope="session")
def served(
    gateway: Gateway, plain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The name of an endpoint with a worker."""
    folder = tmp_path_factory.mktemp("served")
    file = folder / "handler.py"
    file.write_text(WORKER)
    with (folder / "stderr.txt").open("w") as log:
        worker = subprocess.Popen(
            [sys.executable, str(file)],
            env={**plain_environment, **gateway.worker_env("served")},
            cwd=folder,
            stderr=log,
        )
    yield "served"
    worker.terminate()
    assert worker.wait(TIMEOUT) == 0


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        yield client


@pytest.fixture
def handler_file(tmp_path: Path) -> Path:
    """The worker's code, for commands that start it themselves."""
    file = tmp_path / "handler.py"
    file.write_text(WORKER)
    return file


@pytest.fixture(scope="session")
def is_alive() -> Callable[[int], bool]:
    """Whether a process exists and is no zombie, after it had time to end."""

    def is_alive(pid: int) -> bool:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            try:
                os.kill(pid, 0)
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except (ProcessLookupError, FileNotFoundError):
                return False
            if state == "Z":
                return False
            time.sleep(0.02)
        return True

    return is_alive
