"""A worker in a process of its own, which ends with this process however that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from novita_cli._failures import CommandError
from novita_cli._target import Target
from novita_sdk._interpreter import interpreter

__all__ = ["WorkerProcess"]

_STOP_SECONDS = 3.0
"""How long a worker may take to end before it is killed."""


class WorkerProcess:
    """Runs `novita-gpus worker`; what the worker prints goes to stderr, because stdout is for the output.

    It has a process group of its own: Ctrl-C reaches it through this process, in order, and what it started ends with
    it. It holds the read end of a pipe and ends when the pipe does.

    Args:
        target: The worker's code.
        environment: Variables that connect it.

    Raises:
        CommandError: There is no Python to run it with.
    """

    def __init__(self, target: Target, environment: Mapping[str, str]) -> None:
        python = interpreter()
        if python is None:
            raise CommandError(
                "there is no Python beside this program that could run the worker; start it from a Python that has "
                "novita-gpus: python -m novita_cli dev …",
                reason="NO_PYTHON",
            )
        self._process = subprocess.Popen(  # noqa: S603 - the user names the worker
            [python, "-P", "-m", "novita_cli", "worker", "--tied", str(target)],
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            process_group=0,
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        finally:
            self._kill_group()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()

    @property
    def has_ended(self) -> bool:
        """Whether the worker is gone."""
        return self._process.poll() is not None

    def wait(self) -> None:
        """Waits until the worker is gone."""
        self._process.wait()

    def how_it_ended(self) -> str:
        """How the worker ended, and what to look at."""
        code = self._process.returncode
        if code == 0:
            return (
                "the worker ended without serving; does the file call novita_gpus.start(…)? Else name it: FILE:HANDLER"
            )
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return f"the worker {how}; what it said is above"

    def _kill_group(self) -> None:
        # Nobody is left; macOS says so with the second.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
