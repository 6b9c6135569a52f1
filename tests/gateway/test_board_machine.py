"""The board against a model that is too simple to be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from novita_gateway.board import commands
from novita_gateway.board.board import Board
from novita_gateway.board.commands import Event, EventKind
from novita_gateway.board.limits import Limits

pytestmark = pytest.mark.core

LIMITS = Limits(lease=100, max_attempts=2, retention=1000, ttl=5000, worker_memory=300)
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}
ENDPOINTS = st.sampled_from(["a", "a", "a", "b"])
WORKERS = st.sampled_from(["w1", "w2"])
PICKS = st.integers(0, 1000)
RIGHT = st.sampled_from([True, True, True, False])
"""Whether a command about a job comes from where it should."""


@dataclass
class ModelJob:
    id: str
    endpoint: str
    order: float
    low: bool
    created: int
    ttl: int
    execution_timeout: int | None
    key: str | None
    status: str = "PENDING"
    worker: str | None = None
    taken: int = 0
    heard: int = 0
    attempt: int = 0
    takes: int = 0
    finished: int = 0
    expires: int = 0
    chunks: int = 0
    read: int = 0


@dataclass
class Model:
    """Every operation looks at every job."""

    jobs: dict[str, ModelJob] = field(default_factory=dict)
    stops: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    front: float = 0
    back: float = 0

    def queue(self, endpoint: str) -> list[ModelJob]:
        waiting = [job for job in self.jobs.values() if job.endpoint == endpoint and job.status == "PENDING"]
        return sorted(waiting, key=lambda job: (job.low, job.order))

    def requeue(self, job: ModelJob, *, at_front: bool) -> None:
        job.status, job.chunks, job.read = "PENDING", 0, 0
        if at_front:
            self.front -= 1
            job.order = self.front
        else:
            self.back += 1
            job.order = self.back

    def end(self, job: ModelJob, status: str, now: int) -> None:
        if job.status == "IN_PROGRESS":
            self.stops.setdefault((job.endpoint, job.worker or ""), set()).add(job.id)
        job.status, job.finished = status, now

    def held(self, endpoint: str, worker: str, job_id: str, now: int) -> ModelJob | None:
        job = self.jobs.get(job_id)
        if job is None or job.endpoint != endpoint or job.status != "IN_PROGRESS" or job.worker != worker:
            return None
        job.heard = now
        return job

    def is_revoked(self, endpoint: str, job_id: str) -> bool:
        """Of a job that who names it does not hold."""
        job = self.jobs.get(job_id)
        return job is not None and job.endpoint == endpoint and job.status in {"CANCELLED", "TIMED_OUT", "IN_PROGRESS"}

    def pass_time(self, now: int) -> None:
        for job in sorted(self.jobs.values(), key=lambda job: job.order):
            if job.status in FINAL:
                if job.finished + LIMITS.retention <= now:
                    del self.jobs[job.id]
            elif job.expires <= now or (
                job.status == "IN_PROGRESS"
                and job.execution_timeout is not None
                and job.taken + job.execution_timeout <= now
            ):
                self.end(job, "TIMED_OUT", now)


class BoardMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.board = Board(LIMITS)
        self.model = Model()
        self.now = 1_000_000
        self.count = 0
        self.finals: dict[str, str] = {}

    def pick(self, pick: int, right: bool) -> tuple[str, str, str]:
        """Endpoint, worker and id of a job; of an unknown one, or wrong ones, now and then."""
        known = list(self.model.jobs.values())
        if not known:
            return "a", "w1", "j0"
        job = known[pick % len(known)]
        other = {"w1": "w2", "w2": "w1"}
        worker = job.worker or "w1"
        return (job.endpoint, worker, job.id) if right else ("ab"[pick % 2], other[worker], job.id)

    def apply(self, command: commands.Command) -> list[Event]:
        return self.board.apply(command, self.now)

    @initialize()
    def fill_the_queue(self) -> None:
        for low in (False, True, False):
            self.submit("a", low, None, None, None)

    @rule(
        endpoint=ENDPOINTS,
        low=st.booleans(),
        ttl=st.sampled_from([None, 250]),
        timeout=st.sampled_from([None, 150]),
        key=st.sampled_from([None, None, "k1", "k2"]),
    )
    def submit(self, endpoint: str, low: bool, ttl: int | None, timeout: int | None, key: str | None) -> None:
        self.count += 1
        job_id = f"j{self.count}"
        (event, *more) = self.apply(
            commands.Submit(
                endpoint=endpoint,
                id=job_id,
                low_priority=low,
                ttl=ttl,
                execution_timeout=timeout,
                idempotency_key=key,
            )
        )
        assert not more
        known = [job for job in self.model.jobs.values() if key and (job.endpoint, job.key) == (endpoint, key)]
        if known:
            assert event.kind is EventKind.DUPLICATE
            assert event.row.id == known[0].id
            return
        assert event.kind is EventKind.QUEUED
        self.model.back += 1
        lifetime = LIMITS.ttl if ttl is None else ttl
        self.model.jobs[job_id] = ModelJob(
            job_id, endpoint, self.model.back, low, self.now, lifetime, timeout, key, expires=self.now + lifetime
        )

    @rule(endpoint=ENDPOINTS, worker=WORKERS, count=st.integers(1, 3))
    def take(self, endpoint: str, worker: str, count: int) -> None:
        events = self.apply(commands.TakeJobs(endpoint=endpoint, worker_id=worker, count=count))
        expected = self.model.queue(endpoint)[:count]
        assert [event.row.id for event in events] == [job.id for job in expected]
        for job in expected:
            job.status, job.worker, job.taken, job.heard = "IN_PROGRESS", worker, self.now, self.now
            job.attempt += 1
            job.takes += 1
            self.model.stops.get((endpoint, worker), set()).discard(job.id)

    @rule(pick=PICKS, right=RIGHT)
    def give_back(self, pick: int, right: bool) -> None:
        endpoint, worker, job_id = self.pick(pick, right)
        ids = [job_id, *(job.id for job in self.model.jobs.values() if job.id != job_id and job.takes % 2)]
        self.apply(commands.GiveBack(endpoint=endpoint, worker_id=worker, ids=tuple(ids)))
        for job_id in reversed(ids):
            job = self.model.held(endpoint, worker, job_id, self.now)
            if job is not None:
                job.attempt -= 1
                job.takes -= 1
                self.model.requeue(job, at_front=True)

    @rule(pick=PICKS, right=RIGHT)
    def ping(self, pick: int, right: bool) -> None:
        endpoint, worker, job_id = self.pick(pick, right)
        ids = ["unknown", job_id]
        events = self.apply(commands.Ping(endpoint=endpoint, worker_id=worker, ids=tuple(ids)))
        if self.model.held(endpoint, worker, job_id, self.now) is None and self.model.is_revoked(endpoint, job_id):
            self.model.stops.setdefault((endpoint, worker), set()).add(job_id)
            assert [(event.kind, event.row.id) for event in events] == [(EventKind.STOP_ORDERED, job_id)]
        else:
            assert events == []

    @rule(pick=PICKS, right=RIGHT)
    def report(self, pick: int, right: bool) -> None:
        endpoint, worker, job_id = self.pick(pick, right)
        events = self.apply(commands.Report(endpoint=endpoint, worker_id=worker, id=job_id))
        assert bool(events) == (self.model.held(endpoint, worker, job_id, self.now) is not None)

    def take_of(self, job_id: str, offset: int | None) -> int | None:
        job = self.model.jobs.get(job_id)
        return None if offset is None or job is None else job.takes + offset

    @rule(
        pick=PICKS,
        right=RIGHT,
        take=st.sampled_from([None, 0, 0, -1]),
        number=st.sampled_from([None, 0, 0, -1, 1]),
    )
    def append(self, pick: int, right: bool, take: int | None, number: int | None) -> None:
        """Offsets from the take that runs, and from the number that is next; None is a worker that tells neither."""
        endpoint, worker, job_id = self.pick(pick, right)
        known = self.model.jobs.get(job_id)
        place = None if number is None or known is None else known.chunks + number
        command = commands.Append(
            endpoint=endpoint, worker_id=worker, id=job_id, take=self.take_of(job_id, take), number=place
        )
        events = self.apply(command)
        job = self.model.held(endpoint, worker, job_id, self.now)
        is_next = job is not None and not take and not number
        assert bool(events) == is_next
        if job is not None and is_next:
            job.chunks += 1

    @rule(pick=PICKS, right=RIGHT, count=st.integers(0, 2))
    def read(self, pick: int, right: bool, count: int) -> None:
        endpoint, _, job_id = self.pick(pick, right)
        job = self.model.jobs.get(job_id)
        end = count if job is None else min(job.read + count, job.chunks)
        self.apply(commands.ReadChunks(endpoint=endpoint, id=job_id, end=end))
        if job is not None and job.endpoint == endpoint:
            job.read = end

    @rule(pick=PICKS, right=RIGHT, failed=st.booleans(), take=st.sampled_from([None, 0, 0, -1]))
    def finish(self, pick: int, right: bool, failed: bool, take: int | None) -> None:
        endpoint, worker, job_id = self.pick(pick, right)
        command = commands.Finish(
            endpoint=endpoint,
            worker_id=worker,
            id=job_id,
            take=self.take_of(job_id, take),
            has_output=not failed,
            has_error=failed,
        )
        events = self.apply(command)
        job = None if take else self.model.held(endpoint, worker, job_id, self.now)
        assert [event.kind for event in events] == ([EventKind.FINISHED] if job else [])
        self.model.stops.get((endpoint, worker), set()).discard(job_id)
        if job is not None:
            job.status, job.finished = "FAILED" if failed else "COMPLETED", self.now

    @rule(pick=PICKS, right=RIGHT)
    def cancel(self, pick: int, right: bool) -> None:
        endpoint, _, job_id = self.pick(pick, right)
        self.apply(commands.Cancel(endpoint=endpoint, id=job_id))
        job = self.model.jobs.get(job_id)
        if job is not None and job.endpoint == endpoint and job.status not in FINAL:
            self.model.end(job, "CANCELLED", self.now)

    @rule(pick=PICKS, right=RIGHT)
    def retry(self, pick: int, right: bool) -> None:
        endpoint, _, job_id = self.pick(pick, right)
        events = self.apply(commands.Retry(endpoint=endpoint, id=job_id))
        job = self.model.jobs.get(job_id)
        may = job is not None and job.endpoint == endpoint and job.status in {"FAILED", "TIMED_OUT"}
        assert bool(events) == may
        if job is not None and may:
            self.finals.pop(job_id, None)
            job.attempt, job.expires = 0, self.now + job.ttl
            self.model.requeue(job, at_front=False)

    @rule(endpoint=ENDPOINTS, limit=st.sampled_from([None, 1, 2]), newer=st.sampled_from([0, 0, 1]))
    def purge(self, endpoint: str, limit: int | None, newer: int) -> None:
        until = self.board.last_rank - newer
        events = self.apply(commands.Purge(endpoint=endpoint, until=until, limit=limit))
        waiting = [job for job in self.model.queue(endpoint) if job.order <= until][:limit]
        assert {event.row.id for event in events} == {job.id for job in waiting}
        for job in waiting:
            self.model.end(job, "CANCELLED", self.now)

    @rule(endpoint=ENDPOINTS, worker=WORKERS)
    def collect_stops(self, endpoint: str, worker: str) -> None:
        events = self.apply(commands.CollectStops(endpoint=endpoint, worker_id=worker))
        # A worker that was silent for long is forgotten together with its orders.
        assert {event.row.id for event in events} <= self.model.stops.pop((endpoint, worker), set())

    @rule(step=st.sampled_from([1, 40, 99, 100, 101, 250, 1000]))
    def pass_time(self, step: int) -> None:
        end = self.now + step
        while (wake := self.board.next_wake()) is not None and wake <= end:
            self.now = max(self.now, wake)
            events = self.apply(commands.Tick())
            self.model.pass_time(self.now)
            for event in events:
                if event.kind is EventKind.QUEUED:
                    self.check_lost(event.row.id)
                elif event.kind is EventKind.FINISHED and event.row.status == "FAILED":
                    job = self.model.jobs[event.row.id]
                    assert job.attempt == LIMITS.max_attempts
                    assert job.heard + LIMITS.lease <= self.now
                    self.model.end(job, "FAILED", self.now)
        self.now = end
        self.model.pass_time(end)

    @rule(step=st.sampled_from([250, 1000]), pick=PICKS, right=RIGHT, command=st.sampled_from(["", "ping", "finish"]))
    def stand_still(self, step: int, pick: int, right: bool, command: str) -> None:
        """No ticks come, and then all at once; what had arrived comes first. Every lease begins again."""
        self.now += step
        for job in self.model.jobs.values():
            if job.status == "IN_PROGRESS":
                job.heard = self.now
        if command == "ping":
            self.ping(pick, right)
        elif command == "finish":
            self.finish(pick, right, failed=False, take=None)
        self.pass_time(0)

    def check_lost(self, job_id: str) -> None:
        job = self.model.jobs[job_id]
        assert job.status == "IN_PROGRESS"
        assert job.heard + LIMITS.lease <= self.now
        assert job.attempt < LIMITS.max_attempts
        self.model.stops.setdefault((job.endpoint, job.worker or ""), set()).add(job.id)
        self.model.requeue(job, at_front=True)

    @invariant()
    def every_job_is_as_the_model_has_it(self) -> None:
        assert len(self.board.ledger) == len(self.model.jobs)
        for job in self.model.jobs.values():
            row = self.board.find(job.endpoint, job.id)
            assert row is not None
            assert (row.status, row.takes, row.chunks, row.read) == (job.status, job.takes, job.chunks, job.read)
            if job.status != "PENDING" and job.takes:
                assert row.worker_id == job.worker
            if job.status == "IN_PROGRESS":
                assert job.heard + LIMITS.lease > self.now, "a lost lease was kept"

    @invariant()
    def queues_are_in_order(self) -> None:
        for endpoint in ("a", "b"):
            rows = self.board.ledger.known_endpoint(endpoint)
            waiting = [] if rows is None else [row.id for queue in rows.queues for row in queue]
            assert waiting == [job.id for job in self.model.queue(endpoint)]

    @invariant()
    def final_states_never_change(self) -> None:
        for job_id, status in list(self.finals.items()):
            row = self.board.find("a", job_id) or self.board.find("b", job_id)
            if row is not None:
                assert row.status == status
            else:
                del self.finals[job_id]
        for job in self.model.jobs.values():
            if job.status in FINAL:
                self.finals.setdefault(job.id, job.status)

    @invariant()
    def counters_are_sums(self) -> None:
        for endpoint in ("a", "b"):
            counters = self.board.ledger.counters(endpoint)
            jobs = [job for job in self.model.jobs.values() if job.endpoint == endpoint]
            assert counters.queued == sum(job.status == "PENDING" for job in jobs)
            assert counters.running == sum(job.status == "IN_PROGRESS" for job in jobs)
            assert counters.completed == sum(job.status == "COMPLETED" for job in jobs)
            assert counters.failed == sum(job.status in {"FAILED", "TIMED_OUT"} for job in jobs)
            assert counters.retried == sum(max(0, job.takes - 1) for job in jobs)
            busy = {job.worker for job in jobs if job.status == "IN_PROGRESS"}
            assert counters.running_workers == len(busy)

    @invariant()
    def pages_list_every_job_newest_first(self) -> None:
        for endpoint in ("a", "b"):
            ids: list[str] = []
            cursor = None
            while True:
                rows, cursor = self.board.ledger.page(endpoint, status=None, limit=2, before=cursor)
                ids += [row.id for row in rows]
                if cursor is None:
                    break
            expected = [job.id for job in self.model.jobs.values() if job.endpoint == endpoint]
            assert ids == expected[::-1]


BoardMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_board_agrees_with_its_model = BoardMachine.TestCase
