"""The waits on a virtual clock: how many questions they cost, how late they notice, and that they always end."""

from __future__ import annotations

import random
import re
import statistics
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novita_sdk import errors
from novita_sdk._settings import resolve
from novita_sdk.files._in_values import Attachments
from novita_sdk.flows.call import Caller
from novita_sdk.flows.handle import Handle
from novita_sdk.flows.jobs import Flows
from novita_sdk.flows.poll_spacing import CROWD_RATE, park_seconds, poll_delay
from novita_sdk.flows.steps import Broken, Done, Emit, Log, Reply, Send, Turn
from novita_sdk.tracing import span
from novita_sdk.wire.retry import FailureKind, RetryPolicy

pytestmark = pytest.mark.core

ROUND_TRIP = 0.002
SETTINGS = resolve(
    api_key="k",
    base_url="http://gateway/v1",
    timeout=10.0,
    retry_budget=5.0,
    max_connections=32,
    on_request=(),
    on_response=(),
)


class World:
    """A gateway and a driver that share a clock which only moves when somebody waits."""

    def __init__(
        self,
        *,
        job_ends: float,
        long_poll: int | None = None,
        faults: Callable[[float], object] | None = None,
        has_places: bool = True,
        jitter: Callable[[], float] = lambda: 0.5,
        status: str = "IN_PROGRESS",
        health: object = None,
    ) -> None:
        self.now = 0.0
        self.asked: list[float] = []
        self.looked: list[float] = []
        self.told: list[str] = []
        self._status = status
        self._health = health
        self._job_ends = job_ends
        self._long_poll = long_poll
        self._has_places = has_places
        self._faults = faults or (lambda now: None)
        caller = Caller(
            base_url="http://gateway/v1",
            timeout=10.0,
            retry=RetryPolicy(budget=5.0),
            clock=lambda: self.now,
            wall_clock=lambda: 1e9 + self.now,
            random=jitter,
            new_id=lambda: "id",
            span=span,
        )
        caller.long_poll = None if long_poll is None else long_poll / 1000
        self.flows = Flows(caller, Attachments(SETTINGS), max_parked=16)

    def run(self, flow: Any) -> Any:
        emitted = []
        try:
            step = next(flow)
            while True:
                if isinstance(step, Emit):
                    emitted.append(step.value)
                    step = next(flow)
                elif isinstance(step, Send):
                    step = flow.send(self._answer(step))
                elif isinstance(step, Turn):
                    step = flow.send(self._turn(step))
                elif isinstance(step, Log):
                    if step.level == "WARNING":
                        self.told.append(step.text % step.values)
                    step = flow.send(None)
                else:
                    assert 0 <= step.seconds < float("inf")
                    self.now += step.seconds
                    step = flow.send(None)
        except StopIteration as stop:
            return emitted or stop.value

    def _turn(self, step: Turn) -> Done:
        assert step.seconds > 0
        if not self._has_places:
            self.now += step.seconds
        return Done(value=self._has_places)

    def _answer(self, step: Send) -> Reply | Broken:
        is_look = step.request.url.endswith("/health")
        (self.looked if is_look else self.asked).append(self.now)
        fault = self._faults(self.now)
        self.now += ROUND_TRIP
        if isinstance(fault, (Broken, Reply)):
            return fault
        headers = {} if self._long_poll is None else {"novita-long-poll": str(self._long_poll)}
        if isinstance(fault, int):
            return Reply(status=fault, headers=headers, body=b"")
        if is_look:
            return Reply(status=200, headers=headers, body=msgspec.json.encode(self._health))
        if "?wait=" in step.request.url:
            wait = int(step.request.url.split("?wait=")[1]) / 1000
            assert wait < step.timeout
            self.now += max(0.0, min(wait, self._job_ends - self.now))
        status = "COMPLETED" if self.now >= self._job_ends else self._status
        return Reply(status=200, headers=headers, body=msgspec.json.encode({"id": "j", "status": status}))


def new_job() -> Handle:
    job = Handle("x", "j")
    job.is_new = True
    return job


def late_by(length: float, seed: int) -> tuple[float, int]:
    """Seconds from the end of a job until the client knows, without long polling, and the questions that it cost."""
    world = World(job_ends=length, jitter=random.Random(seed).random)
    world.run(world.flows.output(new_job(), None))
    return world.now - length, len(world.asked)


