"""Real processes: started, looked at, and ended as a platform ends them."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import DEADLINE, eventually


@contextmanager
def python_process(
    *arguments: str | Path, environment: Mapping[str, str], cwd: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a script while a block lasts, and sees that it ends cleanly on SIGTERM."""
    process = subprocess.Popen([sys.executable, *arguments], env=environment, cwd=cwd)
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Asks a process to end, and sees that it does so with status 0."""
    process.terminate()
    try:
        status = process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    assert status == 0, f"{process.args!r} ended with {status}"


def run_python(program: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Runs a program's text in an interpreter of its own; the status is the caller's to look at."""
    command = [sys.executable, *options, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


PROC = Path("/proc")


def proc(pid: int, name: str) -> Path:
    """A file about a process; skips the test where the system has none, as macOS."""
    if not (PROC / "self" / name).exists():
        pytest.skip(f"looks at processes in /proc, which {sys.platform} has not")
    return PROC / str(pid) / name


def memory(pid: int, name: str = "VmRSS") -> int:
    """A process's memory in KiB; `VmHWM` is the most that it ever was."""
    return int(proc(pid, "status").read_text().partition(f"{name}:")[2].split()[0])


def children(pid: int) -> list[int]:
    tasks = proc(pid, "task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    file = proc(pid, "stat")
    try:
        state = file.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    eventually(lambda: not is_alive(pid), f"process {pid} is still there")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Waits until something listens."""

    def listens() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
        except OSError:
            return False
        return True

    eventually(listens, f"nothing listens on port {port}")
