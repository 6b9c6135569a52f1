"""The store protocol: all that the gateway needs of a place that keeps its jobs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, runtime_checkable

from novita_sdk.models import (
    EndpointHealth,
    EndpointSchema,
    Job,
    JobResult,
    JobStatus,
    ListJobsRequest,
    ListJobsResponse,
    ReadStreamResponse,
    RunRequest,
)

__all__ = ["NOTICE_CLAIM", "Handover", "Notice", "SharedStore", "Store"]

ValueT_co = TypeVar("ValueT_co", covariant=True)

NOTICE_CLAIM: Final = 60_000
"""Milliseconds for which a webhook is claimed by the gateway that calls it."""


@dataclass(frozen=True, slots=True)
class Handover(Generic[ValueT_co]):
    """Something that changes hands with the reply.

    Attributes:
        value: What is handed over.
        undo: Takes it back, as far as it still can; called when the reply could not be written.
    """

    value: ValueT_co
    undo: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A final job whose webhook is to be called."""

    endpoint: str
    job_id: str
    revision: int
    """Of the final state; a retried job comes to another one."""
    url: str


class Store(Protocol):
    """Queues, leases and results of every endpoint, durable as far as the store promises.

    Several gateways may share what a store keeps, each with a store object of its own: a job that is submitted at one
    is taken at another, and a wait at a third ends with its result. Calls that follow each other act
    in that order; what happens at two of them at once happens in some order, the same for all.

    A method returns when what it answers is as safe as the store can make it. Waits are milliseconds; they end early
    with the event that satisfies them, and with nothing when they are over. A report, chunk or result of a worker that
    does not hold the job is dropped without an error.

    Time is the store's own, not the gateway's: leases, ttl and retention pass alike for all of its gateways.

    Raises:
        JobNotFoundError: By every method that is given a client's job id.
        StoreError: By every method, when the store could not write.
    """

    @property
    def lease(self) -> int:
        """Milliseconds of silence after which a worker loses its jobs."""
        ...

    @property
    def parked(self) -> int:
        """Requests of this gateway that wait for something to happen."""
        ...

    async def open(self) -> None:
        """Gets ready. No lease ends before workers could be heard for as long as one lasts."""
        ...

    async def close(self) -> None:
        """Wakes everybody who waits here, and finishes writing. What the store keeps, others may go on with."""
        ...

    async def submit(self, request: RunRequest) -> JobStatus:
        """Queues a job; with a known idempotency key, answers with that key's job as it is now.

        Raises:
            KeyReusedError: That job was submitted with another input, webhook or policy.
        """
        ...

    async def status(self, endpoint: str, job_id: str, wait: int = 0, since: int | None = None) -> JobStatus:
        """The state of a job; waits for a final one, or with `since` for another revision than that."""
        ...

    async def read_stream(
        self, endpoint: str, job_id: str, wait: int = 0, cursor: str | None = None
    ) -> Handover[ReadStreamResponse]:
        """Chunks from the cursor on, up to a reply's size; waits for one or for a final state.

        Args:
            endpoint: The job's.
            job_id: The job.
            wait: Milliseconds.
            cursor: The page before's, or 0 for the start, which it is as well where another take began the stream
                anew. None gives the oldest chunks that nobody without a cursor has got.

        Raises:
            BadRequestError: A cursor of nowhere.
        """
        ...

    async def cancel(self, endpoint: str, job_id: str) -> JobStatus:
        """Makes a job CANCELLED unless it is final, and has its worker told."""
        ...

    async def retry(self, endpoint: str, job_id: str) -> JobStatus:
        """Queues a FAILED or TIMED_OUT job again; raises NotRetryableError for any other."""
        ...

    async def purge(self, endpoint: str) -> int:
        """Cancels every job that waits in the queue by now; returns how many."""
        ...

    async def list_jobs(self, request: ListJobsRequest) -> ListJobsResponse:
        """A page of jobs, newest first, without outputs; raises BadRequestError for a cursor of nowhere.

        A cursor holds at every gateway. Jobs that are submitted at several gateways at once come in some order, and one
        that is being submitted may be missing.
        """
        ...

    async def health(self, endpoint: str) -> EndpointHealth:
        """Counts of jobs and workers, of all gateways together."""
        ...

    async def schema(self, endpoint: str) -> EndpointSchema:
        """The schema that a worker told last; raises SchemaNotFoundError where none has."""
        ...

    async def endpoints(self) -> Mapping[str, EndpointHealth]:
        """The health of every endpoint that has jobs or workers, by its name."""
        ...

    async def take(self, endpoint: str, worker_id: str, count: int, wait: int) -> Handover[Sequence[Job]]:
        """Leases up to `count` jobs to a worker; waits for the first."""
        ...

    async def ping(self, endpoint: str, worker_id: str, job_ids: Sequence[str]) -> None:
        """Extends the leases of the named jobs; orders those stopped that were cancelled or are another worker's."""
        ...

    async def report(self, endpoint: str, worker_id: str, job_id: str, progress: bytes) -> None:
        """Keeps the latest progress; not necessarily durable."""
        ...

    async def append(
        self,
        endpoint: str,
        worker_id: str,
        job_id: str,
        chunk: bytes,
        take: int | None = None,
        number: int | None = None,
    ) -> None:
        """Adds a piece of streamed output; drops a repeat, and one of an earlier take.

        Args:
            endpoint: The job's.
            worker_id: Who sends it.
            job_id: The job.
            chunk: JSON.
            take: The take that it is of, if the worker tells.
            number: Its place in that take's stream, from 0, if the worker tells.

        Raises:
            ChunkMissingError: One before it never came.
        """
        ...

    async def finish(
        self, endpoint: str, worker_id: str, job_id: str, result: JobResult, take: int | None = None
    ) -> None:
        """Makes a job COMPLETED, or FAILED where the result has an error; drops one of an earlier take, if told."""
        ...

    async def stops(self, endpoint: str, worker_id: str, wait: int) -> Handover[Sequence[str]]:
        """The ids that the worker is to stop; waits for one."""
        ...

    async def publish_schema(self, endpoint: str, schema: EndpointSchema) -> None:
        """Keeps the schema in place of the endpoint's last one."""
        ...

    async def next_notice(self) -> Notice:
        """Waits for the next webhook that is to be called, those of an earlier process first.

        It is claimed with that: no other call gets it, at whichever gateway, unless this one is not heard of again: for
        as long as `hold_notices` is not called in time.
        """
        ...

    async def hold_notices(self, notices: Sequence[Notice]) -> None:
        """Keeps claims: to be called for all that are still to be delivered, every `NOTICE_CLAIM / 3` at the latest."""
        ...

    async def mark_notified(self, endpoint: str, job_id: str, revision: int) -> None:
        """The webhook was called with the final state of that revision, or given up."""
        ...


@runtime_checkable
class SharedStore(Protocol):
    """What a store has as well that several gateways share."""

    async def file_place(self) -> str | None:
        """Where the gateway that told it last keeps files; None where none has."""
        ...

    async def set_file_place(self, place: str, *, before: str | None) -> bool:
        """Tells where this one does, unless another has told a place since `before`; returns whether it was told."""
        ...
