"""The services of the protocol, carried out on a store."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from novita_gateway._errors import BadRequestError, TooLargeError
from novita_gateway.http.context import RequestContext
from novita_gateway.store.protocol import Store
from novita_sdk.models import (
    CancelRequest,
    CancelResponse,
    FinishJobRequest,
    FinishJobResponse,
    GetHealthRequest,
    GetHealthResponse,
    GetSchemaRequest,
    GetSchemaResponse,
    GetStatusRequest,
    GetStatusResponse,
    Job,
    JobRequest,
    JobResult,
    ListJobsRequest,
    ListJobsResponse,
    PingRequest,
    PingResponse,
    PublishSchemaRequest,
    PublishSchemaResponse,
    PurgeQueueRequest,
    PurgeQueueResponse,
    ReadStreamRequest,
    ReadStreamResponse,
    RetryRequest,
    RetryResponse,
    RunRequest,
    RunResponse,
    RunSyncRequest,
    RunSyncResponse,
    StreamJobRequest,
    StreamJobResponse,
    TakeJobRequest,
    TakeJobResponse,
    TakeJobsRequest,
    TakeJobsResponse,
    WatchStopsRequest,
    WatchStopsResponse,
)
from novita_sdk.wire import states
from novita_sdk.wire.names import check_job_id
from novita_sdk.wire.payload import PayloadTooLargeError, check_size, dump

__all__ = ["Service", "Waits"]

_log = logging.getLogger("novita_gateway")

MAX_BATCH: Final = 1000
MAX_KEY: Final = 255


def _names(message: type[Message]) -> set[str]:
    return {field.json_name for field in cast("Descriptor", message.DESCRIPTOR).fields}


_GIVEN: Final = sorted(_names(Job) - _names(JobRequest))
"""What a worker's job has and a submit has not: `attempt`, `id` and `take`."""
_MOST_WARNED: Final = 1000
"""Endpoints that are remembered, so that a client can't fill log and memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long requests are parked, in milliseconds."""

    take: int = 20_000
    """A take, and a watch for stop orders."""
    status: int = 60_000
    """The longest `wait` of a status or stream call that is honoured."""
    run_sync: int = 90_000
    """A runsync that does not say how long."""
    run_sync_max: int = 300_000


