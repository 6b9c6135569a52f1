"""A real gateway and the workers that serve it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from novita_gateway import Gateway
from novita_sdk import Client
from tests.support.processes import python_process
from tests.support.waiting import eventually


def connect(gateway: Gateway) -> Client:
    """A client of the gateway, for a `with`."""
    return Client(api_key=gateway.api_key, base_url=gateway.url)


def bare_worker_env(base: str) -> dict[str, str]:
    """What a worker needs of a platform that has takes and results, and nothing else."""
    return {
        "NOVITA_POD_ID": "w1",
        "NOVITA_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?x=1",
        "NOVITA_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$NOVITA_POD_ID/$ID?x=1",
    }


class WorkerRunner(Protocol):
    """Runs a worker's script as a process while a block lasts, and sees that it ends cleanly."""

    def __call__(
        self, script: Path, endpoint: str, *, gateway: Gateway | None = None, cwd: Path | None = None
    ) -> AbstractContextManager[subprocess.Popen[bytes]]: ...


def wait_for_worker(process: subprocess.Popen[bytes], gateway: Gateway, endpoint: str) -> None:
    """Returns when a worker has asked for jobs, or its process is over."""
    with connect(gateway) as client:

        def is_there() -> bool:
            if process.poll() is not None:
                return True
            workers = client.endpoint(endpoint).health()["workers"]
            assert isinstance(workers, dict)
            return any(workers.values())

        eventually(is_there, f"no worker of {endpoint} came")


def worker_runner(of_session: Gateway, environment: Mapping[str, str], new_folder: Callable[[], Path]) -> WorkerRunner:
    """Runs workers against a gateway where a test names no other, each in a folder of its own."""

    @contextmanager
    def run(
        script: Path, endpoint: str, *, gateway: Gateway | None = None, cwd: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        served = gateway or of_session
        variables = {**environment, **served.worker_env(endpoint)}
        with python_process(script, environment=variables, cwd=cwd or new_folder()) as process:
            try:
                yield process
            finally:
                # A test may be over before the worker has begun to listen to signals.
                wait_for_worker(process, served, endpoint)

    return run
