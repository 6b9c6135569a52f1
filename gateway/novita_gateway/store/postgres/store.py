"""The store of many gateways, in one PostgreSQL database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from novita_gateway._clock import Clock, SystemClock
from novita_gateway._errors import (
    GatewayError,
    JobNotFoundError,
    KeyReusedError,
    NotRetryableError,
    UnavailableError,
)
from novita_gateway.board import commands, rules
from novita_gateway.board.commands import Event
from novita_gateway.board.limits import Limits
from novita_gateway.board.rows import Row
from novita_gateway.store.journal import Part
from novita_gateway.store.messages import job_status, taken_job
from novita_gateway.store.postgres import words
from novita_gateway.store.postgres.batches import Batches
from novita_gateway.store.postgres.changes import Change, Changed, Changes, Rule
from novita_gateway.store.postgres.counts import Counts
from novita_gateway.store.postgres.database import Database
from novita_gateway.store.postgres.hints import Hints
from novita_gateway.store.postgres.ids import IdMaker
from novita_gateway.store.postgres.looks import Looks, job_state
from novita_gateway.store.postgres.news import News
from novita_gateway.store.postgres.notices import Notices
from novita_gateway.store.postgres.reads import Reads
from novita_gateway.store.postgres.streams import Streams
from novita_gateway.store.postgres.sweeps import Sweeps
from novita_gateway.store.postgres.takes import Takes
from novita_gateway.store.postgres.tasks import Tasks, nothing
from novita_gateway.store.postgres.waiting import Waiters, Watch
from novita_gateway.store.postgres.workers import Stops, Workers
from novita_gateway.store.postgres.writes import Result, Writes
from novita_gateway.store.protocol import Handover, Notice
from novita_gateway.store.repeats import is_repeat
from novita_gateway.store.requests import finish_command, submit_command
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

__all__ = ["PostgresStore"]

ResultT = TypeVar("ResultT")

_log = logging.getLogger("novita_gateway")
_PAYLOADS: Final = (Part.OUTPUT, Part.ERROR, Part.PROGRESS)


class PostgresStore:
    """Keeps jobs in PostgreSQL, for any number of gateways.

    Args:
        dsn: Where the database is, as libpq has it: `postgresql://user@host1,host2/name?sslmode=verify-full`.
        schema: The schema of the tables, made where there is none.
        limits: Leases, attempts, retention; the same at every gateway.
        migrate: Whether to bring older tables up to date.
        require_synchronous: Refuse a server that could lose acknowledged work in a failover.
        connections: For statements, at most; three more are for pings, hints and listening.
        count_age: Milliseconds for which counts of jobs and workers are answered again.
        clock: Tells the time in place of the database, for tests.

    Raises:
        ValueError: The schema's name can't be one.
    """

    def __init__(
        self,
        dsn: str,
        *,
        schema: str = "novita_gateway",
        limits: Limits | None = None,
        migrate: bool = True,
        require_synchronous: bool = False,
        connections: int = 10,
        count_age: int = 1000,
        clock: Clock | None = None,
    ) -> None:
        self.limits: Final = limits or Limits()
        self._clock = clock or SystemClock()
        now = partial(_now_of, clock)
        self._database = Database(
            dsn,
            schema=schema,
            size=connections,
            migrate=migrate,
            require_synchronous=require_synchronous,
            on_loss=lambda: self._sweeps.resume(),
        )
        hard, soft = self._database.hard, self._database.soft
        self._new_id = IdMaker()
        self._tasks = Tasks()
        self._waiters: Waiters[str] = Waiters(self._clock)
        self._news = News(self._waiters)
        self._hints = Hints(
            dsn, self._database.soft_settings, soft, channel=schema, hear=self._news.hear, missed=self._missed
        )
        self._changes = Changes(hard, limits=self.limits, now=now, tell=self._news.happened)
        self._batches: Batches[Change, Changed] = Batches(self._changes.make)
        self._writes = Writes(hard, soft, limits=self.limits, now=now, news=self._news)
        self._reads = Reads(hard)
        self._counts = Counts(hard, clock=self._clock, memory=self.limits.worker_memory, age=count_age, now=now)
        self._workers = Workers(soft, clock=self._clock, memory=self.limits.worker_memory, now=now)
        self._stops = Stops(soft, clock=self._clock, waiters=self._waiters, now=now)
        self._notices = Notices(soft, clock=self._clock, waiters=self._waiters, now=now)
        self._takes = Takes(
            hard,
            clock=self._clock,
            lease=self.limits.lease,
            now=now,
            give_back=self._give_back,
            tell=lambda names: self._hints.tell(map(words.queued, names)),
            taken=self._news.taken,
        )
        self._streams = Streams(
            self._reads,
            self._batches,
            limits=self.limits,
            clock=self._clock,
            waiters=self._waiters,
            tasks=self._tasks,
        )
        self._looks = Looks(soft, self._waiters, self._takes)
        self._sweeps = Sweeps(
            hard,
            self._changes,
            clock=self._clock,
            lease=self.limits.lease,
            now=now,
            look=self._looks.look,
            forget=self._workers.forget,
        )
        self._news.ask, self._news.send = self._takes.ask, self._hints.tell

    @property
    def lease(self) -> int:
        """Milliseconds of silence after which a worker loses its jobs."""
        return self.limits.lease

    @property
    def parked(self) -> int:
        """Requests of this gateway that wait for something to happen."""
        return self._waiters.parked + self._takes.parked

    async def open(self) -> None:
        """Connects, looks whether the database can be worked with, and begins to listen and to sweep."""
        self._new_id.set_time(await self._database.open())
        await self._hints.open()
        self._sweeps.open()

    async def close(self) -> None:
        """Ends every wait and every connection. What is kept goes on at the other gateways."""
        self._waiters.close()
        await self._takes.close()
        await self._sweeps.close()
        await self._tasks.settle()
        await self._hints.close()
        await self._database.close()
        self._news.close()

    async def sweep(self) -> None:
        """Does what is due by now, which happens by itself within a second.

        Raises:
            StoreError: The database could not be asked.
        """
        await self._sweeps.sweep(wait=True)

    # Clients

    async def submit(self, request: RunRequest) -> JobStatus:
        """Queues a job."""
        command = submit_command(request, self._new_id())
        job_id = await self._writes.submit(command, request.request.SerializeToString())
        if job_id == command.id:
            return JobStatus(id=job_id, status=states.PENDING)
        row, parts = await self._reads.job(request.endpoint, job_id, Part.REQUEST, *_PAYLOADS)
        if not is_repeat(request.request, JobRequest.FromString(parts.get(row, Part.REQUEST))):
            raise KeyReusedError(request.idempotency_key, job_id)
        return job_status(row, parts)

    async def status(self, endpoint: str, job_id: str, wait: int = 0, since: int | None = None) -> JobStatus:
        """The state of a job."""
        end = self._clock.now() + wait
        word = (words.final if since is None else words.revised)(endpoint, job_id)
        with self._waiters.watch(word) as watch:
            is_waiting = wait > 0
            while True:
                row, parts = await self._reads.job(endpoint, job_id, *_PAYLOADS)
                if not is_waiting or row.is_final or since not in {None, row.revision}:
                    return job_status(row, parts)
                is_waiting = await _changed(watch, word, row, end)

    async def read_stream(
        self, endpoint: str, job_id: str, wait: int = 0, cursor: str | None = None
    ) -> Handover[ReadStreamResponse]:
        """The chunks from the cursor on, or those that nobody without one has read."""
        return await self._streams.read(endpoint, job_id, wait, cursor)

    async def cancel(self, endpoint: str, job_id: str) -> JobStatus:
        """Cancels a job."""
        await self._change(endpoint, job_id, lambda row, now, _: rules.cancel(row, now=now))
        return await self.status(endpoint, job_id)

    async def retry(self, endpoint: str, job_id: str) -> JobStatus:
        """Queues a failed job again."""
        row, parts = await self._reads.job(endpoint, job_id, Part.REQUEST)
        notify = JobRequest.FromString(parts.get(row, Part.REQUEST)).HasField("webhook")

        def retry(row: Row, now: int, rank: int) -> list[Event]:
            return rules.retry(row, notify=notify, rank=rank, now=now) if rules.may_retry(row) else []

        changed = await self._change(endpoint, job_id, retry)
        if not changed.events and not changed.was_done:
            status = changed.row.status if changed.row is not None else row.status
            raise NotRetryableError(
                f"job {job_id!r} is {status}; only FAILED and TIMED_OUT jobs can be retried", job_id=job_id
            )
        return await self.status(endpoint, job_id)

    async def purge(self, endpoint: str) -> int:
        """Cancels every job that waits, a few at once; it goes on when the caller does not wait for it."""
        return await asyncio.shield(self._tasks.spawn(self._purge(endpoint, await self._reads.last_rank())))

    async def _purge(self, endpoint: str, until: int) -> int:
        def cancel(row: Row, now: int, _: int) -> list[Event]:
            if not row.is_queued:
                return []
            return rules.end(row, states.CANCELLED, now, reason="the queue was purged")

        removed, looked = 0, 1
        while looked:
            looked, count = await self._changes.purge(endpoint, until, cancel)
            removed += count
            if self._waiters.is_closed:
                raise UnavailableError(
                    f"the gateway stopped after {removed:,} jobs of endpoint {endpoint!r} were cancelled; purge again"
                )
        if removed:
            _log.info("%s jobs of endpoint %s were purged", f"{removed:,}", endpoint, extra={"endpoint": endpoint})
        return removed

    async def list_jobs(self, request: ListJobsRequest) -> ListJobsResponse:
        """A page of jobs."""
        return await self._reads.page(request)

    async def health(self, endpoint: str) -> EndpointHealth:
        """Counts of jobs and workers."""
        return await self._counts.health(endpoint)

    async def endpoints(self) -> Mapping[str, EndpointHealth]:
        """The health of every endpoint that has jobs or workers, by its name."""
        return await self._counts.endpoints()

    async def schema(self, endpoint: str) -> EndpointSchema:
        """The schema that a worker told last."""
        return await self._reads.schema(endpoint)

    # Workers

    async def take(self, endpoint: str, worker_id: str, count: int, wait: int) -> Handover[Sequence[Job]]:
        """Leases jobs to a worker."""
        await self._workers.saw(endpoint, worker_id)
        taken = await self._takes.take(endpoint, worker_id, count, wait)
        jobs = [taken_job(row, parts) for row, parts in taken]
        return Handover(jobs, partial(self._give_back, endpoint, worker_id, [job.id for job in jobs]))

    async def ping(self, endpoint: str, worker_id: str, job_ids: Sequence[str]) -> None:
        """Extends leases."""
        await self._workers.saw(endpoint, worker_id)
        await asyncio.gather(*(self._writes.ping(endpoint, worker_id, job_id) for job_id in job_ids))

    async def report(self, endpoint: str, worker_id: str, job_id: str, progress: bytes) -> None:
        """Keeps the latest progress."""

        def report(row: Row, now: int, _: int) -> list[Event]:
            return rules.report(row) if rules.holds(row, worker_id, now=now, limits=self.limits) else []

        await self._batches.call(Change(endpoint=endpoint, id=job_id, rule=report, part=Part.PROGRESS, body=progress))

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
        await self._streams.append(append, chunk)

    async def finish(
        self, endpoint: str, worker_id: str, job_id: str, result: JobResult, take: int | None = None
    ) -> None:
        """Makes a job final."""
        await self._workers.saw(endpoint, worker_id)
        command = finish_command(endpoint, worker_id, job_id, result, take)
        output = result.output if command.has_output else None
        error = result.error if command.has_error else None
        if not await self._writes.finish(Result(command, output, error)):
            raise JobNotFoundError(endpoint, job_id)

    async def stops(self, endpoint: str, worker_id: str, wait: int) -> Handover[Sequence[str]]:
        """The ids that the worker is to stop."""
        await self._workers.saw(endpoint, worker_id)
        ids = await self._stops.collect(endpoint, worker_id, wait)
        return Handover(ids, partial(self._restore_stops, endpoint, worker_id, ids))

    async def publish_schema(self, endpoint: str, schema: EndpointSchema) -> None:
        """Keeps the schema that a worker tells."""
        await self._database.put_schema(endpoint, schema.SerializeToString())

    # Webhooks

    async def next_notice(self) -> Notice:
        """Waits for the next webhook."""
        return await self._notices.next()

    async def hold_notices(self, notices: Sequence[Notice]) -> None:
        """Keeps claims."""
        await self._notices.hold(notices)

    async def mark_notified(self, endpoint: str, job_id: str, revision: int) -> None:
        """The webhook was called or given up."""
        rule = partial(_mark_notified, revision)
        await self._batches.call(Change(endpoint=endpoint, id=job_id, rule=rule))

    # What is taken back

    async def _give_back(self, endpoint: str, worker_id: str, ids: Sequence[str]) -> None:
        def give_back(row: Row, now: int, rank: int) -> list[Event]:
            is_held = rules.holds(row, worker_id, now=now, limits=self.limits)
            return rules.give_back(row, rank=-rank) if is_held else []

        changes = [Change(endpoint=endpoint, id=job_id, rule=give_back) for job_id in reversed(ids)]
        await self._tasks.take_back(self._changes.make(changes) if changes else nothing())

    async def _restore_stops(self, endpoint: str, worker_id: str, ids: Sequence[str]) -> None:
        await self._tasks.take_back(self._stops.restore(endpoint, worker_id, ids) if ids else nothing())

    async def _change(self, endpoint: str, job_id: str, rule: Rule) -> Changed:
        changed = await self._batches.call(Change(endpoint=endpoint, id=job_id, rule=rule))
        if changed.row is None:
            raise JobNotFoundError(endpoint, job_id)
        return changed

    def _missed(self) -> None:
        """A hint may have been missed."""

        async def look() -> None:
            with contextlib.suppress(GatewayError):  # the next sweep looks again
                await self._looks.look()

        self._tasks.spawn(look())


async def _changed(watch: Watch, word: str, row: Row, end: int) -> bool:
    """Waits for what the word says to change; False when the time is over."""
    watch.seen = job_state(word[0], row.status, row.revision, row.takes, row.chunks)
    return await watch.until(end)


def _mark_notified(revision: int, row: Row, _: int, __: int) -> list[Event]:
    return rules.mark_notified(row, revision)


def _now_of(clock: Clock | None) -> int | None:
    return None if clock is None else clock.now()