class Service:
    """Implements `JobsServiceHandler` and `WorkerServiceHandler`.

    Args:
        store: Keeps the jobs.
        waits: How long to park.
        check_webhook: Raises BadRequestError for a URL that must not be called.
    """

    def __init__(self, store: Store, *, waits: Waits, check_webhook: Callable[[str], None]) -> None:
        self._store = store
        self._waits = waits
        self._check_webhook = check_webhook
        self._warned: set[str] = set()

    # JobsServiceHandler

    async def run(self, request: RunRequest, _: RequestContext, /) -> RunResponse:
        """Queues a job."""
        self._check(request)
        return RunResponse(job=await self._store.submit(request))

    async def run_sync(self, request: RunSyncRequest, _: RequestContext, /) -> RunSyncResponse:
        """Queues a job and waits for its final state."""
        self._check(request)
        wait = request.wait if request.HasField("wait") else self._waits.run_sync
        submit = RunRequest(endpoint=request.endpoint, request=request.request)
        if request.HasField("idempotency_key"):
            submit.idempotency_key = request.idempotency_key
        job = await self._store.submit(submit)
        if not states.is_final(job.status):
            job = await self._store.status(request.endpoint, job.id, min(wait, self._waits.run_sync_max))
        return RunSyncResponse(job=job)

    async def get_status(self, request: GetStatusRequest, _: RequestContext, /) -> GetStatusResponse:
        """The state of a job; with `wait`, parked until it is final, or until `since` is outdated."""
        wait = min(request.wait, self._waits.status)
        since = request.since if request.HasField("since") else None
        return GetStatusResponse(job=await self._store.status(request.endpoint, request.id, wait, since))

    async def read_stream(self, request: ReadStreamRequest, context: RequestContext, /) -> ReadStreamResponse:
        """The chunks from the cursor on, or that came since the last call; with `wait`, parked until there is one."""
        wait = min(request.wait, self._waits.status)
        cursor = request.cursor if request.HasField("cursor") else None
        page = await self._store.read_stream(request.endpoint, request.id, wait, cursor)
        context.undo = page.undo
        return page.value

    async def cancel(self, request: CancelRequest, _: RequestContext, /) -> CancelResponse:
        """Cancels a job; a final one is answered as it is."""
        return CancelResponse(job=await self._store.cancel(request.endpoint, request.id))

    async def retry(self, request: RetryRequest, _: RequestContext, /) -> RetryResponse:
        """Queues a failed job again."""
        return RetryResponse(job=await self._store.retry(request.endpoint, request.id))

    async def get_health(self, request: GetHealthRequest, _: RequestContext, /) -> GetHealthResponse:
        """Counts of jobs and workers."""
        return GetHealthResponse(health=await self._store.health(request.endpoint))

    async def get_schema(self, request: GetSchemaRequest, _: RequestContext, /) -> GetSchemaResponse:
        """The schema that a worker told last."""
        return GetSchemaResponse(schema=await self._store.schema(request.endpoint))

    async def purge_queue(self, request: PurgeQueueRequest, _: RequestContext, /) -> PurgeQueueResponse:
        """Cancels what waits."""
        return PurgeQueueResponse(removed=await self._store.purge(request.endpoint), status="completed")

    async def list_jobs(self, request: ListJobsRequest, _: RequestContext, /) -> ListJobsResponse:
        """A page of recent jobs."""
        return await self._store.list_jobs(request)

    # WorkerServiceHandler

    async def take_job(self, request: TakeJobRequest, context: RequestContext, /) -> TakeJobResponse:
        """Leases one job, or none when the park is over."""
        taken = await self._store.take(request.endpoint, request.worker_id, 1, self._waits.take)
        context.undo, context.is_empty = taken.undo, not taken.value
        context.job_ids = tuple(job.id for job in taken.value)
        return TakeJobResponse(job=taken.value[0] if taken.value else None)

    async def take_jobs(self, request: TakeJobsRequest, context: RequestContext, /) -> TakeJobsResponse:
        """Leases up to `batch_size` jobs, as many as are there when the first is."""
        count = request.batch_size if request.HasField("batch_size") else 1
        if not 1 <= count <= MAX_BATCH:
            raise BadRequestError(f"batch_size must be from 1 to {MAX_BATCH}, not {count}")
        taken = await self._store.take(request.endpoint, request.worker_id, count, self._waits.take)
        context.undo, context.is_empty = taken.undo, not taken.value
        context.job_ids = tuple(job.id for job in taken.value)
        return TakeJobsResponse(jobs=taken.value)

    async def finish_job(self, request: FinishJobRequest, _: RequestContext, /) -> FinishJobResponse:
        """Keeps a result, or progress where the body has a status."""
        result = request.result
        if result.HasField("status"):
            if states.is_final(result.status):
                raise BadRequestError(
                    f"status {result.status!r} in a result; leave it out of a final one", job_id=request.id
                )
            check_size(result.output, "progress")
            await self._store.report(request.endpoint, request.worker_id, request.id, result.output or b"null")
            return FinishJobResponse()
        take = request.take if request.HasField("take") else None
        try:
            check_size(result.output, "output")
            check_size(result.error, "error")
        except PayloadTooLargeError as error:
            await self.refuse_result(request.endpoint, request.worker_id, request.id, str(error), take)
            raise TooLargeError(str(error), job_id=request.id) from None
        if not result.HasField("output") and not result.HasField("error"):
            # As observed on the wire, a worker whose handler returned {} leaves the output out.
            result.output = b"{}"
        await self._store.finish(request.endpoint, request.worker_id, request.id, result, take)
        return FinishJobResponse()

    async def refuse_result(
        self, endpoint: str, worker_id: str, job_id: str, message: str, take: int | None = None
    ) -> None:
        """Fails a job whose result or chunk can't be kept.

        The published workers post each once and only log a refusal; without this the job of a result would run again
        and again, and that of a chunk would be completed without it.
        """
        result = JobResult(error=dump(f"job {job_id}: the gateway refused the worker's result: {message}"))
        await self._store.finish(endpoint, worker_id, job_id, result, take)

    async def stream_job(self, request: StreamJobRequest, _: RequestContext, /) -> StreamJobResponse:
        """Adds a chunk; one that is too large fails its job, whose stream would have a hole."""
        take = request.take if request.HasField("take") else None
        number = request.number if request.HasField("number") else None
        if number is not None and number < 0:
            raise BadRequestError(f"number counts the chunks from 0, and is not {number}", job_id=request.id)
        try:
            check_size(request.chunk.output, "chunk")
        except PayloadTooLargeError as error:
            await self.refuse_result(request.endpoint, request.worker_id, request.id, str(error), take)
            raise TooLargeError(str(error), job_id=request.id) from None
        chunk = request.chunk.output
        await self._store.append(request.endpoint, request.worker_id, request.id, chunk, take, number)
        return StreamJobResponse()

    async def watch_stops(self, request: WatchStopsRequest, context: RequestContext, /) -> WatchStopsResponse:
        """The ids to stop, or none when the park is over."""
        stops = await self._store.stops(request.endpoint, request.worker_id, self._waits.take)
        context.undo, context.is_empty = stops.undo, not stops.value
        return WatchStopsResponse(jobs_to_stop=stops.value)

    async def publish_schema(self, request: PublishSchemaRequest, _: RequestContext, /) -> PublishSchemaResponse:
        """Keeps the schema that a worker tells."""
        check_size(request.schema.SerializeToString(), "the schema")
        await self._store.publish_schema(request.endpoint, request.schema)
        return PublishSchemaResponse()

    async def ping(self, request: PingRequest, _: RequestContext, /) -> PingResponse:
        """Keeps leases."""
        if request.status == "unhealthy":
            extra = {"endpoint": request.endpoint, "worker_id": request.worker_id, "check": request.check[:64]}
            _log.warning("worker %s is unhealthy: %s", request.worker_id, request.reason[:256], extra=extra)
        job_ids = [check_job_id(job_id) for job_id in request.job_id.split(",") if job_id]
        await self._store.ping(request.endpoint, request.worker_id, job_ids)
        return PingResponse()

    def _check(self, submit: RunRequest | RunSyncRequest) -> None:
        self._strip(submit)
        if submit.HasField("idempotency_key") and not 1 <= len(submit.idempotency_key) <= MAX_KEY:
            raise BadRequestError(f"an Idempotency-Key has from 1 to {MAX_KEY} characters")
        request = submit.request
        check_size(request.input, "input")
        if request.HasField("webhook"):
            self._check_webhook(request.webhook)
        for field in ("execution_timeout", "ttl"):
            if request.policy.HasField(field) and not 1 <= getattr(request.policy, field) < 1 << 48:
                raise BadRequestError(f"policy.{field} must be a positive number of milliseconds")

    def _strip(self, submit: RunRequest | RunSyncRequest) -> None:
        """Leaves out what would stand in the job beside, or in place of, a word of the gateway's own.

        It is no refusal, for the published clients send whatever members their users name.
        """
        extra = submit.request.extra
        names = [name for name in _GIVEN if name in extra]
        for name in names:
            del extra[name]
        if names and submit.endpoint not in self._warned and len(self._warned) < _MOST_WARNED:
            self._warned.add(submit.endpoint)
            _log.warning(
                "a submit to endpoint %s holds %s, which the gateway gives a job; left out, now and from now on",
                submit.endpoint,
                " and ".join(map(repr, names)),
                extra={"endpoint": submit.endpoint},
            )
