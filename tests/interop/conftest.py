"""The published packages in environments of their own, and worker processes made with them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from novita_gateway import Gateway, Limits, MemoryStore, serve_in_thread
from tests.support.repository import ROOT

CACHE = ROOT / ".tmp" / "interop"
PEERS = Path(__file__).parent / "peers"
VERSIONS = {"novita-gpus": "0.0.1", "runpod": "1.12.0"}

StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def pythons() -> dict[str, Path]:
    """Interpreters: the project's, and one with each published package. Built once per machine."""
    return {"ours": Path(sys.executable), **{name: _environment(name, version) for name, version in VERSIONS.items()}}


def _environment(name: str, version: str) -> Path:
    home = CACHE / f"{name}-{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "ready").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
            pip: list[str | Path] = [
                home / "bin" / "python",
                "-m",
                "pip",
                "install",
                "-qqq",
                "--disable-pip-version-check",
            ]
            subprocess.run([*pip, f"{name}=={version}"], check=True)
            (home / "ready").touch()
    return home / "bin" / "python"


@pytest.fixture(scope="module")
def interop_gateway() -> Iterator[Gateway]:
    """A gateway in a thread. The lease is long, for a busy machine must not cost a job its worker."""
    with serve_in_thread(lambda: Gateway(store=MemoryStore(limits=Limits(lease=120_000)))) as gateway:
        yield gateway


@pytest.fixture
def start_worker(
    interop_gateway: Gateway, pythons: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str, str, str], None]]:
    """Starts `peers/worker.py` with an SDK, in a mode, for an endpoint; ends it after the test."""
    with ExitStack() as stack:

        def start(sdk: str, mode: str, endpoint: str) -> None:
            stack.enter_context(
                worker_process(interop_gateway, pythons, tmp_path_factory.mktemp("worker"), sdk, mode, endpoint)
            )

        yield start


@contextmanager
def worker_process(
    gateway: Gateway, pythons: dict[str, Path], directory: Path, sdk: str, mode: str, endpoint: str
) -> Iterator[None]:
    """Runs a worker; one that ended by itself fails the test, with its log."""
    module = "runpod" if sdk == "runpod" else "novita_gpus"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONUNBUFFERED": "1",
        "NOVITA_LOG_LEVEL": "ERROR",
        "RUNPOD_LOG_LEVEL": "ERROR",
        **gateway.worker_env(endpoint, flavour="runpod" if sdk == "runpod" else "novita"),
    }
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [pythons[sdk], PEERS / "worker.py", module, mode],
            env=environment,
            cwd=directory,  # the published novita-gpus keeps a state file in its working directory
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)  # with its heartbeat
        process.wait()
