"""A worker whose gateway is a pair of queues in the same process."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Unpack

from novita_sdk.models import EndpointSchema, JobResult
from novita_sdk.wire.codec import decode
from novita_sdk.wire.payload import JSONValue, dump, load
from novita_worker._config import parse_config
from novita_worker._environment import Environment
from novita_worker._options import WorkerOptions
from novita_worker._worker import Worker
from novita_worker.desk.actions import TakenJob
from novita_worker.desk.outbox import NOWHERE, Place, PostKind
from novita_worker.handlers.spec import Handler, inspect_handler
from novita_worker.link.protocol import EMPTY, CallFailure, TakeReply
from novita_worker.link.replies import read_jobs

__all__ = ["LocalJob", "LocalResult", "LocalWorker"]

_NO_ROUTES: Final = {"take": "", "done": "", "stream": "", "ping": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalResult:
    """What a worker posted about a job.

    Attributes:
        output: The output, or None.
        error: What the handler returned as its error, or an object with `error_type`, `error_message` and
            `error_traceback` if it raised; None for a success.
        progress: The reports that were sent; of many in a row only the newest is.
        chunks: What a generator yielded.
        wants_refresh: Whether the worker asked to be replaced.
    """

    output: JSONValue = None
    error: JSONValue = None
    progress: tuple[JSONValue, ...] = ()
    chunks: tuple[JSONValue, ...] = ()
    wants_refresh: bool = False


class LocalJob:
    """A job that was given to a `LocalWorker`.

    Attributes:
        id: Its id.
    """

    def __init__(self, job_id: str, gateway: _Queues) -> None:
        self.id = job_id
        self._gateway = gateway

    @property
    def progress(self) -> tuple[JSONValue, ...]:
        """The reports so far."""
        return self._gateway.posted(self.id, PostKind.PROGRESS)

    def stop(self) -> None:
        """Stops the job, as a client's cancel does; nothing is posted for it any more."""
        self._gateway.stop(self.id)

    def result(self, timeout: float = 10.0) -> LocalResult:
        """Waits for the result.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: There is none yet.
        """
        result = self._gateway.wait(self.id, timeout)
        return LocalResult(
            output=load(result.output) if result.output else None,
            error=_error(load(result.error)) if result.error else None,
            progress=self.progress,
            chunks=self._gateway.posted(self.id, PostKind.CHUNK),
            wants_refresh=result.stop_pod,
        )


