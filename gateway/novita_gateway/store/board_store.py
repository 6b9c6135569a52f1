"""The store of one process: a board, its journal, and the requests that wait for them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from novita_gateway._clock import Clock, SystemClock
from novita_gateway._errors import (
    BadRequestError,
    JobNotFoundError,
    KeyReusedError,
    NotRetryableError,
    SchemaNotFoundError,
    UnavailableError,
)
from novita_gateway._garbage import many_rows_coming
from novita_gateway.board import commands
from novita_gateway.board.commands import EventKind
from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import Row
from novita_gateway.store.journal import FIRST_CHUNK, Journal, Part
from novita_gateway.store.live_board import LiveBoard
from novita_gateway.store.messages import bare_status, endpoint_health, job_status, taken_job
from novita_gateway.store.parking import Taker
from novita_gateway.store.protocol import Handover, Notice
from novita_gateway.store.repeats import is_repeat
from novita_gateway.store.requests import finish_command, page_size, submit_command
from novita_gateway.store.streams import Place, check_gap, stream_page
from novita_sdk.models import (
    EndpointHealth,
    EndpointSchema,
    Job,
    JobRequest,
    JobResult,
    JobStatus,
    ListJobsRequest,
    ListJobsResponse,
    ReadStreamResponse,
    RunRequest,
)
from novita_sdk.wire import states

__all__ = ["BoardStore"]

_log = logging.getLogger("novita_gateway")

ROWS_AT_ONCE: Final = 100
"""Rows that one turn of the event loop purges."""
ROWS_A_COMMIT: Final = 1000
ENDPOINTS: Final = 100
"""Endpoints that one turn of the event loop counts."""
JOBS_READ: Final = 50
"""Payloads that one turn of the event loop reads."""


async def _nothing() -> None:
    """Takes nothing back."""


def _new_id() -> str:
    return secrets.token_hex(12)


class BoardStore:
    """The `Store` of one process.

    Every change is applied to the board and told to the journal in one turn of the event loop; only then does a method
    wait for the journal. So a submit and the take that it satisfies share one commit.

    Args:
        journal: Keeps rows and payloads.
        limits: Leases, attempts, retention.
        clock: Tells the time.
        new_id: Makes job ids.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self.clock: Final = clock or SystemClock()
        self._journal = journal
        self._live = LiveBoard(journal, limits=limits or Limits(), clock=self.clock)
        self._board: Final = self._live.board
        self._new_id = new_id
        self._purges: set[asyncio.Task[int]] = set()

    @property
    def lease(self) -> int:
        """Milliseconds of silence after which a worker loses its jobs."""
        return self._board.limits.lease

    @property
    def parked(self) -> int:
        """Requests that wait for something to happen."""
        return self._live.parked

    async def open(self) -> None:
        """Reads the journal and takes up its jobs."""
        with many_rows_coming() as counts:
            kept = await self._journal.open()
            await self._live.open(kept.rows, kept.now)
            counts.append(len(kept.rows))

    async def close(self) -> None:
        """Wakes everybody who is parked, and finishes writing."""
        self._live.close()
        if self._purges:
            await asyncio.wait(self._purges)
        await self._journal.close()

    # Clients

    async def submit(self, request: RunRequest) -> JobStatus:
        """Queues a job."""
        (event, *_) = self._live.apply(submit_command(request, self._new_id()), request.request.SerializeToString())
        is_new = event.kind is EventKind.QUEUED
        if not is_new and not is_repeat(request.request, self._request(event.row)):
            raise KeyReusedError(request.idempotency_key, event.row.id)
        # A parked worker may have it already; the answer to a submit is the state that the submit made.
        status = JobStatus(id=event.row.id, status=states.PENDING) if is_new else job_status(event.row, self._journal)
        await self._settle(event.row)
        return status

    async def status(self, endpoint: str, job_id: str, wait: int = 0, since: int | None = None) -> JobStatus:
        """The state of a job."""
        row = self._find(endpoint, job_id)
        if wait > 0 and not row.is_final and since in {None, row.revision} and self._live.is_open:
            lot = self._live.watchers if since is None else self._live.followers
            await lot.park(job_id, object(), wait)
            row = self._find(endpoint, job_id)
        status = job_status(row, self._journal)
        await self._settle(row)
        return status

    async def read_stream(
        self, endpoint: str, job_id: str, wait: int = 0, cursor: str | None = None
    ) -> Handover[ReadStreamResponse]:
        """The chunks from the cursor on, or those that nobody without one has read."""
        if cursor is not None:
            return Handover(await self._read_from(Place.parse(cursor), endpoint, job_id, wait), _nothing)
        row = self._find(endpoint, job_id)
        if wait > 0 and not row.is_final and row.read == row.chunks and self._live.is_open:
            await self._live.readers.park(job_id, object(), wait)
            row = self._find(endpoint, job_id)
        first, retries = row.read, row.retries
        response = stream_page(row, self._journal, first)
        self._live.apply(commands.ReadChunks(endpoint=endpoint, id=job_id, end=first + len(response.stream)))
        undo = commands.RestoreChunks(endpoint=endpoint, id=job_id, first=first, retries=retries)
        try:
            await self._settle(row)
        except (asyncio.CancelledError, UnavailableError):
            await self._live.undo(undo)
            raise
        return Handover(response, partial(self._live.undo, undo))

    async def cancel(self, endpoint: str, job_id: str) -> JobStatus:
        """Cancels a job."""
        row = self._find(endpoint, job_id)
        self._live.apply(commands.Cancel(endpoint=endpoint, id=job_id))
        status = job_status(row, self._journal)
        await self._settle(row)
        return status

    async def retry(self, endpoint: str, job_id: str) -> JobStatus:
        """Queues a failed job again."""
        row = self._find(endpoint, job_id)
        has_webhook = self._request(row).HasField("webhook")
        if not self._live.apply(commands.Retry(endpoint=endpoint, id=job_id, notify=has_webhook)):
            raise NotRetryableError(
                f"job {job_id!r} is {row.status}; only FAILED and TIMED_OUT jobs can be retried", job_id=job_id
            )
        status = job_status(row, self._journal)
        await self._settle(row)
        return status

    async def purge(self, endpoint: str) -> int:
        """Cancels every job that waits, a few at once; it goes on when the caller does not wait for it."""
        task = asyncio.create_task(self._purge(endpoint, self._board.last_rank))
        self._purges.add(task)
        task.add_done_callback(self._purged)
        return await asyncio.shield(task)

    def _purged(self, task: asyncio.Task[int]) -> None:
        self._purges.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("a purge ended early: %s", error)

    async def _purge(self, endpoint: str, until: int) -> int:
        removed = 0
        while events := self._live.apply(commands.Purge(endpoint=endpoint, until=until, limit=ROWS_AT_ONCE)):
            removed += len(events)
            await (asyncio.sleep(0) if removed % ROWS_A_COMMIT else self._journal.commit())
            if not self._live.is_open:
                raise UnavailableError(
                    f"the gateway stopped after {removed:,} jobs of endpoint {endpoint!r} were cancelled; purge again"
                )
        await self._journal.commit()
        if removed:
            _log.info("%s jobs of endpoint %s were purged", f"{removed:,}", endpoint, extra={"endpoint": endpoint})
        return removed

    async def list_jobs(self, request: ListJobsRequest) -> ListJobsResponse:
        """A page of jobs."""
        before = None
        if request.HasField("cursor"):
            if not (request.cursor.isascii() and request.cursor.isdecimal() and len(request.cursor) < 19):
                raise BadRequestError(f"cursor {request.cursor[:40]!r} is not one that this gateway gave out")
            before = int(request.cursor)
        rows, cursor = self._board.ledger.page(
            request.endpoint,
            status=request.status if request.HasField("status") else None,
            limit=page_size(request),
            before=before,
        )
        jobs = [bare_status(row) for row in rows]
        if not all(map(self._journal.is_settled, rows)):
            await self._journal.commit()
        return ListJobsResponse(jobs=jobs, next_cursor=None if cursor is None else str(cursor))

    async def health(self, endpoint: str) -> EndpointHealth:
        """Counts of jobs and workers."""
        return endpoint_health(self._board.ledger.counters(endpoint))

    async def schema(self, endpoint: str) -> EndpointSchema:
        """The schema that a worker told last."""
        schema = self._journal.get_schema(endpoint)
        if schema is None:
            raise SchemaNotFoundError(endpoint)
        return EndpointSchema.FromString(schema)

    async def endpoints(self) -> Mapping[str, EndpointHealth]:
        """The health of every endpoint that has jobs or workers, by its name."""
        found: dict[str, EndpointHealth] = {}
        for index, name in enumerate(sorted(self._board.ledger.endpoints())):
            if index % ENDPOINTS == ENDPOINTS - 1:
                await asyncio.sleep(0)
            found[name] = endpoint_health(self._board.ledger.counters(name))
        return found

    # Workers

    async def take(self, endpoint: str, worker_id: str, count: int, wait: int) -> Handover[Sequence[Job]]:
        """Leases jobs to a worker."""
        events = self._live.apply(commands.TakeJobs(endpoint=endpoint, worker_id=worker_id, count=count))
        rows = [event.row for event in events]
        if not rows and wait > 0 and self._live.is_open:
            taker = Taker(worker_id, count)
            try:
                await self._live.takers.park(endpoint, taker, wait)
            except asyncio.CancelledError:
                await self._give_back(endpoint, worker_id, taker.rows)
                raise
            rows = taker.rows
        try:
            jobs = await self._read(rows, worker_id)
            await self._settle(*rows)
        except (asyncio.CancelledError, UnavailableError):
            await self._give_back(endpoint, worker_id, rows)
            raise
        return Handover(jobs, partial(self._give_back, endpoint, worker_id, rows))

    async def ping(self, endpoint: str, worker_id: str, job_ids: Sequence[str]) -> None:
        """Extends leases."""
        self._live.apply(commands.Ping(endpoint=endpoint, worker_id=worker_id, ids=tuple(job_ids)))

    async def report(self, endpoint: str, worker_id: str, job_id: str, progress: bytes) -> None:
        """Keeps the latest progress."""
        for event in self._live.apply(commands.Report(endpoint=endpoint, worker_id=worker_id, id=job_id)):
            self._journal.put(event.row, Part.PROGRESS, progress)

    async def append(
        self,
        endpoint: str,
        worker_id: str,
        job_id: str,
        chunk: bytes,
        take: int | None = None,
        number: int | None = None,
    ) -> None:
        """Adds a piece of streamed output."""
        append = commands.Append(endpoint=endpoint, worker_id=worker_id, id=job_id, take=take, number=number)
        for event in self._live.apply(append):
            self._journal.put(event.row, FIRST_CHUNK + event.row.chunks - 1, chunk)
        if (row := self._board.find(endpoint, job_id)) is not None:
            check_gap(row, append)
            # Also for one that changed nothing: it may repeat one that is not durable yet.
            await self._settle(row)

    async def finish(
        self, endpoint: str, worker_id: str, job_id: str, result: JobResult, take: int | None = None
    ) -> None:
        """Makes a job final."""
        row = self._find(endpoint, job_id)
        command = finish_command(endpoint, worker_id, job_id, result, take)
        if self._live.apply(command):
            if command.has_output:
                self._journal.put(row, Part.OUTPUT, result.output)
            if command.has_error:
                self._journal.put(row, Part.ERROR, result.error)
        # Also for a result that changed nothing: it may repeat one that is not durable yet.
        await self._settle(row)

    async def stops(self, endpoint: str, worker_id: str, wait: int) -> Handover[Sequence[str]]:
        """The ids that the worker is to stop."""
        collect = commands.CollectStops(endpoint=endpoint, worker_id=worker_id)
        events = self._live.apply(collect)
        if not events and wait > 0 and self._live.is_open:
            await self._live.stoppers.park((endpoint, worker_id), object(), wait)
            events = self._live.apply(collect)
        ids = tuple(event.row.id for event in events)
        undo = commands.RestoreStops(endpoint=endpoint, worker_id=worker_id, ids=ids)
        return Handover(ids, partial(self._live.undo, undo))

    async def publish_schema(self, endpoint: str, schema: EndpointSchema) -> None:
        """Keeps the schema that a worker tells."""
        self._journal.put_schema(endpoint, schema.SerializeToString())
        await self._journal.commit()

    # Webhooks

    async def next_notice(self) -> Notice:
        """Waits for the next webhook."""
        while True:
            row = await self._live.notices.first()
            await self._settle(row)
            is_due = row.notify and row.is_final and self._board.find(row.endpoint, row.id) is row
            url = self._request(row).webhook if is_due else ""
            self._live.notices.remove_first()
            if is_due:
                return Notice(endpoint=row.endpoint, job_id=row.id, revision=row.revision, url=url)

    async def hold_notices(self, _: Sequence[Notice], /) -> None:
        """Does nothing: nobody else is here to claim them, and the next process calls what is left."""

    async def mark_notified(self, endpoint: str, job_id: str, revision: int) -> None:
        """The webhook was called or given up."""
        self._live.apply(commands.MarkNotified(endpoint=endpoint, id=job_id, revision=revision))

    async def _read(self, rows: Sequence[Row], worker_id: str) -> list[Job]:
        """The jobs of the rows that the worker still holds by then."""
        jobs: list[Job] = []
        for index, row in enumerate(rows):
            if index % JOBS_READ == JOBS_READ - 1:
                await asyncio.sleep(0)
            if row.is_running and row.worker_id == worker_id:
                jobs.append(taken_job(row, self._journal))
        return jobs

    async def _give_back(self, endpoint: str, worker_id: str, rows: Sequence[Row]) -> None:
        if rows:
            ids = tuple(row.id for row in rows)
            await self._live.undo(commands.GiveBack(endpoint=endpoint, worker_id=worker_id, ids=ids))

    async def _settle(self, *rows: Row) -> None:
        if not all(map(self._journal.is_settled, rows)):
            await self._journal.commit()

    async def _read_from(self, place: Place, endpoint: str, job_id: str, wait: int) -> ReadStreamResponse:
        row = self._find(endpoint, job_id)
        if wait > 0 and not row.is_final and place.is_at_end(row) and self._live.is_open:
            await self._live.readers.park(job_id, object(), wait)
            row = self._find(endpoint, job_id)
        first = place.in_stream(row)
        page = stream_page(row, self._journal, first)
        page.first, page.next_cursor = first, str(Place(row.takes, first + len(page.stream)))
        await self._settle(row)
        return page

    def _request(self, row: Row) -> JobRequest:
        return JobRequest.FromString(self._journal.get(row, Part.REQUEST))

    def _find(self, endpoint: str, job_id: str) -> Row:
        row = self._board.find(endpoint, job_id)
        if row is None:
            raise JobNotFoundError(endpoint, job_id)
        return row
