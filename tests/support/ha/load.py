"""Load: clients in threads and workers as processes, and a history of what they saw."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from novita_gateway import worker_env
from novita_sdk import Client
from novita_sdk.errors import NotFoundError, NovitaError, WaitTimeoutError
from tests.support.ha.gateways import API_KEY, TOKEN
from tests.support.ha.history import History, Run, Seen, Submitted
from tests.support.waiting import DEADLINE, eventually
from tests.support.worker_process import Spawn, WorkerProcess, worker_processes

__all__ = ["HANDLER", "Load", "Workers", "output_of", "workers"]

HANDLER: Final = """
def handler(job):
    with open("runs", "a") as file:
        file.write(job["id"] + "\\n")
    return {"echo": job["input"]}
start({"handler": handler})
"""
"""Notes each run before anything else."""


def output_of(input: object) -> object:
    """What the handler answers."""
    return {"echo": input}


@dataclass
class Workers:
    """Worker processes of one endpoint."""

    processes: Sequence[WorkerProcess]

    def runs(self) -> list[Run]:
        """What they ran by now."""
        files = [process.log.parent / "runs" for process in self.processes]
        return [Run(job_id) for file in files if file.exists() for job_id in file.read_text().split()]


@contextmanager
def workers(urls: Sequence[str], endpoint: str, folder: Path, script: str = HANDLER) -> Iterator[Workers]:
    """A worker for each of the URLs, while a block lasts."""
    folder.mkdir(exist_ok=True)
    with worker_processes(folder, {}) as spawn:
        yield Workers([_spawn(spawn, url, endpoint, script) for url in urls])


def _spawn(spawn: Spawn, url: str, endpoint: str, script: str) -> WorkerProcess:
    return spawn(script, environ=worker_env(endpoint, url=url, token=TOKEN, ping_interval=1.0))


@dataclass
class Load:
    """Clients that submit, wait and look, each one job after the other.

    Attributes:
        url: Of the gateways.
        endpoint: Of the jobs.
        is_patient: A call that failed for good is made again under its key; else it is one of the failures.
        history: What happened.
        failures: What clients were told and could not repeat by themselves.
    """

    url: str
    endpoint: str = "ep"
    is_patient: bool = True
    history: History = field(default_factory=History)
    failures: list[NovitaError] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _names: Iterator[int] = field(default_factory=itertools.count)

    @property
    def acknowledged(self) -> int:
        """Submits that were acknowledged by now."""
        return len(self.history.submits)

    def wait_for(self, count: int) -> None:
        """Returns when so many more submits were acknowledged."""
        goal = self.acknowledged + count
        eventually(lambda: self.acknowledged >= goal, lambda: f"{goal - self.acknowledged} of {count} never came")

    @contextmanager
    def running(self, count: int = 8) -> Iterator[None]:
        """Has so many clients at work while a block lasts."""
        self._is_over.clear()
        threads = [threading.Thread(target=self._work) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join(2 * DEADLINE)
            assert not any(thread.is_alive() for thread in threads)

    def submit(self, client: Client, key: str) -> str | None:
        """Submits a job until that is acknowledged; returns its id, or None if the load is over."""
        while True:
            try:
                job = client.endpoint(self.endpoint).run(input={"key": key}, idempotency_key=key)
            except NovitaError as error:
                if not self.is_patient:
                    self.failures.append(error)
                    return None
                if self._is_over.wait(0.05):
                    return None
                continue
            self.history.submits.append(Submitted(key, job.job_id, {"key": key}))
            return job.job_id

    def look(self, client: Client, job_id: str, timeout: float = DEADLINE) -> None:
        """Waits for a job's final state, and notes what it sees."""
        job = client.endpoint(self.endpoint).job(job_id)
        try:
            info = job.wait(timeout)
        except NotFoundError:
            self.history.seen.append(Seen(job_id, None))
        except WaitTimeoutError:
            self.history.seen.append(Seen(job_id, "not final in time"))
        else:
            self.history.seen.append(Seen(job_id, info.status, info.output))

    def look_at_all(self, url: str, timeout: float = DEADLINE) -> None:
        """Looks at every acknowledged job once more."""
        ids = sorted({submit.id for submit in self.history.submits})
        with Client(api_key=API_KEY, base_url=url, retry_budget=60) as client, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda job_id: self.look(client, job_id, timeout), ids))

    def _work(self) -> None:
        with Client(api_key=API_KEY, base_url=self.url) as client:
            while not self._is_over.is_set():
                job_id = self.submit(client, f"{self.endpoint}-{next(self._names)}")
                if job_id is None:
                    continue
                try:
                    self.look(client, job_id)
                except NovitaError as error:
                    self.failures.append(error)
