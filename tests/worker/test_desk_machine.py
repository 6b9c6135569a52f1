"""Whatever happens in whatever order, the desk keeps its promises."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from novita_sdk.wire.retry import Failure, FailureKind
from novita_worker.desk.actions import (
    AskConcurrency,
    BeginTake,
    Cancel,
    Close,
    DeskLimits,
    Discard,
    EndTake,
    Prepare,
    SetPing,
    Stage,
    Start,
    TakenJob,
)
from novita_worker.desk.desk import Desk
from novita_worker.desk.outbox import Post, PostKind, WorkerFault

pytestmark = pytest.mark.core

PICK = st.integers(min_value=0, max_value=10**6)


def number(body: object) -> int:
    assert isinstance(body, bytes)
    return int(body)


class DeskMachine(RuleBasedStateMachine):
    """A gateway, handlers and a clock around a desk; the model knows only what went in and what came out."""

    @initialize(
        concurrency=st.integers(1, 4),
        prefetch=st.integers(0, 2),
        prepares=st.booleans(),
        scaling=st.booleans(),
        max_jobs=st.none() | st.integers(1, 12),
        max_undelivered=st.integers(1, 4),
    )
    def begin(self, **limits: Any) -> None:
        self.limits = DeskLimits(shutdown_timeout=20.0, cancel_timeout=3.0, flush_timeout=10.0, **limits)
        self.desk = Desk(self.limits, random.Random(7).random)
        self.now = 0.0
        self.concurrency = self.limits.concurrency
        self.number = 0
        self.taking: BeginTake | None = None
        self.asked = False
        self.known: dict[str, TakenJob] = {}
        """Taken and neither answered for nor given up."""
        self.running: set[str] = set()
        self.started: set[str] = set()
        self.finished: set[str] = set()
        self.stopped: set[str] = set()
        self.again: set[str] = set()
        """Taken again while the handler of a run that nothing comes of has not returned."""
        self.cancelled: set[str] = set()
        self.lost: set[str] = set()
        self.prepared: set[str] = set()
        self.in_flight: dict[str, Post] = {}
        self.posted: dict[str, list[Post]] = {}
        self.last_progress: dict[str, float] = {}
        self.pinged: tuple[str, ...] = ()
        self.closed: Close | None = None
        self.do(self.desk.begin(self.now))

    # What the desk says is done, and checked on the way.

    def do(self, actions: list[Any]) -> None:
        for action in actions:
            assert self.closed is None or isinstance(action, SetPing), f"{action} after the end"
            match action:
                case BeginTake():
                    assert self.taking is None, "two takes at once"
                    assert self.desk.stage is Stage.SERVE
                    occupied = len(self.running) + len(self.held)
                    assert 1 <= action.count <= self.concurrency + self.limits.prefetch - occupied
                    self.taking = action
                case EndTake():
                    assert self.taking is not None
                case AskConcurrency(current):
                    assert self.limits.scaling
                    assert not self.asked
                    assert current == self.concurrency
                    self.asked = True
                case Prepare(job):
                    assert self.limits.prepares
                    assert self.concurrency == 1
                    assert job.id in self.held
                    assert job.id not in self.prepared
                    self.prepared.add(job.id)
                case Start(job, _):
                    assert job.id not in self.started | self.running, "run twice"
                    assert job.id in self.pinged, "the heartbeat must know a job before it starts"
                    assert len(self.running) < self.concurrency
                    self.running.add(job.id)
                    self.started.add(job.id)
                case Post():
                    self.check_post(action)
                    self.in_flight[action.job_id] = action
                    self.posted.setdefault(action.job_id, []).append(action)
                case Cancel(job_id, _):
                    assert job_id in self.running or job_id in self.prepared
                    self.cancelled.add(job_id)
                case Discard(job_id):
                    assert job_id in self.known
                    assert job_id not in self.started
                    del self.known[job_id]
                case SetPing(ids):
                    self.pinged = ids
                case Close():
                    self.closed = action

    def check_post(self, post: Post) -> None:
        job_id = post.job_id
        assert job_id not in self.in_flight, "two posts of one job at once"
        assert job_id not in self.stopped, "a post for a stopped job"
        before = self.posted.get(job_id, [])
        results = [p for p in before if p.kind is PostKind.RESULT]
        if post.kind is PostKind.RESULT:
            assert not results or isinstance(post.body, WorkerFault), "two results"
            assert len(results) < 2
        else:
            assert not results, "something follows the result"
        self.check_place(post, sum(p.kind is PostKind.CHUNK for p in before))
        if post.kind is not PostKind.RESULT:
            same = [p.body for p in before if p.kind is post.kind]
            assert not same or number(same[-1]) < number(post.body), "out of order"
        if post.kind is PostKind.PROGRESS:
            last = self.last_progress.get(job_id)
            has_ended = job_id in self.finished or job_id in self.cancelled
            assert last is None or has_ended or self.now - last >= self.limits.progress_interval
            self.last_progress[job_id] = self.now

    def check_place(self, post: Post, chunks: int) -> None:
        """Chunks are numbered from 0 in each take, and what follows them is known to be of it."""
        take = self.known[post.job_id].take if post.job_id in self.known else post.place.take
        if post.kind is PostKind.CHUNK:
            assert post.place == (take, chunks if take else None)
        elif post.kind is PostKind.RESULT:
            assert post.place == (take if chunks else None, None)

    @property
    def held(self) -> set[str]:
        return set(self.known) - self.started

    def pick(self, among: set[str] | dict[str, Any], choice: int) -> str:
        return sorted(among)[choice % len(among)]

    def next_body(self) -> bytes:
        self.number += 1
        return b"%d" % self.number

    def begin_anew(self, job_id: str) -> None:
        """A job that is over may be handed out again; what was true of its first run is not of the next."""
        for known in (self.started, self.finished, self.stopped, self.cancelled, self.prepared, self.lost):
            known.discard(job_id)
        self.posted.pop(job_id, None)
        self.last_progress.pop(job_id, None)

    def is_given_up(self, job_id: str) -> bool:
        """Whether nothing comes of the run any more: it was stopped, or its failure arrived or was lost before."""
        kinds = [post.kind for post in self.posted.get(job_id, [])]
        in_flight = self.in_flight.get(job_id)
        is_over = job_id in self.stopped | self.lost or PostKind.RESULT in kinds
        return job_id in self.started and is_over and (in_flight is None or in_flight.kind is not PostKind.RESULT)

    def end_given_up(self, job_id: str) -> None:
        """The next attempt takes the place of a run that is over, with its posts."""
        if job_id in self.again and job_id not in self.running and job_id not in self.in_flight:
            self.again.remove(job_id)
            self.begin_anew(job_id)
            if self.desk.stage > Stage.DRAIN:
                del self.known[job_id]

    # What can happen.

    @precondition(lambda self: self.taking)
    @rule(extra=st.integers(-3, 1), again=st.booleans(), timeout=st.none() | st.just(5.0))
    def a_take_brings_jobs(self, extra: int, again: bool, timeout: float | None) -> None:
        assert self.taking is not None
        jobs = []
        for _ in range(max(1, self.taking.count + extra)):
            self.number += 1
            jobs.append(TakenJob(f"j{self.number:05}", {}, timeout, self.number if self.number % 3 else None))
        self.taking = None
        if again and self.known:
            job = self.known[sorted(self.known)[0]]
            if job.id not in self.desk:
                self.begin_anew(job.id)
            elif self.is_given_up(job.id) and self.desk.stage <= Stage.DRAIN:
                self.again.add(job.id)
            jobs.append(job)
        else:
            jobs.append(jobs[0])
        if self.desk.stage <= Stage.DRAIN:
            self.known.update({job.id: job for job in jobs})
        self.do(self.desk.taken(jobs, self.now))

    @precondition(lambda self: self.taking)
    @rule(waited=st.sampled_from([0.0, 0.1, 20.0]))
    def a_take_brings_nothing(self, waited: float) -> None:
        self.taking = None
        self.do(self.desk.take_empty(self.now, waited=waited))

    @precondition(lambda self: self.taking)
    @rule(status=st.sampled_from([401, 404, 429, 500]))
    def a_take_fails(self, status: int) -> None:
        self.taking = None
        self.do(self.desk.take_failed(Failure(kind=FailureKind.STATUS, status=status), self.now))

    @precondition(lambda self: self.asked)
    @rule(answer=st.none() | st.integers(1, 5))
    def the_modifier_answers(self, answer: int | None) -> None:
        self.asked = False
        self.concurrency = answer or self.concurrency
        self.do(self.desk.concurrency_answered(answer, self.now))

    @precondition(lambda self: self.running)
    @rule(choice=PICK)
    def a_handler_returns(self, choice: int) -> None:
        job_id = self.pick(self.running, choice)
        self.running.remove(job_id)
        self.finished.add(job_id)
        self.end_given_up(job_id)
        self.do(self.desk.finished(job_id, b"result", self.now))

    @precondition(lambda self: self.running)
    @rule(choice=PICK)
    def a_handler_reports_progress(self, choice: int) -> None:
        self.do(self.desk.progress(self.pick(self.running, choice), self.next_body(), self.now))

    @precondition(lambda self: self.running)
    @rule(choice=PICK)
    def a_generator_yields(self, choice: int) -> None:
        self.do(self.desk.chunk(self.pick(self.running, choice), self.next_body(), self.now))

    @precondition(lambda self: self.finished)
    @rule(choice=PICK)
    def a_thread_reports_progress_after_the_end(self, choice: int) -> None:
        job_id = self.pick(self.finished, choice)
        if job_id not in self.running:
            self.do(self.desk.progress(job_id, self.next_body(), self.now))

    @precondition(lambda self: self.in_flight)
    @rule(choice=PICK, verdict=st.sampled_from(["delivered", "delivered", "delivered", "refused", "lost"]))
    def a_post_is_answered(self, choice: int, verdict: str) -> None:
        job_id = self.pick(self.in_flight, choice)
        post = self.in_flight.pop(job_id)
        self.end_given_up(job_id)
        if verdict == "refused":
            self.do(self.desk.refused(job_id, WorkerFault(code="REFUSED", message=""), self.now))
        elif verdict == "lost" and post.kind is not PostKind.PROGRESS:
            self.lost.add(job_id)
            self.do(self.desk.lost(job_id, self.now))
        else:
            self.do(self.desk.delivered(job_id, self.now))

    @precondition(lambda self: self.known)
    @rule(choice=PICK)
    def a_job_is_stopped(self, choice: int) -> None:
        job_id = self.pick(self.known, choice)
        self.stopped.add(job_id)
        self.again.discard(job_id)
        if job_id not in self.started:
            del self.known[job_id]
        self.do(self.desk.stop_ordered([job_id, "unknown"], self.now))

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.desk.tick(self.now))

    @rule(patient=st.booleans())
    def the_worker_is_told_to_end(self, patient: bool) -> None:
        self.do(self.desk.shutdown(self.now, patient=patient))

    # What always holds.

    @invariant()
    def ids_in_progress_are_pinged(self) -> None:
        if hasattr(self, "desk"):
            assert set(self.pinged) == set(self.desk.in_progress)
            assert set(self.held) | self.again <= set(self.pinged)
            assert {job_id for job_id in self.running if job_id not in self.stopped | self.cancelled} <= set(
                self.pinged
            )

    @invariant()
    def the_desk_never_sleeps_through_what_is_due(self) -> None:
        if hasattr(self, "desk") and self.desk.next_wake is not None and self.desk.next_wake <= self.now:
            self.do(self.desk.tick(self.now))
            assert self.desk.next_wake is None or self.desk.next_wake > self.now

    def teardown(self) -> None:
        """In the end everything comes to rest: each job that ran has a result, unless it was stopped."""
        if not hasattr(self, "desk"):
            return
        self.do(self.desk.shutdown(self.now, patient=True))
        for _ in range(10_000):
            if self.closed is not None:
                break
            if self.taking is not None:
                self.a_take_brings_nothing(0.0)
            elif self.asked:
                self.the_modifier_answers(None)
            elif self.running:
                self.a_handler_returns(0)
            elif self.in_flight:
                self.a_post_is_answered(0, "delivered")
            else:
                self.time_passes(0.3)
        assert self.closed is not None
        results = {job_id for job_id, posts in self.posted.items() if any(p.kind is PostKind.RESULT for p in posts)}
        late = set(self.closed.undelivered) | set(self.closed.running)
        assert self.started - self.stopped - self.lost - results - late == set()


DeskMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestDesk = DeskMachine.TestCase


def test_a_post_that_is_answered_after_the_end_wakes_the_desk_no_more() -> None:
    desk = Desk(DeskLimits(flush_timeout=10.0), random.Random(7).random)
    desk.begin(0.0)
    desk.taken([TakenJob("j", {}, None)], 0.0)
    desk.chunk("j", b"1", 0.0)
    desk.progress("j", b"2", 0.0)
    desk.finished("j", b"3", 0.0)
    desk.shutdown(0.0)
    desk.take_empty(0.0, waited=0.0)
    assert Close((), ("j",)) in desk.tick(10.0)
    assert desk.delivered("j", 11.0) == []
    assert desk.next_wake is None
