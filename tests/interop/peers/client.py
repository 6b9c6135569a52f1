"""Every scenario, run with whichever client this interpreter has: client.py KIND BASE_URL KEY PREFIX SCRATCH STOPS.

STOPS is `yes` where the worker hears that a running job was cancelled.
Prints `submitted` once the first jobs wait in the queue, and at the end one JSON object: scenario to what came of it.
"""

# ruff: noqa: T201 - what it prints is its result
from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from novita_sdk import AsyncJob, Job

JobT = TypeVar("JobT")
ValueT = TypeVar("ValueT")

KIND, BASE_URL, KEY, PREFIX, SCRATCH, STOPS = sys.argv[1:]
LARGE = "é☃" + "x" * (3 * 1024 * 1024)
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}


class Peer(Protocol[JobT]):
    """What the scenarios ask of a client."""

    is_whole: bool
    """Whether it has `run_sync` and `stream`."""

    def run(self, endpoint: str, request: object) -> JobT: ...
    def run_sync(self, endpoint: str, request: object) -> object: ...
    def health(self, endpoint: str) -> object: ...
    def purge(self, endpoint: str) -> object: ...
    def status(self, job: JobT) -> str: ...
    def peek(self, job: JobT) -> object: ...
    def cancel(self, job: JobT) -> Any: ...
    def stream(self, job: JobT) -> list[object]: ...
    def end(self, job: JobT) -> dict[str, object]: ...


class Published:
    """The client that both published packages have; they have no types."""

    is_whole = False

    def __init__(self, sdk: Any) -> None:
        self.sdk = sdk
        sdk.api_key = KEY
        sdk.endpoint_url_base = BASE_URL

    def run(self, endpoint: str, request: object) -> Any:
        return self.sdk.Endpoint(endpoint).run(request)

    def run_sync(self, endpoint: str, request: object) -> object:
        return self.sdk.Endpoint(endpoint).run_sync(request, timeout=120)

    def health(self, endpoint: str) -> object:
        return self.sdk.Endpoint(endpoint).health()

    def purge(self, endpoint: str) -> object:
        return self.sdk.Endpoint(endpoint).purge_queue()

    def status(self, job: Any) -> str:
        return str(job.status())

    def peek(self, job: Any) -> object:
        return job.output()

    def cancel(self, job: Any) -> Any:
        return job.cancel()

    def stream(self, job: Any) -> list[object]:
        return list(job.stream())

    def end(self, job: Any) -> dict[str, object]:
        try:
            output = job.output(timeout=120)
        except RuntimeError as error:
            # The project's own client raises what the published one hides.
            output = getattr(error, "output", None)
        return {"id": job.job_id, "status": job.status(), "output": output}


class Runpod(Published):
    is_whole = True


class Sync:
    """The project's synchronous client."""

    is_whole = True

    def __init__(self) -> None:
        from novita_sdk import Client

        self.client = Client(api_key=KEY, base_url=BASE_URL)

    def run(self, endpoint: str, request: Any) -> Job:
        return self.client.endpoint(endpoint).run(request)

    def run_sync(self, endpoint: str, request: Any) -> object:
        return self.client.endpoint(endpoint).run_sync(request, timeout=120)

    def health(self, endpoint: str) -> object:
        return self.client.endpoint(endpoint).health()

    def purge(self, endpoint: str) -> object:
        return self.client.endpoint(endpoint).purge_queue()

    def status(self, job: Job) -> str:
        return job.status()

    def peek(self, job: Job) -> object:
        return job.output()

    def cancel(self, job: Job) -> Any:
        return job.cancel()

    def stream(self, job: Job) -> list[object]:
        return list(job.stream(timeout=120))

    def end(self, job: Job) -> dict[str, object]:
        info = job.wait(timeout=120)
        return {"id": job.job_id, "status": info.status, "output": info.output}