class LocalWorker:
    """Runs a handler as a worker does, in a thread of this process. A context manager.

    Args:
        handler: As for `start`.
        config: Further keys of `start`'s dictionary.

    Raises:
        ConfigError: As `start` raises it.
    """

    def __init__(self, handler: Handler, **config: Unpack[WorkerOptions]) -> None:
        settings = parse_config({"progress_interval": 0.0, **config, "handler": handler})
        environment = Environment(
            templates=_NO_ROUTES,
            worker_id="local-worker",
            hostname="localhost",
            authorization="",
            ping_interval=10.0,
        )
        self._gateway = _Queues()
        self._settings = settings
        self._spec = inspect_handler(settings.handler)
        self._environment = environment
        self._worker: Worker | None = None
        self._thread = threading.Thread(target=self._serve, name="local-worker", daemon=True)
        self._made = threading.Event()

    def __enter__(self) -> LocalWorker:
        self._thread.start()
        self._made.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the worker in good order."""
        if self._worker is not None:
            self._worker.shutdown()
        self._thread.join()

    def submit(self, input: JSONValue = None, **fields: JSONValue) -> LocalJob:
        """Queues a job.

        Args:
            input: What the handler finds under `job["input"]`.
            fields: Further keys of the job, for example `id`, `attempt` or `policy`.

        Raises:
            PayloadError: JSON can't hold the input.
            ValueError: `id` is given and can't be one.
        """
        return LocalJob(self._gateway.offer({"input": input, **fields}), self._gateway)

    def run(self, input: JSONValue = None, *, timeout: float = 10.0, **fields: JSONValue) -> LocalResult:
        """Queues a job and waits for its result; see `submit` and `LocalJob.result`."""
        return self.submit(input, **fields).result(timeout)

    def _serve(self) -> None:
        try:
            # Made here, because the thread that makes a worker is the one whose context its handlers get.
            self._worker = Worker(self._settings, self._spec, self._environment, self._gateway, _NoPulse())
        finally:
            self._made.set()
        self._worker.run()


class _NoPulse:
    """There is nobody to tell."""

    def start(self) -> None:
        """Does nothing."""

    def set_ids(self, ids: Iterable[str]) -> None:
        """Does nothing."""

    def stop(self) -> None:
        """Does nothing."""


class _Queues:
    """A `GatewayCalls` in memory. Tests call it from their threads, the worker from its I/O loop."""

    take_is_answered = False
    has_stop_route = True

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._jobs: deque[TakenJob] = deque()
        self._stops: list[str] = []
        self._posts: list[tuple[str, PostKind, bytes]] = []
        self._ids = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._more: asyncio.Event | None = None

    def offer(self, job: dict[str, JSONValue]) -> str:
        # Through JSON, as on the wire: the handler gets a copy, and what can't travel is refused here.
        reply = read_jobs(dump({"id": f"job-{next(self._ids)}", **job}, "job"))
        if isinstance(reply, CallFailure) or not reply.jobs:
            raise ValueError(f"no job can have the id {job.get('id')!r}")
        with self._condition:
            self._jobs.extend(reply.jobs)
        self._wake()
        return reply.jobs[0].id

    def stop(self, job_id: str) -> None:
        with self._condition:
            self._stops.append(job_id)
        self._wake()

    def wait(self, job_id: str, timeout: float) -> JobResult:
        with self._condition:
            if not self._condition.wait_for(lambda: self._posted(job_id, PostKind.RESULT), timeout):
                raise TimeoutError(f"job {job_id} has no result after {timeout:g} s")
            return decode(JobResult, self._posted(job_id, PostKind.RESULT)[0])

    def posted(self, job_id: str, kind: PostKind) -> tuple[JSONValue, ...]:
        with self._condition:
            return tuple(load(body) for body in self._posted(job_id, kind))

    async def open(self) -> None:
        with self._condition:
            self._loop = asyncio.get_running_loop()
            self._more = asyncio.Event()

    async def close(self) -> None:
        with self._condition:
            self._loop = None

    async def take(self, *, count: int, busy: bool) -> TakeReply | CallFailure:
        del busy
        await self._wait_for(self._jobs)
        jobs = tuple(self._jobs.popleft() for _ in range(min(count, len(self._jobs))))
        return TakeReply(jobs=jobs) if jobs else EMPTY

    async def stops(self) -> list[str] | CallFailure:
        await self._wait_for(self._stops)
        with self._condition:
            ids, self._stops[:] = self._stops[:], []
        return ids

    async def publish(self, schema: EndpointSchema) -> CallFailure | None:
        del schema
        return None

    async def post(
        self,
        job_id: str,
        kind: PostKind,
        body: bytes,
        *,
        is_stream: bool = False,
        place: Place = NOWHERE,
        worker_id: str | None = None,
    ) -> CallFailure | None:
        del is_stream, place, worker_id
        with self._condition:
            self._posts.append((job_id, kind, body))
            self._condition.notify_all()
        return None

    def _posted(self, job_id: str, kind: PostKind) -> list[bytes]:
        return [body for id_, kind_, body in self._posts if (id_, kind_) == (job_id, kind)]

    def _wake(self) -> None:
        with self._condition:
            if self._loop is not None and self._more is not None:
                self._loop.call_soon_threadsafe(self._more.set)

    async def _wait_for(self, queue: deque[TakenJob] | list[str]) -> None:
        while not queue and self._more is not None:
            self._more.clear()
            await self._more.wait()


def _error(value: JSONValue) -> JSONValue:
    """An exception travels as a JSON string; everything else is what the handler returned."""
    if not isinstance(value, str):
        return value
    try:
        fields = json.loads(value)
    except ValueError:
        return value
    return fields if isinstance(fields, dict) and "error_message" in fields else value