def test_a_minute_costs_fewer_questions_than_one_a_second() -> None:
    assert max(late_by(60.0, seed)[1] for seed in range(200)) <= 58


@pytest.mark.parametrize(
    ("length", "mean", "worst"),
    [
        (0.005, 0.030, 0.040),
        (0.02, 0.020, 0.025),
        (0.1, 0.045, 0.080),
        (0.3, 0.055, 0.090),
        (1.0, 0.090, 0.180),
        (3.0, 0.100, 0.170),
        (10.0, 0.700, 1.400),
        (30.0, 2.300, 4.800),
        (60.0, 3.000, 5.600),
        (3600.0, 3.000, 5.600),
    ],
)
def test_the_end_is_noticed_in_time(length: float, mean: float, worst: float) -> None:
    tries = 200 if length < 100 else 20  # every wait of more than a minute goes on at the same pace
    late = [late_by(length * (0.95 + seed % 11 / 100), seed)[0] for seed in range(tries)]
    assert statistics.mean(late) < mean
    assert max(late) < worst


@settings(deadline=None)
@given(st.floats(0.05, 200))
def test_a_job_of_any_length_is_noticed_within_a_seventh_of_it(length: float) -> None:
    world = World(job_ends=length)
    world.run(world.flows.output(new_job(), None))
    assert world.now - length <= min(5.0, 0.08 + length / 7) + 2 * ROUND_TRIP


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_pace_never_quickens(one: float, other: float) -> None:
    sooner, later = sorted((one, other))
    assert 0.03 <= poll_delay(sooner, waiting=1, random=0.5) <= poll_delay(later, waiting=1, random=0.5) <= 5.0


@settings(deadline=None)
@given(st.floats(0.0, 200))
def test_a_parked_question_notices_the_end_itself(length: float) -> None:
    world = World(job_ends=length, long_poll=60_000)
    world.run(world.flows.output(new_job(), None))
    assert world.now - length <= 2 * ROUND_TRIP + 0.001
    assert len(world.asked) <= 2 + (length > 10) + length / 60  # the first is held for 10 s, to look for workers then


@settings(deadline=None)
@given(st.floats(0.0, 200))
def test_a_wait_that_finds_no_place_to_park_asks_as_elsewhere(length: float) -> None:
    world = World(job_ends=length, long_poll=60_000, has_places=False)
    world.run(world.flows.output(new_job(), None))
    assert world.now - length <= min(5.0, 0.08 + length / 7) + 2 * ROUND_TRIP


FAULTS = st.sampled_from(
    [
        None,
        502,
        429,
        408,
        Broken(kind=FailureKind.LOST, reason="reset"),
        Broken(kind=FailureKind.UNSENT, reason="refused"),
    ]
)


@settings(deadline=None)
@given(
    length=st.floats(0.0, 200),
    timeout=st.floats(0.01, 100),
    long_poll=st.sampled_from([None, 1000, 60_000]),
    has_places=st.booleans(),
    faults=st.lists(FAULTS, max_size=40),
)
def test_a_wait_ends_with_the_job_or_the_deadline_whatever_fails(
    length: float, timeout: float, long_poll: int | None, has_places: bool, faults: list[object]
) -> None:
    upcoming = iter(faults)
    world = World(job_ends=length, long_poll=long_poll, faults=lambda now: next(upcoming, None), has_places=has_places)
    try:
        world.run(world.flows.output(new_job(), timeout))
    except errors.WaitTimeoutError:
        assert timeout <= world.now <= timeout + 1
    else:
        assert world.now >= length
    assert world.now <= timeout + 1


BE_PATIENT = Reply(status=429, headers={"retry-after": "100"}, body=b"")


def test_a_retry_after_beyond_the_deadline_does_not_stretch_the_wait() -> None:
    world = World(job_ends=50.0, faults=lambda now: BE_PATIENT)
    with pytest.raises(errors.WaitTimeoutError):
        world.run(world.flows.output(new_job(), 20.0))
    assert 20.0 <= world.now < 20.1