class Async:
    """The project's asynchronous client, one call at a time."""

    is_whole = True

    def __init__(self) -> None:
        from novita_sdk import AsyncClient

        self.runner = asyncio.Runner()
        self.client = AsyncClient(api_key=KEY, base_url=BASE_URL)

    def run(self, endpoint: str, request: Any) -> AsyncJob:
        return self.runner.run(self.client.endpoint(endpoint).run(request))

    def run_sync(self, endpoint: str, request: Any) -> object:
        return self.runner.run(self.client.endpoint(endpoint).run_sync(request, timeout=120))

    def health(self, endpoint: str) -> object:
        return self.runner.run(self.client.endpoint(endpoint).health())

    def purge(self, endpoint: str) -> object:
        return self.runner.run(self.client.endpoint(endpoint).purge_queue())

    def status(self, job: AsyncJob) -> str:
        return self.runner.run(job.status())

    def peek(self, job: AsyncJob) -> object:
        return self.runner.run(job.output())

    def cancel(self, job: AsyncJob) -> Any:
        return self.runner.run(job.cancel())

    def stream(self, job: AsyncJob) -> list[object]:
        async def collect() -> list[object]:
            return [chunk async for chunk in job.stream(timeout=120)]

        return self.runner.run(collect())

    def end(self, job: AsyncJob) -> dict[str, object]:
        info = self.runner.run(job.wait(timeout=120))
        return {"id": job.job_id, "status": info.status, "output": info.output}


def until(condition: Callable[[], ValueT]) -> ValueT:
    deadline = time.monotonic() + 120
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return value


def main() -> None:
    match KIND:
        case "sync":
            play(Sync())
        case "async":
            play(Async())
        case "runpod":
            play(Runpod(importlib.import_module(KIND)))
        case _:
            play(Published(importlib.import_module(KIND)))


def play(client: Peer[JobT]) -> None:
    plain, nobody = f"{PREFIX}-plain", f"{PREFIX}-nobody"
    scratch = Path(SCRATCH)
    results: dict[str, Any] = {}

    everybody = [str(scratch / f"met-{index}") for index in range(4)]
    meet = [client.run(plain, {"input": {"what": "meet", "mine": mine, "all": everybody}}) for mine in everybody]
    jobs = {
        "echo": client.run(plain, {"what": "echo", "value": {"u": "héllo ☃ 😀", "n": 2**53 + 1, "f": 1.0, "z": None}}),
        "error": client.run(plain, {"what": "error"}),
        "raise": client.run(plain, {"what": "raise"}),
        "large": client.run(plain, {"what": "echo", "value": LARGE}),
        "generator": client.run(f"{PREFIX}-generator", {"count": 3}),
        "aggregate": client.run(f"{PREFIX}-aggregate", {"count": 3}),
    }
    print("submitted", flush=True)

    queued = client.run(nobody, {"what": "echo", "value": 1})
    results["status queued"] = client.status(queued)
    results["cancel queued"] = client.cancel(queued)["status"]
    purged = [client.run(nobody, {"what": "echo", "value": 1}) for _ in range(2)]
    results["health"] = client.health(nobody)
    results["purge"] = client.purge(nobody)
    results["purged"] = [client.status(job) for job in purged]

    if client.is_whole:
        results["stream"] = client.stream(jobs["generator"])
    results["meet"] = [client.end(job) for job in meet]
    for name, job in jobs.items():
        results[name] = client.end(job)
    results["large"]["output"] = results["large"]["output"] == {"echo": LARGE}

    release = scratch / "release-progress"
    reporting = client.run(plain, {"what": "progress", "release": str(release)})
    results["progress"] = until(lambda: client.peek(reporting) if client.status(reporting) == "IN_PROGRESS" else None)
    release.touch()
    results["after progress"] = client.end(reporting)

    started, stopped, release = scratch / "started", scratch / "stopped", scratch / "release-hang"
    files = {"started": str(started), "stopped": str(stopped), "release": str(release)}
    hanging = client.run(plain, {"what": "hang", **files})
    until(started.exists)
    results["cancel running"] = client.cancel(hanging)["status"]
    if STOPS == "yes":
        until(stopped.exists)
    release.touch()
    results["after cancel"] = client.end(client.run(plain, {"what": "echo", "value": "still there"}))
    results["cancelled"] = client.end(hanging)

    if client.is_whole:
        results["run_sync"] = client.run_sync(plain, {"what": "echo", "value": "at once"})
    print(json.dumps(results), flush=True)


main()
