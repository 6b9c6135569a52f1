"""The store in memory and several gateways on one database, asked the same at the same time: every call answers alike.

The store in memory says what is right, and its own model says so of it (`test_store_machine.py`). Each call goes to one
of the gateways, whichever. Calls at the same moment are no subject here: who is first among them, nobody says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from novita_gateway import GatewayError, Limits, ManualClock, MemoryStore, PostgresStore, Store
from novita_gateway.store.protocol import Handover
from novita_sdk.models import (
    EndpointSchema,
    ExecutionPolicy,
    JobRequest,
    JobResult,
    ListJobsRequest,
    MethodSchema,
    RunRequest,
)
from tests.support.stores import advance, execute, new_schema, until_parked
from tests.support.waiting import DEADLINE

ResultT = TypeVar("ResultT")

LIMITS = Limits(lease=1000, max_attempts=2, retention=20_000, ttl=15_000, worker_memory=1_000_000)
ENDPOINTS = st.sampled_from(["a", "a", "b"])
WORKERS = st.sampled_from(["w1", "w2"])
PICKS = st.integers(0, 1000)
AT = st.integers(0, 2)
"""Which gateway is called."""
BODIES = st.sampled_from([b"null", b"{}", b'{"u": "\xc3\xa9"}', b'"' + b"x" * 40_000 + b'"'])
KEYS = st.sampled_from([None, None, "k1", "k2"])


class Twins(RuleBasedStateMachine):
    """Jobs have other ids in the two stores: `jobs` pairs them, and answers are compared in the words of the first."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self.dsn, self.tables = dsn, new_schema()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.memory = MemoryStore(limits=LIMITS, clock=self.clock)
        self.gateways = [
            PostgresStore(dsn, schema=self.tables, limits=LIMITS, clock=self.clock, count_age=0, connections=4)
            for _ in range(3)
        ]
        self.stores: list[Store] = [self.memory, *self.gateways]
        self.jobs: list[tuple[str, str, str]] = []
        """Endpoint, and the id in memory and in the database."""
        self.run(self.open())

    async def open(self) -> None:
        for store in self.stores:
            await store.open()

    def run(self, call: Awaitable[ResultT]) -> ResultT:
        return self.loop.run_until_complete(asyncio.wait_for(call, DEADLINE))

    def teardown(self) -> None:
        async def close() -> None:
            for store in self.stores:
                await store.close()
            await execute(self.dsn, f"DROP SCHEMA {self.tables} CASCADE")

        self.run(close())
        self.loop.close()

    def both(self, at: int, call: Callable[[Store, Callable[[str], str]], Awaitable[Any]]) -> Any:
        """Calls both; `call` gets a store, and what names a job there. Returns both results, alike but for the ids."""
        there = {memory: other for _, memory, other in self.jobs}
        expected = self.run(_outcome(call(self.memory, lambda job_id: job_id)))
        found = self.run(_outcome(call(self.gateways[at], lambda job_id: there.get(job_id, job_id))))
        words = _words(found)
        for memory, other in there.items():
            words = words.replace(other, memory)
        assert words == _words(expected)
        self.pause()
        return expected, found

    def pause(self) -> None:
        """No two things happen in one millisecond, so that leases end in an order."""
        self.run(advance(self.clock, 0.001, self.gateways[0]))

    def pick(self, pick: int) -> tuple[str, str] | None:
        """Endpoint and id in memory."""
        return self.jobs[pick % len(self.jobs)][:2] if self.jobs else None

    @initialize()
    def start_with_two(self) -> None:
        for at, endpoint in enumerate(("a", "b")):
            self.submit(at, endpoint, b"1", None, False, None)

    @rule(at=AT, endpoint=ENDPOINTS, body=BODIES, key=KEYS, low=st.booleans(), timeout=st.sampled_from([None, 700]))
    def submit(self, at: int, endpoint: str, body: bytes, key: str | None, low: bool, timeout: int | None) -> None:
        policy = ExecutionPolicy(low_priority=low, execution_timeout=timeout)
        request = RunRequest(endpoint=endpoint, request=JobRequest(input=body, policy=policy), idempotency_key=key)
        expected = self.run(_outcome(self.memory.submit(request)))
        found = self.run(_outcome(self.gateways[at].submit(request)))
        if isinstance(expected, GatewayError):
            assert type(found) is type(expected)
        elif (endpoint, expected.id, found.id) not in self.jobs:
            assert expected.id not in {memory for _, memory, _ in self.jobs}
            assert found.id not in {other for _, _, other in self.jobs}
            assert (expected.status, found.status) == ("PENDING", "PENDING")
            self.jobs.append((endpoint, expected.id, found.id))
        else:
            assert expected.status == found.status
        self.pause()

    @rule(
        at=AT, endpoint=ENDPOINTS, worker=WORKERS, count=st.integers(1, 3), undo=st.sampled_from([False, False, True])
    )
    def take(self, at: int, endpoint: str, worker: str, count: int, undo: bool) -> None:
        expected, found = self.both(at, lambda store, _: store.take(endpoint, worker, count, 0))
        if undo:
            self.run(expected.undo())
            self.run(found.undo())
        for job in expected.value:
            self.both(at, lambda store, id_of, job=job: store.ping(endpoint, worker, [id_of(job.id)]))  # type: ignore[misc]

    @rule(at=AT, pick=PICKS, worker=WORKERS)
    def ping(self, at: int, pick: int, worker: str) -> None:
        if (job := self.pick(pick)) is not None:
            self.both(at, lambda store, id_of: store.ping(job[0], worker, [id_of(job[1])]))

    @rule(
        at=AT, pick=PICKS, worker=WORKERS, body=BODIES, failed=st.booleans(), take=st.sampled_from([None, None, 1, 2])
    )
    def finish(self, at: int, pick: int, worker: str, body: bytes, failed: bool, take: int | None) -> None:
        if (job := self.pick(pick)) is not None:
            result = JobResult(error=body) if failed else JobResult(output=body)
            self.both(at, lambda store, id_of: store.finish(job[0], worker, id_of(job[1]), result, take))

    @rule(at=AT, pick=PICKS, worker=WORKERS, body=BODIES)
    def report(self, at: int, pick: int, worker: str, body: bytes) -> None:
        if (job := self.pick(pick)) is not None:
            self.both(at, lambda store, id_of: store.report(job[0], worker, id_of(job[1]), body))

    @rule(at=AT, pick=PICKS, worker=WORKERS, body=BODIES, place=st.sampled_from([(None, None), (1, 0), (1, 1), (2, 0)]))
    def append(self, at: int, pick: int, worker: str, body: bytes, place: tuple[int | None, int | None]) -> None:
        if (job := self.pick(pick)) is not None:
            self.both(at, lambda store, id_of: store.append(job[0], worker, id_of(job[1]), body, *place))

    @rule(at=AT, pick=PICKS, cursor=st.sampled_from([None, "0", "1-1", "2-0", "x"]), undo=st.booleans())
    def read_stream(self, at: int, pick: int, cursor: str | None, undo: bool) -> None:
        if (job := self.pick(pick)) is not None:
            expected, found = self.both(at, lambda store, id_of: store.read_stream(job[0], id_of(job[1]), 0, cursor))
            if undo and isinstance(expected, Handover):
                self.run(expected.undo())
                self.run(found.undo())

    @rule(at=AT, pick=PICKS, what=st.sampled_from(["cancel", "retry"]))
    def change(self, at: int, pick: int, what: str) -> None:
        if (job := self.pick(pick)) is not None:
            self.both(at, lambda store, id_of: getattr(store, what)(job[0], id_of(job[1])))

    @rule(at=AT, endpoint=ENDPOINTS, worker=WORKERS, undo=st.booleans())
    def stops(self, at: int, endpoint: str, worker: str, undo: bool) -> None:
        expected, found = self.both(at, lambda store, _: _as_sets(store.stops(endpoint, worker, 0)))
        if undo:
            self.run(expected.undo())
            self.run(found.undo())

    @rule(at=AT, endpoint=ENDPOINTS)
    def purge(self, at: int, endpoint: str) -> None:
        self.both(at, lambda store, _: store.purge(endpoint))

    @rule(at=AT, body=BODIES)
    def schema(self, at: int, body: bytes) -> None:
        schema = EndpointSchema(methods=[MethodSchema(input=body)])
        self.both(at, lambda store, _: store.publish_schema("a", schema))
        self.both((at + 1) % 3, lambda store, _: store.schema("a"))

    @rule(at=AT, endpoint=ENDPOINTS, pick=PICKS, worker=WORKERS)
    def parked_requests_at_another_gateway_are_answered(self, at: int, endpoint: str, pick: int, worker: str) -> None:
        """A take that found nothing gets the next submit, and a wait at a third gateway the result."""
        if (self.run(self.memory.health(endpoint))).jobs.in_queue:
            return

        async def way(submits: Store, takes: Store, waits: Store) -> tuple[str, Any]:
            take = asyncio.ensure_future(takes.take(endpoint, worker, 1, 60_000))
            await until_parked(takes)
            job = await submits.submit(RunRequest(endpoint=endpoint, request=JobRequest(input=b"1")))
            assert [taken.id for taken in (await take).value] == [job.id]
            wait = asyncio.ensure_future(waits.status(endpoint, job.id, 60_000))
            await until_parked(waits)
            await takes.finish(endpoint, worker, job.id, JobResult(output=b"2"))
            return job.id, await wait

        expected, status = self.run(way(self.memory, self.memory, self.memory))
        found, other = self.run(way(*(self.gateways[(at + step) % 3] for step in range(3))))
        self.jobs.append((endpoint, expected, found))
        assert _words(other).replace(found, expected) == _words(status)

    @rule(at=AT, step=st.sampled_from([100, 400, 1100, 5000, 21_000]))
    def time_passes(self, at: int, step: int) -> None:
        self.run(advance(self.clock, step / 1000, self.gateways[at]))

    @invariant()
    def all_is_alike(self) -> None:
        for number, (endpoint, memory, _) in enumerate(self.jobs):
            at = number % 3
            self.check(at, lambda store, id_of, endpoint=endpoint, memory=memory: store.status(endpoint, id_of(memory)))
        for at, endpoint in enumerate(("a", "b")):
            self.check(at, lambda store, _, endpoint=endpoint: store.health(endpoint))
            request = ListJobsRequest(endpoint=endpoint, limit=1000)
            self.check(at, lambda store, _, request=request: store.list_jobs(request))
        self.check(2, lambda store, _: store.endpoints())

    def check(self, at: int, call: Callable[..., Awaitable[Any]]) -> None:
        pause, self.pause = self.pause, lambda: None  # type: ignore[method-assign]  # reading takes no time
        try:
            self.both(at, call)
        finally:
            self.pause = pause  # type: ignore[method-assign]


async def _outcome(call: Awaitable[Any]) -> Any:
    """What a call returns, or what it raises."""
    try:
        return await call
    except GatewayError as error:
        return error


async def _as_sets(call: Awaitable[Handover[Sequence[str]]]) -> Handover[Any]:
    """Orders that were given together come in any order; ids differ, so they are compared as a number."""
    stops = await call
    return Handover(len(stops.value), stops.undo)


def _words(outcome: object) -> str:
    """An answer as text, in which ids can be exchanged."""
    if isinstance(outcome, Handover):
        return _words(outcome.value)
    if isinstance(outcome, GatewayError):
        return f"{type(outcome).__name__}: {outcome}"
    if isinstance(outcome, (list, tuple)):
        return str([_words(item) for item in outcome])
    if isinstance(outcome, dict):
        return str({key: _words(item) for key, item in outcome.items()})
    return str(outcome)


def test_a_store_in_memory_and_three_gateways_on_a_database_answer_alike(postgres: str) -> None:
    few = settings(max_examples=6, stateful_step_count=40, deadline=None)
    run_state_machine_as_test(partial(Twins, postgres), settings=few)  # type: ignore[arg-type]  # makes one, as a class does