def test_no_retry_after_puts_off_a_wait_without_end_for_more_than_minutes() -> None:
    ban = Reply(status=429, headers={"retry-after": "1e300"}, body=b"")
    world = World(job_ends=15.0, faults=lambda now: ban if now < 1 else None)
    world.run(world.flows.output(new_job(), None))
    assert world.now < 302


def test_a_job_that_ends_before_the_deadline_is_delivered_whatever_patience_was_asked_for() -> None:
    world = World(job_ends=15.0, faults=lambda now: BE_PATIENT if 10 < now < 20 else None)
    assert world.run(world.flows.output(new_job(), 20.0)) is None
    assert 20.0 <= world.now < 20.1


def test_a_refusal_ends_a_wait_at_once() -> None:
    world = World(job_ends=100.0, faults=lambda now: 401 if now > 1 else None)
    with pytest.raises(errors.AuthenticationError):
        world.run(world.flows.output(new_job(), 300))
    assert world.now < 2


def test_updates_begin_at_once_and_end_with_the_final_state() -> None:
    world = World(job_ends=30.0, long_poll=60_000)
    updates = world.run(world.flows.waiting.updates(new_job(), None))
    assert [update.status for update in updates] == ["IN_PROGRESS", "COMPLETED"]
    assert world.asked[0] == 0.0
    assert len(world.asked) <= 100


@given(waiting=st.integers(1, 5000), waited=st.floats(0, 1e6), random=st.floats(0, 1, exclude_max=True))
def test_a_crowd_stays_below_its_rate(waiting: int, waited: float, random: float) -> None:
    assert poll_delay(waited, waiting=waiting, random=random) >= waiting / CROWD_RATE


@given(waiting=st.integers(1, 5000), parked=st.integers(1, 100), longest=st.floats(0.001, 300))
def test_a_crowd_takes_turns_at_being_parked(waiting: int, parked: int, longest: float) -> None:
    park = park_seconds(longest, waiting=waiting, max_parked=parked)
    assert 0 < park <= longest
    if waiting > parked:
        assert park <= max(10.0 * parked / waiting, 0.25)


NOBODY = {"jobs": {"inQueue": 1}, "workers": {"idle": 0, "running": 0}}


@pytest.mark.parametrize("long_poll", [None, 1000, 60_000])
@pytest.mark.parametrize("status", ["PENDING", "IN_QUEUE"])
def test_a_job_that_waits_without_workers_is_told_of_once_a_minute(long_poll: int | None, status: str) -> None:
    world = World(job_ends=200.0, long_poll=long_poll, status=status, health=NOBODY)
    world.run(world.flows.output(new_job(), None))
    assert len(world.looked) == len(world.told) == 4
    assert all(abs(moment - due) < 6 for moment, due in zip(world.looked, (10, 70, 130, 190), strict=True))
    assert re.match("job j has waited for 1[0-5] s, and no worker of endpoint x is connected", world.told[0])
    assert len(world.asked) <= (230 if long_poll == 1000 else 90)


def test_many_waits_for_one_endpoint_look_no_more_often() -> None:
    world = World(job_ends=200.0, long_poll=60_000, status="PENDING", health=NOBODY)
    for _ in range(3):
        with pytest.raises(errors.WaitTimeoutError):
            world.run(world.flows.output(new_job(), 15.0))
    assert len(world.looked) == 1


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("PENDING", {"workers": {"idle": 0, "running": 0, "initializing": 1}}),
        ("PENDING", {"workers": {}}),
        ("PENDING", {"workers": 0}),
        ("PENDING", []),
        ("IN_PROGRESS", NOBODY),
        ("PONDERING", NOBODY),
    ],
)
def test_nothing_is_told_where_there_may_be_workers(status: str, health: object) -> None:
    world = World(job_ends=100.0, long_poll=60_000, status=status, health=health)
    world.run(world.flows.output(new_job(), None))
    assert world.told == []
    assert bool(world.looked) == (status == "PENDING")


@pytest.mark.parametrize("fault", [500, 404, 401, Broken(kind=FailureKind.LOST, reason="reset")])
def test_a_look_that_fails_is_of_no_account(fault: object) -> None:
    world = World(job_ends=15.0, status="PENDING", health=NOBODY)
    world._faults = lambda now: fault if world.looked and world.looked[-1] == now else None
    assert world.run(world.flows.output(new_job(), None)) is None
    assert world.told == []
    assert world.now < 17
