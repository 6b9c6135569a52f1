"""What every store must do, checked against a model through nothing but the `Store` protocol and a clock."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from novita_gateway import Limits, ManualClock, MemoryStore, PostgresStore, SQLiteStore, Store
from novita_gateway._errors import ChunkMissingError, NotRetryableError, SchemaNotFoundError, StoreError
from novita_sdk.models import EndpointSchema, JobRequest, JobResult, ListJobsRequest, MethodSchema, RunRequest
from tests.support.stores import advance, execute, new_schema, until_parked, writer_of
from tests.support.waiting import DEADLINE

ResultT = TypeVar("ResultT")

LIMITS = Limits(lease=1000, max_attempts=2, retention=100_000, ttl=50_000, worker_memory=100_000)
ENDPOINT = "ep"
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}
PICKS = st.integers(0, 1000)
RIGHT = st.sampled_from([True, True, True, False])
BODIES = st.sampled_from(
    [b"null", b"{}", b'{"u": "\xc3\xa9"}', b"12345678901234567890123", b'"' + b"x" * 40_000 + b'"']
)


@dataclass
class ModelJob:
    id: str
    order: float
    input: bytes
    created: int
    status: str = "PENDING"
    worker: str = ""
    attempt: int = 0
    takes: int = 0
    heard: int = 0
    output: bytes | None = None
    error: bytes | None = None
    progress: bytes | None = None
    unread: list[bytes] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    readers: list[ModelReader] = field(default_factory=lambda: [ModelReader(), ModelReader()])


@dataclass
class ModelReader:
    """Who follows a stream from its start, and asks again where an answer was lost."""

    cursor: str = "0"
    got: list[bytes] = field(default_factory=list)


class StoreMachine(RuleBasedStateMachine):
    is_durable: ClassVar[bool] = True
    is_file: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "jobs.db"
        self.clock = ManualClock()
        self.jobs: list[ModelJob] = []
        self.stop_orders: set[tuple[str, str]] = set()
        self.was_reopened = False
        self.schema: EndpointSchema | None = None
        self.front, self.back = 0, 0
        self.store = self.open()

    def make_store(self) -> Store:
        return MemoryStore(limits=LIMITS, clock=self.clock)

    def open(self) -> Store:
        store = self.make_store()
        self.run(store.open())
        return store

    def run(self, call: Awaitable[ResultT]) -> ResultT:
        return self.loop.run_until_complete(asyncio.wait_for(call, DEADLINE))

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        self.directory.cleanup()

    def pick(self, pick: int) -> ModelJob | None:
        return self.jobs[pick % len(self.jobs)] if self.jobs else None

    def queue(self) -> list[ModelJob]:
        return sorted((job for job in self.jobs if job.status == "PENDING"), key=lambda job: job.order)

    def restart(self, job: ModelJob) -> None:
        job.status, job.output, job.error, job.progress, job.unread = "PENDING", None, None, None, []
        job.chunks = []

    @initialize()
    def start_with_two(self) -> None:
        self.submit(b"1")
        self.submit(b'"two"')

    @rule(body=BODIES)
    def submit(self, body: bytes) -> None:
        status = self.run(self.store.submit(RunRequest(endpoint=ENDPOINT, request=JobRequest(input=body))))
        assert status.status == "PENDING"
        self.back += 1
        self.jobs.append(ModelJob(status.id, self.back, body, self.clock.now()))

    @rule(body=BODIES)
    def publish_schema(self, body: bytes) -> None:
        self.schema = EndpointSchema(methods=[MethodSchema(input=body)])
        self.run(self.store.publish_schema(ENDPOINT, self.schema))

    @rule()
    def read_schema(self) -> None:
        if self.schema is not None:
            assert self.run(self.store.schema(ENDPOINT)) == self.schema
        with pytest.raises(SchemaNotFoundError):
            self.run(self.store.schema("other" if self.schema else ENDPOINT))

    @rule(count=st.integers(1, 3), worker=st.sampled_from(["w1", "w2"]))
    def take(self, count: int, worker: str) -> None:
        taken = self.run(self.store.take(ENDPOINT, worker, count, 0))
        expected = self.queue()[:count]
        assert [(job.id, job.input) for job in taken.value] == [(job.id, job.input) for job in expected]
        self.took(expected, worker)
        assert [job.attempt for job in taken.value] == [job.attempt for job in expected]

    def took(self, jobs: list[ModelJob], worker: str) -> None:
        for job in jobs:
            job.status, job.worker, job.heard = "IN_PROGRESS", worker, self.clock.now()
            job.attempt += 1
            job.takes += 1
            self.stop_orders.discard((worker, job.id))

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def a_take_that_is_undone_changes_nothing(self, worker: str) -> None:
        taken = self.run(self.store.take(ENDPOINT, worker, 1, 0))
        self.run(taken.undo())
        for job in self.queue()[:1]:
            job.order = self.front = self.front - 1
            job.worker = worker
            self.stop_orders.discard((worker, job.id))

    @precondition(lambda self: not self.queue())
    @rule(body=BODIES)
    def a_parked_take_gets_the_next_submit(self, body: bytes) -> None:
        async def both() -> str:
            take = asyncio.ensure_future(self.store.take(ENDPOINT, "w1", 1, 60_000))
            await until_parked(self.store)
            status = await self.store.submit(RunRequest(endpoint=ENDPOINT, request=JobRequest(input=body)))
            taken = await take
            assert [job.id for job in taken.value] == [status.id]
            return status.id

        self.back += 1
        job = ModelJob(self.run(both()), self.back, body, self.clock.now())
        self.jobs.append(job)
        self.took([job], "w1")

    @rule(pick=PICKS, right=RIGHT, body=BODIES, failed=st.booleans())
    def finish(self, pick: int, right: bool, body: bytes, failed: bool) -> None:
        if (job := self.pick(pick)) is None:
            return
        result = JobResult(error=body) if failed else JobResult(output=body)
        worker = job.worker if right else "stranger"
        self.run(self.store.finish(ENDPOINT, worker or "w1", job.id, result))
        self.stop_orders.discard((worker or "w1", job.id))
        if job.status == "IN_PROGRESS" and right:
            is_error = failed and body != b"null"
            job.status = "FAILED" if is_error else "COMPLETED"
            job.output, job.error = (None, body if is_error else None) if failed else (body, None)

    @precondition(lambda self: any(job.status == "IN_PROGRESS" for job in self.jobs))
    @rule(pick=PICKS, body=BODIES)
    def a_parked_wait_gets_the_result(self, pick: int, body: bytes) -> None:
        running = [job for job in self.jobs if job.status == "IN_PROGRESS"]
        job = running[pick % len(running)]

        async def both() -> bytes:
            wait = asyncio.ensure_future(self.store.status(ENDPOINT, job.id, 60_000))
            await until_parked(self.store)
            await self.store.finish(ENDPOINT, job.worker, job.id, JobResult(output=body))
            return (await wait).output

        assert self.run(both()) == body
        job.status, job.output = "COMPLETED", body

    @rule(pick=PICKS, right=RIGHT, body=BODIES)
    def report(self, pick: int, right: bool, body: bytes) -> None:
        if (job := self.pick(pick)) is None:
            return
        self.run(self.store.report(ENDPOINT, job.worker or "w1" if right else "stranger", job.id, body))
        if job.status == "IN_PROGRESS" and right:
            job.progress, job.heard = body, self.clock.now()

    @rule(pick=PICKS, right=RIGHT, body=BODIES, counts=st.booleans(), lost_replies=st.integers(0, 2))
    def append(self, pick: int, right: bool, body: bytes, counts: bool, lost_replies: int) -> None:
        """A worker that counts its chunks posts one again for each reply that was lost."""
        if (job := self.pick(pick)) is None:
            return
        worker = job.worker or "w1" if right else "stranger"
        take, number = (job.takes, len(job.chunks)) if counts else (None, None)
        for _ in range(1 + (lost_replies if counts else 0)):
            self.run(self.store.append(ENDPOINT, worker, job.id, body, take, number))
        if job.status == "IN_PROGRESS" and right:
            self.appended(job, body)

    def appended(self, job: ModelJob, body: bytes) -> None:
        job.unread.append(body)
        job.chunks.append(body)
        job.heard = self.clock.now()

    @rule(pick=PICKS, body=BODIES, is_result=st.booleans())
    def what_is_late_of_an_earlier_take_changes_nothing(self, pick: int, body: bytes, is_result: bool) -> None:
        if (job := self.pick(pick)) is None:
            return
        worker, take = job.worker or "w1", job.takes - 1
        if is_result:
            self.run(self.store.finish(ENDPOINT, worker, job.id, JobResult(output=body), take))
            self.stop_orders.discard((worker, job.id))
        else:
            self.run(self.store.append(ENDPOINT, worker, job.id, body, take, len(job.chunks)))
            if job.status == "IN_PROGRESS":
                job.heard = self.clock.now()

    @precondition(lambda self: any(job.status == "IN_PROGRESS" for job in self.jobs))
    @rule(pick=PICKS, ahead=st.integers(1, 3))
    def a_chunk_after_a_hole_is_refused(self, pick: int, ahead: int) -> None:
        running = [job for job in self.jobs if job.status == "IN_PROGRESS"]
        job = running[pick % len(running)]
        number = len(job.chunks) + ahead
        with pytest.raises(ChunkMissingError, match=job.id):
            self.run(self.store.append(ENDPOINT, job.worker, job.id, b"1", job.takes, number))
        job.heard = self.clock.now()

    @rule(pick=PICKS, which=st.integers(0, 1), is_lost=st.booleans())
    def follow_stream(self, pick: int, which: int, is_lost: bool) -> None:
        """Each reader gets each chunk once and in order, whatever the others do; or is told of another stream."""
        if (job := self.pick(pick)) is None:
            return
        reader = job.readers[which]
        page = self.run(self.store.read_stream(ENDPOINT, job.id, 0, reader.cursor)).value
        assert page.status == job.status
        if is_lost:
            return
        if page.first != len(reader.got):
            assert page.first == 0
            reader.got = []
        assert reader.got == job.chunks[: page.first], "it went on in a stream that is over"
        reader.got += [chunk.output for chunk in page.stream]
        reader.cursor = page.next_cursor
        assert reader.got == job.chunks

    @rule(pick=PICKS, undo=st.booleans())
    def read_stream(self, pick: int, undo: bool) -> None:
        if (job := self.pick(pick)) is None:
            return
        page = self.run(self.store.read_stream(ENDPOINT, job.id))
        assert [chunk.output for chunk in page.value.stream] == job.unread
        assert page.value.status == job.status
        if undo:
            self.run(page.undo())
        else:
            job.unread = []

    @rule(pick=PICKS)
    def cancel(self, pick: int) -> None:
        if (job := self.pick(pick)) is None:
            return
        status = self.run(self.store.cancel(ENDPOINT, job.id))
        if job.status not in FINAL:
            if job.status == "IN_PROGRESS":
                self.stop_orders.add((job.worker, job.id))
            job.status = "CANCELLED"
        assert status.status == job.status

    @rule(pick=PICKS)
    def retry(self, pick: int) -> None:
        if (job := self.pick(pick)) is None:
            return
        if job.status not in {"FAILED", "TIMED_OUT"}:
            with pytest.raises(NotRetryableError):
                self.run(self.store.retry(ENDPOINT, job.id))
            return
        assert self.run(self.store.retry(ENDPOINT, job.id)).status == "PENDING"
        self.retried(job)

    def retried(self, job: ModelJob) -> None:
        self.restart(job)
        self.back += 1
        job.order, job.attempt = self.back, 0

    @rule()
    def purge(self) -> None:
        waiting = self.queue()
        assert self.run(self.store.purge(ENDPOINT)) == len(waiting)
        for job in waiting:
            job.status = "CANCELLED"

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def stops(self, worker: str) -> None:
        stops = self.run(self.store.stops(ENDPOINT, worker, 0))
        ordered = {job_id for other, job_id in self.stop_orders if other == worker}
        if self.was_reopened:
            # An order that was not fetched goes with the process, and comes again with the worker's next ping.
            assert set(stops.value) <= ordered
        else:
            assert set(stops.value) == ordered
        self.stop_orders = {order for order in self.stop_orders if order[0] != worker}

    @rule(pick=PICKS, worker=st.sampled_from(["w1", "w2"]))
    def a_ping_for_a_job_that_is_no_longer_the_workers_orders_it_stopped(self, pick: int, worker: str) -> None:
        if (job := self.pick(pick)) is None:
            return
        self.run(self.store.ping(ENDPOINT, worker, [job.id]))
        if job.status == "IN_PROGRESS" and job.worker == worker:
            job.heard = self.clock.now()
        elif job.status in {"CANCELLED", "TIMED_OUT", "IN_PROGRESS"}:
            self.stop_orders.add((worker, job.id))
            assert job.id in self.run(self.store.stops(ENDPOINT, worker, 0)).value
            self.stop_orders = {order for order in self.stop_orders if order[0] != worker}

    @rule(ping=st.booleans())
    def half_a_lease_passes(self, ping: bool) -> None:
        if ping:
            for job in self.jobs:
                if job.status == "IN_PROGRESS":
                    self.run(self.store.ping(ENDPOINT, job.worker, [job.id]))
                    job.heard = self.clock.now()
        self.advance(LIMITS.lease // 2)
        lost = [
            job for job in self.jobs if job.status == "IN_PROGRESS" and job.heard + LIMITS.lease <= self.clock.now()
        ]
        # The lease that ended first is offered first … so the one that is handled last stands in front.
        for job in lost:
            self.stop_orders.add((job.worker, job.id))
            if job.attempt < LIMITS.max_attempts:
                self.restart(job)
            else:
                job.status = "FAILED"
                job.error = self.run(self.store.status(ENDPOINT, job.id)).error
                assert "stopped pinging" in json.loads(job.error)
        if lost:
            self.settle_front({job.id for job in lost})

    def settle_front(self, lost: set[str]) -> None:
        """Takes the order of jobs that were lost at once from the store: any is right, in front of all others."""
        waiting = self.queue()
        taken = self.run(self.store.take(ENDPOINT, "orderly", 1000, 0))
        self.run(taken.undo())
        ids = [job.id for job in taken.value]
        assert set(ids) == {job.id for job in waiting}
        count = len(lost & set(ids))
        assert set(ids[:count]) == lost & set(ids)
        for job in waiting:
            job.order = ids.index(job.id)
            job.worker = "orderly"
            self.stop_orders.discard(("orderly", job.id))
        self.front = min(self.front, -1)
        self.back = max(self.back, len(ids))

    def advance(self, step: int) -> None:
        async def move() -> None:
            await advance(self.clock, step / 1000, self.store)

        self.run(move())

    @precondition(lambda self: self.is_durable)
    @rule()
    def reopen(self) -> None:
        self.run(self.store.close())
        self.take_up()

    @precondition(lambda self: self.is_file)
    @rule(body=BODIES)
    def be_killed(self, body: bytes) -> None:
        """What a submit's answer leaves on the disk is what kill -9 leaves."""
        self.submit(body)
        killed, self.path = self.path, self.path.with_name(f"after-{len(self.jobs)}.db")
        for suffix in ("", "-wal"):
            shutil.copy(f"{killed}{suffix}", f"{self.path}{suffix}")
        self.run(self.store.close())
        self.take_up()

    @precondition(lambda self: self.is_file)
    @rule(pick=PICKS, body=BODIES)
    def the_disk_fails_for_a_while(self, pick: int, body: bytes) -> None:
        """What is refused may have happened, and nothing else is lost."""
        connection = writer_of(self.store)
        connection.execute("PRAGMA query_only = ON")
        job, other = self.pick(pick), self.pick(pick + 1)
        with pytest.raises(StoreError):
            self.run(self.store.submit(RunRequest(endpoint=ENDPOINT, request=JobRequest(input=body))))
        self.back += 1
        new = ModelJob("", self.back, body, self.clock.now())
        if job is not None and job.status == "IN_PROGRESS":
            with pytest.raises(StoreError):
                self.run(self.store.append(ENDPOINT, job.worker, job.id, body))
            self.appended(job, body)
        if other is not None and other.status in {"FAILED", "TIMED_OUT"}:
            with pytest.raises(StoreError):
                self.run(self.store.retry(ENDPOINT, other.id))
            self.retried(other)
        connection.execute("PRAGMA query_only = OFF")
        new.id = self.run(self.store.list_jobs(ListJobsRequest(endpoint=ENDPOINT, limit=1))).jobs[0].id
        self.jobs.append(new)

    def take_up(self) -> None:
        self.store = self.open()
        self.was_reopened = True
        for job in self.jobs:
            job.heard = self.clock.now()

    @invariant()
    def every_job_is_as_the_model_has_it(self) -> None:
        for job in self.jobs:
            status = self.run(self.store.status(ENDPOINT, job.id))
            assert status.status == job.status
            assert status.retries == max(0, job.takes - 1)
            if job.status == "IN_PROGRESS":
                assert (status.output if status.HasField("output") else None) == job.progress
            else:
                assert (status.output if status.HasField("output") else None) == job.output
            assert (status.error if status.HasField("error") else None) == job.error

    @invariant()
    def health_and_listing_agree(self) -> None:
        health = self.run(self.store.health(ENDPOINT)).jobs
        count = [job.status for job in self.jobs].count
        assert (health.in_queue, health.in_progress) == (count("PENDING"), count("IN_PROGRESS"))
        assert (health.completed, health.failed) == (count("COMPLETED"), count("FAILED") + count("TIMED_OUT"))
        page = self.run(self.store.list_jobs(ListJobsRequest(endpoint=ENDPOINT, limit=1000)))
        assert [job.id for job in page.jobs] == [job.id for job in self.jobs][::-1]


class MemoryMachine(StoreMachine):
    is_durable = False


class SQLiteMachine(StoreMachine):
    is_file = True

    def make_store(self) -> Store:
        return SQLiteStore(self.path, limits=LIMITS, clock=self.clock)


class PostgresMachine(StoreMachine):
    def __init__(self, dsn: str) -> None:
        self.dsn, self.tables = dsn, new_schema()
        super().__init__()

    def make_store(self) -> Store:
        return PostgresStore(self.dsn, schema=self.tables, limits=LIMITS, clock=self.clock, count_age=0)

    def teardown(self) -> None:
        super().teardown()
        asyncio.run(execute(self.dsn, f"DROP SCHEMA {self.tables} CASCADE"))


MemoryMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
SQLiteMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)
test_memory_store_conforms = MemoryMachine.TestCase
test_sqlite_store_conforms = SQLiteMachine.TestCase


def test_postgres_store_conforms(postgres: str) -> None:
    few = settings(max_examples=6, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(partial(PostgresMachine, postgres), settings=few)  # type: ignore[arg-type]  # makes one
